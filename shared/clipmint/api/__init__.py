"""Code that the HTTP functions share."""
