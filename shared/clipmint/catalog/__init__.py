"""The models that users can order, and their prices."""
