"""The videos that the demo orders, their providers, and what they cost the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PROMPT = "A paper boat crosses a still lake at dawn"
PROMPT_FOR_IMAGE = "The camera glides slowly forward and the scene comes to life"
# The example of fal's page of this model: public, and kept as long as the model.
IMAGE_URL = "https://storage.googleapis.com/falserverless/example_inputs/veo31_i2v_input.jpg"

NAMES: Mapping[str, str] = {"fal": "fal", "runway": "Runway", "runware": "Runware"}
"""The providers that can be simulated, and how each writes its name."""

_SIZES = {"16:9": (1280, 720), "9:16": (720, 1280)}  # at 720p


@dataclass(frozen=True)
class Product:
    """A model as its provider sells it: its name, and the price of a second of video."""

    provider: str
    words: str
    usd_per_second: float


_VEO = Product("fal", "Veo 3.1 with sound, 720p", 0.40)
_VEO_BY_RUNWARE = Product("runware", "Veo 3.1 with sound, 720p", 0.40)
_GEN45 = Product("runway", "Gen-4.5", 0.12)
_GEN4_TURBO = Product("runway", "Gen-4 Turbo", 0.05)
_LITE = Product("runware", "Veo 3.1 Lite with sound, 720p", 0.05)


@dataclass(frozen=True)
class Order:
    """One video to order. ``name`` is also its file name.

    Runway's models have no resolution: their aspect ratio is the size in pixels.
    """

    name: str
    model_id: str
    product: Product
    prompt: str
    seconds: int
    aspect_ratio: str = "16:9"
    resolution: str | None = "720p"
    image_url: str | None = None
    last_image_url: str | None = None
    project_id: str | None = None

    @property
    def provider(self) -> str:
        """The first provider of the model, normally the only one."""
        return self.product.provider

    @property
    def body(self) -> dict[str, Any]:
        """The body for ``POST /v1/videos`` and for its estimate."""
        settings: dict[str, Any] = {"aspect_ratio": self.aspect_ratio, "duration": self.seconds}
        if self.resolution:
            settings["resolution"] = self.resolution
        body = {"model_id": self.model_id, "prompt": self.prompt, "settings": settings}
        whence = {
            "image_url": self.image_url,
            "last_image_url": self.last_image_url,
            "project_id": self.project_id,
        }
        return body | {name: value for name, value in whence.items() if value}

    @property
    def looks(self) -> str:
        """Its settings as text."""
        return ", ".join(filter(None, (f"{self.seconds} s", self.resolution, self.aspect_ratio)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if self.resolution:
            return _SIZES[self.aspect_ratio]
        width, _, height = self.aspect_ratio.partition(":")
        return int(width), int(height)

    @property
    def usd(self) -> float:
        return self.seconds * self.product.usd_per_second


def orders(provider: str, prompt: str | None, image_url: str | None, *, real: bool) -> list[Order]:
    """A video from text and one from an image, at one provider. With a real provider, both are as
    short as the model allows, and use the provider's cheapest models."""
    from_text, from_image = prompt or PROMPT, prompt or PROMPT_FOR_IMAGE
    image_url = image_url or IMAGE_URL
    if provider == "runway":
        return [
            Order("text-to-video", "gen4.5", _GEN45, from_text, 2, "1280:720", None),
            Order(
                "image-to-video",
                "gen4-turbo",
                _GEN4_TURBO,
                from_image,
                2 if real else 3,
                "1280:720" if real else "832:1104",
                None,
                image_url,
            ),
        ]
    if provider == "runware":
        lite = "runware-veo-3.1-lite"
        return [
            Order("text-to-video", lite, _LITE, from_text, 4),
            Order("image-to-video", lite, _LITE, from_image, 4, image_url=image_url),
        ]
    return [
        Order("text-to-video", "veo-3.1", _VEO, from_text, 4),
        Order(
            "image-to-video",
            "veo-3.1-i2v",
            _VEO,
            from_image,
            4 if real else 6,
            "16:9" if real else "9:16",
            image_url=image_url,
        ),
    ]


def side_by_side(prompt: str | None) -> list[Order]:
    """The same prompt at each provider, as short as each allows."""
    text = prompt or PROMPT
    return [
        Order("fal", "veo-3.1", _VEO, text, 4),
        Order("runway", "gen4.5", _GEN45, text, 2, "1280:720", None),
        Order("runware", "runware-veo-3.1-lite", _LITE, text, 4),
    ]


def rerouted(prompt: str | None) -> Order:
    """A video whose model has a second provider."""
    return Order("failover", "veo-3.1", _VEO, prompt or PROMPT, 4)


def failing(first: Order) -> Order:
    """An order like ``first``, for a job that the simulated provider is made to fail."""
    prompt = "A video the provider fails to make"
    ratio, resolution = first.aspect_ratio, first.resolution
    return Order("failing", first.model_id, first.product, prompt, first.seconds, ratio, resolution)


def from_project(project_id: str) -> Order:
    """A video of a project's image, which is a portrait."""
    prompt = "The harbour wakes up"
    return Order("from-project", "veo-3.1-i2v", _VEO, prompt, 4, "9:16", project_id=project_id)


def clips(frames: Sequence[str]) -> list[Order]:
    """A portrait clip from each frame (a URL) to the next: three clips of four frames. The last one
    uses another model, and is longer."""
    pairs = [{"image_url": first, "last_image_url": last} for first, last in pairwise(frames)]
    usual, lite = "runware-veo-3.1", "runware-veo-3.1-lite"
    words = "The {} passes over the harbour"
    return [
        Order(name, model_id, product, words.format(name), seconds, "9:16", **pair)
        for (name, model_id, product, seconds), pair in zip(
            [
                ("morning", usual, _VEO_BY_RUNWARE, 4),
                ("afternoon", usual, _VEO_BY_RUNWARE, 4),
                ("evening", lite, _LITE, 6),
            ],
            pairs,
            strict=True,
        )
    ]


def scene(image: str) -> Order:
    """A square video that starts from the image of its scene. Before that image exists, any other
    one gives the same price."""
    prompt = "The boat turns into the wind"
    return Order("scene", "gen4-turbo", _GEN4_TURBO, prompt, 2, "960:960", None, image)


def bill(asked: Sequence[Order]) -> str:
    """The price of orders at one provider, as text: "4 s of X (0.40 USD a second), for about
    1.60 USD"."""
    seconds: dict[Product, int] = {}
    for order in asked:
        seconds[order.product] = seconds.get(order.product, 0) + order.seconds
    parts = [
        f"{total} s of {product.words} ({product.usd_per_second:.2f} USD a second)"
        for product, total in seconds.items()
    ]
    usd = sum(order.usd for order in asked)
    return f"{' and '.join(parts)}, for about {usd:.2f} USD"
