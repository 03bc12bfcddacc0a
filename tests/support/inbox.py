"""A place for webhooks to arrive at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

PATIENCE_SECONDS = 120.0
"""For what a simulator does in a second on an idle computer, such as encoding a video."""


class Call(NamedTuple):
    """One webhook call as it arrived; header names are lower case."""

    at: float
    headers: dict[str, str]
    body: bytes


@dataclass
class Inbox:
    """Webhook calls in order of arrival. ``answers`` are given first, then 200 for ever."""

    url: str
    calls: list[Call] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    pause_seconds: float = 0.0
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[Call]:
        """The calls once there are ``count`` of them; fails the test if they do not come."""
        with self.arrived:
            came = self.arrived.wait_for(lambda: len(self.calls) >= count, seconds)
        assert came, f"{len(self.calls)} of {count} webhook calls arrived"
        return list(self.calls)


@contextmanager
def listening() -> Iterator[Inbox]:
    """A webhook URL on loopback, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with box.arrived:
                box.calls.append(Call(time.time(), headers, body))
                status = box.answers.pop(0) if box.answers else 200
                box.arrived.notify_all()
            time.sleep(box.pause_seconds)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", box.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box = Inbox(f"http://127.0.0.1:{server.server_port}/webhooks/fal/job?token=t&stage=video")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield box
        server.shutdown()
        thread.join()
