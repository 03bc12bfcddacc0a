"""Usage: what ended jobs and orphans add up to, by day."""
