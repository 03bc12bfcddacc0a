"""Checks of the base URLs and hosts of providers and of the media URLs that they return.

All follow one rule: https, or http where the host can only be this computer (a simulator).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_HOST = re.compile(r"\.?[\w-]+(\.[\w-]+)*", re.ASCII)
_MEDIA = re.compile(r"https?://[\x21-\x5b\x5d-\x7e]{1,4096}")


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this computer."""
    return _LOOPBACK.fullmatch(host.lower()) is not None


def checked_base(url: str) -> str:
    """A base URL to which we may send our key, without its trailing slash.

    Raises
    ------
    ValueError
        It is neither https nor http on loopback, or has credentials, a query or a fragment.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not secure or not host or parts.username or parts.query or parts.fragment:
        raise ValueError(f"not an https URL (or http on loopback): {url!r}")
    return url.rstrip("/")


def checked_host(host: str) -> str:
    """A host from which files may be fetched: ``name``, ``.suffix`` or loopback ``host:port``.

    Raises
    ------
    ValueError
        It has none of these forms.
    """
    name, _, port = host.rpartition(":")
    if _HOST.fullmatch(host) or (is_loopback(name) and port.isdecimal()):
        return host
    raise ValueError(f"not a host name, a .suffix or a loopback host:port: {host!r}")


def usable_media_url(value: object) -> str | None:
    """``value`` if it is a URL from which a file can be fetched, else None.

    It must be https, or http on loopback, with a host, without credentials and without characters
    that a URL cannot have. The download checks whether the host is an allowed one.
    """
    if not isinstance(value, str) or _MEDIA.fullmatch(value) is None:
        return None
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:  # an unbalanced bracket or an invalid port
        return None
    if not host or "@" in parts.netloc or (parts.scheme == "http" and not is_loopback(host)):
        return None
    return value
