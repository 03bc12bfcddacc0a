"""Adapters to the providers, one module each, behind the port in `clipmint.providers.base`."""
