"""The videos that the demo orders, their models, and what they cost the owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

PROMPT = "A paper boat crosses a still lake at dawn"
PROMPT_FOR_IMAGE = "The camera glides slowly forward and the scene comes to life"
# The example of fal's page of this model: public, and kept as long as the model.
IMAGE_URL = "https://storage.googleapis.com/falserverless/example_inputs/veo31_i2v_input.jpg"

NAMES: Mapping[str, str] = {"fal": "fal", "runway": "Runway", "runware": "Runware"}
"""The providers that can be simulated, and how each writes its name."""


@dataclass(frozen=True)
class Model:
    """A model: its first provider, that provider's name for it, and the price of a second in USD.

    Runway's models have no resolution: their aspect ratio is the size in pixels.
    """

    model_id: str
    provider: str
    words: str
    usd: float
    resolution: str | None = "720p"


VEO = Model("veo-3.1", "fal", "Veo 3.1 with sound, 720p", 0.40)
VEO_FROM_IMAGE = replace(VEO, model_id="veo-3.1-i2v")
GEN45 = Model("gen4.5", "runway", "Gen-4.5", 0.12, None)
GEN4_TURBO = Model("gen4-turbo", "runway", "Gen-4 Turbo", 0.05, None)
RUNWARE_VEO = replace(VEO, model_id="runware-veo-3.1", provider="runware")
LITE = Model("runware-veo-3.1-lite", "runware", "Veo 3.1 Lite with sound, 720p", 0.05)


@dataclass(frozen=True)
class Order:
    """One video to order. ``name`` is also its file name. ``start`` are the members of the request
    that state what it starts from."""

    name: str
    model: Model
    prompt: str
    seconds: int
    aspect_ratio: str = "16:9"
    start: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The body for ``POST /v1/videos`` and for its estimate."""
        settings: dict[str, Any] = {"aspect_ratio": self.aspect_ratio, "duration": self.seconds}
        if self.model.resolution:
            settings["resolution"] = self.model.resolution
        body = {"model_id": self.model.model_id, "prompt": self.prompt, "settings": settings}
        return body | dict(self.start)

    @property
    def looks(self) -> tuple[str, str, str]:
        """Its model, its settings and its prompt as text."""
        settings = filter(None, (f"{self.seconds} s", self.model.resolution, self.aspect_ratio))
        return self.model.model_id, ", ".join(settings), self.prompt

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if self.model.resolution:
            return {"16:9": (1280, 720), "9:16": (720, 1280)}[self.aspect_ratio]
        width, _, height = self.aspect_ratio.partition(":")
        return int(width), int(height)


def orders(provider: str, prompt: str | None, image_url: str | None, *, real: bool) -> list[Order]:
    """A video from text and one from an image, at one provider. With a real provider, both are as
    short as the model allows."""
    text, motion = prompt or PROMPT, prompt or PROMPT_FOR_IMAGE
    image = {"image_url": image_url or IMAGE_URL}
    first, second = {
        "fal": (
            Order("text-to-video", VEO, text, 4),
            Order("image-to-video", VEO_FROM_IMAGE, motion, 6, "9:16", image),
        ),
        "runway": (
            Order("text-to-video", GEN45, text, 2, "1280:720"),
            Order("image-to-video", GEN4_TURBO, motion, 3, "832:1104", image),
        ),
        "runware": (
            Order("text-to-video", LITE, text, 4),
            Order("image-to-video", LITE, motion, 4, start=image),
        ),
    }[provider]
    if real:
        second = replace(second, seconds=first.seconds, aspect_ratio=first.aspect_ratio)
    return [first, second]


def side_by_side(prompt: str | None) -> list[Order]:
    """The same prompt at each provider, as short as each allows."""
    return [replace(orders(name, prompt, None, real=True)[0], name=name) for name in NAMES]


def from_project(project_id: str) -> Order:
    """A video of a project's image, which is a portrait."""
    start = {"project_id": project_id}
    return Order("from-project", VEO_FROM_IMAGE, "The harbour wakes up", 4, "9:16", start)


def clips(frames: Sequence[str]) -> list[Order]:
    """A portrait clip from each frame (a URL) to the next: three clips of four frames. The last one
    uses another model, and is longer."""
    models = {"morning": (RUNWARE_VEO, 4), "afternoon": (RUNWARE_VEO, 4), "evening": (LITE, 6)}
    made = []
    for (name, model), (first, last) in zip(models.items(), pairwise(frames), strict=True):
        start = {"image_url": first, "last_image_url": last}
        prompt = f"The {name} passes over the harbour"
        made.append(Order(name, model[0], prompt, model[1], "9:16", start))
    return made


def scene(image_url: str) -> Order:
    """A square video that starts from the image of its scene. Before that image exists, any other
    one gives the same price."""
    start = {"image_url": image_url}
    return Order("scene", GEN4_TURBO, "The boat turns into the wind", 2, "960:960", start)


def bill(asked: Sequence[Order]) -> str:
    """The price of orders at one provider, as text: "4 s of X (0.40 USD a second), for about
    1.60 USD"."""
    seconds: Counter[tuple[str, float]] = Counter()
    for order in asked:
        seconds[order.model.words, order.model.usd] += order.seconds
    parts = [f"{n} s of {words} ({usd:.2f} USD a second)" for (words, usd), n in seconds.items()]
    price = sum(usd * n for (_, usd), n in seconds.items())
    return f"{' and '.join(parts)}, for about {price:.2f} USD"
