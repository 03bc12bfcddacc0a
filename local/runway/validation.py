"""The bodies that Runway accepts. The submission checks them strictly: an unknown member is an
error.

Ratios, durations and forms of images differ by endpoint and model; `ENDPOINTS` is the table.
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
    KlingProRatio,
    KlingSeconds,
    KlingStandardRatio,
    Moderation,
    OneFrame,
    OneOrTwoFrames,
    Prompt,
    ReferenceImage,
    Seed,
    SeedanceMiniRatio,
    SeedanceSeconds,
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
        frames = _frames(self.promptImage)
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
        frames = _frames(self.promptImage)
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
        return self._spec(self.promptText or "", *_frames(self.promptImage))


class Kling(Body):
    """The inputs of Kling 3.0, with or without an image. Shots of several prompts, voices and the
    scale of freedom are not simulated."""

    duration: KlingSeconds = 5  # assumption: the default
    audio: bool = True  # assumption: the default

    def _spec(self, model: str, ratio: str, prompt: str | None, *images: InputImage) -> TaskSpec:
        width, height = _size(ratio)
        seconds, audio = self.duration, self.audio
        price = video_credits(model, seconds, audio=audio)
        return TaskSpec(model, prompt or "", width, height, price, seconds, audio, images)


class KlingStandardText(Kling):
    model: Literal["kling3.0_standard"]
    ratio: KlingStandardRatio
    promptText: Prompt | None = None  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.ratio, self.promptText)


class KlingStandardImage(Kling):
    model: Literal["kling3.0_standard"]
    promptImage: OneOrTwoFrames  # noqa: N815
    ratio: KlingStandardRatio = "1280:720"  # assumption: the default
    promptText: Prompt | None = None  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.ratio, self.promptText, *_frames(self.promptImage))


class KlingProText(Kling):
    model: Literal["kling3.0_pro"]
    ratio: KlingProRatio
    promptText: Prompt | None = None  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.ratio, self.promptText)


class KlingProImage(Kling):
    model: Literal["kling3.0_pro"]
    promptImage: OneOrTwoFrames  # noqa: N815
    ratio: KlingProRatio = "1920:1080"  # assumption: the default
    promptText: Prompt | None = None  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.model, self.ratio, self.promptText, *_frames(self.promptImage))


class SeedanceMini(Body):
    """The inputs of Seedance 2.0 Mini, with or without an image. References are not simulated."""

    model: Literal["seedance2_mini"]
    ratio: SeedanceMiniRatio = "1280:720"  # assumption: the default
    duration: SeedanceSeconds = 5  # assumption: the default
    audio: bool = True  # assumption: the default
    seed: Seed | None = None

    def _spec(self, prompt: str, *images: InputImage) -> TaskSpec:
        width, height = _size(self.ratio)
        seconds = 5 if self.duration == "auto" else self.duration
        price = video_credits(self.model, seconds, audio=self.audio)
        return TaskSpec(self.model, prompt, width, height, price, seconds, self.audio, images)


class SeedanceMiniText(SeedanceMini):
    promptText: Prompt  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.promptText)


class SeedanceMiniImage(SeedanceMini):
    promptImage: OneOrTwoFrames  # noqa: N815
    promptText: Prompt | None = None  # noqa: N815

    def spec(self) -> TaskSpec:
        return self._spec(self.promptText or "", *_frames(self.promptImage))


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


Klings = KlingStandardText | KlingStandardImage | KlingProText | KlingProImage
Videos = Gen4Turbo | Gen45Text | Gen45Image | VeoText | VeoImage | Klings
AnyBody = Videos | SeedanceMiniText | SeedanceMiniImage | Gen4Image | Gen4ImageTurbo

ENDPOINTS: Mapping[str, Mapping[str, type[AnyBody]]] = {
    "image_to_video": {
        "gen4_turbo": Gen4Turbo,
        "gen4.5": Gen45Image,
        "veo3.1": VeoImage,
        "veo3.1_fast": VeoImage,
        "kling3.0_standard": KlingStandardImage,
        "kling3.0_pro": KlingProImage,
        "seedance2_mini": SeedanceMiniImage,
    },
    "text_to_video": {
        "gen4.5": Gen45Text,
        "veo3.1": VeoText,
        "veo3.1_fast": VeoText,
        "kling3.0_standard": KlingStandardText,
        "kling3.0_pro": KlingProText,
        "seedance2_mini": SeedanceMiniText,
    },
    "text_to_image": {"gen4_image": Gen4Image, "gen4_image_turbo": Gen4ImageTurbo},
}
"""The body of each model at each endpoint, by the names in the path and in the body."""


def _frames(prompt_image: str | list[FirstFrame] | list[AnyFrame]) -> tuple[InputImage, ...]:
    if isinstance(prompt_image, str):
        return (InputImage(prompt_image, "first"),)
    frames = [InputImage(frame.uri, frame.position) for frame in prompt_image]
    return tuple(sorted(frames, key=lambda frame: frame.role))  # "first" before "last"


def _size(ratio: str) -> tuple[int, int]:
    width, _, height = ratio.partition(":")
    return int(width), int(height)
