"""ministack, corrected where its behaviour differs from AWS in a way that affects this application.

One module per area; each lists its corrections and the reasons. A correction identifies the
upstream code that it replaces by a digest (`upstream.corrects`), so a new release of ministack
fails at start instead of being patched without a review. `python -m local.emulator` serves.
`--stock` serves without corrections; the tests use it to check that upstream still needs them.

This package runs in an environment of its own (`.envs/emulator`): ministack pins its botocore.
"""
