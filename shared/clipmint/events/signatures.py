"""Secrets of endpoints, and signatures as Standard Webhooks defines them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: an HMAC
with SHA-256 of ``id.timestamp.body``. During a rotation there are two signatures, and a receiver
accepts a call if it knows the secret of one of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret() -> str:
    """A random secret in the form that verifiers of Standard Webhooks read."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def headers(event_id: str, timestamp: int, body: str, keys: Sequence[str]) -> dict[str, str]:
    """The headers that identify and sign a call.

    Parameters
    ----------
    timestamp
        Of this attempt, in epoch seconds: receivers reject an old one.
    keys
        The secrets, the newest first.
    """
    signed = f"{event_id}.{timestamp}.{body}".encode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
