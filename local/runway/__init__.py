"""A simulated Runway: tasks, signed output URLs, credits, and everything that goes wrong there."""
