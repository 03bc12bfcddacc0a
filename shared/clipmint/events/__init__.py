"""Outgoing events: what the owner's systems learn, and how it reaches them."""
