"""A simulated Runway: tasks, signed output URLs, credits, and faults."""
