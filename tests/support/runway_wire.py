"""Runway's side of the wire, for unit tests: scripted answers below httpx."""

from __future__ import annotations

import httpx

from clipmint.jobs.job import Handle
from clipmint.providers.base import Task
from clipmint.providers.runway import Runway, RunwaySettings
from tests.support.tasks import task_of
from tests.support.wire import Reply, Wire

KEY = "key_0123456789abcdef"
TASK_ID = "17f20503-6c24-4c16-946b-35dbbce2af2f"
HANDLE = Handle(TASK_ID)
API = "https://api.dev.runwayml.com/v1"
TASK_URL = f"{API}/tasks/{TASK_ID}"
VIDEO = "https://dnznrvs05pmza.cloudfront.net/17f2.mp4?_jwt=eyJh.eyJl.c2ln"
A, B = "https://i.example/a.png", "https://i.example/b.png"
NO_CREDITS = {
    "error": "You do not have enough credits to run this task.",
    "docUrl": "https://docs.dev.runwayml.com/api",
}
NOT_FOUND = {"error": "Could not find Task"}


def task(**changes: object) -> Task:
    settings: dict[str, object] = {
        "task_id": "1a2b3c4d-0000-4000-8000-000000000001",
        "endpoint": "text_to_video/gen4.5",
        "prompt": "a lighthouse in the rain",
        "aspect_ratio": "1280:720",
        "duration_seconds": 5,
    }
    return task_of("runway", **(settings | changes))  # type: ignore[arg-type]


def runway(*replies: Reply, **settings: object) -> tuple[Runway, Wire]:
    """An adapter on a scripted wire."""
    wire = Wire(list(replies))
    given = RunwaySettings(**({"key": KEY} | settings))
    return Runway(given, httpx.MockTransport(wire)), wire


def answer(status: int, body: object = None) -> httpx.Response:
    """JSON for anything but bytes."""
    if isinstance(body, bytes):
        return httpx.Response(status, content=body)
    return httpx.Response(status, json=body)


def accepted() -> httpx.Response:
    return answer(200, {"id": TASK_ID, "estimatedCost": {"credits": 60}})


def task_answer(status: str, **members: object) -> httpx.Response:
    own = {"id": TASK_ID, "status": status, "createdAt": "2026-11-20T10:00:00.000Z"}
    return answer(200, own | members)


def refusal(*issues: dict[str, object]) -> dict[str, object]:
    """A 400 of Runway's body validation."""
    return {
        "error": "Validation of body failed",
        "issues": list(issues),
        "docUrl": "https://docs.dev.runwayml.com/api",
    }
