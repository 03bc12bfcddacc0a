"""What an adapter is made from: the owner's key and the provider's addresses, checked once.

Each provider's package has a subclass, which is the only place of its default addresses. The owner
can override every field except the key, with the template's parameter ``ProviderOverrides``.
"""

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, field_validator

from clipmint.providers.urls import checked_base, checked_host
from clipmint.schemas import Schema

BaseUrl = Annotated[str, AfterValidator(checked_base)]
"""A URL to which we may send our key, without a trailing slash."""

Host = Annotated[str, AfterValidator(checked_host)]

MediaHosts = Annotated[tuple[Host, ...], Field(min_length=1)]
"""Hosts that serve results: exact names, ``.suffix`` for a domain and all its subdomains, or a
loopback ``host:port``."""


class AdapterSettings(Schema):
    """The owner's key and the addresses of one provider.

    The key never appears in a representation or in an error. A key that cannot be sent in a header
    counts as no key, because an HTTP library's error about such a header would quote it.

    Attributes
    ----------
    KEY
        The syntax of a key.
    key
        The owner's key; empty if there is none, or if it does not have the syntax of a key.
    media_hosts
        The hosts that serve results.

    Raises
    ------
    pydantic.ValidationError
        A field is unknown or has the wrong type, or a URL is neither https nor http on loopback.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    KEY: ClassVar[re.Pattern[str]]

    key: str = Field(default="", repr=False)
    media_hosts: MediaHosts

    @field_validator("key")
    @classmethod
    def _usable(cls, key: str) -> str:
        key = key.strip()  # a pasted secret often ends with a newline
        return key if cls.KEY.fullmatch(key) else ""
