"""The valid values of a task's parameters, for all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

OUTPUT_TYPES = ("URL", "base64Data", "dataURI")


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _between(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: is_whole(value) and least <= value <= most


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def is_image(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _web_url(value: object) -> bool:
    try:
        parsed = httpx.URL(value) if isinstance(value, str) else None
    except httpx.InvalidURL:
        return False
    return parsed is not None and parsed.scheme in {"http", "https"} and bool(parsed.host)


def _output_type(value: object) -> bool:
    several = value if isinstance(value, list) else [value]
    return bool(several) and all(one in OUTPUT_TYPES for one in several)


def _safety(value: object) -> bool:
    return (
        isinstance(value, dict)
        and not set(value) - {"checkContent", "mode"}
        and isinstance(value.get("checkContent", False), bool)
        and value.get("mode", "none") in ("none", "fast", "full")
    )


FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "positivePrompt": lambda value: isinstance(value, str) and bool(value.strip()),
    "inputs": _is(dict),
    "width": is_whole,
    "height": is_whole,
    "seed": _between(0, 2**63 - 1),
    "webhookURL": _web_url,
    "includeCost": _is(bool),
    "routing": _is(dict),
    "numberResults": _between(1, 20),  # assumption: the bound
    "uploadEndpoint": _web_url,
    "ttl": lambda value: is_whole(value) and value >= 60,
    "outputType": _output_type,
    "outputFormat": _is(str),
    "outputQuality": _between(20, 99),
    "deliveryMethod": lambda value: value in ("sync", "async"),
    "safety": _safety,
    "providerSettings": _is(dict),
    "steps": _between(1, 100),
    "CFGScale": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "negativePrompt": _is(str),
}
"""Checks that do not depend on the model. Parameters without a check are accepted unchecked."""
