"""One attempt to send an event to an endpoint.

Guarantees: a POST to a public https address, which is checked again for each attempt; those of
`clipmint.media.pinned_requests`; the attempt ends after `SECONDS`. Nothing of the response's body
is read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from clipmint import clock
from clipmint.media import pinned_requests
from clipmint.media.files import SourceNotAllowed, SourceUnavailable
from clipmint.media.hosts import AllowedHosts, Resolve, resolve_by_system
from clipmint.media.pinned_requests import Deadline
from clipmint.values import frozen

SECONDS = 15.0

DELIVERED, BLOCKED, REDIRECTED = "delivered", "blocked", "redirected"
REFUSED, TIMED_OUT, UNREACHABLE = "refused", "timed_out", "unreachable"
REASONS = (DELIVERED, BLOCKED, REDIRECTED, REFUSED, TIMED_OUT, UNREACHABLE)


@frozen
class Answer:
    """What came of an attempt.

    ``reason`` is one of `REASONS`. ``status`` is the HTTP status, if there was a response;
    ``retry_after`` is what its header asks for, in seconds.
    """

    reason: str
    status: int | None = None
    retry_after: float | None = None

    @property
    def delivered(self) -> bool:
        return self.reason == DELIVERED

    @property
    def gone(self) -> bool:
        """Whether the endpoint has responded that it does not exist any more (410)."""
        return self.status == HTTPStatus.GONE


def post(
    url: str,
    headers: Mapping[str, str],
    body: str,
    *,
    http: httpx.Client,
    test_hosts: frozenset[tuple[str, int]] = frozenset(),
    resolve: Resolve = resolve_by_system,
) -> Answer:
    """Send an event once. Never raises for what the receiver or the network does.

    Parameters
    ----------
    http
        From `pinned_requests.new_client`.
    test_hosts
        Loopback hosts with their ports, for a receiver on the same machine.
    """
    with Deadline(SECONDS) as deadline:
        try:
            target = httpx.URL(url)
            hosts = AllowedHosts(frozenset({target.raw_host.decode("ascii")}), (), test_hosts)
            addresses = hosts.addresses(target, resolve)
            response = pinned_requests.send(
                "POST",
                target,
                addresses,
                {"Content-Type": "application/json", **headers},
                content=body.encode(),
                http=http,
                deadline=deadline,
                read_seconds=SECONDS,
            )
        except (SourceNotAllowed, httpx.InvalidURL, UnicodeError):
            return Answer(BLOCKED)
        except SourceUnavailable:
            return Answer(TIMED_OUT if not deadline.remaining() else UNREACHABLE)
        except httpx.TimeoutException:
            return Answer(TIMED_OUT)
        except (httpx.HTTPError, httpx.StreamError):
            return Answer(TIMED_OUT if not deadline.remaining() else UNREACHABLE)
        response.close()
    return _judged(response)


def _judged(response: httpx.Response) -> Answer:
    status = response.status_code
    if response.is_success:
        return Answer(DELIVERED, status)
    reason = REDIRECTED if response.is_redirect else REFUSED
    return Answer(reason, status, _seconds_in(response.headers.get("retry-after")))


def _seconds_in(header: str | None) -> float | None:
    """Seconds that a ``Retry-After`` asks for: a number, or a date."""
    if header is None:
        return None
    if header.isdecimal() and header.isascii():
        return float(header[:9])
    try:
        until = parsedate_to_datetime(header)
        return max(0.0, until.timestamp() - clock.seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def timed(began: float) -> int:
    """Milliseconds since ``began``, which `time.monotonic` returned."""
    return round((time.monotonic() - began) * 1000)
