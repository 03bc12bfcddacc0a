"""Clipmint: credits in, a video in the owner's bucket out, charged exactly once."""
