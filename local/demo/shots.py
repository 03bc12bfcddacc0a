"""What the demo asks for: two videos, and what each of them costs the owner at the provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROMPT = "A paper boat crosses a still lake at dawn"
PROMPT_FOR_IMAGE = "The camera glides slowly forward and the scene comes to life"
# The example of fal's own page of this model, and so as public and lasting as the model.
IMAGE_URL = "https://storage.googleapis.com/falserverless/example_inputs/veo31_i2v_input.jpg"

USD_PER_SECOND = 0.40
"""What fal charges for Veo 3.1 with sound, at 720p and 1080p."""

_SIZES = {"16:9": (1280, 720), "9:16": (720, 1280)}  # at 720p


@dataclass(frozen=True)
class Shot:
    """One video to ask for. ``name`` is also its file name; every shot is 720p, the cheapest."""

    name: str
    model_id: str
    prompt: str
    seconds: int
    aspect_ratio: str = "16:9"
    image_url: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What is sent to ``POST /v1/videos`` and to its estimate."""
        settings: Mapping[str, Any] = {
            "resolution": "720p",
            "aspect_ratio": self.aspect_ratio,
            "duration": self.seconds,
        }
        body = {"model_id": self.model_id, "prompt": self.prompt, "settings": settings}
        return body | ({"image_url": self.image_url} if self.image_url else {})

    @property
    def size(self) -> tuple[int, int]:
        """Pixels, width and height."""
        return _SIZES[self.aspect_ratio]

    @property
    def usd(self) -> float:
        return self.seconds * USD_PER_SECOND


def shots(prompt: str | None, image_url: str | None, *, real: bool) -> list[Shot]:
    """The two videos. Where money is spent both are as short as the model allows."""
    return [
        Shot("text-to-video", "veo-3.1", prompt or PROMPT, seconds=4),
        Shot(
            "image-to-video",
            "veo-3.1-i2v",
            prompt or PROMPT_FOR_IMAGE,
            seconds=4 if real else 6,
            aspect_ratio="16:9" if real else "9:16",
            image_url=image_url or IMAGE_URL,
        ),
    ]


DOOMED = Shot("failing", "veo-3.1", "A video the provider fails to make", seconds=4)
