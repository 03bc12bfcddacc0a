"""The simulated Runware as one ASGI app: API, CDN and control."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette

from local.runware.faults import RUNWARE_FAULTS
from local.runware.generation import Generator
from local.runware.responses import ResponseWriter
from local.runware.routes import RunwareRoutes
from local.runware.settings import RunwareSettings
from local.runware.tasks import Tasks
from local.runware.webhooks import Deliverer
from local.simulator.control import Control, SettingsHolder
from local.simulator.faults import FaultBook
from local.simulator.media import MediaStore


def create_app(
    settings: RunwareSettings, base_url: str, network: httpx.AsyncBaseTransport | None = None
) -> Starlette:
    """The simulator under ``base_url`` (scheme, host and port, without a path).

    ``network`` replaces the transport of its webhooks and uploads.
    """
    held = SettingsHolder(settings)
    faults = FaultBook(RUNWARE_FAULTS)
    media = MediaStore(base_url, faults, lambda: held.now.media_ranges)
    writer = ResponseWriter(media.url_of)
    generator = Generator(held, media, network)
    deliverer = Deliverer(held, writer, network)
    tasks = Tasks(held, faults, generator, deliverer.deliver)
    runware = RunwareRoutes(held, faults, tasks, writer)

    def forget() -> None:
        tasks.clear()
        generator.forget()

    control = Control(faults, media, held, tasks.submissions, forget)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        tasks.clear()
        await generator.close()
        await deliverer.close()

    return Starlette(
        routes=[control.mount(), *media.routes, *runware.routes],
        lifespan=lifespan,
    )
