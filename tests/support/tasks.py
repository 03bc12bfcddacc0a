"""Tasks as the tests of providers state them: by endpoint, with their settings one by one."""

from __future__ import annotations

from typing import Any

from clipmint.catalog.route import Route
from clipmint.providers.base import Task

_SETTINGS = {
    "resolution": "resolution",
    "aspect_ratio": "aspect_ratio",
    "duration_seconds": "duration",
    "audio": "audio",
}


def task_of(provider: str, endpoint: str, **changes: Any) -> Task:
    """A task for an endpoint that needs no body. Settings that are None are not stated."""
    settings = {
        name: value
        for given, name in _SETTINGS.items()
        if (value := changes.pop(given, None)) is not None
    }
    route = Route(provider=provider, endpoint=endpoint)
    return Task(route=route, settings=settings, **changes)
