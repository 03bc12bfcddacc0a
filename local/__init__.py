"""Everything needed to run Clipmint on one computer: no Docker, no AWS account.

`python -m local up` starts the stack; in a test, use `local.stack.Stack`.
"""

import sys

# httpx tries to import its command line, with rich, half of the time that its import takes. This
# lets it fail, as where rich is not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
