"""Compatible endpoints: other protocols in front of the same orders, jobs and projects."""
