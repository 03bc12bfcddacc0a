"""The certificates that httpx trusts by default, loaded once per process.

Each of its clients loads them again, also the one that `httpx.get` makes for one request to this
computer: 25 ms of a core, which is more than most requests of tests take.
"""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

import httpx
import pytest
from httpx._transports import default


def load_once(patch: pytest.MonkeyPatch) -> None:
    """Let all clients of this process share one context, except those that ask for another one."""
    patch.setattr(default, "create_ssl_context", _context)


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is not True or cert is not None:
        return httpx.create_ssl_context(verify, cert, trust_env)
    # A test may set these.
    return _usual(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _usual(trust_env: bool, *_variables: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=trust_env)
