"""Runware's address and our key, checked once.

The key never appears in a representation. A key that cannot be sent in a header is treated as no
key, because an HTTP library's error about such a header would quote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from clipmint.providers.urls import checked_base

_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # the syntax of a bearer token (RFC 6750, 2.1)


@dataclass(frozen=True, slots=True)
class RunwareSettings:
    """Runware's address and our key.

    Attributes
    ----------
    key
        The API key, sent as a bearer token (docs). Empty where only webhooks are read: they need
        no secret. A malformed key counts as empty.
    url
        The URL to which every task is posted, without a trailing slash.
    media_hosts
        Hosts that serve results (seen: ``vm.`` videos, ``im.`` images): exact names, ``.suffix``
        for a domain and all its subdomains, or a loopback ``host:port``.

    Raises
    ------
    ValueError
        The URL is neither https nor http on loopback.
    """

    key: str = field(default="", repr=False)
    url: str = "https://api.runware.ai/v1"
    media_hosts: tuple[str, ...] = ("vm.runware.ai", "im.runware.ai")

    def __post_init__(self) -> None:
        key = self.key.strip()  # a pasted secret often ends with a newline
        object.__setattr__(self, "key", key if _KEY.fullmatch(key) else "")
        object.__setattr__(self, "url", checked_base(self.url))
