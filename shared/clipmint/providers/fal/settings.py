"""Where fal is and how we sign in, checked once so that no later step has to.

The key never appears in a representation, and a key that could not travel in a header is treated
as no key: an HTTP library's complaint about such a header would quote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from clipmint.providers.urls import checked_base

_KEY = re.compile(r"[\x21-\x39\x3b-\x7e]+:[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class FalSettings:
    """fal's addresses and our key.

    Attributes
    ----------
    key
        ``key_id:key_secret`` (docs). Empty where only webhooks are read: they need no secret. A
        malformed key counts as empty.
    queue_url
        Base of the queue API, without a trailing slash.
    jwks_url
        fal's published webhook keys.
    media_hosts
        Hosts results are served from: exact names, ``.suffix`` for a domain and all below it, or a
        loopback ``host:port``.

    Raises
    ------
    ValueError
        A URL is neither https nor http on loopback.
    """

    key: str = field(default="", repr=False)
    queue_url: str = "https://queue.fal.run"
    jwks_url: str = "https://rest.fal.ai/.well-known/jwks.json"
    media_hosts: tuple[str, ...] = (".fal.media",)

    def __post_init__(self) -> None:
        key = self.key.strip()  # secrets are pasted, often with a newline
        object.__setattr__(self, "key", key if _KEY.fullmatch(key) else "")
        object.__setattr__(self, "queue_url", checked_base(self.queue_url))
        object.__setattr__(self, "jwks_url", checked_base(self.jwks_url))
