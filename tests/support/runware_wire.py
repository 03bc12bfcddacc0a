"""Runware's side of the wire, for unit tests."""

from __future__ import annotations

import json
from typing import Any

import httpx

from clipmint.jobs.job import Handle
from clipmint.providers.base import Task
from clipmint.providers.runware import Runware, RunwareSettings
from tests.support.tasks import task_of
from tests.support.wire import Reply, Wire

KEY = "runware-key-0123456789"
URL = "https://api.runware.ai/v1"
TASK_ID = "1a2b3c4d-0000-4000-8000-00000000abcd"
OTHER_ID = "9f8e7d6c-0000-4000-8000-000000000002"
VIDEO = "https://vm.runware.ai/video/os/a1/ws/2/vi/9c1b2d3a.mp4"
IMAGE = "https://im.runware.ai/image/os/a1/ws/2/ii/9c1b2d3a.png"
HANDLE = Handle(TASK_ID)
ACK = {"data": [{"taskType": "videoInference", "taskUUID": TASK_ID}]}


def task(**changes: object) -> Task:
    settings: dict[str, object] = {
        "task_id": TASK_ID,
        "endpoint": "google:3@2",
        "prompt": "a lighthouse in the rain",
        "resolution": "720p",
        "aspect_ratio": "16:9",
        "duration_seconds": 8,
    }
    return task_of("runware", **(settings | changes))  # type: ignore[arg-type]


def runware(*replies: Reply, **settings: object) -> tuple[Runware, Wire]:
    """An adapter on a scripted wire."""
    wire = Wire(list(replies))
    given = RunwareSettings(**({"key": KEY} | settings))
    return Runware(given, httpx.MockTransport(wire)), wire


def answer(status: int, body: object = None) -> httpx.Response:
    """JSON for anything but bytes."""
    if isinstance(body, bytes):
        return httpx.Response(status, content=body)
    return httpx.Response(status, json=body)


def error(code: str, **members: object) -> dict[str, object]:
    """An error of our task, as in ``errors``."""
    return {
        "code": code,
        "message": "in words",
        "taskType": "videoInference",
        "taskUUID": TASK_ID,
    } | members


def errors(code: str, **members: object) -> dict[str, object]:
    return {"data": [], "errors": [error(code, **members)]}


def item(**members: object) -> dict[str, object]:
    return {"taskType": "videoInference", "taskUUID": TASK_ID} | members


def sent(wire: Wire) -> dict[str, Any]:
    """The one task of the one request."""
    [request] = wire.requests
    [body] = json.loads(request.content)
    assert isinstance(body, dict)
    return body
