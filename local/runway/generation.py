"""One task's work: read the pictures, draw the clip or the image, and say how it ended."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from local.runway.settings import RunwaySettings
from local.runway.validation import Wish
from local.simulator.control import SettingsHolder
from local.simulator.faults import Fault
from local.simulator.image import CONTENT_TYPES, ImageSpec, Reference, render_image
from local.simulator.inputs import UnusablePicture, read_picture
from local.simulator.video import VideoSpec, render

PICTURE_LIMIT = 16 * 1024 * 1024
"""Bytes of an input picture."""
NARROWEST, WIDEST = 0.5, 2.0
"""Width over height of an input picture."""

FAILURES = {
    "SAFETY.INPUT.": "The input was declined by our content moderation.",
    "SAFETY.OUTPUT.": "The output was declined by our content moderation.",
    "INPUT_PREPROCESSING.SAFETY.": "The prompt was declined by our content moderation.",
    "INPUT_PREPROCESSING.": "The input could not be prepared. Please try again.",
    "ASSET.INVALID": "An input asset is invalid.",
    "INTERNAL.BAD_OUTPUT.": "The generation was of bad quality. Please try again.",
    "THIRD_PARTY.UNAVAILABLE": "A third party is unavailable. Please try again later.",
    "": "An unexpected error occurred.",
}
"""Families of failure codes, the longer before the shorter. assumption: the words are ours."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made."""

    body: bytes
    extension: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Why there is none; ``code`` is None where Runway would not say."""

    code: str | None

    @property
    def text(self) -> str:
        code = self.code or ""
        return next(words for family, words in FAILURES.items() if code.startswith(family))


class Generator:
    """Does the work of tasks. One file is drawn at a time, to spare the laptop."""

    def __init__(self, settings: SettingsHolder[RunwaySettings]) -> None:
        self._settings = settings
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    def close(self) -> None:
        self._encoder.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, wish: Wish, fault: Fault | None, seconds: float) -> Made | Broken:
        """Take ``seconds`` at least; ``fault`` is what strikes this run."""
        begun = time.monotonic()
        if fault is not None and fault.kind == "stuck":
            await asyncio.Event().wait()
        ended = self._declined(wish, fault) or await self._make(wish)
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
        return ended

    def _declined(self, wish: Wish, fault: Fault | None) -> Broken | None:
        """What a fault, or the moderated word, makes of this run."""
        kind = fault.kind if fault else None
        if kind == "moderation" or self._settings.now.moderated_word in wish.prompt:
            return Broken("SAFETY.INPUT.TEXT")
        if fault is not None and kind == "failure":
            return Broken(str(fault.params["failure_code"]))
        if kind == "failure_without_code":
            return Broken(None)
        return None

    async def _make(self, wish: Wish) -> Made | Broken:
        try:
            pictures = [await self._picture(picture.uri) for picture in wish.pictures]
        except UnusablePicture:
            # assumption: a picture that cannot be had is found out by the task, not at submit
            return Broken("ASSET.INVALID")
        draw = _clip_of(wish, pictures) if wish.seconds else _image_of(wish, pictures)
        return await asyncio.get_running_loop().run_in_executor(self._encoder, draw)

    async def _picture(self, uri: str) -> bytes | None:
        """The bytes of an input picture; None for one that is taken unread."""
        fetch = self._settings.now.fetch_inputs
        body = await read_picture(uri, limit=PICTURE_LIMIT, fetch=fetch, redirects=False)
        if body is not None:
            with Image.open(io.BytesIO(body)) as opened:
                if not NARROWEST <= opened.width / opened.height <= WIDEST:
                    raise UnusablePicture("no_picture")
        return body


def _clip_of(wish: Wish, pictures: list[bytes | None]) -> Callable[[], Made]:
    spec = VideoSpec(
        prompt=wish.prompt,
        caption=f"simulated · {wish.model} · {wish.seconds} s",
        width=wish.width,
        height=wish.height,
        seconds=wish.seconds or 0,
        audio=wish.audio,
        first=pictures[0] if pictures else None,
        last=pictures[-1] if len(pictures) > 1 else None,
    )
    return lambda: Made(render(spec), "mp4", "video/mp4")


def _image_of(wish: Wish, pictures: list[bytes | None]) -> Callable[[], Made]:
    roles = [picture.role for picture in wish.pictures]
    spec = ImageSpec(
        prompt=wish.prompt,
        caption=f"simulated · {wish.model}",
        width=wish.width,
        height=wish.height,
        references=tuple(map(Reference, roles, pictures)),
    )
    return lambda: Made(render_image(spec), "png", CONTENT_TYPES[spec.format])
