"""Default models of November 2026 that no code knows: their bodies are part of their routes.

**Evidence.** Members and choices of fal's Kling 3.0 are those of @fal-ai/client 1.10.1, and those
of Runway's models of runwayml 5.24.0. fal's Seedance 2.0 is *assumed* from excerpts of its
documentation: its types are not in that package. The seconds of both at Runway are *assumed* to be
those at fal: the package types them as an integer.

**Prices** are a credit for 0.10 USD of fal's list price, in thousandths; the entry states the
source and the day on which it was read. Runway's price of these models was not found. A model whose
list price comes from another seller is not available until the owner has checked it.

An order with an image has the shape of the image at fal, where Kling takes no aspect ratio then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipmint.catalog.model import Model

_AS_OF = "2026-11-29"
_POLLS = [15, 10, 10, 15]
"""As often as Runway's other models, because it sends no webhooks."""

_PROMPT = {"$": "prompt"}
_FIRST, _LAST = {"$": "image_url"}, {"$": "last_image_url"}
_RATIO, _SOUND = {"$": "aspect_ratio"}, {"$": "audio"}
_SECONDS_AS_TEXT = {"$": "duration", "format": "{}"}

_AUDIO = {"type": "boolean", "default": True, "label": "Sound"}
_KLING_RATIOS = ["16:9", "9:16", "1:1"]
_SEEDANCE_RATIOS = ["16:9", "9:16", "1:1", "4:3", "3:4", "21:9"]


def _choice(label: str, choices: list[str], default: str | None = None) -> dict[str, Any]:
    return {
        "type": "choice",
        "choices": choices,
        "default": default or choices[0],
        "label": label,
    }


def _seconds(minimum: int, maximum: int) -> dict[str, Any]:
    return {
        "type": "integer",
        "minimum": minimum,
        "maximum": maximum,
        "default": 5,
        "label": "Seconds",
    }


def _runway(model: str, shared: Mapping[str, Any], ratio: Mapping[str, Any]) -> dict[str, Any]:
    """Runway's two endpoints for a model; its frames are a list with their positions."""
    frames = [{"uri": _FIRST, "position": "first"}, {"uri": _LAST, "position": "last"}]
    from_image = f"image_to_video/{model}"
    return {
        "provider": "runway",
        "endpoint": f"text_to_video/{model}",
        "body": {"promptText": _PROMPT, "ratio": ratio, **shared},
        "cases": {
            "text": {},
            "image": {"endpoint": from_image, "body": {"promptImage": _FIRST}},
            "frames": {"endpoint": from_image, "body": {"promptImage": frames}},
        },
    }


def _fal(
    base: str, shared: Mapping[str, Any], text: Mapping[str, Any], first: str, **of_images: Any
) -> dict[str, Any]:
    """fal's two endpoints for a model."""
    from_image = f"{base}/image-to-video"
    frames = {first: _FIRST, "end_image_url": _LAST}
    return {
        "provider": "fal",
        "endpoint": f"{base}/text-to-video",
        "body": {"prompt": _PROMPT, "generate_audio": _SOUND, **shared},
        "cases": {
            "text": {"body": text},
            "image": {"endpoint": from_image, "body": {first: _FIRST}, **of_images},
            "frames": {"endpoint": from_image, "body": frames, **of_images},
        },
    }


def _entry(model_id: str, name: str, description: str, **members: Any) -> Model:
    common = {
        "model_id": model_id,
        "name": name,
        "description": description,
        "image": "optional",
        "last_image": "optional",
        "max_prompt_units": 1_000,  # assumption for Kling at Runway; Seedance takes more there
        "poll_seconds": _POLLS,
    }
    return Model.model_validate(common | members)


# ── Kling 3.0 ────────────────────────────────────────────────────────────────────────────────────


def _kling(tier: str, resolution: str, sizes: list[str], silent: int, sound: int) -> Model:
    """``sizes`` are Runway's ratios for `_KLING_RATIOS`. The prices are per second."""
    words = {
        f"{resolution} {shape}": size for shape, size in zip(_KLING_RATIOS, sizes, strict=True)
    }
    ratio = {"$": ["resolution", "aspect_ratio"], "map": words}
    base = f"fal-ai/kling-video/v3/{tier}"
    fal = _fal(
        base,
        {"duration": _SECONDS_AS_TEXT},
        {"aspect_ratio": _RATIO},
        "start_image_url",
        ignores=["aspect_ratio"],
    )
    return _entry(
        f"kling-3.0-{tier}",
        f"Kling 3.0 {tier.capitalize()}",
        f"A video in {resolution} from text, an image, or two frames, with or without sound.",
        parameters={
            "resolution": _choice("Resolution", [resolution]),
            "aspect_ratio": _choice("Aspect ratio", _KLING_RATIOS),
            "duration": _seconds(3, 15),
            "audio": _AUDIO,
        },
        presets={
            "draft": {"duration": 3, "audio": False},
            "standard": {"duration": 5},
            "high": {"duration": 10},
        },
        price={
            "kind": "rates",
            "per": "second",
            "rates": [
                {"when": {"audio": False}, "millicredits": silent},
                {"when": {"audio": True}, "millicredits": sound},
            ],
            "source": f"list price per second: {silent / 10_000} USD silent, {sound / 10_000} USD"
            " with sound (model page of Runware, price list of inference.sh)",
            "as_of": _AS_OF,
        },
        routes=[
            # The resolution is that of the endpoint.
            fal | {"ignores": ["resolution"]},
            _runway(f"kling3.0_{tier}", {"duration": {"$": "duration"}, "audio": _SOUND}, ratio),
        ],
    )


# ── Seedance 2.0 ─────────────────────────────────────────────────────────────────────────────────

_SEEDANCE_SIZES: Mapping[str, list[str]] = {
    "480p": ["864:496", "496:864", "640:640", "752:560", "560:752", "992:432"],
    "720p": ["1280:720", "720:1280", "960:960", "1112:834", "834:1112", "1470:630"],
}
"""Runway's ratios for `_SEEDANCE_RATIOS`."""


def _seedance(
    variant: str, prices: Mapping[str, int], source: str, *, available: bool = True
) -> Model:
    """``prices`` are thousandths of a credit per second, by resolution; sound costs nothing."""
    sizes = {
        f"{resolution} {shape}": size
        for resolution in prices
        for shape, size in zip(_SEEDANCE_RATIOS, _SEEDANCE_SIZES[resolution], strict=True)
    }
    suffix = f"-{variant}" if variant else ""
    cheapest, *_, best = [*prices, *prices]
    fal = _fal(
        f"bytedance/seedance-2.0{f'/{variant}' if variant else ''}",
        {
            "resolution": {"$": "resolution"},
            "aspect_ratio": _RATIO,
            "duration": _SECONDS_AS_TEXT,
        },
        {},
        "image_url",
    )
    ratio = {"$": ["resolution", "aspect_ratio"], "map": sizes}
    return _entry(
        f"seedance-2.0{suffix}",
        f"Seedance 2.0 {variant.capitalize()}".strip(),
        "A video from text, an image, or two frames, with or without sound at the same price.",
        available=available,
        parameters={
            "resolution": _choice("Resolution", [*prices], best),
            "aspect_ratio": _choice("Aspect ratio", _SEEDANCE_RATIOS),
            "duration": _seconds(4, 15),
            "audio": _AUDIO,
        },
        presets={
            "draft": {"resolution": cheapest, "duration": 4},
            "standard": {"resolution": best, "duration": 5},
            "high": {"resolution": best, "duration": 10},
        },
        price={
            "kind": "rates",
            "per": "second",
            "rates": [
                {"when": {"resolution": resolution}, "millicredits": millicredits}
                for resolution, millicredits in prices.items()
            ],
            "source": source,
            "as_of": _AS_OF,
        },
        routes=[
            fal,
            _runway(
                f"seedance2{suffix.replace('-', '_')}",
                {"duration": {"$": "duration"}, "audio": _SOUND},
                ratio,
            ),
        ],
    )


_OTHER_SELLER = "assumption: another seller's list of fal's prices, USD per second at 720p"

FAMILIES: tuple[Model, ...] = (
    _kling("standard", "720p", ["1280:720", "720:1280", "960:960"], 840, 1_260),
    _kling("pro", "1080p", ["1920:1080", "1080:1920", "1440:1440"], 1_120, 1_680),
    _seedance(
        "mini",
        {"480p": 721, "720p": 1_547},
        "fal's page of the model: 0.0721 USD per second at 480p, 0.1547 USD at 720p",
    ),
    _seedance("fast", {"720p": 2_419}, f"{_OTHER_SELLER}: 0.2419", available=False),
    _seedance("", {"720p": 3_024}, f"{_OTHER_SELLER}: 0.3024", available=False),
)
