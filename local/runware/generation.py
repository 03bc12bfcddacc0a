"""The work of one task: read its input images, render its results, store or upload them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import secrets
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
from PIL import Image

from local.runware.errors import TaskError, invalid
from local.runware.settings import RunwareSettings
from local.runware.tasks import Result, RunwareTask
from local.runware.validation import TaskSpec
from local.simulator.authorities import authorities
from local.simulator.control import SettingsHolder
from local.simulator.image import CONTENT_TYPES as IMAGE_TYPES
from local.simulator.image import ImageFormat, ImageSpec, Reference, render_image
from local.simulator.inputs import UnusableImage, read_image
from local.simulator.media import MediaStore
from local.simulator.video import VideoSpec, render

IMAGE_LIMIT = 20 * 1024 * 1024
"""Bytes of an input image. assumption: the documentation names no limit."""

PILLOW_NAMES: Mapping[str, ImageFormat] = {"JPG": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}


class Generator:
    """Runs tasks; pass it to `Tasks`. It renders one result at a time, to limit the load."""

    def __init__(
        self,
        settings: SettingsHolder[RunwareSettings],
        media: MediaStore,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._media = media
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="renderer")
        # No proxies and no .netrc: an upload goes directly to its URL.
        self._client = httpx.AsyncClient(
            transport=network, verify=authorities(), follow_redirects=False, trust_env=False
        )
        self._expiries: set[asyncio.TimerHandle] = set()

    def forget(self) -> None:
        """Cancel the expiry of all files. The store removes the files themselves."""
        for expiry in self._expiries:
            expiry.cancel()
        self._expiries.clear()

    async def close(self) -> None:
        self.forget()
        self._renderer.shutdown(wait=False, cancel_futures=True)
        await self._client.aclose()

    async def __call__(self, task: RunwareTask) -> None:
        """Fill ``task.results``. Raises `TaskError` if the task fails."""
        if task.suffers("stuck"):
            await asyncio.Event().wait()
        begun = time.monotonic()
        settings = self._settings.now
        spec = task.spec
        duration = settings.generation_seconds if spec.seconds else settings.image_seconds
        if slow := task.suffers("slow_generation"):
            duration += float(slow.params["seconds"])
        failure = self._failure(task)
        images = {} if failure else await self._input_images(spec)
        made: list[Result] = []
        if failure is None:
            made = [await self._render(task, number, images) for number in range(spec.results)]
        for percent in (25, 50, 75, 100):
            await asyncio.sleep(max(0.0, begun + duration * percent / 100 - time.monotonic()))
            task.progress = min(percent, 99)
        if failure is not None:
            raise failure
        for result in made:
            await self._publish(task, result)
            task.results.append(result)

    def _failure(self, task: RunwareTask) -> TaskError | None:
        """The error caused by a fault or by the moderated word, if any."""
        if self._settings.now.moderated_word in task.spec.prompt:
            return TaskError("invalidProviderContent", parameter="positivePrompt")
        if fault := task.suffers("moderation"):
            return TaskError(fault.params["code"], parameter="positivePrompt")
        if task.suffers("provider_timeout"):
            return TaskError("timeoutProvider")
        if fault := task.suffers("task_error"):
            return TaskError(fault.params["code"])
        return None

    async def _render(
        self, task: RunwareTask, number: int, images: Mapping[str, bytes | None]
    ) -> Result:
        spec = task.spec
        # assumption: the seeds of further results follow the first one
        seed = task.input.get("seed", secrets.randbelow(2**31)) + number
        loop = asyncio.get_running_loop()
        draw = partial(_draw, frames_per_second=self._settings.now.frames_per_second)
        body = await loop.run_in_executor(self._renderer, draw, spec, number, images)
        content_type = (
            IMAGE_TYPES[PILLOW_NAMES[spec.output_format]] if spec.media == "image" else "video/mp4"
        )
        return Result(body, content_type, seed)

    async def _publish(self, task: RunwareTask, result: Result) -> None:
        """Upload a result if requested, and keep it on the CDN until it expires."""
        if endpoint := task.input.get("uploadEndpoint"):
            await self._upload(endpoint, result)
        if "URL" not in task.spec.output_types:
            return
        # assumption: a result that was uploaded elsewhere has a URL of Runware too
        name = f"{result.result_id}.{task.spec.output_format.lower()}"
        file = self._media.put(name, result.body, task.event, result.content_type)
        result.file = file
        settings = self._settings.now
        life = task.input.get("ttl", settings.media_seconds) * settings.time_factor

        def expire() -> None:
            result.gone = self._media.url_of(file)
            file.expired[file.token] = 404  # assumption: the status
            self._expiries.discard(timer)

        timer = asyncio.get_running_loop().call_later(life, expire)
        self._expiries.add(timer)

    async def _upload(self, endpoint: str, result: Result) -> None:
        # assumption: there is one attempt, and if it fails, the task fails
        try:
            answer = await self._client.put(
                endpoint,
                content=result.body,
                headers={"Content-Type": result.content_type},
                timeout=30,
            )
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TaskError("uploadFailed", parameter="uploadEndpoint") from error

    async def _input_images(self, spec: TaskSpec) -> dict[str, bytes | None]:
        """The bytes of every input image, by its name in the task; None if not downloaded."""
        named = [image for image in (spec.first, spec.last, *spec.references) if image]
        return {image: await self._input_image(image) for image in named}

    async def _input_image(self, image: str) -> bytes | None:
        if _is_uuid(image):
            # There are no uploads here, so no id of an upload is valid.
            raise invalid("inputs")
        url = image
        if not image.startswith(("data:", "http://", "https://")):
            url = f"data:;base64,{image}"
        try:
            fetch = self._settings.now.fetch_inputs
            return await read_image(url, limit=IMAGE_LIMIT, fetch=fetch)
        except UnusableImage as unusable:
            if unusable.problem == "unreachable" and not url.startswith("data:"):
                raise TaskError("downloadFailed", parameter="inputs") from unusable
            raise invalid("inputs") from unusable
        except binascii.Error as error:
            raise invalid("inputs") from error


def _draw(
    spec: TaskSpec, number: int, images: Mapping[str, bytes | None], *, frames_per_second: int
) -> bytes:
    width, height = spec.size
    first = images.get(spec.first or "")
    caption = f"simulated · {spec.model.name}"
    if spec.results > 1:
        caption += f" · {number + 1} of {spec.results}"
    if spec.seconds is None:
        shown = tuple(
            Reference(f"{place}", images.get(name)) for place, name in enumerate(spec.references, 1)
        )
        return render_image(
            ImageSpec(
                prompt=spec.prompt,
                caption=caption,
                width=width,
                height=height,
                format=PILLOW_NAMES[spec.output_format],
                background=first,
                references=shown,
            )
        )
    # The first frame determines the shape; assumption: landscape if it was not downloaded.
    if first is not None and _is_portrait(first) and width > height:
        width, height = height, width
    return render(
        VideoSpec(
            prompt=spec.prompt,
            caption=f"{caption} · {spec.seconds} s",
            width=width,
            height=height,
            seconds=spec.seconds,
            audio=spec.audio,
            frames_per_second=frames_per_second,
            first=first,
            last=images.get(spec.last or ""),
        )
    )


def _is_portrait(image: bytes) -> bool:
    with Image.open(io.BytesIO(image)) as opened:
        return opened.height > opened.width


def encoded(result: Result) -> str:
    """The bytes as base64, for the output types without a URL."""
    return base64.b64encode(result.body).decode()


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
