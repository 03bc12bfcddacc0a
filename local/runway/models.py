"""The models of the simulated Runway and their bodies. An unknown member is an error.

Ratios, durations and forms of images differ by endpoint and model; `ENDPOINTS` is the table of the
models of which more is known than their types. `MODELS` are all models of the official package; the
others are checked with its types (`local.schemas`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt

from local import schemas
from local.runway.fields import (
    AnyFrame,
    Body,
    FirstFrame,
    Gen4Ratio,
    Gen4Seconds,
    Gen4TextRatio,
    ImageRatio,
    Moderation,
    OneFrame,
    OneOrTwoFrames,
    Prompt,
    ReferenceImage,
    Seed,
    VeoRatio,
)
from local.runway.prices import image_credits, video_credits


@dataclass(frozen=True, slots=True)
class InputImage:
    """An input image. ``role`` is ``first``, ``last``, or its name in the prompt."""

    uri: str
    role: str


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """The common form of all bodies. ``seconds`` is None for an image."""

    model: str
    prompt: str
    width: int
    height: int
    credits: int
    seconds: int | None = None
    audio: bool = False
    images: tuple[InputImage, ...] = ()


class Gen4Video(Body):
    """The inputs that all of Runway's own video models have."""

    seed: Seed | None = None
    contentModeration: Moderation | None = None  # noqa: N815

    def _spec(
        self, model: str, ratio: str, prompt: str, seconds: int, *images: InputImage
    ) -> TaskSpec:
        width, height = _size(ratio)
        price = video_credits(model, seconds, audio=False)
        return TaskSpec(model, prompt, width, height, price, seconds, images=images)


class Gen4Turbo(Gen4Video):
    """Requires an image, not a prompt."""

    model: Literal["gen4_turbo"]
    promptImage: OneFrame  # noqa: N815
    ratio: Gen4Ratio
    promptText: Prompt | None = None  # noqa: N815
    duration: Gen4Seconds = 10  # assumption: the default

    def spec(self) -> TaskSpec:
        frames = frames_of(self.promptImage)
        return self._spec(self.model, self.ratio, self.promptText or "", self.duration, *frames)


class Gen45(Gen4Video):
    """Requires a prompt and a duration, with or without an image."""

    model: Literal["gen4.5"]
    promptText: Prompt  # noqa: N815
    duration: Gen4Seconds
    # The real service has other formats at an extra price; this simulator renders only MP4.
    outputFormat: Literal["mp4"] = "mp4"  # noqa: N815


class Gen45Text(Gen45):
    ratio: Gen4TextRatio

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.ratio, self.promptText, self.duration)


class Gen45Image(Gen45):
    promptImage: OneFrame  # noqa: N815
    ratio: Gen4Ratio

    def spec(self) -> TaskSpec:
        frames = frames_of(self.promptImage)
        return self._spec(self.model, self.ratio, self.promptText, self.duration, *frames)


class Veo(Body):
    """The inputs of Veo 3.1, with or without an image."""

    model: Literal["veo3.1", "veo3.1_fast"]
    ratio: VeoRatio
    duration: Literal[4, 6, 8] = 8  # assumption: the default
    audio: bool = True  # assumption: the default
    negativePrompt: Prompt | None = None  # noqa: N815  # assumption: limited like a prompt
    seed: Seed | None = None

    def _spec(self, prompt: str, *images: InputImage) -> TaskSpec:
        width, height = _size(self.ratio)
        price = video_credits(self.model, self.duration, audio=self.audio)
        return TaskSpec(self.model, prompt, width, height, price, self.duration, self.audio, images)


class VeoText(Veo):
    promptText: Prompt  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.promptText)


class VeoImage(Veo):
    promptImage: OneOrTwoFrames  # noqa: N815
    promptText: Prompt | None = None  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.promptText or "", *frames_of(self.promptImage))


class Still(Body):
    """The inputs that both image models have."""

    promptText: Prompt  # noqa: N815
    ratio: ImageRatio
    seed: Seed | None = None
    contentModeration: Moderation | None = None  # noqa: N815

    def _spec(self, model: str, references: list[ReferenceImage]) -> TaskSpec:
        width, height = _size(self.ratio)
        images = tuple(
            InputImage(image.uri, f"@{image.tag}" if image.tag else f"reference {number}")
            for number, image in enumerate(references, start=1)
        )
        price = image_credits(model, width, height)
        return TaskSpec(model, self.promptText, width, height, price, images=images)


class Gen4Image(Still):
    model: Literal["gen4_image"]
    referenceImages: list[ReferenceImage] = Field(default_factory=list, max_length=3)  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.referenceImages)


class Gen4ImageTurbo(Still):
    """Requires a reference."""

    model: Literal["gen4_image_turbo"]
    referenceImages: list[ReferenceImage] = Field(min_length=1, max_length=3)  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.referenceImages)


TaskBody = Gen4Turbo | Gen45Text | Gen45Image | VeoText | VeoImage | Gen4Image | Gen4ImageTurbo

ENDPOINTS: Mapping[str, Mapping[str, type[TaskBody]]] = {
    "image_to_video": {
        "gen4_turbo": Gen4Turbo,
        "gen4.5": Gen45Image,
        "veo3.1": VeoImage,
        "veo3.1_fast": VeoImage,
    },
    "text_to_video": {
        "gen4.5": Gen45Text,
        "veo3.1": VeoText,
        "veo3.1_fast": VeoText,
    },
    "text_to_image": {"gen4_image": Gen4Image, "gen4_image_turbo": Gen4ImageTurbo},
}
"""The body of each model at each endpoint, by the names in the path and in the body."""


def frames_of(prompt_image: str | list[FirstFrame] | list[AnyFrame]) -> tuple[InputImage, ...]:
    if isinstance(prompt_image, str):
        return (InputImage(prompt_image, "first"),)
    frames = [InputImage(frame.uri, frame.position) for frame in prompt_image]
    return tuple(sorted(frames, key=lambda frame: frame.role))  # "first" before "last"


def _size(ratio: str) -> tuple[int, int]:
    width, _, height = ratio.partition(":")
    return int(width), int(height)


MODELS: Mapping[str, frozenset[str]] = {
    endpoint: frozenset(
        name.removeprefix(f"{endpoint}/")
        for name in schemas.load("runway")
        if name.startswith(f"{endpoint}/")
    )
    for endpoint in ENDPOINTS
}
"""The models of each endpoint."""

SECONDS: Mapping[str, tuple[int, int]] = {
    "kling3.0": (3, 15),
    "klingO3": (3, 15),
    "kling_4": (3, 30),
    "seedance2_5": (4, 30),
    "seedance2": (4, 15),
    "h3_max": (5, 15),
    "hailuo3": (5, 15),
    "wan3": (2, 30),
    "gemini_omni": (3, 10),
}
"""assumption: the least and the greatest duration, by the beginning of a model's name; the package
states no range."""

_RATIO = re.compile(r"([0-9]+):([0-9]+)")


class Typed(Body):
    """A body of a model whose types alone are known."""

    def spec(self) -> TaskSpec:
        given = self.model_dump(by_alias=True, exclude_none=True)
        frames = getattr(self, "promptImage", None)
        images = frames_of(frames) if frames else ()
        if given["model"] in MODELS["text_to_image"]:
            return self._image(given)
        seconds = given.get("duration")
        seconds = seconds if isinstance(seconds, int) else 5  # assumption: the default, and `auto`
        audio = bool(given.get("audio", True))  # assumption: the default
        return TaskSpec(
            given["model"],
            given.get("promptText", ""),
            *_size_of(str(given.get("ratio", "")), str(given.get("resolution", ""))),
            video_credits(given["model"], seconds, audio=audio),
            seconds,
            audio,
            images,
        )

    def _image(self, given: Mapping[str, Any]) -> TaskSpec:
        width, height = _size_of(str(given.get("ratio", "")), "")
        given_images = given.get("referenceImages", [])
        references = tuple(
            InputImage(image["uri"], f"reference {number}")
            for number, image in enumerate(given_images, start=1)
            if isinstance(image, dict) and "uri" in image
        )
        credits_ = image_credits(given["model"], width, height)
        prompt = given.get("promptText", "")
        return TaskSpec(given["model"], prompt, width, height, credits_, images=references)


@cache
def body_of(endpoint: str, model: str) -> type[TaskBody | Typed]:
    """The body of one of the `MODELS`."""
    if written := ENDPOINTS[endpoint].get(model):
        return written
    schema = schemas.load("runway")[f"{endpoint}/{model}"]
    members = schema["properties"]
    known: dict[str, Any] = {"promptText": Prompt, "seed": Seed}
    if "promptImage" in members:
        last = "last" in str(members["promptImage"]) or "position" not in str(
            members["promptImage"]
        )
        known["promptImage"] = OneOrTwoFrames if last else OneFrame
    limits = next((SECONDS[name] for name in SECONDS if model.startswith(name)), None)
    if limits and "enum" not in members["duration"]:
        whole = Annotated[StrictInt, Field(ge=limits[0], le=limits[1])]
        automatic = Annotated[str, Field(pattern="^auto$")]
        known["duration"] = whole | automatic if "anyOf" in members["duration"] else whole
    typed: type[Typed] = schemas.model_of("Typed", schema, Typed, known)
    return typed


def _size_of(ratio: str, resolution: str) -> tuple[int, int]:
    """Width and height for a ratio in pixels, or for a resolution (``auto_720p``, ``768p``, ``2K``)
    and a proportion. assumption: landscape in 720p where they are not stated."""
    found = _RATIO.fullmatch(ratio)
    wide, high = (int(found[1]), int(found[2])) if found else (16, 9)
    if min(wide, high) > 100:
        return wide, high
    lines = int(re.sub("[^0-9]", "", resolution or ("" if found else ratio)) or 720)
    scale = (lines if lines > 100 else 1440) / min(wide, high)
    return round(wide * scale / 2) * 2, round(high * scale / 2) * 2
