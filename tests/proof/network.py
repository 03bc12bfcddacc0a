"""The providers' simulators in this process, behind the HTTP client that the functions use.

Our adapters speak their real wire protocol to the simulators' real routes; only the sockets are
missing. What happens below HTTP (a reset, no response, a truncated body) reaches the client as the
exception that a socket would have caused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette

from local.fal.app import create_app as fal
from local.fal.settings import FalSettings
from local.runware.app import create_app as runware
from local.runware.settings import RunwareSettings
from local.runway.app import create_app as runway
from local.runway.settings import RunwaySettings
from local.simulator.wire import TRANSPORT
from tests.proof.timeline import Timeline

PORTS = {"fal": 9001, "runway": 9002, "runware": 9003}
KEYS = {
    "FAL_KEY": FalSettings().key,
    "RUNWAYML_API_SECRET": RunwaySettings().key,
    "RUNWARE_API_KEY": RunwareSettings().key,
}
"""The key that each simulator accepts, by its name in the owner's secret."""

RECEIVER_PORT = 9010
RECEIVER_HOST = f"127.0.0.1:{RECEIVER_PORT}"
RECEIVER_URL = f"http://{RECEIVER_HOST}/events"
"""Where the owner's endpoint is."""

_PATIENCE = 30.0

Message = MutableMapping[str, Any]


def base_url(provider: str) -> str:
    return f"http://127.0.0.1:{PORTS[provider]}"


def environment() -> dict[str, str]:
    """Where the functions find the simulators."""
    fal, runway, runware = map(base_url, ("fal", "runway", "runware"))
    overrides: dict[str, dict[str, object]] = {
        "fal": {"queue_url": fal, "jwks_url": f"{fal}/.well-known/jwks.json"},
        "runway": {"url": runway},
        "runware": {"url": f"{runware}/v1"},
    }
    for name, settings in overrides.items():
        settings["media_hosts"] = [base_url(name).removeprefix("http://")]
    return {"PROVIDER_OVERRIDES": json.dumps(overrides)}


@dataclass(frozen=True)
class Call:
    """A provider's call of one of our webhook URLs."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class _Doorbell(httpx.AsyncBaseTransport):
    """Transport of the simulators' webhooks to us: called on their loop, answered outside of it."""

    def __init__(self, timeline: Timeline, answer: Callable[[Call], httpx.Response]) -> None:
        self._timeline, self._answer = timeline, answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = Call(request.url.path, dict(request.headers), await request.aread())
        answered: asyncio.Future[httpx.Response] = self._timeline.loop.create_future()

        def answer() -> None:
            response = self._answer(call)
            if not answered.done():
                answered.set_result(response)

        self._timeline.call(answer)
        return await answered


class Network:
    """All simulators, and their paid submissions.

    Parameters
    ----------
    settings
        Of each simulator, by provider.
    webhooks
        Answers a call of ours; a provider's own retries follow its response.
    receiver
        Answers what we send to the owner's endpoint.
    """

    def __init__(
        self,
        timeline: Timeline,
        settings: Mapping[str, Mapping[str, Any]],
        webhooks: Callable[[Call], httpx.Response],
        receiver: Callable[[Call], httpx.Response],
    ) -> None:
        self._timeline = timeline
        self._receiver = receiver
        way = _Doorbell(timeline, webhooks)
        chosen = {name: settings.get(name, {}) for name in PORTS}
        self._apps: dict[int, tuple[str, Starlette]] = {
            PORTS["fal"]: ("fal", fal(FalSettings(**chosen["fal"]), base_url("fal"), way)),
            PORTS["runway"]: (
                "runway",
                runway(RunwaySettings(**chosen["runway"]), base_url("runway")),
            ),
            PORTS["runware"]: (
                "runware",
                runware(RunwareSettings(**chosen["runware"]), base_url("runware"), way),
            ),
        }

    def provider(self, request: httpx.Request) -> str:
        """The simulator behind this URL. Raises an error for any other address."""
        if request.url.port == RECEIVER_PORT:
            return "the owner's endpoint"
        return self._apps[request.url.port or 0][0]

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """One request, as a socket would have answered it. Raises httpx's exceptions."""
        if request.url.port == RECEIVER_PORT:
            return self._receiver(Call(request.url.path, dict(request.headers), request.read()))
        _, app = self._apps[request.url.port or 0]
        return self._timeline.finish(_answer(app, request, request.read()))

    def control(self, provider: str, method: str, path: str, body: Any = None) -> Any:
        """A simulator's control endpoint."""
        url = f"{base_url(provider)}/control/{path}"
        response = self.exchange(httpx.Request(method, url, json=body))
        response.raise_for_status()
        content = response.read()
        return json.loads(content) if content else None

    def arm(
        self,
        provider: str,
        kind: str,
        *,
        times: int | None = 1,
        endpoint: str | None = None,
        prompt_contains: str | None = None,
        **params: Any,
    ) -> None:
        """Arm a fault, for one model or for all."""
        match = {"endpoint": endpoint, "prompt_contains": prompt_contains}
        rule = {"match": match, "times": times, "fault": {"kind": kind, **params}}
        self.control(provider, "POST", "faults", rule)

    def submissions(self) -> list[dict[str, Any]]:
        """Everything that any of them was paid for."""
        return [
            submission
            for provider in PORTS
            for submission in self.control(provider, "GET", "submissions")["submissions"]
        ]

    def leaked(self) -> list[str]:
        """Providers whose CDN received a key."""
        return [name for name in PORTS if self.control(name, "GET", "media")["authorization_seen"]]


class _Connection:
    """What the simulators raise when they break a connection."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def get_extra_info(self, _: str) -> _Connection:
        return self

    def setsockopt(self, *_: Any) -> None:
        """A reset and a closed connection are the same here: no more bytes arrive."""

    def abort(self) -> None:
        self.closed.set()

    close = abort


async def _answer(app: Starlette, request: httpx.Request, body: bytes) -> httpx.Response:
    connection, sent = _Connection(), list[Message]()
    received = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        for message in received:
            return message
        await connection.closed.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    url = request.url
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": (url.host, url.port),
        "extensions": {TRANSPORT: connection},
    }
    patience = request.extensions.get("timeout", {}).get("read") or _PATIENCE
    work = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait({work}, timeout=patience)
    if not work.done():
        connection.abort()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        raise httpx.ReadTimeout("no answer in time", request=request)
    work.result()
    return _response(request, sent)


def _response(request: httpx.Request, sent: list[Message]) -> httpx.Response:
    if not sent:
        raise httpx.ReadError("the connection was reset", request=request)
    start, *parts = sent
    content = b"".join(part.get("body", b"") for part in parts)
    headers = httpx.Headers(start["headers"])
    declared = headers.get("content-length")
    if declared is not None and request.method != "HEAD" and int(declared) != len(content):
        raise httpx.RemoteProtocolError("the body was cut short", request=request)
    stream = httpx.ByteStream(content)
    return httpx.Response(start["status"], headers=headers, stream=stream, request=request)
