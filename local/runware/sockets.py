"""Runware over WebSocket: the same arrays of tasks as frames, after one that authenticates.

Data and errors of one request come in separate frames, as the clients expect. Where REST resets a
connection or sends an nginx page, the socket is closed with 1011.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from local.runware.dispatch import Dispatcher, Reply, read_tasks
from local.runware.errors import TaskError, missing
from local.runware.routes import PATH
from local.runware.validation import Document

_SILENT = frozenset({"submit_timeout_after", "poll_timeout"})
_GARBLED = frozenset({"submit_garbled", "poll_garbled"})
_CLOSING = frozenset(
    {
        "submit_reset_before",
        "submit_reset_after",
        "submit_502_html",
        "submit_504_after",
        "poll_reset",
        "poll_502_html",
    }
)
INTERNAL_ERROR = 1011


class Sockets:
    """The WebSocket route of one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.routes = [WebSocketRoute(PATH, self._talk)]

    async def _talk(self, socket: WebSocket) -> None:
        await socket.accept()
        authenticated = False
        answering: set[asyncio.Task[None]] = set()
        try:
            async for text in socket.iter_text():
                try:
                    tasks = read_tasks(json.loads(text))
                    if tasks and tasks[0].get("taskType") == "authentication":
                        first, *tasks = tasks
                        await _send(socket, {"data": [self._login(first)]})
                        authenticated = True
                    # assumption: a ping needs no key
                    if not authenticated and any(task.get("taskType") != "ping" for task in tasks):
                        raise missing("apiKey")
                except TaskError as error:
                    await _send(socket, _errors(error, "authentication"))
                    continue
                except ValueError:
                    await _send(socket, _errors(TaskError("invalidJSON", "The frame is no JSON")))
                    continue
                if tasks:
                    answer = asyncio.create_task(self._answer(socket, tasks))
                    answering.add(answer)
                    answer.add_done_callback(answering.discard)
        finally:
            for answer in answering:
                answer.cancel()

    def _login(self, task: Document) -> dict[str, Any]:
        self._dispatcher.authenticate(task.get("apiKey"))
        session = task.get("connectionSessionUUID") or str(uuid.uuid4())
        return {"taskType": "authentication", "connectionSessionUUID": session}

    async def _answer(self, socket: WebSocket, tasks: list[Document]) -> None:
        reply = await self._dispatcher.serve(tasks)
        kind = reply.fault.kind if reply.fault else None
        try:
            if kind in _SILENT:
                return
            if kind in _CLOSING:
                await socket.close(INTERNAL_ERROR)
            elif kind in _GARBLED:
                whole = json.dumps(reply.document())
                await socket.send_text(whole[: len(whole) // 2])
            else:
                for frame in _frames(reply):
                    await _send(socket, frame)
        except (RuntimeError, WebSocketDisconnect):
            return  # the client has disconnected


def _frames(reply: Reply) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    if reply.data or not reply.errors:
        frames.append({"data": reply.data})
    if reply.errors:
        frames.append({"errors": reply.errors})
    return frames


def _errors(error: TaskError, task_type: str | None = None) -> dict[str, Any]:
    return {"errors": [error.as_json(task_type)]}


async def _send(socket: WebSocket, frame: dict[str, Any]) -> None:
    await socket.send_text(json.dumps(frame))
