"""The endpoints of the simulated fal and the inputs of their models.

Members that a model does not have are ignored (assumption: fal's models are pydantic models with
that default). Every endpoint for a video of the official package is served, with the inputs that
its types declare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from pydantic import BaseModel, field_validator

from local import schemas
from local.fal.assumed import ASSUMED

Frames = Literal["16:9", "9:16"]
FramesOrAuto = Literal["auto", "16:9", "9:16"]
SORA_SECONDS = (4, 8, 12, 16, 20)


@dataclass(frozen=True, slots=True)
class Clip:
    """The common form of all inputs. ``images`` are (input name, URL), first frame first."""

    prompt: str
    seconds: int
    resolution: str
    aspect_ratio: str
    audio: bool = True
    images: tuple[tuple[str, str], ...] = ()


class Veo(BaseModel):
    """The inputs of every Veo 3.1 endpoint."""

    prompt: str
    duration: Literal["4s", "6s", "8s"] = "8s"
    generate_audio: bool = True
    negative_prompt: str | None = None
    seed: int | None = None
    safety_tolerance: Literal["1", "2", "3", "4", "5", "6"] = "4"
    auto_fix: bool = False

    def _clip(self, resolution: str, aspect_ratio: str, *images: tuple[str, str]) -> Clip:
        seconds = int(self.duration.removesuffix("s"))
        return Clip(self.prompt, seconds, resolution, aspect_ratio, self.generate_audio, images)


class VeoText(Veo):
    """Text to video. assumption: no 4k, which only third parties report."""

    auto_fix: bool = True
    aspect_ratio: Frames = "16:9"
    resolution: Literal["720p", "1080p"] = "720p"

    def clip(self) -> Clip:
        return self._clip(self.resolution, self.aspect_ratio)


class VeoImage(Veo):
    """Image to video."""

    image_url: str
    aspect_ratio: FramesOrAuto = "auto"
    resolution: Literal["720p", "1080p"] = "720p"

    def clip(self) -> Clip:
        return self._clip(self.resolution, self.aspect_ratio, ("image_url", self.image_url))


class VeoFrames(Veo):
    """First and last frame to video."""

    first_frame_url: str
    last_frame_url: str
    aspect_ratio: FramesOrAuto = "auto"
    resolution: Literal["720p", "1080p", "4k"] = "720p"

    def clip(self) -> Clip:
        return self._clip(
            self.resolution,
            self.aspect_ratio,
            ("first_frame_url", self.first_frame_url),
            ("last_frame_url", self.last_frame_url),
        )


class SoraImage(BaseModel):
    """Sora 2, image to video. assumption: fal still serves it, though its upstream has ended."""

    prompt: str
    image_url: str
    resolution: Literal["auto", "720p"] = "auto"
    aspect_ratio: FramesOrAuto = "auto"
    duration: Literal[4, 8, 12, 16, 20] = 4
    delete_video: bool = True
    model: Literal["sora-2", "sora-2-2025-12-08", "sora-2-2025-10-06"] = "sora-2"

    @field_validator("duration", mode="before")
    @classmethod
    def _number_or_text(cls, value: object) -> object:
        # assumption: integer and string are both accepted; the published types differ
        if isinstance(value, str) and value in {str(seconds) for seconds in SORA_SECONDS}:
            return int(value)
        return value

    def clip(self) -> Clip:
        images = (("image_url", self.image_url),)
        return Clip(self.prompt, self.duration, "720p", self.aspect_ratio, images=images)


class Typed(BaseModel):
    """The inputs of an endpoint that only the official package describes, or `ASSUMED`."""

    usual_resolution: ClassVar[str] = "720p"
    """assumption: of a model that has no such input."""

    def clip(self) -> Clip:
        given = self.model_dump(by_alias=True, exclude_none=True)
        seconds = _SECONDS.match(str(given.get("duration", "")))
        ratio = str(given.get("aspect_ratio", ""))
        switches = [given[name] for name in _SOUND if isinstance(given.get(name), bool)]
        frames = [(name, url) for name, url in given.items() if _is_frame(name, url)]
        return Clip(
            prompt=str(given.get("prompt", "")),
            seconds=int(seconds[1]) if seconds else 5,
            resolution=str(given.get("resolution", self.usual_resolution)).lower(),
            aspect_ratio=ratio if _RATIO.fullmatch(ratio) else "auto",
            audio=all(switches),  # assumption: a model without a switch has sound
            images=tuple(sorted(frames, key=lambda frame: frame[0].startswith(_LAST))),
        )


class TypedPro(Typed):
    """The better tier of a model."""

    usual_resolution = "1080p"


_SECONDS = re.compile(r"([0-9]+)(\.0+)?s?$")
_RATIO = re.compile(r"[1-9][0-9]*:[1-9][0-9]*")
_SOUND = ("generate_audio", "generate_audio_switch", "audio", "enable_audio")
_LAST = ("end_", "last_", "tail_")


def _is_frame(name: str, url: object) -> bool:
    return isinstance(url, str) and name.endswith(("image_url", "frame_url"))


Veos = VeoText | VeoImage | VeoFrames
Input = Veos | SoraImage | Typed

# assumption: the fast and lite variants have the inputs of the full model
_WRITTEN: Mapping[str, type[Input]] = {
    **{
        f"fal-ai/veo3.1{variant}{path}": model
        for variant in ("", "/fast", "/lite")
        for path, model in (
            ("", VeoText),
            ("/image-to-video", VeoImage),
            ("/first-last-frame-to-video", VeoFrames),
        )
    },
    "fal-ai/sora-2/image-to-video": SoraImage,
}

ENDPOINTS = frozenset({*_WRITTEN, *ASSUMED, *schemas.load("fal")})
"""All endpoints that make a video."""

APPS = frozenset("/".join(endpoint.split("/")[:2]) for endpoint in ENDPOINTS)
"""The two-segment apps, which have the status and the result."""


@cache
def inputs_of(endpoint: str) -> type[Input]:
    """The inputs of one of the `ENDPOINTS`."""
    if written := _WRITTEN.get(endpoint):
        return written
    schema = ASSUMED.get(endpoint) or schemas.load("fal")[endpoint]
    base = TypedPro if "/pro/" in endpoint else Typed
    typed: type[Input] = schemas.model_of("Typed", schema, base)
    return typed
