"""The inputs of fal's models. The runner checks them, not the submission.

So a wrong input goes through the queue and returns as a 422 result. Members that a model does not
have are ignored (assumption: fal's models are pydantic models with that default).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError, field_validator

from local.fal.errors import DOCS_URL

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


KlingSeconds = Literal["3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"]


class Kling(BaseModel):
    """The inputs of every Kling 3.0 endpoint. Prompts of several shots and elements are not
    simulated."""

    prompt: str
    duration: KlingSeconds = "5"
    generate_audio: bool = True
    negative_prompt: str = "blur, distort, and low quality"
    cfg_scale: float = 0.5

    def _clip(self, aspect_ratio: str, *images: tuple[str, str]) -> Clip:
        # assumption: 720p in both tiers, which is quicker to render
        audio = self.generate_audio
        return Clip(self.prompt, int(self.duration), "720p", aspect_ratio, audio, images)


class KlingText(Kling):
    """Text to video."""

    aspect_ratio: Literal["16:9", "9:16", "1:1"] = "16:9"

    def clip(self) -> Clip:
        return self._clip(self.aspect_ratio)


class KlingImage(Kling):
    """From a first frame, or to a last frame, too. The video has the shape of the first one."""

    start_image_url: str
    end_image_url: str | None = None

    def clip(self) -> Clip:
        images = [("start_image_url", self.start_image_url)]
        if self.end_image_url is not None:
            images.append(("end_image_url", self.end_image_url))
        return self._clip("auto", *images)


class SeedanceText(BaseModel):
    """Seedance 2.0, text to video. assumption: all inputs, from excerpts of the documentation."""

    prompt: str
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    aspect_ratio: Literal["auto", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"] = "auto"
    duration: Literal["auto", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"] = (
        "auto"
    )
    generate_audio: bool = True

    def clip(self) -> Clip:
        return self._clip()

    def _clip(self, *images: tuple[str, str]) -> Clip:
        seconds = 5 if self.duration == "auto" else int(self.duration)
        audio = self.generate_audio
        return Clip(self.prompt, seconds, self.resolution, self.aspect_ratio, audio, images)


class SeedanceImage(SeedanceText):
    """Seedance 2.0 from a first frame, or to a last frame, too."""

    image_url: str
    end_image_url: str | None = None

    def clip(self) -> Clip:
        images = [("image_url", self.image_url)]
        if self.end_image_url is not None:
            images.append(("end_image_url", self.end_image_url))
        return self._clip(*images)


Veos = VeoText | VeoImage | VeoFrames
Input = Veos | SoraImage | KlingText | KlingImage | SeedanceText | SeedanceImage

# assumption: the fast and lite variants have the inputs of the full model
ENDPOINTS: Mapping[str, type[Input]] = {
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
    **{
        f"fal-ai/kling-video/v3/{tier}/{path}": model
        for tier in ("standard", "pro")
        for path, model in (("text-to-video", KlingText), ("image-to-video", KlingImage))
    },
    **{
        f"bytedance/seedance-2.0{variant}/{path}": model
        for variant in ("", "/fast", "/mini")
        for path, model in (("text-to-video", SeedanceText), ("image-to-video", SeedanceImage))
    },
}
"""Endpoint ids and their inputs."""

APPS = frozenset("/".join(endpoint.split("/")[:2]) for endpoint in ENDPOINTS)
"""The two-segment apps, which have the status and the result."""

# assumption: a value outside an enumeration is reported as fal's documented `one_of`
_TYPES = {"literal_error": "one_of", "int_parsing": "value_error", "string_type": "value_error"}


def check(endpoint: str, document: object) -> Clip | list[dict[str, Any]]:
    """The clip that ``document`` requests, or its errors in FastAPI's form."""
    try:
        return ENDPOINTS[endpoint].model_validate(document).clip()
    except ValidationError as error:
        return [
            {
                "loc": ["body", *found["loc"]],
                "msg": found["msg"],
                "type": (kind := _TYPES.get(found["type"], found["type"])),
                "url": f"{DOCS_URL}#{kind}",
                "ctx": {name: str(value) for name, value in found.get("ctx", {}).items()},
                "input": found["input"],
            }
            for found in error.errors(include_url=False)
        ]
