"""Run one simulator on a loopback port and print its addresses as one line of JSON.

The server binds only 127.0.0.1 and ends with the process that started it, even if that process is
killed, so no simulator is left running.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.simulator.wire import TRANSPORT

LOOPBACK = "127.0.0.1"


class _OpenProtocol(H11Protocol):
    """HTTP/1.1 that gives the app access to its connection, for faults below HTTP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        app: Any = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport

    def shutdown(self) -> None:
        super().shutdown()
        # Some faults never respond: do not wait for them.
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()


class _Server(uvicorn.Server):
    """Prints a line when it accepts requests, and ends with its parent.

    It looks for its parent once per second, and a signal wakes it. Upstream looks ten times per
    second for a signal, which takes one hundredth of a core while nothing happens.
    """

    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self._ready_line = ready_line
        self._parent = os.getppid()
        self._signalled = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(self._ready_line + "\n")
            sys.stdout.flush()

    async def main_loop(self) -> None:
        # With the counter 0 each call also updates the date in the headers.
        while not await self.on_tick(0) and os.getppid() == self._parent:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), 1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._signalled.set)


def serve(
    make_app: Callable[[str], ASGIApp],
    describe: Callable[[str], Mapping[str, object]],
    *,
    port: int = 0,
    certificate: Path | None = None,
    private_key: Path | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM, or the end of the parent process.

    ``make_app`` and ``describe`` get the base URL. The result of ``describe`` is printed as one
    JSON line when requests are accepted. ``port`` 0 picks a free one. A certificate enables TLS.
    """
    listener = socket.create_server((LOOPBACK, port))
    scheme = "https" if certificate else "http"
    base_url = f"{scheme}://{LOOPBACK}:{listener.getsockname()[1]}"
    server = _Server(
        uvicorn.Config(
            make_app(base_url),
            http=_OpenProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=private_key,
            timeout_graceful_shutdown=1,
            # Longer than clients keep a connection (5 s with httpx, as is the default here): a
            # request on a connection that is closed at this moment would fail.
            timeout_keep_alive=75,
        ),
        json.dumps(describe(base_url)),
    )
    asyncio.run(server.serve(sockets=[listener]))
