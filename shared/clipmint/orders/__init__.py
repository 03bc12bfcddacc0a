"""Orders: they start jobs. One idempotency key is one job and one charge."""
