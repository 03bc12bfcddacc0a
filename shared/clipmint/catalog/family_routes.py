"""The form of routes at each provider, for the entries of `clipmint.catalog.families`.

**fal** has an endpoint for each kind of input, and members by model. **Runway** has two endpoints
for all models, sizes in pixels (``ratio``), and frames as a list with their positions. **Runware**
has one endpoint, sizes in pixels for a video from text and ``resolution`` for one from frames, and
what only some models have in ``settings`` or in ``providerSettings``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Sizes = Mapping[str, Sequence[str]]
"""Sizes in pixels of each resolution, in the order of the aspect ratios."""

PROMPT = {"$": "prompt"}
FIRST, LAST = {"$": "image_url"}, {"$": "last_image_url"}
RESOLUTION, RATIO, SOUND = {"$": "resolution"}, {"$": "aspect_ratio"}, {"$": "audio"}
SECONDS, SEED = {"$": "duration"}, {"$": "seed", "optional": True}
SECONDS_AS_TEXT = {"$": "duration", "format": "{}"}


def fal(
    text: str,
    image: str,
    shared: Json,
    *,
    frames: str | None = None,
    only_text: Json | None = None,
    only_image: Json | None = None,
    first: str = "image_url",
    last: str | None = "end_image_url",
    first_of_frames: str | None = None,
    ignores: Sequence[str] = (),
) -> Json:
    """The endpoints ``text``, ``image`` and ``frames`` (as for an image, if None).

    ``ignores`` are parameters that the endpoints for images do not have.
    """
    left_out = {"ignores": [*ignores]} if ignores else {}
    extra = only_image or {}
    cases: Json = {
        "text": {"body": only_text} if only_text else {},
        "image": {"endpoint": image, "body": {first: FIRST, **extra}, **left_out},
    }
    if last:
        both = {first_of_frames or first: FIRST, last: LAST, **extra}
        cases["frames"] = {"endpoint": frames or image, "body": both, **left_out}
    return _route("fal", text, {"prompt": PROMPT, **shared}, cases)


def runway(
    model: str,
    shared: Json,
    *,
    only_text: Json | None = None,
    only_image: Json | None = None,
    with_frames: bool = True,
    ignores: Sequence[str] = (),
) -> Json:
    """Runway's two endpoints. ``ignores`` are parameters that the one for images does not have."""
    left_out = {"ignores": [*ignores]} if ignores else {}
    images: Json = {"image": FIRST}
    if with_frames:
        images["frames"] = [
            {"uri": FIRST, "position": "first"},
            {"uri": LAST, "position": "last"},
        ]
    cases: Json = {"text": {"body": only_text} if only_text else {}}
    for kind, image in images.items():
        body = {"promptImage": image, **(only_image or {})}
        cases[kind] = {"endpoint": f"image_to_video/{model}", "body": body, **left_out}
    return _route("runway", f"text_to_video/{model}", {"promptText": PROMPT, **shared}, cases)


def runware(
    air: str,
    shared: Json,
    sizes: Json,
    *,
    framed: Json | None = None,
    with_frames: bool = True,
    ignores: Sequence[str] = ("aspect_ratio",),
) -> Json:
    """Runware's endpoint. ``sizes`` are for a video from text, ``framed`` for one from frames.

    ``ignores`` are parameters that a video from frames does not have.
    """
    first, last = ({"image": FIRST, "frame": "first"}, {"image": LAST, "frame": "last"})
    frames = {"image": [first], **({"frames": [first, last]} if with_frames else {})}
    left_out = {"ignores": [*ignores]} if ignores else {}
    cases: Json = {"text": {"body": sizes}}
    for kind, images in frames.items():
        body = {"inputs": {"frameImages": images}, **(framed or {})}
        cases[kind] = {"body": body, **left_out}
    body = {"positivePrompt": PROMPT, "outputFormat": "MP4", "duration": SECONDS, **shared}
    return _route("runware", air, body, cases)


def ratio(sizes: Sizes, ratios: Sequence[str]) -> Json:
    """Runway's ``ratio``: the size for a resolution and an aspect ratio."""
    return _by_size(dict(_keyed(sizes, ratios)))


def width_and_height(sizes: Sizes, ratios: Sequence[str]) -> Json:
    """Runware's members for a size."""
    return {
        side: _by_size({key: int(size.split(":")[place]) for key, size in _keyed(sizes, ratios)})
        for place, side in enumerate(("width", "height"))
    }


def renamed(words: Mapping[str, str]) -> Json:
    """The provider's words for resolutions."""
    return {"$": "resolution", "map": dict(words)}


def _keyed(sizes: Sizes, ratios: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (f"{resolution} {shape}", size)
        for resolution, of_resolution in sizes.items()
        for shape, size in zip(ratios, of_resolution, strict=True)
    ]


def _by_size(words: Mapping[str, str | int]) -> Json:
    return {"$": ["resolution", "aspect_ratio"], "map": dict(words)}


def _route(provider: str, endpoint: str, body: Json, cases: Json) -> Json:
    return {"provider": provider, "endpoint": endpoint, "body": body, "cases": cases}
