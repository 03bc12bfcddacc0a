"""A receiver of outgoing events on this computer.

    python -m local.receiver [--types video.completed,video.failed]

adds a webhook to the running stack, prints each event that it verifies, and deletes the webhook
when it is stopped. It verifies as a receiver of yours would, with the package `standardwebhooks`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from local.running import RunningStack, running_stack

PATH = "/events"


@dataclass(frozen=True)
class Received:
    """A call: the event's id, its payload (None if it was not verified), and our response."""

    event_id: str
    payload: Mapping[str, Any] | None
    status: int
    headers: Mapping[str, str]
    body: bytes


class Receiver(ThreadingHTTPServer):
    """Serves a webhook at ``url`` on loopback. ``secrets`` are those that it accepts, ``statuses``
    its next responses to verified calls; afterwards 204."""

    daemon_threads = True

    def __init__(self, port: int = 0, show: Callable[[Received], None] | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.secrets: list[str] = []
        self.statuses: list[int] = []
        self.calls: list[Received] = []
        self.headers: dict[str, str] = {}
        """Of every response."""

        self._show = show or (lambda _: None)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}{PATH}"

    @property
    def events(self) -> list[Received]:
        """The calls that were verified and accepted."""
        return [call for call in self.calls if call.status < HTTPStatus.MULTIPLE_CHOICES]

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verify and record a call. Returns the status of the response."""
        payload = self._verified(headers, body)
        status = int(HTTPStatus.UNAUTHORIZED)
        if payload is not None:
            status = self.statuses.pop(0) if self.statuses else int(HTTPStatus.NO_CONTENT)
        event_id = headers.get("webhook-id", "")
        call = Received(event_id, payload, status, dict(headers), body)
        self.calls.append(call)
        self._show(call)
        return status

    def _verified(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any] | None:
        for secret in self.secrets:
            try:
                payload: Mapping[str, Any] = Webhook(secret).verify(body, dict(headers))
            except (WebhookVerificationError, ValueError):
                continue
            return payload
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.receive(headers, body)
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


class Subscription:
    """A webhook of a running stack that sends to a receiver, while it is used."""

    def __init__(self, stack: RunningStack, receiver: Receiver, types: list[str]) -> None:
        self._http = httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer("receiver", admin=True),
            timeout=60,
            trust_env=False,
        )
        self._receiver, self._types = receiver, types
        self.webhook_id = ""

    def __enter__(self) -> Self:
        created = self.call("POST", "", json={"url": self._receiver.url, "types": self._types})
        self.webhook_id = created["webhook_id"]
        self._receiver.secrets.append(created["secret"])
        return self

    def call(self, method: str, path: str, **parts: Any) -> Any:
        """A call of a route of this webhook. Returns the response's body."""
        answer = self._http.request(method, f"/v1/admin/webhooks{path}", **parts)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def __exit__(self, *_: object) -> None:
        self.call("DELETE", f"/{self.webhook_id}")
        self._http.close()


def show(call: Received) -> None:
    """Print a call in one line."""
    if call.payload is None:
        print(f"rejected: not signed by the stack: {call.event_id or 'no id'}", flush=True)
        return
    data = json.dumps(call.payload["data"])
    print(f"{call.payload['timestamp']} {call.event_id} {call.payload['type']} {data}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--types", default="", help="comma separated; by default all")
    parser.add_argument("--stack", help="which stack (by default the one started last)")
    options = parser.parse_args()
    try:
        stack = running_stack(options.stack)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    stopped = threading.Event()
    # Also where they are ignored, as in a shell's background jobs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    types = [name for name in options.types.split(",") if name]
    with (
        Receiver(stack.description["receiver_port"], show) as receiver,
        Subscription(stack, receiver, types),
    ):
        print(f"receiving at {receiver.url}; Ctrl-C stops it", file=sys.stderr, flush=True)
        stopped.wait()
        print("stopped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
