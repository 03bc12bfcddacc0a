"""The protocols, in one table, and which of them the owner offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from pydantic import BeforeValidator

from clipmint.doors import (
    generate_video,
    image_videos,
    openai_shapes,
    openai_videos,
    project_clips,
    scene_tasks,
)
from clipmint.doors.door import Door
from clipmint.errors import ClipmintError, NotFound
from clipmint.settings import Environment

DOORS: tuple[Door, ...] = (
    Door(
        "project-clips",
        ("/functions/v1/generate-clips", "/functions/v1/check-clips-status"),
        project_clips.router,
        project_clips.error_body,
    ),
    Door("generate-video", ("/functions/v1/",), generate_video.router),
    Door("scene-tasks", ("/api/video/",), scene_tasks.router),
    Door("image-videos", ("/api/images/", "/api/videos/"), image_videos.router),
    Door("openai", ("/openai/v1/videos",), openai_videos.router, openai_shapes.error_body),
)
"""A path belongs to the first protocol that has its beginning."""

ALL = ",".join(door.name for door in DOORS)


def _names(text: object) -> object:
    if not isinstance(text, str):
        return text
    return frozenset(name for name in map(str.strip, text.split(",")) if name)


class DoorSettings(Environment):
    """The names of the protocols that are offered, separated by commas; by default all."""

    doors: Annotated[frozenset[str], BeforeValidator(_names)] = _names(ALL)  # type: ignore[assignment]


def door_of(path: str) -> Door | None:
    """The protocol to which a path belongs."""
    return next((door for door in DOORS if path.startswith(door.paths)), None)


def error_body(path: str, error: ClipmintError) -> dict[str, Any]:
    """The body of an error response, in the shape of the path's protocol."""
    door = door_of(path)
    return door.error_body(error) if door else error.body()


def reject_closed(
    app: APIGatewayHttpResolver,
    next_middleware: Callable[[APIGatewayHttpResolver], Response[Any]],
) -> Response[Any]:
    """Treat the paths of a protocol that is not offered as unknown."""
    door = door_of(app.current_event.path)
    if door is None or door.name not in DoorSettings.read().doors:
        raise NotFound("There is no such path")
    return next_middleware(app)
