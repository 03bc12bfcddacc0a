"""fal's public webhook keys, cached.

We keep them in memory for at most 24 hours, as fal asks (docs), and fetch them again when no key
verifies a webhook, because keys rotate. We never fetch them twice within a minute, so that many
forged webhooks do not cause many requests to fal.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from http import HTTPStatus

from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.transport import Transport, json_object

MAX_AGE_SECONDS = 24 * 3600
MIN_INTERVAL_SECONDS = 60
_KEY_BYTES = 32
_MAX_KEYS = 16
"""fal publishes a few. A forged webhook is checked against each of them, hence a limit."""


def public_keys(body: bytes) -> list[bytes]:
    """The raw Ed25519 keys, 32 bytes each, in a JWKS document. Other entries are skipped."""
    document = json_object(body) or {}
    entries = document.get("keys")
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("kty") == "OKP" and entry.get("crv") == "Ed25519":
            key = _decoded(entry.get("x"))
            if len(key) == _KEY_BYTES:
                found.append(key)
    return found[:_MAX_KEYS]


def _decoded(x: object) -> bytes:
    if not isinstance(x, str) or not x.isascii():
        return b""
    try:
        return base64.b64decode(x + "=" * (-len(x) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""


class KeySet:
    """The published keys. ``now`` returns wall-clock time in epoch seconds: the monotonic clock of
    a Lambda function stops while it is frozen."""

    def __init__(self, url: str, transport: Transport, now: Callable[[], float]) -> None:
        self._url = url
        self._transport = transport
        self._now = now
        self._keys: list[bytes] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def current(self) -> list[bytes]:
        """Keys at most a day old.

        Raises
        ------
        ProviderUnavailable
            No keys are available now.
        """
        if not self._younger(self._fetched_at, MAX_AGE_SECONDS) and not self.refresh():
            raise ProviderUnavailable("fal's webhook keys were requested less than a minute ago")
        return self._keys

    def refresh(self) -> bool:
        """Fetch the keys again; False, without a request, if we tried within the last minute.

        Raises
        ------
        ProviderUnavailable
            fal did not return a key set. The old one stays in use until it is 24 hours old.
        """
        if self._younger(self._tried_at, MIN_INTERVAL_SECONDS):
            return False
        self._tried_at = self._now()
        response = self._transport.ask("GET", self._url, headers={})  # public: no key
        keys = public_keys(response.body) if response.status == HTTPStatus.OK else []
        if not keys:
            raise ProviderUnavailable(f"fal's webhook keys: HTTP {response.status}, no usable key")
        self._keys, self._fetched_at = keys, self._tried_at
        return True

    def _younger(self, at: float | None, seconds: float) -> bool:
        return at is not None and 0 <= self._now() - at < seconds
