"""fal's queue and its key set on a port of this machine, for the real adapter and its real client.

Only what a submission and a webhook need. The key of each call is remembered; ``refused`` keys are
answered as fal answers one it does not know.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.support.fal_wire import REQUEST_ID, Signer

REFUSED_KEY = "unknown-id:unknown-secret"


class _Exchange(BaseHTTPRequestHandler):
    server: FalOnLoopback

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Authorization"].removeprefix("Key ")
        self.server.keys.append(key)
        if key in self.server.refused:
            self._answer(401, {"detail": "No user found for Key ID and Secret"})
            return
        where = urlsplit(self.path)
        self.server.webhooks += parse_qs(where.query)["fal_webhook"]
        base = f"{self.server.url}{where.path}/requests/{REQUEST_ID}"
        self._answer(
            200,
            {
                "status": "IN_QUEUE",
                "request_id": REQUEST_ID,
                "response_url": base,
                "status_url": f"{base}/status",
                "cancel_url": f"{base}/cancel",
                "queue_position": 0,
            },
        )

    def do_GET(self) -> None:
        self._answer(200, {"keys": [self.server.signer.jwk]})

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-fal-request-id", REQUEST_ID)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


class FalOnLoopback(ThreadingHTTPServer):
    """``keys`` and ``webhooks``: what the submissions so far came with, oldest first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.signer = Signer()
        self.keys: list[str] = []
        self.refused = {REFUSED_KEY}
        self.webhooks: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
