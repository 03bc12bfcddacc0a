"""What a model accepts, and which descriptions of a model are rejected."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.route import Route
from clipmint.errors import ImageRequired, InvalidRequest, SettingNotAllowed
from clipmint.stages import STAGES
from tests.support.strategies import values_of

CATALOG = {model.model_id: model for model in DEFAULT_CATALOG}
VEO = CATALOG["veo-3.1"]

SMALL_AT_FAL = {"provider": "fal", "endpoint": "fal-ai/small"}


def entry(**changes: Any) -> Model:
    """A small model, as the admin endpoint would receive it."""
    document: dict[str, Any] = {
        "model_id": "small",
        "name": "Small",
        "allowed": {"resolution": ["480p", "720p"], "duration": [5, 10]},
        "defaults": {"resolution": "480p", "duration": 5},
        "presets": {"high": {"resolution": "720p"}},
        "price": {"kind": "per_second", "credits_per_second": 3},
        "routes": [SMALL_AT_FAL],
    }
    return Model.model_validate(document | changes)


def test_a_request_without_settings_gets_the_defaults() -> None:
    assert VEO.resolve(None, None) == Settings(resolution="720p", aspect_ratio="16:9", duration=8)


def test_a_preset_goes_over_the_defaults_and_a_request_over_both() -> None:
    assert VEO.resolve("draft", None) == Settings(
        resolution="720p", aspect_ratio="16:9", duration=4
    )
    assert VEO.resolve("high", Settings(duration=6)) == Settings(
        resolution="1080p", aspect_ratio="16:9", duration=6
    )


@given(
    model=st.sampled_from(DEFAULT_CATALOG),
    data=st.data(),
)
def test_every_resolved_request_is_allowed_complete_and_has_a_price(
    model: Model, data: st.DataObject
) -> None:
    names: list[str] = list(model.presets)
    preset = data.draw(st.sampled_from([None, *names]), label="preset")
    declared = model.declared()
    asked = {name: data.draw(st.none() | values_of(model, name), label=name) for name in declared}
    settings = model.resolve(preset, Settings.model_validate(asked))
    resolved = settings.stated()
    assert resolved.keys() == {
        name
        for name, parameter in declared.items()
        if asked[name] is not None or parameter.default is not None
    }
    for name, value in resolved.items():
        assert declared[name].accepts(value)
        assert asked[name] in (None, value)
    assert model.credits(settings) >= 1


def test_a_refusal_names_every_setting_and_what_it_may_be() -> None:
    with pytest.raises(SettingNotAllowed) as refused:
        VEO.resolve(None, Settings(resolution="4k", aspect_ratio="1:1", duration=5))
    assert refused.value.details == (
        "resolution: '4k' is not allowed; allowed: 720p, 1080p; "
        "aspect_ratio: '1:1' is not allowed; allowed: 16:9, 9:16; "
        "duration: 5 is not allowed; allowed: 4, 6, 8"
    )


def test_a_setting_the_model_does_not_have_is_refused_rather_than_ignored() -> None:
    with pytest.raises(SettingNotAllowed) as refused:
        entry().resolve(None, Settings(aspect_ratio="16:9"))
    assert refused.value.details == "aspect_ratio: '16:9' is not allowed; allowed: none"


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingNotAllowed) as refused:
        VEO.resolve("best", None)
    assert refused.value.details == "preset: allowed: draft, standard, high"
    with pytest.raises(SettingNotAllowed) as refused:
        entry(presets={}).resolve("draft", None)
    assert refused.value.details == "preset: allowed: none"


@pytest.mark.parametrize(
    ("model_id", "images", "missing"),
    [
        ("veo-3.1-i2v", (None, None), "image_url"),
        ("veo-3.1-transition", (None, "https://example.com/b.png"), "image_url"),
        ("veo-3.1-transition", ("https://example.com/a.png", None), "last_image_url"),
        ("sora-2-i2v", (None, None), "image_url"),
        ("gen4-turbo", (None, None), "image_url"),
    ],
)
def test_a_required_image_that_is_missing_is_named(
    model_id: str, images: tuple[str | None, str | None], missing: str
) -> None:
    with pytest.raises(ImageRequired) as refused:
        CATALOG[model_id].check_images(*images)
    assert refused.value.details == f"{missing}: required by this model"


@pytest.mark.parametrize(
    ("model_id", "images", "useless"),
    [
        ("veo-3.1", ("https://example.com/a.png", None), "image_url"),
        (
            "veo-3.1-i2v",
            ("https://example.com/a.png", "https://example.com/b.png"),
            "last_image_url",
        ),
        ("gen4.5", ("https://example.com/a.png", "https://example.com/b.png"), "last_image_url"),
        ("gen4-image", ("https://example.com/a.png", None), "image_url"),
    ],
)
def test_an_image_the_model_cannot_use_is_refused(
    model_id: str, images: tuple[str | None, str | None], useless: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG[model_id].check_images(*images)
    assert refused.value.details == f"{useless}: not used by this model"


def test_an_optional_image_may_be_there_or_not() -> None:
    model = entry(image="optional", last_image="optional")
    model.check_images(None, None)
    model.check_images("https://example.com/a.png", None)
    model.check_images("https://example.com/a.png", "https://example.com/b.png")


@pytest.mark.parametrize(
    "model",
    [
        entry(image="optional", last_image="optional"),
        CATALOG["runway-veo-3.1"],
        CATALOG["runware-veo-3.1-lite"],
    ],
    ids=lambda model: model.model_id,
)
def test_a_last_image_without_a_first_is_missing_its_first(model: Model) -> None:
    with pytest.raises(ImageRequired) as refused:
        model.check_images(None, "https://example.com/b.png")
    assert refused.value.details == "image_url: required with last_image_url"


def test_the_routes_of_a_model_keep_their_order() -> None:
    runware = {"provider": "runware", "endpoint": "google:3@2"}
    for routes in ([SMALL_AT_FAL, runware], [runware, SMALL_AT_FAL]):
        assert entry(routes=routes).routes == [Route.model_validate(route) for route in routes]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"defaults": {"resolution": "480p", "duration": 6}}, "duration 6 is not among"),
        ({"defaults": {"resolution": "480p"}}, "duration is missing"),
        ({"presets": {"high": {"resolution": "8k"}}}, "high: resolution '8k' is not among"),
        ({"presets": {"best": {}}}, "'draft', 'standard' or 'high'"),
        (
            {"allowed": {"resolution": ["480p", "720p"]}, "defaults": {"resolution": "480p"}},
            "needs allowed durations",
        ),
        (
            {
                "price": {
                    "kind": "per_second",
                    "credits_per_second": 1,
                    "resolution_percent": {"4k": 150},
                }
            },
            r"no such resolution: \['4k'\]",
        ),
        ({"last_image": "required"}, "a last image needs a first image"),
        ({"poll_seconds": []}, "at least 1 item"),
        ({"poll_seconds": [0]}, "greater than or equal to 1"),
        ({"deadline_seconds": 59}, "greater than or equal to 60"),
        ({"model_id": "Not An Id"}, "should match pattern"),
        ({"model_id": "a" * 65}, "at most 64 characters"),
        ({"deadline_seconds": 1_201, "poll_seconds": [1]}, "at most 1200 polls fit"),
        ({"deadline_seconds": 86_400, "poll_seconds": [3_600, 71]}, "at most 1200 polls fit"),
        (
            {"produces": "image", "deadline_seconds": 251, "poll_seconds": [1]},
            "at most 250 polls fit",
        ),
        ({"last_image": "optional"}, "a last image needs a first image"),
        ({"routes": []}, "at least 1 item"),
        (
            {"routes": [{"provider": str(n), "endpoint": "small"} for n in range(5)]},
            "at most 4 items",
        ),
        (
            {"routes": [SMALL_AT_FAL, {"provider": "fal", "endpoint": "fal-ai/smaller"}]},
            "routes: a provider twice",
        ),
        ({"route": SMALL_AT_FAL}, "Extra inputs are not permitted"),
        ({"max_prompt_units": 0}, "greater than or equal to 1"),
        ({"max_prompt_units": 5_001}, "less than or equal to 5000"),
        ({"produces": "sound"}, "'video' or 'image'"),
        ({"markup": 2}, "Extra inputs are not permitted"),
    ],
)
def test_a_model_that_contradicts_itself_never_enters_the_catalog(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        entry(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline_seconds": 1_200, "poll_seconds": [1]},
        {"deadline_seconds": 86_400, "poll_seconds": [1, 1, 72]},
        {"model_id": "a" * 64},
        {"routes": [{"provider": str(n), "endpoint": "small"} for n in range(4)]},
        {"max_prompt_units": 1},
        {"max_prompt_units": 5_000},
    ],
)
def test_a_model_at_the_edge_of_what_is_allowed_enters_it(changes: dict[str, Any]) -> None:
    assert entry(**changes).model_dump() == entry().model_dump() | changes


def test_all_polls_of_the_longest_job_fit_into_one_execution() -> None:
    events_of_a_turn, events_of_an_execution, events_of_the_rest = 6, 25_000, 1_000
    # Also if every turn is retried once, and both stages are made twice.
    polls = 2 * sum(kind.max_polls or 0 for kind in STAGES.values())
    assert polls * (events_of_a_turn + 2) + events_of_the_rest <= events_of_an_execution
    longest = entry(deadline_seconds=85_000, poll_seconds=[1] * 19 + [72])
    turns = len(longest.poll_seconds) + longest.deadline_seconds // longest.poll_seconds[-1]
    assert turns <= (STAGES["video"].max_polls or 0)
