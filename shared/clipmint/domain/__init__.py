"""What decides: pure functions over frozen values. Nothing here talks to AWS or a provider."""
