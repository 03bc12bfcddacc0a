"""The price of a task at Runway, in credits."""

from __future__ import annotations

from collections.abc import Mapping

PER_SECOND: Mapping[tuple[str, bool], int] = {
    ("gen4_turbo", False): 5,
    ("gen4.5", False): 12,
    ("veo3.1", True): 40,
    ("veo3.1", False): 20,
    ("veo3.1_fast", True): 15,
    ("veo3.1_fast", False): 10,
}
"""Credits per second of video, by model and whether it has sound."""

TURBO_IMAGE = 2
IMAGE_720P = 5
IMAGE_1080P = 8


def video_credits(model: str, seconds: int, *, audio: bool) -> int:
    """assumption: a model whose price is not known costs as much as Gen-4.5."""
    per_second = PER_SECOND.get((model, audio), PER_SECOND["gen4.5", False])
    return per_second * seconds


def image_credits(model: str, width: int, height: int) -> int:
    """assumption: a shorter side of 720 pixels is 720p, and everything else is 1080p."""
    if model == "gen4_image_turbo":
        return TURBO_IMAGE
    return IMAGE_720P if min(width, height) <= 720 else IMAGE_1080P


def charged(estimate: int, failure_code: str | None) -> int:
    """The price of a FAILED task. assumption: only a refused input is charged, and in full."""
    return estimate if (failure_code or "").startswith("SAFETY.INPUT.") else 0
