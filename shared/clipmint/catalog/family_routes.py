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
BY_RESOLUTION = {"resolution": RESOLUTION}
"""The size of a video from frames: the resolution, with the shape of the frames."""


def fal(
    base: str,
    shared: Json,
    *,
    text: str | None = None,
    frames: str | None = None,
    only_text: Json | None = None,
    shape_of_image: bool = False,
    first: str = "image_url",
    last: str = "end_image_url",
    first_of_frames: str | None = None,
) -> Json:
    """The endpoints ``text-to-video`` and ``image-to-video`` below ``base``.

    Parameters
    ----------
    text
        Another endpoint for a video from text.
    frames
        Another endpoint than that for an image, for a video from two frames.
    shape_of_image
        Whether the endpoints for images have no aspect ratio.
    """
    image = f"{base}/image-to-video"
    left_out = {"ignores": ["aspect_ratio"]} if shape_of_image else {}
    own = {**({"aspect_ratio": RATIO} if shape_of_image else {}), **(only_text or {})}
    both = {first_of_frames or first: FIRST, last: LAST}
    cases: Json = {
        "text": {"body": own} if own else {},
        "image": {"endpoint": image, "body": {first: FIRST}, **left_out},
        "frames": {"endpoint": frames or image, "body": both, **left_out},
    }
    endpoint = text or f"{base}/text-to-video"
    return _route("fal", endpoint, {"prompt": PROMPT, **shared}, cases)


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
    body = {"promptText": PROMPT, "duration": SECONDS, **shared}
    return _route("runway", f"text_to_video/{model}", body, cases)


def runware(
    air: str,
    shared: Json,
    sizes: Json,
    *,
    framed: Json = BY_RESOLUTION,
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
        body = {"inputs": {"frameImages": images}, **framed}
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
