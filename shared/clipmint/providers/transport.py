"""One HTTP exchange with a provider, and what each error proves about the request.

This module never repeats a request, never follows a redirect, and takes no proxy or other setting
from the environment. The proof decides whether a submission may be sent again, so the table lists
every exception that httpx can raise:

===================  ==============  ===========================================================
httpx raises         we raise        because
===================  ==============  ===========================================================
ConnectError         `NotSent`       name not found, connection refused, TLS handshake failed: no
                                     byte of the request was written
ConnectTimeout       `NotSent`       the same, by timeout (it covers the handshake as well)
PoolTimeout          `NotSent`       no connection was tried
UnsupportedProtocol  `Unsendable`    raised before connecting; a retry would fail the same way
InvalidURL           `Unsendable`    likewise
WriteTimeout         `ResponseLost`  a part was sent; the rest may be in a socket buffer
WriteError           `ResponseLost`  likewise. (httpcore ignores it and reads on, in case an early
                                     response came; ReadError or RemoteProtocolError follow)
ReadTimeout          `ResponseLost`  all was sent; the provider may have accepted it and be slow
ReadError            `ResponseLost`  reset while waiting for the response, or in the middle of it
RemoteProtocolError  `ResponseLost`  closed without a response, cut short, or not HTTP
LocalProtocolError   `ResponseLost`  our fault, mostly before the first byte, but not provably so
CloseError,          `ResponseLost`  should not occur (no connection is kept, no proxy is used), so
ProxyError                           we conclude nothing from them
DecodingError        `ResponseLost`  a response came and cannot be read
TooManyRedirects     `ResponseLost`  should not occur: we follow none
===================  ==============  ===========================================================

Connections are not kept for the next request. A Lambda function is frozen between invocations. On a
connection that was closed meanwhile, a request that nothing read would look like one whose fate is
unknown.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.providers.base import Busy, ProviderError, ProviderUnavailable, Rejected, Unanswered
from clipmint.values import frozen

if TYPE_CHECKING:
    import httpx

MAX_RESPONSE_BYTES = 1 << 20
"""A status or a result is a few kilobytes; a larger body is neither."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_ACCOUNT = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
# A proxy sends these when it stopped waiting for either side; what the server did is unknown.
_INCONCLUSIVE = frozenset({HTTPStatus.REQUEST_TIMEOUT, 499})


class NotSent(ProviderError):
    """No byte of the request was sent; it is safe to send it again."""


class Unsendable(ProviderError):
    """The request is invalid and can never be sent."""


class ResponseLost(ProviderError):
    """The request may have arrived; its response did not, or is incomplete."""


@frozen
class Patience:
    """Seconds to wait: to connect, to write, for each part of the response, and for its body.

    ``whole`` ends a body that arrives too slowly.
    """

    connect: float
    write: float
    read: float
    whole: float


SUBMISSION = Patience(connect=5, write=10, read=30, whole=30)
"""As long as a submit function of 60 s can afford: giving up early makes an accepted task one
whose fate is unknown. (The SDKs wait 60 to 120 s.)"""

QUESTION = Patience(connect=5, write=2, read=6, whole=6)
"""Cancel sends two requests within the 29 s of an API Gateway call, and we fetch the key set while
fal waits 15 s for our response to a webhook. A time-out costs nothing: the caller retries."""


@frozen
class Response:
    """An HTTP response of any status. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Any 2xx."""
        return self.status in range(200, 300)

    @property
    def is_client_error(self) -> bool:
        """Any 4xx: the provider is up, and our request is at fault."""
        return self.status in range(400, 500)

    @property
    def is_server_error(self) -> bool:
        """Any 5xx."""
        return self.status in range(500, 600)

    @property
    def is_busy(self) -> bool:
        """429 and 503: the provider states that it did not accept this request."""
        return self.status in _BUSY

    @property
    def is_inconclusive(self) -> bool:
        """Neither accepts nor rejects the request: 408, 499, any 1xx, 3xx, or 5xx except 503."""
        if self.is_busy or self.is_success:
            return False
        return self.status in _INCONCLUSIVE or not self.is_client_error

    @property
    def is_account_error(self) -> bool:
        """401, 402 and 403: these concern the key or the funds, for any request."""
        return self.status in _ACCOUNT

    def json_object(self) -> dict[str, object] | None:
        """The body if it is a JSON object, else None."""
        return json_object(self.body)


def json_object(body: bytes) -> dict[str, object] | None:
    """``body`` as a JSON object, or None if it is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, a huge number; nested too deeply
        return None
    return value if isinstance(value, dict) else None


def excerpt(text: str) -> str:
    """Foreign ``text`` for one log line: no control characters, at most 300 characters."""
    return _CONTROL.sub(" ", text).strip()[:300]


class Transport:
    """Sends single requests. ``transport`` replaces the network in tests."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._transport = transport

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx  # noqa: PLC0415  (takes 40 ms; functions without outgoing calls save it)

        # httpx logs every URL at INFO, and our URLs contain the webhook's token.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        transport = self._transport or httpx.HTTPTransport(
            retries=0, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        return httpx.Client(transport=transport, follow_redirects=False, trust_env=False)

    def submit(
        self, url: str, *, patience: Patience, headers: Mapping[str, str], content: bytes
    ) -> Response | Busy | Rejected | Unanswered:
        """Post a submission once. Returns the response, or what the missing response proves."""
        try:
            return self.send("POST", url, patience=patience, headers=headers, content=content)
        except NotSent as error:
            return Busy(str(error))
        except Unsendable as error:
            return Rejected(Failed(FailureCode.INTERNAL, str(error)))
        except ResponseLost as error:
            return Unanswered(str(error))

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Response:
        """Send a request that is safe to repeat, such as a poll.

        Raises
        ------
        ProviderUnavailable
            There was no response.
        """
        try:
            return self.send(method, url, patience=QUESTION, headers=headers, content=content)
        except (NotSent, Unsendable, ResponseLost) as error:
            raise ProviderUnavailable(str(error)) from None

    def send(
        self,
        method: str,
        url: str,
        *,
        patience: Patience,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Response:
        """Send one request once, and read its response.

        Raises
        ------
        NotSent, Unsendable, ResponseLost
            See the table above. Their messages contain no header and no query.
        """
        client = self._client
        import httpx  # noqa: PLC0415

        what = f"{method} {url.partition('?')[0]}"
        plain = {"Accept": "application/json", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(
            connect=patience.connect,
            write=patience.write,
            read=patience.read,
            pool=patience.connect,
        )
        try:
            with client.stream(
                method, url, headers={**plain, **(headers or {})}, content=content, timeout=timeout
            ) as response:
                return _read(response, time.monotonic() + patience.whole, what)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(f"{what}: {_error_text(error)}") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Unsendable(f"{what}: {_error_text(error)}") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ResponseLost(f"{what}: {_error_text(error)}") from None


def _error_text(error: Exception) -> str:
    """The error's name. Only connection errors add their message: others may quote the request."""
    name = type(error).__name__
    return f"{name}: {error}" if name.startswith("Connect") else name


def _read(response: httpx.Response, until: float, what: str) -> Response:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_RESPONSE_BYTES:
            raise ResponseLost(f"{what}: a response of more than {MAX_RESPONSE_BYTES} bytes")
        if time.monotonic() > until:
            raise ResponseLost(f"{what}: the response took too long")
    return Response(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=bytes(body),
    )
