"""Decides where a media file may be fetched from.

Every URL of a download, the first and each redirect, goes through `AllowedHosts.addresses`, and
nothing else decides. It answers with checked IP addresses: whoever connects to one of those, and
does not resolve the name again, cannot be led inside the network by a name that changes.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import httpx

from clipmint.media.files import SourceNotAllowed, SourceUnavailable

_MAX_ADDRESSES = 4  # of one name, tried in turn
_HTTPS_PORT = 443
_NAME = re.compile(r"[a-z0-9_.-]+")
"""What a name is written with once httpx has made it ASCII; a parser that left a backslash or a
percent sign in it has read another URL than others would."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV6_INTERNET = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out for the internet; the rest is reserved, or wraps an IPv4."""
_RESERVED = tuple(
    ipaddress.ip_network(network)
    # Protocol assignments, relays to 6to4, documentation: not the same to every Python's is_global.
    for network in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")
)

Resolve = Callable[[str, int], list[str]]
"""Host name and port to IP addresses; raises `OSError` where there are none."""


def resolve_by_system(host: str, port: int) -> list[str]:
    """The addresses of a name, IPv4 first: a Lambda outside a VPC has no IPv6 route."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    unique = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return sorted(unique, key=lambda address: ":" in address)


def is_public(address: str) -> bool:
    """Whether an address is out on the internet, also when wrapped in an IPv6 transition form."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False  # a zone is one of this machine's links
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _IPV6_INTERNET:
            return False
    if any(ip in network for network in _RESERVED):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_unspecified


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Where files may be fetched from.

    ``exact`` names and ``.suffix`` domains (and all below them) over https on port 443;
    ``loopback`` host and port pairs also over http, for simulated providers on the same machine.
    """

    exact: frozenset[str]
    suffixes: tuple[str, ...]
    loopback: frozenset[tuple[str, int]]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read entries ``name``, ``.suffix`` and ``loopback-host:port``.

        Raises
        ------
        ValueError
            An entry with a port whose host is not a loopback host, or an empty entry.
        """
        exact, suffixes, loopback = set(), [], set()
        for entry in (entry.strip().lower() for entry in entries):
            if not entry.strip("."):
                raise ValueError("an allowed host is empty")
            if entry.startswith("."):
                suffixes.append(entry)
                continue
            host, _, port = entry.rpartition(":")
            if not host or _is_ip(entry):
                exact.add(entry.strip("[]"))
            elif _is_loopback_name(bare := host.strip("[]")) and port.isdecimal():
                loopback.add((bare, int(port)))
            else:
                raise ValueError(f"{entry}: only a loopback host may name a port")
        return cls(frozenset(exact), tuple(suffixes), frozenset(loopback))

    def addresses(self, url: httpx.URL, resolve: Resolve) -> list[str]:
        """The addresses this URL may be fetched from, checked; connect to these and no others.

        Raises
        ------
        SourceNotAllowed
            Scheme, user info, host, port or address is not one we go to.
        SourceUnavailable
            The name does not resolve.
        """
        host = url.raw_host.decode("ascii").strip("[]")
        default_port = _HTTPS_PORT if url.scheme == "https" else 80
        port = default_port if url.port is None else url.port
        local = (host, port) in self.loopback
        if url.scheme not in (("https", "http") if local else ("https",)):
            raise SourceNotAllowed(f"scheme {url.scheme!r} is not allowed for {host!r}")
        if url.userinfo:
            raise SourceNotAllowed("a media URL carries no user or password")
        if not local:
            if port != _HTTPS_PORT:
                raise SourceNotAllowed(f"port {port} is not allowed for {host!r}")
            # An address never matches a suffix, so it is allowed only where it is listed itself.
            if host not in self.exact and (_is_ip(host) or not self._below_a_suffix(host)):
                raise SourceNotAllowed(f"host {host!r} is not one this provider serves files from")
        try:
            addresses = [host] if _is_ip(host) else resolve(host, port)
        except OSError as error:
            raise SourceUnavailable(f"{host!r} does not resolve: {error}") from error
        if not addresses:
            raise SourceUnavailable(f"{host!r} has no address")
        for address in addresses:
            allowed = ipaddress.ip_address(address).is_loopback if local else is_public(address)
            if not allowed:
                raise SourceNotAllowed(f"{host!r} leads to {address}, which is not public")
        return addresses[:_MAX_ADDRESSES]

    def _below_a_suffix(self, host: str) -> bool:
        return _NAME.fullmatch(host) is not None and any(
            host.endswith(suffix) or host == suffix[1:] for suffix in self.suffixes
        )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback_name(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
