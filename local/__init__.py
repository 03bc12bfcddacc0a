"""Everything needed to run Clipmint on one computer: no Docker, no AWS account.

`python -m local up` starts the stack; in a test, use `local.stack.Stack`.
"""
