"""ministack, corrected where this application would notice that it is not AWS.

One module per area; each states the corrections it makes and why. A correction names the upstream
code it replaces by digest (`upstream.corrects`), so that a new release of ministack fails at start
instead of being patched blindly. `python -m local.emulator` serves; `--stock` serves without any
correction, which is how the tests tell whether upstream still needs them.

This package runs in an environment of its own (`.envs/emulator`): ministack pins its botocore.
"""
