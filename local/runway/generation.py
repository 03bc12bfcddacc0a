"""The work of one task: read the input images, then draw the clip or the image."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from local.runway.errors import Failure
from local.runway.models import TaskSpec
from local.runway.settings import RunwaySettings
from local.simulator.control import SettingsHolder
from local.simulator.faults import Fault
from local.simulator.image import CONTENT_TYPES, ImageSpec, Reference, render_image
from local.simulator.inputs import UnusableImage, read_image
from local.simulator.video import VideoSpec, render

IMAGE_LIMIT = 16 * 1024 * 1024
"""Bytes of an input image."""
NARROWEST, WIDEST = 0.5, 2.0
"""Width over height of an input image."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file that was made."""

    body: bytes
    extension: str
    content_type: str


class Generator:
    """Does the work of tasks. It draws one file at a time, to limit the load."""

    def __init__(self, settings: SettingsHolder[RunwaySettings]) -> None:
        self._settings = settings
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    def close(self) -> None:
        self._encoder.shutdown(wait=False, cancel_futures=True)

    async def __call__(
        self, spec: TaskSpec, fault: Fault | None, seconds: float
    ) -> Output | Failure:
        """Run for at least ``seconds``; ``fault`` is the fault of this run."""
        begun = time.monotonic()
        if fault is not None and fault.kind == "stuck":
            await asyncio.Event().wait()
        ended = self._declined(spec, fault) or await self._make(spec)
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
        return ended

    def _declined(self, spec: TaskSpec, fault: Fault | None) -> Failure | None:
        """The failure caused by a fault or by the moderated word, if any."""
        kind = fault.kind if fault else None
        if kind == "moderation" or self._settings.now.moderated_word in spec.prompt:
            return Failure("SAFETY.INPUT.TEXT")
        if fault is not None and kind == "failure":
            return Failure(str(fault.params["failure_code"]))
        if kind == "failure_without_code":
            return Failure(None)
        return None

    async def _make(self, spec: TaskSpec) -> Output | Failure:
        try:
            images = [await self._input_image(image.uri) for image in spec.images]
        except UnusableImage:
            # assumption: the task, not the submission, detects an image that cannot be read
            return Failure("ASSET.INVALID")
        frames_per_second = self._settings.now.frames_per_second
        draw = (
            _clip_of(spec, images, frames_per_second) if spec.seconds else _image_of(spec, images)
        )
        return await asyncio.get_running_loop().run_in_executor(self._encoder, draw)

    async def _input_image(self, uri: str) -> bytes | None:
        """The bytes of an input image; None if it is not downloaded."""
        fetch = self._settings.now.fetch_inputs
        body = await read_image(uri, limit=IMAGE_LIMIT, fetch=fetch, redirects=False)
        if body is not None:
            with Image.open(io.BytesIO(body)) as opened:
                if not NARROWEST <= opened.width / opened.height <= WIDEST:
                    raise UnusableImage("no_image")
        return body


def _clip_of(
    spec: TaskSpec, images: list[bytes | None], frames_per_second: int
) -> Callable[[], Output]:
    drawing = VideoSpec(
        prompt=spec.prompt,
        caption=f"simulated · {spec.model} · {spec.seconds} s",
        width=spec.width,
        height=spec.height,
        seconds=spec.seconds or 0,
        audio=spec.audio,
        frames_per_second=frames_per_second,
        first=images[0] if images else None,
        last=images[-1] if len(images) > 1 else None,
    )
    return lambda: Output(render(drawing), "mp4", "video/mp4")


def _image_of(spec: TaskSpec, images: list[bytes | None]) -> Callable[[], Output]:
    roles = [image.role for image in spec.images]
    drawing = ImageSpec(
        prompt=spec.prompt,
        caption=f"simulated · {spec.model}",
        width=spec.width,
        height=spec.height,
        references=tuple(map(Reference, roles, images)),
    )
    return lambda: Output(render_image(drawing), "png", CONTENT_TYPES[drawing.format])
