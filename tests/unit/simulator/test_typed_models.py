"""The simulators take every model of the official packages, with the inputs that these type."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from local import schemas
from local.fal import validation as fal
from local.fal.models import ENDPOINTS, Clip, inputs_of
from local.runware import validation as runware
from local.runware.errors import TaskError
from local.runware.models import typed_model
from local.runway import validation as runway
from local.runway.models import MODELS, TaskSpec, body_of

A, B = "https://example.com/a.png", "https://example.com/b.png"
KLING_TEXT = "fal-ai/kling-video/v3/pro/text-to-video"
KLING_IMAGE = "fal-ai/kling-video/v3/pro/image-to-video"


def test_every_model_of_a_package_has_a_class_that_checks_its_inputs() -> None:
    for endpoint in sorted(ENDPOINTS)[::20]:
        assert inputs_of(endpoint).model_fields
    for endpoint, models in MODELS.items():
        for model in sorted(models)[::5]:
            assert "model" in body_of(endpoint, model).model_json_schema()["properties"]
    for air in sorted(schemas.load("runware"))[::20]:
        typed = typed_model(air)
        assert typed
        assert typed.body.model_fields


@pytest.mark.parametrize(
    ("endpoint", "document", "clip"),
    [
        (KLING_TEXT, {"prompt": "x"}, Clip("x", 5, "1080p", "16:9")),
        (
            KLING_IMAGE,
            {"prompt": "x", "end_image_url": B, "start_image_url": A, "duration": 3},
            Clip("x", 3, "1080p", "auto", images=(("start_image_url", A), ("end_image_url", B))),
        ),
        (
            "minimax/h3-max/text-to-video",
            {"prompt": "x", "resolution": "768P", "duration": 15, "aspect_ratio": "9:16"},
            Clip("x", 15, "768p", "9:16"),
        ),
        (
            "fal-ai/pixverse/v6/text-to-video",
            {"prompt": "x", "resolution": "540p", "generate_audio_switch": False},
            Clip("x", 5, "540p", "16:9", audio=False),
        ),
    ],
)
def test_a_good_input_at_fal_becomes_a_clip(
    endpoint: str, document: dict[str, Any], clip: Clip
) -> None:
    assert fal.check(endpoint, document) == clip


@pytest.mark.parametrize(
    ("endpoint", "document", "member", "kind"),
    [
        (KLING_TEXT, {"prompt": "x", "duration": "16"}, "duration", "one_of"),
        (KLING_IMAGE, {"prompt": "x"}, "start_image_url", "missing"),
        ("minimax/h3-max/text-to-video", {"duration": 5}, "prompt", "missing"),
    ],
)
def test_a_bad_input_at_fal_is_named(
    endpoint: str, document: dict[str, Any], member: str, kind: str
) -> None:
    [found] = fal.check(endpoint, document)  # type: ignore[misc]
    assert (found["loc"], found["type"]) == (["body", member], kind)


@pytest.mark.parametrize(
    ("endpoint", "members", "size"),
    [
        ("text_to_video", {"model": "kling_4", "ratio": "1460:624"}, (1460, 624)),
        (
            "image_to_video",
            {"model": "kling_4", "ratio": "auto_1080p", "promptImage": A},
            (1920, 1080),
        ),
        ("text_to_video", {"model": "hailuo3", "ratio": "9:16", "resolution": "2k"}, (1440, 2560)),
        ("text_to_video", {"model": "h3_max", "resolution": "768p"}, (1366, 768)),
        ("text_to_video", {"model": "seedance2", "duration": "auto"}, (1280, 720)),
        ("text_to_image", {"model": "seedream5_pro", "ratio": "2048:2048"}, (2048, 2048)),
    ],
)
def test_a_good_body_at_runway_is_a_task_of_its_size(
    endpoint: str, members: dict[str, Any], size: tuple[int, int]
) -> None:
    spec = runway.check(endpoint, {"promptText": "x", **members})
    assert isinstance(spec, TaskSpec), spec
    assert (spec.width, spec.height) == size


@pytest.mark.parametrize(
    ("members", "path", "code"),
    [
        ({"model": "kling3.0_pro", "ratio": "1:1"}, ["ratio"], "invalid_value"),
        ({"model": "kling3.0_pro", "ratio": "1920:1080", "duration": 16}, ["duration"], "too_big"),
        ({"model": "h3_max", "ratio": "1280:720"}, [], "unrecognized_keys"),
        ({"model": "seedance2", "duration": "long"}, ["duration"], "invalid_format"),
        ({"model": "veo3", "ratio": "1280:720"}, ["model"], "invalid_union"),
    ],
)
def test_a_bad_body_at_runway_is_refused(
    members: dict[str, Any], path: list[str], code: str
) -> None:
    issues = runway.check("text_to_video", {"promptText": "x", **members})
    assert isinstance(issues, list)
    assert code in {issue["code"] for issue in issues}
    assert all(issue["path"][:1] == path for issue in issues)


def task(**members: Any) -> dict[str, Any]:
    return {
        "taskType": "videoInference",
        "taskUUID": str(uuid.UUID(int=5, version=4)),
        "model": "klingai:kling-video@3-pro",
        "positivePrompt": "x",
        **members,
    }


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"width": 1080, "height": 1920, "duration": 7}, ((1080, 1920), 7, True)),
        (
            {"providerSettings": {"klingai": {"sound": False}}},
            ((1920, 1080), 5, False),
        ),
        (
            {"model": "minimax:h3@max", "resolution": "768p", "settings": {"audio": False}},
            ((1366, 768), 5, False),
        ),
        ({"model": "bytedance:seedance@2.0", "resolution": "4k"}, ((3840, 2160), 5, True)),
    ],
)
def test_a_good_task_at_runware_has_a_size_and_a_length(
    members: dict[str, Any], expected: tuple[tuple[int, int], int, bool]
) -> None:
    spec = runware.check(task(**members))
    assert (spec.size, spec.seconds, spec.audio) == expected


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"resolution": "720p"}, "unsupportedParameter"),
        ({"duration": "5"}, "invalidDuration"),
        ({"width": 1280}, "missingHeight"),
        ({"model": "klingai:kling-video@9"}, "invalidModel"),
        ({"model": "minimax:h3@max", "resolution": "720p"}, "invalidResolution"),
        ({"model": "minimax:h3@max", "positivePrompt": 5}, "invalidPositivePrompt"),
        ({"taskType": "imageInference"}, "invalidModel"),
    ],
)
def test_a_bad_task_at_runware_is_refused(members: dict[str, Any], code: str) -> None:
    with pytest.raises(TaskError) as refused:
        runware.check(task(**members))
    assert refused.value.code == code
