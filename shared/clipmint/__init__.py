"""Clipmint: credits in, a video in the owner's bucket out, charged exactly once."""

import gc
import sys

# A cold start creates many objects and frees few. By default Python searches them for garbage
# dozens of times, which takes a tenth of the processor time of an import. Later collections become
# rarer, too. That is fine: an invocation frees nearly all of its objects without them.
gc.set_threshold(10_000)

# botocore imports this where pyOpenSSL is installed, as in the layer of Apple's library: a twelfth
# of a cold start, for a class that it otherwise takes from the standard library. After None,
# importing it raises ImportError.
sys.modules.setdefault("urllib3.contrib.pyopenssl", None)  # type: ignore[arg-type]
