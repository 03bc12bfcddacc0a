"""What HTTP handlers share."""
