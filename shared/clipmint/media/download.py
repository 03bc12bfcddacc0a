"""Opens a provider's finished file for reading, and connects to no other host.

Guarantees: https to allow-listed hosts only, for every redirect, and those of
`clipmint.media.pinned_requests`. `clipmint.media.hosts` decides which hosts are allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpx

from clipmint.media import pinned_requests
from clipmint.media.files import MediaInvalid, SourceExpired, SourceNotAllowed, SourceUnavailable
from clipmint.media.hosts import AllowedHosts, Resolve, resolve_by_system
from clipmint.media.pinned_requests import Deadline

MAX_REDIRECTS = 3
"""A CDN may redirect once or twice; more is a loop."""

READ_TIMEOUT_SECONDS = 20.0
"""How long a source may send nothing before the read times out."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT_4XX = frozenset({408, 425, 429})
_CLIENT_ERRORS = range(400, 500)


class Source:
    """An open file. ``declared_bytes`` is its Content-Length, or None; `chunks` yields its bytes
    once."""

    def __init__(self, response: httpx.Response, max_bytes: int, deadline: Deadline) -> None:
        self._response, self._max_bytes, self._deadline = response, max_bytes, deadline
        length = response.headers.get("content-length")
        self.declared_bytes = int(length) if length and length.isdecimal() else None
        if self.declared_bytes is not None and self.declared_bytes > max_bytes:
            raise MediaInvalid(f"{self.declared_bytes} bytes are more than {max_bytes}")

    def chunks(self) -> Iterator[bytes]:
        """The file in pieces, of the sizes in which they arrive.

        Raises
        ------
        SourceUnavailable
            The source closed the connection early, timed out, or took too long.
        MediaInvalid
            The file is larger than allowed.
        """
        received = 0
        with _as_unavailable(self._deadline):
            for chunk in self._response.iter_raw():
                self._deadline.check()
                received += len(chunk)
                if received > self._max_bytes:
                    raise MediaInvalid(f"more than {self._max_bytes} bytes")
                yield chunk
        # If the deadline shut the socket, that looks like the end of a body without a length.
        self._deadline.check()
        if self.declared_bytes not in (None, received):
            raise SourceUnavailable(f"{received} bytes arrived of {self.declared_bytes}")


@contextmanager
def open_source(
    url: str,
    *,
    allowed_hosts: Iterable[str],
    http: httpx.Client,
    max_bytes: int,
    deadline: Deadline,
    resolve: Resolve = resolve_by_system,
) -> Iterator[Source]:
    """Open a file for reading, following at most `MAX_REDIRECTS` allowed redirects.

    Parameters
    ----------
    allowed_hosts
        See `clipmint.media.hosts.AllowedHosts.parse`.
    http
        From `pinned_requests.new_client`.

    Raises
    ------
    SourceNotAllowed, SourceExpired, SourceUnavailable, MediaInvalid
        See their docstrings. Any 4xx except 408, 425 and 429 is `SourceExpired`: for an expired
        signature, stores respond 400, 401, 403, 404 or 410.
    """
    hosts = AllowedHosts.parse(allowed_hosts)
    with _as_unavailable(deadline):
        response = _follow(url, hosts, http, deadline, resolve)
    try:
        yield Source(response, max_bytes, deadline)
    finally:
        response.close()


def _follow(
    url: str, hosts: AllowedHosts, http: httpx.Client, deadline: Deadline, resolve: Resolve
) -> httpx.Response:
    try:
        current = httpx.URL(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = pinned_requests.send(
                "GET",
                current,
                hosts.addresses(current, resolve),
                {"Accept": "*/*"},
                http=http,
                deadline=deadline,
                read_seconds=READ_TIMEOUT_SECONDS,
            )
            if response.status_code not in _REDIRECTS:
                return _checked(response)
            response.close()
            # Relative to the URL with the host name, not to the address that we connected to.
            current = current.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, UnicodeError) as error:
        raise SourceNotAllowed(f"not a URL: {error}") from error
    raise SourceUnavailable(f"more than {MAX_REDIRECTS} redirects")


def _checked(response: httpx.Response) -> httpx.Response:
    """The response if it contains the file; otherwise close it and raise an error."""
    status = response.status_code
    encoding = response.headers.get("content-encoding", "identity").lower()
    if status == httpx.codes.OK and encoding in {"identity", ""}:
        return response
    response.close()
    if status == httpx.codes.OK:
        raise SourceUnavailable(f"the source used the encoding {encoding!r}, not identity")
    if status in _CLIENT_ERRORS and status not in _TRANSIENT_4XX:
        raise SourceExpired(f"the source responded {status}")
    raise SourceUnavailable(f"the source responded {status}")


@contextmanager
def _as_unavailable(deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError) as error:
        deadline.check()
        raise SourceUnavailable(f"{type(error).__name__}: {error}") from error


def read_all(
    url: str,
    *,
    allowed_hosts: Iterable[str],
    http: httpx.Client,
    max_bytes: int,
    deadline_seconds: float,
    resolve: Resolve = resolve_by_system,
) -> bytes:
    """The bytes of a file that is small enough for memory. Raises the errors of `open_source`."""
    with (
        Deadline(deadline_seconds) as deadline,
        open_source(
            url,
            allowed_hosts=allowed_hosts,
            http=http,
            max_bytes=max_bytes,
            deadline=deadline,
            resolve=resolve,
        ) as source,
    ):
        return b"".join(source.chunks())
