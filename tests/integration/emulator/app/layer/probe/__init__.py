"""A package of the application's own layer."""

WORD = "from the layer"
