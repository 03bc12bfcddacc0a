"""Decides from which hosts a media file may be fetched.

`AllowedHosts.addresses` checks every URL of a download, the first one and each redirect. It returns
checked IP addresses. The caller connects to one of these and does not resolve the name again, so a
name that changes its address cannot lead it into a private network.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from typing import Self

import httpx

from clipmint.media.files import HostNotListed, SourceNotAllowed, SourceUnavailable
from clipmint.values import frozen

_MAX_ADDRESSES = 4  # of one name; they are tried in turn
_HTTPS_PORT = 443
_NAME = re.compile(r"[a-z0-9_.-]+")
"""The characters of a host name after httpx has converted it to ASCII. Rejects names with a
backslash or a percent sign, about which URL parsers disagree."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV6_INTERNET = ipaddress.ip_network("2000::/3")
"""All IPv6 addresses that are assigned for the internet; others are reserved or wrap an IPv4."""
_RESERVED = tuple(
    ipaddress.ip_network(network)
    # Protocol assignments, 6to4 relays, documentation: is_global differs between Python versions.
    for network in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")
)

Resolve = Callable[[str, int], list[str]]
"""Maps a host name and a port to IP addresses; raises `OSError` if there are none."""


def resolve_by_system(host: str, port: int) -> list[str]:
    """The addresses of a name, IPv4 first: a Lambda function outside a VPC has no IPv6 route."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    unique = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return sorted(unique, key=lambda address: ":" in address)


def is_public(address: str) -> bool:
    """Whether an address is on the public internet; checks an IPv4 inside an IPv6 form, too."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False  # a zone id names a network interface of this machine
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


@frozen
class AllowedHosts:
    """The hosts from which files may be fetched.

    ``exact`` names, and ``.suffix`` domains with all their subdomains, over https on port 443.
    ``loopback`` pairs of host and port also over http, for simulators on the same machine.
    """

    exact: frozenset[str]
    suffixes: tuple[str, ...]
    loopback: frozenset[tuple[str, int]]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Parse entries of the forms ``name``, ``.suffix`` and ``loopback-host:port``.

        Raises
        ------
        ValueError
            An entry is empty, or has a port although its host is not a loopback host.
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
        """The checked addresses for this URL. Connect to these and to no others.

        Raises
        ------
        SourceNotAllowed
            The scheme, user info, host, port or address is not allowed.
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
            raise SourceNotAllowed("a media URL must not contain a user or password")
        if not local:
            if port != _HTTPS_PORT:
                raise SourceNotAllowed(f"port {port} is not allowed for {host!r}")
            # An IP address never matches a suffix, so it must be listed itself.
            if host not in self.exact and (_is_ip(host) or not self._below_a_suffix(host)):
                raise HostNotListed(f"host {host!r} is not an allowed host of this provider")
        try:
            addresses = [host] if _is_ip(host) else resolve(host, port)
        except OSError as error:
            raise SourceUnavailable(f"{host!r} does not resolve: {error}") from error
        if not addresses:
            raise SourceUnavailable(f"{host!r} has no address")
        for address in addresses:
            allowed = ipaddress.ip_address(address).is_loopback if local else is_public(address)
            if not allowed:
                raise SourceNotAllowed(f"{host!r} resolves to {address}, which is not public")
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
