"""The simulated Runway as one ASGI app: API, CDN and control."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.runway.faults import RUNWAY_FAULTS
from local.runway.generation import Generator
from local.runway.media import SignedMediaStore
from local.runway.routes import RunwayRoutes
from local.runway.settings import RunwaySettings
from local.runway.tasks import Tasks
from local.simulator.control import Control, SettingsHolder
from local.simulator.faults import FaultBook


def create_app(settings: RunwaySettings, base_url: str) -> Starlette:
    """The simulator under ``base_url`` (scheme, host and port, without a path)."""
    held = SettingsHolder(settings)
    faults = FaultBook(RUNWAY_FAULTS)
    media = SignedMediaStore(
        base_url, faults, lambda: held.now.media_ranges, lambda: held.now.url_seconds
    )
    generator = Generator(held)
    tasks = Tasks(held, faults, media, generator)
    control = Control(faults, media, held, tasks.submissions, tasks.clear)
    runway = RunwayRoutes(held, faults, tasks, media)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        tasks.clear()
        generator.close()

    async def refused(_: Request, error: Exception) -> Response:
        # assumption: the response to an unknown path or method is JSON, like all others
        if not isinstance(error, HTTPException):
            raise error
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    return Starlette(
        routes=[control.mount(), *media.routes, *runway.routes],
        lifespan=lifespan,
        exception_handlers={HTTPException: refused},
    )
