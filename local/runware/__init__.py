"""A simulated Runware: tasks over REST, CDN, webhooks, and faults."""
