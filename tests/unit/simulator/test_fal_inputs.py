"""What the simulated models accept, and how they reject the rest."""

from __future__ import annotations

from typing import Any

import pytest

from local.fal.models import APPS, ENDPOINTS, Clip
from local.fal.validation import check

TEXT = "fal-ai/veo3.1"
IMAGE = f"{TEXT}/image-to-video"
FRAMES = f"{TEXT}/first-last-frame-to-video"
SORA = "fal-ai/sora-2/image-to-video"
A, B = "https://example.com/a.png", "https://example.com/b.png"


@pytest.mark.parametrize(
    ("endpoint", "document", "expected"),
    [
        (TEXT, {"prompt": "x"}, Clip("x", 8, "720p", "16:9")),
        (
            TEXT,
            {"prompt": "x", "duration": "4s", "resolution": "1080p", "aspect_ratio": "9:16"},
            Clip("x", 4, "1080p", "9:16"),
        ),
        (TEXT, {"prompt": "x", "generate_audio": False}, Clip("x", 8, "720p", "16:9", audio=False)),
        (
            IMAGE,
            {"prompt": "x", "image_url": A},
            Clip("x", 8, "720p", "auto", images=(("image_url", A),)),
        ),
        (
            FRAMES,
            {"prompt": "x", "first_frame_url": A, "last_frame_url": B, "resolution": "4k"},
            Clip("x", 8, "4k", "auto", images=(("first_frame_url", A), ("last_frame_url", B))),
        ),
        (
            SORA,
            {"prompt": "x", "image_url": A, "duration": 12},
            Clip("x", 12, "720p", "auto", images=(("image_url", A),)),
        ),
        (
            SORA,
            {"prompt": "x", "image_url": A, "duration": "8"},
            Clip("x", 8, "720p", "auto", images=(("image_url", A),)),
        ),
    ],
)
def test_a_good_input_becomes_a_clip(
    endpoint: str, document: dict[str, Any], expected: Clip
) -> None:
    assert check(endpoint, document) == expected


@pytest.mark.parametrize(
    ("endpoint", "document", "expected"),
    [
        (TEXT, {}, [("prompt", "missing")]),
        (TEXT, {"prompt": "x", "duration": 8}, [("duration", "one_of")]),
        (TEXT, {"prompt": "x", "duration": "5s"}, [("duration", "one_of")]),
        (TEXT, {"prompt": "x", "resolution": "4k"}, [("resolution", "one_of")]),
        (TEXT, {"prompt": "x", "aspect_ratio": "auto"}, [("aspect_ratio", "one_of")]),
        (TEXT, {"prompt": "x", "safety_tolerance": 4}, [("safety_tolerance", "one_of")]),
        (TEXT, {"prompt": 7}, [("prompt", "value_error")]),
        (IMAGE, {"prompt": "x"}, [("image_url", "missing")]),
        (IMAGE, {"prompt": "x", "image_url": A, "resolution": "4k"}, [("resolution", "one_of")]),
        (FRAMES, {"prompt": "x", "first_frame_url": A}, [("last_frame_url", "missing")]),
        (SORA, {"prompt": "x", "image_url": A, "duration": "8s"}, [("duration", "one_of")]),
        (SORA, {"prompt": "x", "image_url": A, "resolution": "1080p"}, [("resolution", "one_of")]),
    ],
)
def test_a_bad_input_is_named_member_by_member(
    endpoint: str, document: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = check(endpoint, document)
    assert isinstance(found, list)
    assert [(detail["loc"], detail["type"]) for detail in found] == [
        (["body", member], kind) for member, kind in expected
    ]


def test_a_body_that_is_no_object_is_bad_as_a_whole() -> None:
    found = check(TEXT, ["prompt"])
    assert isinstance(found, list)
    assert found[0]["loc"] == ["body"]


def test_status_and_result_live_under_two_segments() -> None:
    assert "fal-ai/veo3.1" in APPS
    assert all(app.count("/") == 1 for app in APPS)
    assert {"fal-ai/veo3.1", IMAGE, FRAMES, SORA} < set(ENDPOINTS)
