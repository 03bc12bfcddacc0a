"""Jobs: their state, and the records of them."""
