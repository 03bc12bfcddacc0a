"""The control endpoint of every simulator: arm faults, read what happened, change settings.

::

    GET    /control/kinds         the fault kinds, the points where they occur, their parameters
    GET    /control/faults        the armed rules, with how often each was seen and fired
    POST   /control/faults        arm {"match": {...}, "times": 1, "fault": {"kind": ..., ...}}
    DELETE /control/faults[/id]   disarm all, or one
    GET    /control/submissions   all accepted submissions, in order; ?first=N leaves out N of them
    GET    /control/media         the files and every GET of them
    GET    /control/settings      PATCH changes the given members from now on
    POST   /control/reset         remove all of these and return to the settings of the start

It is not part of any provider's protocol and needs no key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from local.simulator.faults import FaultBook, FaultError
from local.simulator.media import MediaStore
from local.simulator.video import FRAMES_PER_SECOND


class Settings(BaseModel):
    """Base of a simulator's settings: frozen, and unknown members are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames_per_second: int = Field(default=FRAMES_PER_SECOND, ge=1)
    """Of the videos. With few of them, encoding takes less time."""


S = TypeVar("S", bound=Settings)


class SettingsHolder(Generic[S]):
    """The current settings, and those of the start."""

    def __init__(self, start: S) -> None:
        self.start = start
        self.now = start
        self.watchers: list[Callable[[], None]] = []

    def change(self, members: dict[str, Any]) -> S:
        """Raises ``pydantic.ValidationError`` and changes nothing if a member is wrong."""
        self.now = type(self.start).model_validate({**self.now.model_dump(), **members})
        for notice in self.watchers:
            notice()
        return self.now


@dataclass(frozen=True, slots=True)
class Control:
    """The control endpoint of one simulator; ``forget`` removes the provider's own state."""

    faults: FaultBook
    media: MediaStore
    settings: SettingsHolder[Any]
    submissions: Callable[[], list[dict[str, Any]]]
    forget: Callable[[], None]

    def mount(self) -> Mount:
        """The routes above, mounted at ``/control``."""
        return Mount(
            "/control",
            routes=[
                Route("/kinds", self._kinds),
                Route("/faults", self._list, methods=["GET"]),
                Route("/faults", self._arm, methods=["POST"]),
                Route("/faults", self._disarm, methods=["DELETE"]),
                Route("/faults/{rule_id:int}", self._disarm, methods=["DELETE"]),
                Route("/submissions", self._submissions),
                Route("/media", self._media),
                Route("/settings", self._settings, methods=["GET", "PATCH"]),
                Route("/reset", self._reset, methods=["POST"]),
            ],
        )

    async def _kinds(self, _: Request) -> Response:
        return JSONResponse(
            {
                name: {"point": kind.point, "doc": kind.doc, "params": dict(kind.defaults)}
                for name, kind in self.faults.kinds.items()
            }
        )

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"faults": [rule.as_json() for rule in self.faults.rules]})

    async def _arm(self, request: Request) -> Response:
        try:
            rule = self.faults.arm(await request.json())
        except (FaultError, json.JSONDecodeError) as error:
            return JSONResponse({"detail": str(error)}, 400)
        return JSONResponse(rule.as_json(), 201)

    async def _disarm(self, request: Request) -> Response:
        rule_id = request.path_params.get("rule_id")
        removed = self.faults.disarm(rule_id)
        return Response(status_code=404 if rule_id is not None and not removed else 204)

    async def _submissions(self, request: Request) -> Response:
        first = int(request.query_params.get("first", 0))
        return JSONResponse({"submissions": self.submissions()[first:]})

    async def _media(self, _: Request) -> Response:
        return JSONResponse(self.media.as_json())

    async def _settings(self, request: Request) -> Response:
        if request.method == "PATCH":
            try:
                self.settings.change(await request.json())
            except (ValidationError, json.JSONDecodeError, TypeError) as error:
                return JSONResponse({"detail": str(error)}, 400)
        return JSONResponse(self.settings.now.model_dump(mode="json"))

    async def _reset(self, _: Request) -> Response:
        self.faults.disarm()
        self.media.files.clear()
        self.settings.change(self.settings.start.model_dump())
        self.forget()
        return Response(status_code=204)
