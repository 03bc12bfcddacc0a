"""Clipmint: credits in, a video in the owner's bucket out, charged exactly once."""

import gc

# A cold start creates many objects and hardly any garbage. By default Python looks through all of
# them dozens of times, which is a tenth of the processor time of an import. Later collections are
# rarer, too: an invocation frees nearly all of its objects without them.
gc.set_threshold(10_000)
