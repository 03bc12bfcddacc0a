"""Responses that web frameworks do not offer: a reset connection, no response, a body that is cut
off or sent slowly.

They need the connection itself, which `local.simulator.serving` puts into the ASGI scope.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

TRANSPORT = "clipmint.transport"
"""Key of the ASGI scope's ``extensions`` under which the connection's transport is found."""

_NO_LINGER = struct.pack("ii", 1, 0)


def nginx_error(status: int) -> HTMLResponse:
    """The page of an ingress without a working backend: HTML, no provider headers."""
    reason = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
    title = f"{status} {reason.get(status, 'Error')}"
    return HTMLResponse(
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>"
        "</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
        status_code=status,
    )


class ResetConnection(Response):
    """Send no response and reset the TCP connection, so the caller sees ECONNRESET."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        _reset(_transport(scope))
        await _disconnected(receive)


class NoAnswer(Response):
    """Keep the connection open without a response until the caller disconnects."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await _disconnected(receive)


class CutBody(Response):
    """Declare ``declared`` bytes, send ``sent`` and close the connection, or reset it."""

    def __init__(
        self, sent: bytes, declared: int, headers: Mapping[str, str], *, reset: bool = False
    ) -> None:
        super().__init__(b"", headers={**headers, "content-length": str(declared)})
        self.sent = sent
        self.reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = _transport(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.sent, "more_body": True})
        if self.reset:
            await asyncio.sleep(0.05)  # a reset would discard the bytes that are still buffered
            _reset(transport)
        else:
            transport.close()
        await _disconnected(receive)


async def drip(body: bytes, bytes_per_second: float) -> AsyncIterator[bytes]:
    """``body`` in ten parts per second."""
    step = max(1, int(bytes_per_second / 10))
    for offset in range(0, len(body), step):
        yield body[offset : offset + step]
        await asyncio.sleep(0.1)


def _transport(scope: Scope) -> asyncio.Transport:
    transport = scope.get("extensions", {}).get(TRANSPORT)
    if transport is None:
        raise RuntimeError("connection faults need the server of local.simulator.serving")
    return cast("asyncio.Transport", transport)


def _reset(transport: asyncio.Transport) -> None:
    connection: Any = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
