"""HTTP requests to an address that was checked before, so that no name leads us elsewhere.

Guarantees: we connect to one of the given addresses and never resolve the name again; TLS and the
``Host`` header are for the name in the URL; no redirect is followed; no proxy, cookie or other
credential is used; a deadline, also for a server that sends very slowly.

`clipmint.media.hosts` decides which addresses may be given.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import httpx

from clipmint.media.files import SourceUnavailable

CONNECT_TIMEOUT_SECONDS = 5.0


class Deadline:
    """The time limit of a request or a copy, enforced even on a read that never returns.

    As a context manager it runs a timer that shuts down the watched socket. Without it, a source
    that sends one byte at a time would meet every read time-out and never end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + seconds
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._socket = None

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends - time.monotonic())

    def check(self) -> None:
        """Raise `SourceUnavailable` once the time is over."""
        if not self.remaining():
            raise SourceUnavailable(f"nothing complete within {self._seconds:g} s")

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of a connection; an httpcore ``trace`` callback."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = info["return_value"].get_extra_info("socket")
            if not self.remaining():
                self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # already closed
                # Not SSLSocket.shutdown: it would remove the TLS state while another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def new_client(verify: Any = True) -> httpx.Client:
    """An HTTP client for `send`: no proxies and no netrc from the environment.

    ``verify`` is httpx's: the certificates to trust.
    """
    return httpx.Client(trust_env=False, follow_redirects=False, verify=verify)


def send(
    method: str,
    url: httpx.URL,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    *,
    http: httpx.Client,
    deadline: Deadline,
    read_seconds: float,
    content: bytes | None = None,
) -> httpx.Response:
    """Send a request to one of the addresses; the next one is tried if a connection fails.

    Parameters
    ----------
    addresses
        Checked addresses of the URL's host, from `clipmint.media.hosts.AllowedHosts.addresses`.
    http
        From `new_client`. Only its transport is used, not its headers, cookies or authentication.
    read_seconds
        How long the server may send nothing.

    Returns
    -------
    httpx.Response
        Its body is not read yet. The caller closes it.

    Raises
    ------
    SourceUnavailable
        The deadline is over.
    httpx.HTTPError
        No connection, or none that answered.
    """
    if http.trust_env:
        raise ValueError("the client would take proxies from the environment")
    for last, address in enumerate(addresses, start=1 - len(addresses)):
        deadline.check()
        request = httpx.Request(
            method,
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept-Encoding": "identity",
                # Pooled by address, the connection could be reused for another host name.
                "Connection": "close",
                "User-Agent": "clipmint",
                **headers,
            },
            content=content,
            extensions={
                "sni_hostname": url.raw_host.decode("ascii"),
                "timeout": httpx.Timeout(
                    min(read_seconds, deadline.remaining() + 1),
                    connect=min(CONNECT_TIMEOUT_SECONDS, deadline.remaining() + 1),
                ).as_dict(),
                "trace": deadline.watch,
            },
        )
        try:
            return http.send(request, stream=True, auth=None, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if last == 0:
                raise
    raise AssertionError("a checked URL has an address")
