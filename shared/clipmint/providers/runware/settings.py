"""Where Runware is and how we sign in, checked once so that no later step has to.

The key never appears in a representation, and a key that could not travel in a header is treated
as no key: an HTTP library's complaint about such a header would quote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from clipmint.providers.urls import checked_base

_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what a bearer token can be (RFC 6750, 2.1)


@dataclass(frozen=True, slots=True)
class RunwareSettings:
    """Runware's address and our key.

    Attributes
    ----------
    key
        The API key, sent as a bearer token (docs). Empty where only webhooks are read: they need
        no secret. A malformed key counts as empty.
    url
        The one URL of the API, without a trailing slash: every task is posted to it.
    media_hosts
        Hosts results are served from (seen: ``vm.`` videos, ``im.`` images): exact names,
        ``.suffix`` for a domain and all below it, or a loopback ``host:port``.

    Raises
    ------
    ValueError
        The URL is neither https nor http on loopback.
    """

    key: str = field(default="", repr=False)
    url: str = "https://api.runware.ai/v1"
    media_hosts: tuple[str, ...] = ("vm.runware.ai", "im.runware.ai")

    def __post_init__(self) -> None:
        key = self.key.strip()  # secrets are pasted, often with a newline
        object.__setattr__(self, "key", key if _KEY.fullmatch(key) else "")
        object.__setattr__(self, "url", checked_base(self.url))
