"""Where Runway is, how we sign in, and which version of its API we speak.

The key never appears in a representation, and a key that could not travel in a header is treated
as no key: an HTTP library's complaint about such a header would quote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from clipmint.providers.urls import checked_base

API_VERSION = "2024-11-06"
"""Sent as ``X-Runway-Version`` with every request (docs: required). Bodies in `models` are of this
version, and Runway refuses fields it does not know, so the two change together or not at all."""

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
        Hosts results are served from: exact names, ``.suffix`` for a domain and all below it, or a
        loopback ``host:port``. Runway serves them from CloudFront, in everything seen from one
        distribution; but it promises no name, and a video that is paid for must not be lost to a
        new one. Anyone can have such a name, so this keeps us on a CDN and off private networks;
        that the URL is Runway's follows from having been read from Runway over TLS.

    Raises
    ------
    ValueError
        The URL is neither https nor http on loopback.
    """

    key: str = field(default="", repr=False)
    url: str = "https://api.dev.runwayml.com"
    media_hosts: tuple[str, ...] = (".cloudfront.net",)

    def __post_init__(self) -> None:
        key = self.key.strip()  # secrets are pasted, often with a newline
        object.__setattr__(self, "key", key if _KEY.fullmatch(key) else "")
        object.__setattr__(self, "url", checked_base(self.url))
