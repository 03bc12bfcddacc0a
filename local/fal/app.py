"""The simulated fal as one ASGI app: queue, CDN, server of the webhook keys, and control."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.fal.faults import FAL_FAULTS
from local.fal.generation import Generator
from local.fal.routes import FalRoutes
from local.fal.settings import FalSettings
from local.fal.tasks import Queue
from local.fal.webhooks import Deliverer, Signer
from local.simulator.control import Control, SettingsHolder
from local.simulator.faults import FaultBook
from local.simulator.media import MediaStore


def create_app(
    settings: FalSettings, base_url: str, network: httpx.AsyncBaseTransport | None = None
) -> Starlette:
    """The simulator under ``base_url`` (scheme, host and port, without a path).

    ``network`` replaces the transport of its webhooks.
    """
    held = SettingsHolder(settings)
    faults = FaultBook(FAL_FAULTS)
    media = MediaStore(base_url, faults, lambda: held.now.media_ranges)
    signer = Signer()
    generator = Generator(held, media)
    deliverer = Deliverer(held, signer, network)
    queue = Queue(held, faults, generator, deliverer.deliver)
    control = Control(faults, media, held, queue.submissions, queue.clear)
    fal = FalRoutes(base_url, held, faults, queue, signer.jwks())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        queue.clear()
        generator.close()
        await deliverer.close()

    async def refused(_: Request, error: Exception) -> Response:
        # fal responds with JSON where Starlette uses plain text (for example a 405).
        if not isinstance(error, HTTPException):
            raise error
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)

    return Starlette(
        routes=[control.mount(), *media.routes, *fal.routes],
        lifespan=lifespan,
        exception_handlers={HTTPException: refused},
    )
