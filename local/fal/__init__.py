"""A simulated fal: queue, CDN, signed webhooks, and faults."""
