"""A catalog entry with parameters, bodies and rates of its own, as an owner would send it."""

from __future__ import annotations

from typing import Any

from clipmint.catalog.model import Model

_PROMPT = {"$": "prompt"}
_FIRST = {"$": "image_url"}
_NEGATIVE = {"$": "negative_prompt", "optional": True}

KLING: dict[str, Any] = {
    "model_id": "my-kling",
    "name": "Kling 3.0 Pro",
    "description": "A video from text or an image, with or without sound.",
    "image": "optional",
    "max_prompt_units": 2_500,
    "parameters": {
        "resolution": {"type": "choice", "choices": ["1080p"], "default": "1080p"},
        "aspect_ratio": {
            "type": "choice",
            "choices": ["16:9", "9:16", "1:1"],
            "default": "16:9",
            "label": "Aspect ratio",
        },
        "duration": {"type": "integer", "minimum": 3, "maximum": 15, "default": 5},
        "audio": {"type": "boolean", "default": True, "label": "Sound"},
        "negative_prompt": {
            "type": "text",
            "max_length": 500,
            "help": "What the video must not show",
        },
    },
    "presets": {"draft": {"duration": 3, "audio": False}, "high": {"duration": 10}},
    "price": {
        "kind": "rates",
        "per": "second",
        "rates": [
            {"when": {"audio": False}, "millicredits": 1_120},
            {"when": {"audio": True}, "millicredits": 1_680},
        ],
        "source": "list price, per second",
        "as_of": "2026-11-20",
    },
    "routes": [
        {
            "provider": "fal",
            "endpoint": "fal-ai/kling-video/v3/pro/text-to-video",
            "ignores": ["resolution"],
            "body": {
                "prompt": _PROMPT,
                "duration": {"$": "duration", "format": "{}"},
                "generate_audio": {"$": "audio"},
                "negative_prompt": _NEGATIVE,
            },
            "cases": {
                "text": {"body": {"aspect_ratio": {"$": "aspect_ratio"}}},
                "image": {
                    "endpoint": "fal-ai/kling-video/v3/pro/image-to-video",
                    "ignores": ["aspect_ratio"],
                    "body": {"start_image_url": _FIRST},
                },
            },
        },
        {
            "provider": "runware",
            "endpoint": "klingai:kling-video@3-pro",
            "body": {
                "positivePrompt": _PROMPT,
                "negativePrompt": _NEGATIVE,
                "outputFormat": "MP4",
                "duration": {"$": "duration"},
                "providerSettings": {"klingai": {"sound": {"$": "audio"}}},
            },
            "cases": {
                "text": {
                    "body": {
                        side: {
                            "$": ["resolution", "aspect_ratio"],
                            "map": {
                                f"1080p {ratio}": size[side == "height"]
                                for ratio, size in {
                                    "16:9": (1920, 1080),
                                    "9:16": (1080, 1920),
                                    "1:1": (1080, 1080),
                                }.items()
                            },
                        }
                        for side in ("width", "height")
                    }
                },
                "image": {
                    "ignores": ["resolution", "aspect_ratio"],
                    "body": {"inputs": {"frameImages": [{"image": _FIRST, "frame": "first"}]}},
                },
            },
        },
    ],
}


def kling(**changes: Any) -> Model:
    """The entry, with other values for some of its fields."""
    return Model.model_validate(KLING | changes)
