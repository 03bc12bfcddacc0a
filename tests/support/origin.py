"""A provider's file server on loopback that serves what a test defines, byte by byte."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Reply = Callable[["Exchange"], None]


class Exchange(BaseHTTPRequestHandler):
    """One request, answered by the reply its path is mapped to."""

    server: Origin
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        self.close_connection = True
        with suppress(ConnectionError):  # the client has closed the connection
            self.server.replies[self.path](self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the end of the test."""
        self.server.ending.wait(seconds)
        if self.server.ending.is_set():
            raise ConnectionAbortedError


class Origin(ThreadingHTTPServer):
    """Serves ``replies`` by path and records in ``seen`` the requests, with headers."""

    daemon_threads = False

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.replies: dict[str, Reply] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.ending = threading.Event()
        self._tls = tls
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        if self._tls is not None:
            with (
                suppress(ssl.SSLError, ConnectionError),  # the client rejected the certificate
                self._tls.wrap_socket(request, server_side=True) as secured,
            ):
                super().finish_request(secured, client_address)
            return
        super().finish_request(request, client_address)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


def whole(body: bytes, content_type: str = "video/mp4") -> Reply:
    """A complete, valid response."""

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Type": content_type, "Content-Length": str(len(body))})
        exchange.wfile.write(body)

    return reply


def status(code: int, **headers: str) -> Reply:
    """A response without a file."""

    def reply(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.start(code, {"Content-Length": "5", **named})
        exchange.wfile.write(b"sorry")

    return reply


def redirect(location: str, code: int = 302) -> Reply:
    return status(code, Location=location, Set_Cookie="tracked=yes")


def short(body: bytes, sent: int) -> Reply:
    """Declares the whole length, sends a part and closes normally."""

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(len(body))})
        exchange.wfile.write(body[:sent])

    return reply


def reset(body: bytes, sent: int) -> Reply:
    """Sends a part and resets the connection."""

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(len(body))})
        exchange.wfile.write(body[:sent])
        exchange.wfile.flush()
        linger_not = struct.pack("ii", 1, 0)
        exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        exchange.connection.close()

    return reply


def chunked(body: bytes) -> Reply:
    """All of it, with no length declared."""

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(body), 100_000):
            piece = body[start : start + 100_000]
            exchange.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        exchange.wfile.write(b"0\r\n\r\n")

    return reply


def until_closed(body: bytes) -> Reply:
    """With neither a length nor chunks: the end of the connection is the end of the file."""

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Connection": "close"})
        exchange.wfile.write(body)

    return reply


def encoded(body: bytes, encoding: str) -> Reply:
    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Encoding": encoding, "Content-Length": str(len(body))})
        exchange.wfile.write(body)

    return reply


def dripping(body: bytes, at_once: int, pause: float = 0.05, *, declared: bool = True) -> Reply:
    """A part at once, then a byte at a time: no single read ever times out."""

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(len(body))} if declared else {})
        exchange.wfile.write(body[:at_once])
        for position in range(at_once, len(body)):
            exchange.wfile.write(body[position : position + 1])
            exchange.wait(pause)

    return reply


def dripping_headers(exchange: Exchange) -> None:
    """Headers that never end."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        exchange.wfile.write(b"X-%d: y\r\n" % number)
        exchange.wait(0.05)


def silent(exchange: Exchange) -> None:
    exchange.wait(60)
