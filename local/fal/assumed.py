"""Inputs of endpoints that @fal-ai/client 1.10.1 does not type.

assumption: all of them, from excerpts of fal's documentation, in the form of `local.schemas`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local.schemas import Schema

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_SIX = ["auto", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"]


def _choice(choices: Sequence[str], default: str) -> Schema:
    return {"enum": [*choices], "default": default}


def _switch(default: bool) -> Schema:
    return {"type": "boolean", "default": default}


def _pair(
    base: str, members: Mapping[str, Any], first: str = "image_url", **only_text: Any
) -> dict[str, Schema]:
    """The two endpoints of a model, for text and for one or two images."""
    shared = {"prompt": _TEXT, "seed": _WHOLE, **members}
    frames = {first: _TEXT, "end_image_url": _TEXT}
    return {
        f"{base}/text-to-video": {
            "properties": {**shared, **only_text},
            "required": ["prompt"],
        },
        f"{base}/image-to-video": {
            "properties": {**shared, **frames},
            "required": ["prompt", first],
        },
    }


def _seedance(base: str, resolutions: Sequence[str], most: int) -> dict[str, Schema]:
    seconds = ["auto", *map(str, range(4, most + 1))]
    return _pair(
        base,
        {
            "resolution": _choice(resolutions, "720p"),
            "aspect_ratio": _choice(_SIX, "auto"),
            "duration": _choice(seconds, "auto"),
            "generate_audio": _switch(True),
        },
    )


def _h3(base: str, resolutions: Sequence[str]) -> dict[str, Schema]:
    return _pair(
        base,
        {
            "resolution": _choice(resolutions, "768P"),
            "duration": {"type": "integer", "default": 5},
            "prompt_expansion_mode": _choice(["disabled", "balanced", "quality"], "balanced"),
            "enable_safety_checker": _switch(True),
        },
        aspect_ratio=_choice(_SIX[1:], "16:9"),
    )


ASSUMED: Mapping[str, Schema] = {
    **_seedance("bytedance/seedance-2.0", ["480p", "720p", "1080p", "4k"], 15),
    **_seedance("bytedance/seedance-2.0/fast", ["480p", "720p"], 15),
    **_seedance("bytedance/seedance-2.0/mini", ["480p", "720p"], 15),
    **_seedance("bytedance/seedance-2.5", ["480p", "720p", "1080p"], 30),
    **_seedance("bytedance/seedance-2.5/flash", ["480p", "720p"], 30),
    **_h3("minimax/h3", ["768P", "2K"]),
    **_h3("minimax/h3-max", ["480P", "768P", "1080P"]),
    **_pair(
        "alibaba/wan-3.0",
        {
            "resolution": _choice(["480p", "720p", "1080p"], "1080p"),
            "duration": {"type": "integer", "default": 5},
            "audio": _switch(True),
            "enable_prompt_expansion": _switch(True),
        },
        first="start_image_url",
        aspect_ratio=_choice(["adaptive", *_SIX[2:]], "adaptive"),
    ),
    **_pair(
        "google/gemini-omni-flash/v1.1",
        {
            "resolution": _choice(["360p", "720p", "1080p", "4k"], "720p"),
            "aspect_ratio": _choice(["16:9", "9:16"], "16:9"),
            "duration": {"type": "integer", "default": 8},
        },
    ),
    **_pair(
        "kling/v4",
        {
            "resolution": _choice(["720p", "1080p"], "720p"),
            "duration": _choice([str(seconds) for seconds in range(3, 31)], "5"),
        },
        aspect_ratio=_choice(["16:9", "9:16", "1:1", "21:9"], "16:9"),
    ),
}
"""By endpoint."""
