"""The bodies of all models of the official package.

A model of which only the types are known is checked with them (`local.schemas`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field, StrictInt

from local import schemas
from local.runway.fields import Body, OneFrame, OneOrTwoFrames, Prompt, Seed
from local.runway.prices import image_credits, video_credits
from local.runway.validation import ENDPOINTS, AnyBody, InputImage, TaskSpec, frames_of

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
            *_size(str(given.get("ratio", "")), str(given.get("resolution", ""))),
            video_credits(given["model"], seconds, audio=audio),
            seconds,
            audio,
            images,
        )

    def _image(self, given: Mapping[str, Any]) -> TaskSpec:
        width, height = _size(str(given.get("ratio", "")), "")
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
def body_of(endpoint: str, model: str) -> type[AnyBody | Typed]:
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


def _size(ratio: str, resolution: str) -> tuple[int, int]:
    """Width and height for a ratio in pixels, or for a resolution (``auto_720p``, ``768p``, ``2K``)
    and a proportion. assumption: landscape in 720p where they are not stated."""
    found = _RATIO.fullmatch(ratio)
    wide, high = (int(found[1]), int(found[2])) if found else (16, 9)
    if min(wide, high) > 100:
        return wide, high
    lines = int(re.sub("[^0-9]", "", resolution or ("" if found else ratio)) or 720)
    scale = (lines if lines > 100 else 1440) / min(wide, high)
    return round(wide * scale / 2) * 2, round(high * scale / 2) * 2
