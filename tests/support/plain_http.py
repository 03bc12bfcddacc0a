"""For HTTP clients that talk to this machine without TLS."""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As ``verify``: trusts no authority, so none is loaded, which takes 24 ms of each new client."""
