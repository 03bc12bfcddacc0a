"""A delivered video compared with its order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clipmint.catalog.model import Settings
from clipmint.catalog.tolerance import Tolerance
from clipmint.jobs.as_ordered import differences
from clipmint.media.files import VideoFacts
from tests.support.jobs import new_job


def compared(
    ordered: dict[str, Any],
    *,
    size: tuple[int, int] = (1_280, 720),
    seconds: float = 8.0,
    sound: bool = True,
    image_url: str | None = None,
    tolerance: Tolerance | None = None,
) -> tuple[str, ...]:
    job = new_job(settings=Settings.model_validate(ordered), image_url=image_url)
    stage = replace(job.stages[0], tolerance=tolerance)
    return differences(job, stage, VideoFacts("h264", *size, seconds, None, sound))


def test_one_small_frame_is_not_eight_seconds_in_720p() -> None:
    ordered = {"resolution": "720p", "aspect_ratio": "16:9", "duration": 8, "audio": True}
    found = compared(ordered, size=(320, 180), seconds=0.042, sound=False)
    assert found == (
        "8 s ordered, 0.042 s delivered",
        "720p ordered, 320 x 180 delivered",
        "sound ordered, no audio track delivered",
    )


@pytest.mark.parametrize(
    ("seconds", "outside"),
    [(8.0, False), (6.8, False), (9.2, False), (6.79, True), (9.21, True), (0.04, True)],
)
def test_the_length_may_differ_by_its_percentage(seconds: float, *, outside: bool) -> None:
    assert bool(compared({"duration": 8}, seconds=seconds)) is outside


def test_half_a_second_is_always_allowed() -> None:
    exact = Tolerance(duration_percent=0)
    assert compared({"duration": 2}, seconds=2.5, tolerance=exact) == ()
    assert compared({"duration": 2}, seconds=2.51, tolerance=exact) != ()


@pytest.mark.parametrize(
    ("resolution", "size", "outside"),
    [
        ("720p", (1_280, 720), False),
        ("720p", (720, 1_280), False),
        ("720p", (720, 720), False),  # the shorter side
        ("720p", (960, 960), False),  # as many pixels
        ("720p", (1_470, 630), False),
        ("720p", (1_112, 834), False),
        ("480p", (864, 496), False),
        ("480p", (992, 432), False),
        ("4k", (3_840, 2_160), False),
        ("4K", (2_160, 3_840), False),
        ("720p", (1_920, 1_080), True),
        ("1080p", (1_280, 720), True),
        ("720p", (854, 480), True),
        ("4k", (1_920, 1_080), True),
        ("auto", (320, 180), False),
        ("true_1080p", (320, 180), False),
    ],
)
def test_a_resolution_is_a_shorter_side_or_as_many_pixels(
    resolution: str, size: tuple[int, int], *, outside: bool
) -> None:
    assert bool(compared({"resolution": resolution}, size=size)) is outside


@pytest.mark.parametrize(
    ("ratio", "size", "image_url", "outside"),
    [
        ("16:9", (1_280, 720), None, False),
        ("9:16", (1_280, 720), None, True),
        ("21:9", (992, 432), None, False),
        ("9:16", (1_280, 720), "https://example.com/a.png", False),  # the image's shape
        ("1280:720", (1_280, 720), "https://example.com/a.png", False),
        ("1280:720", (720, 1_280), "https://example.com/a.png", True),
        ("1280:720", (1_920, 1_080), None, True),
        ("auto", (320, 180), None, False),
        ("16:0", (320, 180), None, False),
    ],
)
def test_a_shape_is_compared_where_the_order_decides_it(
    ratio: str, size: tuple[int, int], image_url: str | None, *, outside: bool
) -> None:
    assert bool(compared({"aspect_ratio": ratio}, size=size, image_url=image_url)) is outside


@pytest.mark.parametrize(
    ("ordered", "sound", "outside"),
    [(True, True, False), (False, False, False), (True, False, True), (False, True, False)],
)
def test_sound_is_compared_if_it_was_ordered(*, ordered: bool, sound: bool, outside: bool) -> None:
    assert bool(compared({"audio": ordered}, sound=sound)) is outside
    assert compared({"audio": ordered}, sound=sound, tolerance=Tolerance(audio=False)) == ()
    assert compared({}, sound=sound) == ()


def test_a_thousand_percent_allows_everything() -> None:
    wide = Tolerance(duration_percent=1_000, size_percent=1_000)
    ordered = {"resolution": "720p", "aspect_ratio": "16:9", "duration": 8}
    assert compared(ordered, size=(320, 180), seconds=0.04, tolerance=wide) == ()
