"""fal's addresses and our key, checked once.

The key never appears in a representation. A key that cannot be sent in a header is treated as no
key, because an HTTP library's error about such a header would quote it.
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
        Hosts that serve results: exact names, ``.suffix`` for a domain and all its subdomains, or a
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
        key = self.key.strip()  # a pasted secret often ends with a newline
        object.__setattr__(self, "key", key if _KEY.fullmatch(key) else "")
        object.__setattr__(self, "queue_url", checked_base(self.queue_url))
        object.__setattr__(self, "jwks_url", checked_base(self.jwks_url))
