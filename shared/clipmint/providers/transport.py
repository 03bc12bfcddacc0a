"""One HTTP exchange with a provider, and how sure we are when it breaks.

No request is ever repeated here, no redirect followed, no proxy or other setting taken from the
environment. What an exception proves decides whether a submission may be sent again, so every one
httpx can raise has its line:

===================  ============  =============================================================
httpx says           we say        because
===================  ============  =============================================================
ConnectError         `NotSent`     name not found, refused, TLS handshake failed: no byte of the
                                   request was written
ConnectTimeout       `NotSent`     the same, too late (it covers the handshake as well)
PoolTimeout          `NotSent`     no connection was even tried
UnsupportedProtocol  `Unsendable`  raised before connecting, and the next try will not differ
InvalidURL           `Unsendable`  likewise
WriteTimeout         `AnswerLost`  part of it is out; the rest may lie in a socket's buffer
WriteError           `AnswerLost`  likewise. (httpcore swallows it and reads on, in case an answer
                                   came early; ReadError or RemoteProtocolError follow)
ReadTimeout          `AnswerLost`  all was sent; it may have been taken, and the word of it be slow
ReadError            `AnswerLost`  reset while waiting for the answer, or in the middle of it
RemoteProtocolError  `AnswerLost`  closed without an answer, cut short, or no HTTP at all
LocalProtocolError   `AnswerLost`  ours, mostly before the first byte, but not provably so
CloseError,          `AnswerLost`  should not occur (nothing is kept open, no proxy is used), so
ProxyError                         nothing is concluded from them
DecodingError        `AnswerLost`  an answer came and cannot be read
TooManyRedirects     `AnswerLost`  should not occur: none is followed
===================  ============  =============================================================

Connections are not kept for a next request. A Lambda is frozen between invocations, and a
connection that died meanwhile would turn a request nobody read into one whose fate is unknown.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.providers.base import Busy, ProviderError, ProviderUnavailable, Rejected, Unanswered

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 1 << 20
"""A status or result is a few kilobytes; more than this is not one."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_ACCOUNT = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
# A proxy says these when it gave up on either side: what happened behind it is not known.
_INCONCLUSIVE = frozenset({HTTPStatus.REQUEST_TIMEOUT, 499})


class NotSent(ProviderError):
    """No byte of the request left; it is safe to send again."""


class Unsendable(ProviderError):
    """The request can never be sent as it is."""


class AnswerLost(ProviderError):
    """The request may have arrived; the answer did not, or not whole."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: for a connection, to write, for each part of the answer, and for its body.

    ``whole`` ends a body that trickles in for ever.
    """

    connect: float
    write: float
    read: float
    whole: float


SUBMISSION = Patience(connect=5, write=10, read=30, whole=30)
"""As long as a submit function of 60 s can afford: giving up early makes an accepted task one
whose fate is unknown. (The SDKs wait 60 to 120 s.)"""

QUESTION = Patience(connect=5, write=2, read=6, whole=6)
"""Cancel asks two questions inside the 29 s of an API Gateway call, and the key set is fetched
while fal waits 15 s for a webhook's answer. Giving up costs nothing: one asks again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whatever its status. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def accepts(self) -> bool:
        """Any 2xx."""
        return self.status in range(200, 300)

    @property
    def refuses(self) -> bool:
        """Any 4xx: the other side is up, and it is us."""
        return self.status in range(400, 500)

    @property
    def breaks(self) -> bool:
        """Any 5xx."""
        return self.status in range(500, 600)

    @property
    def busy(self) -> bool:
        """429 and 503: up, not taking this one, and saying so."""
        return self.status in _BUSY

    @property
    def undecided(self) -> bool:
        """Neither takes the request nor turns it away: 408, 499, any 1xx, 3xx or 5xx but 503."""
        if self.busy or self.accepts:
            return False
        return self.status in _INCONCLUSIVE or not self.refuses

    @property
    def refuses_account(self) -> bool:
        """401, 402 and 403: about the key or the funds, whatever was asked."""
        return self.status in _ACCOUNT

    def json_object(self) -> dict[str, object] | None:
        """The body, if it is a JSON object."""
        return json_object(self.body)


def json_object(body: bytes) -> dict[str, object] | None:
    """``body`` as a JSON object, or None if it is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, an absurd number; nested absurdly
        return None
    return value if isinstance(value, dict) else None


def excerpt(text: str) -> str:
    """``text``, somebody else's words, fit for one line of a log."""
    return _CONTROL.sub(" ", text).strip()[:300]


class Transport:
    """Sends single requests. ``transport`` replaces the network, in tests."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._transport = transport

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx  # noqa: PLC0415  (40 ms that a function which never calls out need not spend)

        # httpx logs every URL at INFO, and ours carry the webhook's token.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        transport = self._transport or httpx.HTTPTransport(
            retries=0, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        return httpx.Client(transport=transport, follow_redirects=False, trust_env=False)

    def submit(
        self, url: str, *, patience: Patience, headers: Mapping[str, str], content: bytes
    ) -> Answer | Busy | Rejected | Unanswered:
        """Post a submission, once: its answer, or what it proves that there is none."""
        try:
            return self.send("POST", url, patience=patience, headers=headers, content=content)
        except NotSent as broken:
            return Busy(str(broken))
        except Unsendable as broken:
            return Rejected(Failed(FailureCode.INTERNAL, str(broken)))
        except AnswerLost as broken:
            return Unanswered(str(broken))

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer:
        """Ask a question that is free to ask again.

        Raises
        ------
        ProviderUnavailable
            There was no answer.
        """
        try:
            return self.send(method, url, patience=QUESTION, headers=headers, content=content)
        except (NotSent, Unsendable, AnswerLost) as broken:
            raise ProviderUnavailable(str(broken)) from None

    def send(
        self,
        method: str,
        url: str,
        *,
        patience: Patience,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Send one request, once, and read its answer.

        Raises
        ------
        NotSent, Unsendable, AnswerLost
            As the table above says. Their texts hold no header and no query.
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
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as broken:
            raise NotSent(f"{what}: {_words(broken)}") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as broken:
            raise Unsendable(f"{what}: {_words(broken)}") from None
        except (httpx.HTTPError, httpx.StreamError) as broken:
            raise AnswerLost(f"{what}: {_words(broken)}") from None


def _words(broken: Exception) -> str:
    """What broke. Only connection errors speak for themselves: others may quote what was sent."""
    name = type(broken).__name__
    return f"{name}: {broken}" if name.startswith("Connect") else name


def _read(response: httpx.Response, until: float, what: str) -> Answer:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise AnswerLost(f"{what}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > until:
            raise AnswerLost(f"{what}: the answer took too long")
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=bytes(body),
    )
