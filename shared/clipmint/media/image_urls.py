"""Checks image URLs in requests. We check only their form, because the provider fetches them."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from clipmint.errors import InvalidRequest

MAX_URL_CHARACTERS = 2_048
"""Runway's limit on image URLs, the tightest of the three providers."""
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")
# Last labels of names that exist only in private networks and clusters.
_PRIVATE_LABELS = {
    *("local", "localhost", "localdomain", "internal", "intranet", "private", "home", "lan"),
    *("corp", "svc", "consul"),
}
# The last label of a real domain begins with a letter. This also rejects IPv4 addresses in decimal,
# octal, hexadecimal and shortened forms, and percent signs, which some clients decode to one.
_DOMAIN = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*\.?")
DOCUMENTED_URL = (
    r"^[Hh][Tt][Tt][Pp][Ss]://([A-Za-z0-9_-]+\.)+[A-Za-z][A-Za-z0-9-]*\.?(:443)?"
    r"([/?#][!-\[\]-~]*)?$"
)
"""Describes the accepted URLs to readers of the OpenAPI document."""


def _plain_url(url: str) -> str:
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"at most {MAX_URL_CHARACTERS} characters")
    if not _PRINTABLE_ASCII.fullmatch(url) or "\\" in url:
        raise ValueError("must be a URL in printable ASCII without spaces or backslashes")
    return url


def check_image_url(field: str, url: str | None, own_base: str) -> None:
    """Reject a URL that a provider cannot fetch, or that may point into a private network.

    We check only the form, because the provider fetches the URL. Every URL below ``own_base``, the
    base URL of our own images (without a final slash; empty if unknown), is accepted: on a laptop
    it has a loopback address. ``url`` may be None.

    Raises
    ------
    InvalidRequest
        The URL is not acceptable; the details name ``field``.
    """
    if url is None or (own_base and url.startswith(f"{own_base}/")):
        return
    check_public_url(field, url)


def check_public_url(field: str, url: str) -> None:
    """Reject a URL that is not https, or whose host cannot be public.

    Raises
    ------
    InvalidRequest
        The URL is not acceptable; the details name ``field``.
    """
    problem = _problem_of(url)
    if problem is not None:
        raise InvalidRequest("The request is not valid", details=f"{field}: {problem}")


def _problem_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "must be a valid URL"
    last_label = host.rstrip(".").rsplit(".", 1)[-1]
    found = {
        "must be an https URL": parts.scheme != "https",
        "must not contain credentials": parts.username is not None or parts.password is not None,
        "must use the default port": port not in {None, 443},
        "must name a public host, and not an IP address": not _DOMAIN.fullmatch(host),
        "must name a public host": last_label in _PRIVATE_LABELS,
    }
    return next((problem for problem, there in found.items() if there), None)


ImageUrl = Annotated[
    str,
    AfterValidator(_plain_url),
    Field(
        description="Public https URL, at most 2,048 characters",
        examples=["https://example.com/frame.png"],
        # Documents the checks of `_plain_url` and `check_image_url` for readers of the OpenAPI.
        json_schema_extra={"maxLength": MAX_URL_CHARACTERS, "pattern": DOCUMENTED_URL},
    ),
]
