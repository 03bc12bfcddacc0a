"""What the simulated Runway accepts, and how it rejects the rest."""

from __future__ import annotations

from typing import Any

import pytest

from local.runway.models import InputImage, TaskSpec
from local.runway.validation import check

A, B = "https://example.com/a.png", "https://example.com/b.png"
TURBO = {"model": "gen4_turbo", "promptImage": A, "ratio": "1280:720"}
GEN45 = {"model": "gen4.5", "promptText": "x", "ratio": "720:1280", "duration": 5}
VEO = {"model": "veo3.1", "promptImage": A, "ratio": "1920:1080"}
IMAGE = {"model": "gen4_image", "promptText": "x", "ratio": "1024:1024"}
TAGGED = [{"uri": A, "tag": "hero"}, {"uri": B}]
FIRST = {"uri": A, "position": "first"}
LAST = {"uri": B, "position": "last"}
FRAMES = (InputImage(A, "first"), InputImage(B, "last"))


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        (
            "image_to_video",
            TURBO,
            TaskSpec("gen4_turbo", "", 1280, 720, 50, 10, images=(InputImage(A, "first"),)),
        ),
        ("text_to_video", GEN45, TaskSpec("gen4.5", "x", 720, 1280, 60, 5)),
        (
            "image_to_video",
            {**VEO, "promptImage": [LAST, FIRST], "duration": 6},
            TaskSpec("veo3.1", "", 1920, 1080, 240, 6, audio=True, images=FRAMES),
        ),
        (
            "image_to_video",
            {**VEO, "audio": False},
            TaskSpec("veo3.1", "", 1920, 1080, 160, 8, images=FRAMES[:1]),
        ),
        ("text_to_image", IMAGE, TaskSpec("gen4_image", "x", 1024, 1024, 8)),
        (
            "text_to_image",
            {**IMAGE, "model": "gen4_image_turbo", "referenceImages": TAGGED},
            TaskSpec(
                "gen4_image_turbo",
                "x",
                1024,
                1024,
                2,
                images=(InputImage(A, "@hero"), InputImage(B, "reference 2")),
            ),
        ),
    ],
)
def test_a_good_body_becomes_a_wish(
    endpoint: str, body: dict[str, Any], expected: TaskSpec
) -> None:
    assert check(endpoint, body) == expected


@pytest.mark.parametrize(
    ("endpoint", "body", "code", "path"),
    [
        ("text_to_video", {**GEN45, "promptImage": A}, "unrecognized_keys", []),
        ("text_to_video", {**GEN45, "webhookUrl": A}, "unrecognized_keys", []),
        ("text_to_video", {**GEN45, "outputFormat": "prores"}, "invalid_value", ["outputFormat"]),
        ("text_to_video", {**GEN45, "ratio": "960:960"}, "invalid_value", ["ratio"]),
        ("text_to_video", {**GEN45, "duration": 5.5}, "invalid_type", ["duration"]),
        ("text_to_video", {**GEN45, "duration": True}, "invalid_type", ["duration"]),
        ("text_to_video", {**GEN45, "promptText": 7}, "invalid_type", ["promptText"]),
        ("text_to_video", {**GEN45, "seed": 2**32}, "too_big", ["seed"]),
        ("text_to_video", {**GEN45, "model": ["gen4.5"]}, "invalid_union", ["model"]),
        (
            "text_to_video",
            {**GEN45, "contentModeration": {"publicFigureThreshold": "high"}},
            "invalid_value",
            ["contentModeration", "publicFigureThreshold"],
        ),
        (
            "text_to_video",
            {**GEN45, "contentModeration": {"threshold": "low"}},
            "unrecognized_keys",
            ["contentModeration"],
        ),
        ("image_to_video", {**GEN45}, "invalid_union", ["promptImage"]),
        ("image_to_video", {**TURBO, "ratio": "1280:768"}, "invalid_value", ["ratio"]),
        ("image_to_video", {**TURBO, "promptImage": 7}, "invalid_union", ["promptImage"]),
        ("image_to_video", {**TURBO, "promptImage": []}, "too_small", ["promptImage"]),
        ("image_to_video", {**TURBO, "promptImage": [FIRST] * 2}, "too_big", ["promptImage"]),
        (
            "image_to_video",
            {**TURBO, "promptImage": [LAST]},
            "invalid_value",
            ["promptImage", 0, "position"],
        ),
        (
            "image_to_video",
            {**TURBO, "promptImage": [{"uri": A}]},
            "invalid_type",
            ["promptImage", 0, "position"],
        ),
        ("image_to_video", {**VEO, "promptImage": [LAST]}, "custom", ["promptImage"]),
        ("image_to_video", {**VEO, "promptImage": [FIRST] * 2}, "custom", ["promptImage"]),
        ("image_to_video", {**VEO, "duration": 5}, "invalid_value", ["duration"]),
        ("image_to_video", {**VEO, "audio": "no"}, "invalid_type", ["audio"]),
        ("image_to_video", {**VEO, "negativePrompt": None}, "invalid_type", ["negativePrompt"]),
        ("text_to_image", {**IMAGE, "ratio": "16:9"}, "invalid_value", ["ratio"]),
        ("text_to_image", {**IMAGE, "duration": 5}, "unrecognized_keys", []),
        (
            "text_to_image",
            {**IMAGE, "referenceImages": [{"uri": A}] * 4},
            "too_big",
            ["referenceImages"],
        ),
        (
            "text_to_image",
            {**IMAGE, "model": "gen4_image_turbo"},
            "invalid_type",
            ["referenceImages"],
        ),
        (
            "text_to_image",
            {**IMAGE, "model": "gen4_image_turbo", "referenceImages": []},
            "too_small",
            ["referenceImages"],
        ),
        *(
            (
                "text_to_image",
                {**IMAGE, "referenceImages": [{"uri": A, "tag": tag}]},
                "invalid_format",
                ["referenceImages", 0, "tag"],
            )
            for tag in ("me", "1st", "hero-1", "x" * 17)
        ),
    ],
)
def test_a_bad_body_is_named_by_code_and_path(
    endpoint: str, body: dict[str, Any], code: str, path: list[str | int]
) -> None:
    found = check(endpoint, body)
    assert isinstance(found, list), found
    assert [(issue["code"], issue["path"]) for issue in found] == [(code, path)]
    assert found[0]["message"]


@pytest.mark.parametrize(
    "uri",
    [
        A,
        f"https://example.com/{'a' * 2028}",
        "data:image/png;base64,AAAA",
        "http://127.0.0.1:4000/a.png",
        "http://[::1]:4000/a.png",
        "http://localhost/a.png",
    ],
)
def test_an_image_may_be_behind_an_https_url_or_in_the_body_or_on_loopback(uri: str) -> None:
    assert isinstance(check("image_to_video", {**TURBO, "promptImage": uri}), TaskSpec)


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.com/a.png",
        "https://93.184.216.34/a.png",
        "https://[2001:db8::1]/a.png",
        "https://[broken/a.png",
        "https://intranet/a.png",
        f"https://example.com/{'a' * 2029}",
        "data:text/plain,hello",
        "data:image/png;base64," + "A" * (5 * 1024 * 1024),
        "runway://upload",
        "s3://bucket/a.png",
        "a.png",
        "",
    ],
)
def test_an_image_may_be_nowhere_else(uri: str) -> None:
    found = check("image_to_video", {**TURBO, "promptImage": [{"uri": uri, "position": "first"}]})
    assert isinstance(found, list)
    assert [issue["path"] for issue in found] == [["promptImage", 0, "uri"]]


def test_all_problems_are_reported_at_once() -> None:
    found = check("text_to_video", {"model": "veo3.1", "ratio": "1:1", "a": 1, "b": 2})
    assert isinstance(found, list)
    assert {(issue["code"], *issue["path"]) for issue in found} == {
        ("invalid_type", "promptText"),
        ("invalid_value", "ratio"),
        ("unrecognized_keys",),
    }
    assert next(i["keys"] for i in found if i["code"] == "unrecognized_keys") == ["a", "b"]


def test_the_options_are_listed() -> None:
    found = check("text_to_video", {**GEN45, "ratio": "1:1"})
    assert isinstance(found, list)
    assert found[0]["values"] == ["1280:720", "720:1280"]
    assert found[0]["message"] == 'Invalid option: expected one of "1280:720"|"720:1280"'
