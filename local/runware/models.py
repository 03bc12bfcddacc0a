"""The models of the simulated Runware, by AIR id: their parameters and prices.

Parameter lists are those of the official SDK's generated types (runware-sdk 1.8.0); a parameter
outside its model's list is rejected. Every model for a video or an image of that package is served.
Of those in `VIDEO_MODELS` and `IMAGE_MODELS` more is known than their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from local import schemas

Size = tuple[int, int]

SIZES: Mapping[str, Size] = {"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
"""Pixels of each ``resolution`` in landscape; portrait exchanges width and height."""

_EVERY_TASK = frozenset(
    {
        *("taskType", "taskUUID", "model", "positivePrompt", "inputs", "width", "height", "seed"),
        *("numberResults", "outputType", "outputFormat", "outputQuality", "deliveryMethod"),
        *("includeCost", "ttl", "uploadEndpoint", "webhookURL", "safety", "routing"),
    }
)
_VEO = _EVERY_TASK | {"resolution", "duration", "providerSettings"}
_FLUX_KONTEXT = _EVERY_TASK | {
    *("negativePrompt", "steps", "scheduler", "CFGScale", "trueCFGScale", "lora"),
    *("acceleratorOptions", "advancedFeatures", "ultralytics"),
}
_FLUX_SCHNELL = _FLUX_KONTEXT | {
    *("strength", "maskMargin", "promptWeighting", "outpaint", "hiresFix"),
}
_FLUX_DEV = _FLUX_SCHNELL | {"controlNet", "ipAdapters", "pulid"}


@dataclass(frozen=True, slots=True)
class VideoModel:
    """A Veo. ``prices`` are USD per second by resolution: silent, with sound."""

    air: str
    name: str
    durations: tuple[int, ...]
    prices: Mapping[str, tuple[float, float]]
    parameters: frozenset[str] = _VEO
    inputs: frozenset[str] = frozenset({"frameImages", "referenceImages", "video"})

    @property
    def sizes(self) -> frozenset[Size]:
        landscape = [SIZES[resolution] for resolution in self.prices]
        return frozenset([*landscape, *((height, width) for width, height in landscape)])

    def price(self, size: Size, seconds: int, *, audio: bool) -> float:
        """USD of one result."""
        names = {frozenset(pixels): name for name, pixels in SIZES.items()}
        return round(self.prices[names[frozenset(size)]][audio] * seconds, 4)


@dataclass(frozen=True, slots=True)
class ImageModel:
    """An image model. ``usd`` is the price of one result (assumption: of any size)."""

    air: str
    name: str
    usd: float
    parameters: frozenset[str]
    inputs: frozenset[str]
    sized: bool = True
    """Whether width and height are required."""


_VEO_PRICES = {"720p": (0.20, 0.40), "1080p": (0.20, 0.40), "4K": (0.40, 0.60)}
_FAST_PRICES = {"720p": (0.10, 0.15), "1080p": (0.10, 0.15), "4K": (0.30, 0.35)}
_LITE_PRICES = {"720p": (0.03, 0.05), "1080p": (0.05, 0.08)}

VIDEO_MODELS: Mapping[str, VideoModel] = {
    model.air: model
    for model in (
        VideoModel("google:3@2", "Veo 3.1", (4, 6, 7, 8), _VEO_PRICES),
        VideoModel("google:3@3", "Veo 3.1 Fast", (4, 6, 7, 8), _FAST_PRICES),
        VideoModel("google:veo@3.1-lite", "Veo 3.1 Lite", (4, 6, 8), _LITE_PRICES),
    )
}


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


@dataclass(frozen=True, slots=True)
class TypedModel:
    """A model of which only the types are known. assumption: its price, and any of the ``inputs``,
    which the package types as an object."""

    air: str
    name: str
    kind: str
    parameters: frozenset[str]
    body: Any
    """A pydantic class that validates a task."""

    usd: float = 0.1
    """Of a result, or of a second of video."""


@cache
def typed_model(air: str) -> TypedModel | None:
    """The model with this id; None if the package has none."""
    schema = schemas.load("runware").get(air)
    if schema is None:
        return None
    [kind] = schema["properties"]["taskType"]["enum"]
    body = schemas.model_of("Task", schema, _Strict)
    return TypedModel(air, air, kind, frozenset(schema["properties"]), body)


_CHECKPOINT = frozenset({"seedImage", "maskImage"})
# assumption: the prices; older checkpoints accept a seed image, editing models accept references
IMAGE_MODELS: Mapping[str, ImageModel] = {
    model.air: model
    for model in (
        ImageModel("runware:100@1", "FLUX.1 schnell", 0.0006, _FLUX_SCHNELL, _CHECKPOINT),
        ImageModel("runware:101@1", "FLUX.1 dev", 0.0038, _FLUX_DEV, _CHECKPOINT),
        ImageModel(
            "runware:106@1",
            "FLUX.1 Kontext dev",
            0.0105,
            _FLUX_KONTEXT,
            frozenset({"referenceImages"}),
            sized=False,
        ),
    )
}
