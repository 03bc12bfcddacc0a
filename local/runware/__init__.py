"""A simulated Runware: tasks over REST and WebSocket, CDN, webhooks, and faults."""
