"""A simulated fal: queue, CDN, signed webhooks, and everything that goes wrong there."""
