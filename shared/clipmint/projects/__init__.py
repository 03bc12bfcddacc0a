"""A user's projects and scenes."""
