"""Sizes in pixels, such as ``1280x720``, in the terms of a model's settings, and back. Pure.

A model names a size by its aspect ratio in pixels (``1280:720``), or by an aspect ratio and a
resolution (``16:9`` and ``720p``, the length of the shorter side).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from math import gcd

from clipmint.catalog.model import Model, Settings
from clipmint.catalog.templates import Value
from clipmint.errors import SettingNotAllowed

SHORTER_SIDE: Mapping[str, int] = {"480p": 480, "720p": 720, "1080p": 1080, "4k": 2160}
"""Pixels by resolution."""

_SMALLEST_SIDE = 100
"""A ratio of larger numbers is a size in pixels."""


def settings_for(model: Model, size: str) -> Settings:
    """The settings with which a model makes this size.

    Raises
    ------
    SettingNotAllowed
        It makes no video of this size. ``details`` list the sizes that it makes.
    """
    for settings in _choices(model):
        if size_of(settings) == size:
            return settings
    listed = dict.fromkeys(filter(None, map(size_of, _choices(model))))
    raise SettingNotAllowed(
        f"{model.model_id} does not make this size",
        details=f"size: allowed: {', '.join(listed) or 'none'}",
    )


def size_of(settings: Settings) -> str | None:
    """The size that these settings name; None if they name none."""
    width, _, height = (settings.aspect_ratio or "").partition(":")
    if not (width.isdecimal() and height.isdecimal()):
        return None
    wide, high = int(width), int(height)
    if min(wide, high) >= _SMALLEST_SIDE:
        return f"{wide}x{high}"
    shorter = SHORTER_SIDE.get(settings.resolution or "")
    if shorter is None or not min(wide, high):
        return None
    wide, high = wide // gcd(wide, high), high // gcd(wide, high)
    scale = shorter / min(wide, high)
    return f"{round(wide * scale)}x{round(high * scale)}"


def _choices(model: Model) -> list[Settings]:
    """All combinations of a model's resolutions and aspect ratios."""
    names = ("resolution", "aspect_ratio")
    values: list[list[Value | None]] = [[*model.values_of(name)] or [None] for name in names]
    return [
        Settings.model_validate(dict(zip(names, combination, strict=True)))
        for combination in itertools.product(*values)
    ]
