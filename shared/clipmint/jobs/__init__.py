"""What a job is, and what is recorded of it."""
