"""A package of the application's own layer."""

import os

WORD = "from the layer"
DECLARED = os.environ.get("DECLARED")
