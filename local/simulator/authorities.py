"""The certificate authorities that the clients of a simulator trust.

Each client of httpx loads them again, which takes 25 ms of a core: as long as half a clip.
"""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def authorities(*, trust_env: bool = False) -> ssl.SSLContext:
    """The authorities that httpx trusts, or with ``trust_env`` those of SSL_CERT_FILE, if set."""
    return httpx.create_ssl_context(trust_env=trust_env)
