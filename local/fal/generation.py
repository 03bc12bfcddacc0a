"""One model run: check the input, read the images, render the clip, store it on the CDN."""

from __future__ import annotations

import asyncio
import io
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from local.fal.errors import MODEL_MESSAGES, REQUEST_ERRORS, Answer, model_error, model_errors
from local.fal.errors import request_error as failed_request
from local.fal.models import ENDPOINTS, Clip
from local.fal.settings import FalSettings
from local.fal.tasks import FalRequest
from local.fal.validation import check
from local.simulator.control import SettingsHolder
from local.simulator.faults import Fault
from local.simulator.inputs import Problem, UnusableImage, read_image
from local.simulator.media import MediaStore
from local.simulator.video import VideoSpec, render

SIZES: Mapping[str, tuple[int, int]] = {
    "480p": (864, 496),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "2k": (2560, 1440),
    "4k": (3840, 2160),
}
IMAGE_LIMIT = 8 * 1024 * 1024
"""Bytes of an input image. assumption: 8 MB, as reported for Veo."""


IMAGE_ERRORS: Mapping[Problem, str] = {
    "unreachable": "file_download_error",
    "too_large": "file_too_large",
    "no_image": "image_load_error",
}
"""fal's error types for an input image that cannot be used."""


class InputRefused(Exception):
    """An input image that cannot be used: fal's error type and the input's name."""

    def __init__(self, error_type: str, name: str) -> None:
        super().__init__(f"{name}: {error_type}")
        self.error_type = error_type
        self.name = name


class Generator:
    """Runs the requests of the queue. It encodes one clip at a time, to limit the load."""

    def __init__(self, settings: SettingsHolder[FalSettings], media: MediaStore) -> None:
        self._settings = settings
        self._media = media
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")

    def close(self) -> None:
        self._encoder.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, request: FalRequest) -> Answer:
        if request.endpoint not in ENDPOINTS:
            # The app exists but the path below it does not; only the runner checks the path.
            path = request.endpoint.removeprefix(request.app)
            detail = {"detail": f"Path {path} not found"}
            return Answer(404, lambda: detail, {"x-fal-billable-units": "0"})
        clip = check(request.endpoint, request.input)
        if isinstance(clip, list):
            request.log("Invalid input", "ERROR")
            return model_errors(clip)
        request.log(f"Generating {clip.seconds} s of video at {clip.resolution}")
        try:
            images = await self._input_images(clip)
        except InputRefused as refused:
            return model_error(refused.error_type, request.input, ("body", refused.name))
        return await self._make(request, clip, images)

    async def _make(self, request: FalRequest, clip: Clip, images: list[bytes | None]) -> Answer:
        if request.suffers("stuck"):
            await asyncio.Event().wait()
        begun = time.monotonic()
        duration = self._settings.now.generation_seconds
        if slow := request.suffers("slow_generation"):
            duration += float(slow.params["seconds"])
        failure = self._failure(request, clip)
        made: bytes | None = None
        if failure is None:
            spec = _spec(request.endpoint, clip, images, self._settings.now.frames_per_second)
            loop = asyncio.get_running_loop()
            made = await loop.run_in_executor(self._encoder, render, spec)
        for percent in (25, 50, 75, 100):
            await asyncio.sleep(max(0.0, begun + duration * percent / 100 - time.monotonic()))
            request.log(f"Sampling: {percent}%")
        if failure is not None:
            request.log("The model returned an error", "ERROR")
            return failure
        return self._publish(request, spec, made or b"")

    def _failure(self, request: FalRequest, clip: Clip) -> Answer | None:
        """The failure caused by a fault or by the moderated word, if any."""
        if self._settings.now.moderated_word in clip.prompt:
            return model_error("content_policy_violation", request.input)
        fault = request.run_fault
        if fault is None:
            return None
        return _failure_of(fault, request.input)

    def _publish(self, request: FalRequest, spec: VideoSpec, made: bytes) -> Answer:
        name = f"{secrets.token_urlsafe(9)}_output.mp4"
        file = self._media.put(name, made, request.event)
        sora = request.endpoint.startswith("fal-ai/sora-2")

        def body() -> dict[str, Any]:
            video: dict[str, Any] = {
                "url": self._media.url_of(file),
                "content_type": file.content_type,
                "file_name": "output.mp4",
                "file_size": len(made),
            }
            if not sora:
                return {"video": video}
            video |= {
                "width": spec.width,
                "height": spec.height,
                "fps": float(spec.frames_per_second),
                "duration": float(spec.seconds),
                "num_frames": spec.frame_count,
            }
            return {"video": video, "video_id": f"video_{request.request_id.replace('-', '')}"}

        # assumption: the unit billed is the second
        units = {"x-fal-billable-units": str(spec.seconds)}
        return Answer(200, body, units, billed=True)

    async def _input_images(self, clip: Clip) -> list[bytes | None]:
        return [await self._input_image(name, url) for name, url in clip.images]

    async def _input_image(self, name: str, url: str) -> bytes | None:
        """The bytes of an input image; None if it is not downloaded."""
        try:
            fetch = self._settings.now.fetch_inputs
            return await read_image(url, limit=IMAGE_LIMIT, fetch=fetch)
        except UnusableImage as error:
            raise InputRefused(IMAGE_ERRORS[error.problem], name) from error


def _failure_of(fault: Fault, submitted: Any) -> Answer | None:
    if fault.kind == "moderation":
        return model_error("content_policy_violation", submitted)
    if fault.kind in MODEL_MESSAGES:
        return model_error(fault.kind, submitted)
    if fault.kind == "model_error":
        known = fault.params["type"] in MODEL_MESSAGES
        return model_error(fault.params["type"] if known else "internal_server_error", submitted)
    if fault.kind == "runner_error":
        known = fault.params["error_type"] in REQUEST_ERRORS
        code = fault.params["error_type"] if known else "internal_error"
        return failed_request(code, f"The runner failed: {code}")
    return None


def _spec(
    endpoint: str, clip: Clip, images: list[bytes | None], frames_per_second: int
) -> VideoSpec:
    width, height = _size(clip.resolution)
    first = images[0] if images else None
    if clip.aspect_ratio not in {"16:9", "9:16", "auto"}:
        width, height = _shaped(height, clip.aspect_ratio)
    if clip.aspect_ratio == "9:16" or (clip.aspect_ratio == "auto" and _is_portrait(first)):
        width, height = height, width
    return VideoSpec(
        prompt=clip.prompt,
        caption=f"simulated · {endpoint} · {clip.seconds} s",
        width=width,
        height=height,
        seconds=clip.seconds,
        audio=clip.audio,
        frames_per_second=frames_per_second,
        first=first,
        last=images[-1] if len(images) > 1 else None,
    )


def _size(resolution: str) -> tuple[int, int]:
    """assumption: a resolution that is not in `SIZES` is its shorter side (``540p``), else 720p."""
    lines = resolution.removesuffix("p")
    known = SIZES.get(resolution)
    return known or _shaped(int(lines) if lines.isdigit() else 720, "16:9")


def _shaped(shorter: int, aspect_ratio: str) -> tuple[int, int]:
    """assumption: the shorter side is that of the resolution, and both are multiples of 16."""
    wide, high = map(int, aspect_ratio.split(":"))
    scale = shorter / min(wide, high) / 16
    return round(wide * scale) * 16, round(high * scale) * 16


def _is_portrait(image: bytes | None) -> bool:
    """assumption: if no image could be read, ``auto`` is landscape."""
    if image is None:
        return False
    with Image.open(io.BytesIO(image)) as opened:
        return opened.height > opened.width
