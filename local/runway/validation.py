"""The bodies that Runway accepts. The submission checks them strictly: an unknown member is an
error.

Ratios, durations and forms of images differ by endpoint and model; `ENDPOINTS` is the table of the
models of which more is known than their types. `local.runway.typed` has all models.
`local.runway.errors` formats the errors of a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

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


AnyBody = Gen4Turbo | Gen45Text | Gen45Image | VeoText | VeoImage | Gen4Image | Gen4ImageTurbo

ENDPOINTS: Mapping[str, Mapping[str, type[AnyBody]]] = {
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
