"""Runway's address, our key, and the version of the API that we use, checked once.

The key never appears in a representation. A key that cannot be sent in a header is treated as no
key, because an HTTP library's error about such a header would quote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from clipmint.providers.urls import checked_base

API_VERSION = "2024-11-06"
"""Sent as ``X-Runway-Version`` with every request (docs: required). The bodies in `models` are of
this version, and Runway rejects unknown fields. Never change one without the other."""

_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class RunwaySettings:
    """Runway's address and our key.

    Attributes
    ----------
    key
        The API secret, ``key_…`` (docs). A malformed one counts as empty.
    url
        Base of the API, without a trailing slash and without ``/v1``.
    media_hosts
        Hosts that serve results: exact names, ``.suffix`` for a domain and all its subdomains, or a
        loopback ``host:port``. Runway uses CloudFront, in every response seen the same
        distribution. But it promises no name, and a new name must not make us lose a video that is
        paid for, so we allow all of CloudFront. Anyone can have a CloudFront name: the list only
        keeps us on a CDN and off private networks. We know that a URL is Runway's because we read
        it from Runway over TLS.

    Raises
    ------
    ValueError
        The URL is neither https nor http on loopback.
    """

    key: str = field(default="", repr=False)
    url: str = "https://api.dev.runwayml.com"
    media_hosts: tuple[str, ...] = (".cloudfront.net",)

    def __post_init__(self) -> None:
        key = self.key.strip()  # a pasted secret often ends with a newline
        object.__setattr__(self, "key", key if _KEY.fullmatch(key) else "")
        object.__setattr__(self, "url", checked_base(self.url))
