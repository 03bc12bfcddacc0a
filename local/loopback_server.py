"""A small HTTP server for this computer alone, in a thread of the process that uses it."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Self


class LoopbackServer:
    """Listens on a free port of 127.0.0.1, at ``origin``, until it is closed.

    A subclass calls `serve` at the end of its constructor: its handler may need the origin.
    """

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def serve(self, handler: type[BaseHTTPRequestHandler]) -> None:
        """Answer requests with this handler from now on."""
        self._server.RequestHandlerClass = handler
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
