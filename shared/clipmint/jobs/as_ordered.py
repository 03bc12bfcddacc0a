"""Whether a delivered video is as it was ordered: a pure function of the order and of the file.

So every attempt to store a file comes to the same result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from clipmint.catalog.tolerance import DEFAULT, Tolerance
from clipmint.jobs.job import Job, Stage
from clipmint.media.files import VideoFacts

_LEAST_MS = 500
"""A smaller difference in duration is not reported: the last frame may end earlier or later."""

_LINES = re.compile(r"(\d{3,4})p", re.IGNORECASE)
_WORDS = {"2k": 1440, "4k": 2160}
"""The shorter side of resolutions with a name, in pixels."""

_RATIO = re.compile(r"(\d{1,4}):(\d{1,4})")
_LARGEST_RATIO = 100
"""Of one side of a ratio such as 21:9. Larger numbers are pixels, as in 1280:720."""


def differences(job: Job, stage: Stage, delivered: VideoFacts) -> tuple[str, ...]:
    """What is outside the tolerances of the order, as sentences for the owner; empty if nothing.

    A setting that the model does not have, or whose meaning is not known (such as ``auto``), is not
    compared. A video from an image has the shape of the image, so only its size is compared.
    """
    settings, tolerance = job.settings.stated(), stage.tolerance or DEFAULT
    found = [
        *_of_duration(settings.get("duration"), delivered, tolerance.duration_percent),
        *_of_size(str(settings.get("resolution", "")), delivered, tolerance.size_percent),
        *_of_shape(job, delivered, tolerance.size_percent),
        *_of_audio(settings.get("audio"), delivered, tolerance),
    ]
    return tuple(found)


def _of_duration(ordered: object, delivered: VideoFacts, percent: int) -> Iterator[str]:
    if not isinstance(ordered, int):
        return
    difference_ms = abs(round(delivered.duration_seconds * 1_000) - ordered * 1_000)
    if difference_ms > max(_LEAST_MS, ordered * percent * 10):
        yield f"{ordered} s ordered, {delivered.duration_seconds:g} s delivered"


def _of_size(resolution: str, delivered: VideoFacts, percent: int) -> Iterator[str]:
    """``720p`` is a shorter side of 720 pixels, or as many pixels as 1280 x 720 have: models differ
    in what it means for a square."""
    lines = _LINES.fullmatch(resolution)
    side = int(lines[1]) if lines else _WORDS.get(resolution.lower())
    if side is None:
        return
    shorter = min(delivered.width, delivered.height)
    mean = math.sqrt(delivered.width * delivered.height)
    if not (_is_near(shorter, side, percent) or _is_near(mean, side * 4 / 3, percent)):
        yield f"{resolution} ordered, {_size(delivered)} delivered"


def _of_shape(job: Job, delivered: VideoFacts, percent: int) -> Iterator[str]:
    ratio = _RATIO.fullmatch(str(job.settings.aspect_ratio or ""))
    if ratio is None or "0" in ratio.groups():
        return
    width, height = int(ratio[1]), int(ratio[2])
    if max(width, height) > _LARGEST_RATIO:
        fits = _is_near(delivered.width, width, percent) and _is_near(
            delivered.height, height, percent
        )
    else:
        fits = job.image_url is not None or _is_near(
            delivered.width / delivered.height, width / height, percent
        )
    if not fits:
        yield f"{ratio[0]} ordered, {_size(delivered)} delivered"


def _of_audio(ordered: object, delivered: VideoFacts, tolerance: Tolerance) -> Iterator[str]:
    # A silent video may have an audio track, which is silent.
    if tolerance.audio and ordered is True and not delivered.has_audio:
        yield "sound ordered, no audio track delivered"


def _is_near(found: float, wanted: float, percent: int) -> bool:
    return abs(found - wanted) <= wanted * percent / 100


def _size(delivered: VideoFacts) -> str:
    return f"{delivered.width} x {delivered.height}"
