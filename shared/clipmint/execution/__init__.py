"""What happens to a job from its start to its settlement."""
