"""What the simulated providers share: faults, the paid-submission log, media, and serving."""
