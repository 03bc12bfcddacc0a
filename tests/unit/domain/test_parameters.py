"""Parameters that a model declares: what is accepted, what a form needs, what is rejected."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipmint.api.catalog_responses import CatalogEntry
from clipmint.catalog.model import Model, Settings
from clipmint.errors import SettingNotAllowed
from tests.support.kling import KLING, kling


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def test_a_request_without_settings_gets_every_default_and_no_optional_value() -> None:
    assert kling().resolve(None, None) == settings(
        resolution="1080p", aspect_ratio="16:9", duration=5, audio=True
    )


def test_a_preset_and_a_request_may_state_any_declared_parameter() -> None:
    requested = settings(negative_prompt="rain", aspect_ratio="1:1")
    assert kling().resolve("draft", requested) == settings(
        resolution="1080p", aspect_ratio="1:1", duration=3, audio=False, negative_prompt="rain"
    )


@pytest.mark.parametrize(
    ("requested", "details"),
    [
        ({"duration": 16}, "duration: 16 is not allowed; allowed: 3 to 15"),
        ({"duration": 2}, "duration: 2 is not allowed; allowed: 3 to 15"),
        ({"audio": "yes"}, "audio: 'yes' is not allowed; allowed: true, false"),
        ({"audio": 1}, "audio: 1 is not allowed; allowed: true, false"),
        (
            {"negative_prompt": ""},
            "negative_prompt: '' is not allowed; allowed: a text of 1",
        ),
        ({"negative_prompt": "x" * 501}, "allowed: a text of 1 to 500 characters"),
        ({"negative_prompt": "\x00\u200b "}, "500 characters, of which one is visible"),
        (
            {"fps": 24},
            "settings: resolution, aspect_ratio, duration, audio, negative_prompt",
        ),
    ],
)
def test_a_setting_that_is_not_allowed_is_named_with_what_is(
    requested: dict[str, Any], details: str
) -> None:
    with pytest.raises(SettingNotAllowed) as refused:
        kling().resolve(None, settings(**requested))
    assert details in (refused.value.details or "")


def test_the_values_of_a_seed_are_not_made_one_by_one() -> None:
    seed = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    model = kling(parameters={**KLING["parameters"], "seed": seed})
    assert model.values_of("seed") == range(2**31)


def test_a_null_is_not_requested() -> None:
    assert kling().resolve(None, settings(audio=None, seed=None)) == kling().resolve(None, None)


def test_no_request_states_more_settings_than_any_model_has() -> None:
    with pytest.raises(ValidationError, match="at most 40 settings"):
        settings(**{f"s{number}": number for number in range(41)})


def test_a_form_can_be_drawn_from_the_public_entry() -> None:
    entry = CatalogEntry.of(kling()).model_dump(mode="json")
    assert entry["settings_schema"] == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "resolution": {"type": "string", "enum": ["1080p"], "default": "1080p"},
            "aspect_ratio": {
                "type": "string",
                "enum": ["16:9", "9:16", "1:1"],
                "title": "Aspect ratio",
                "default": "16:9",
            },
            "duration": {"type": "integer", "minimum": 3, "maximum": 15, "default": 5},
            "audio": {"type": "boolean", "title": "Sound", "default": True},
            "negative_prompt": {
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "description": "What the video must not show",
            },
        },
    }
    assert entry["allowed"] == {
        "resolution": ["1080p"],
        "aspect_ratio": ["16:9", "9:16", "1:1"],
        "duration": [*range(3, 16)],
    }
    assert entry["defaults"] == {
        "resolution": "1080p",
        "aspect_ratio": "16:9",
        "duration": 5,
        "audio": True,
    }
    assert "routes" not in entry
    assert entry["price"]["source"] == ""


@given(
    duration=st.integers(3, 15),
    audio=st.booleans(),
    ratio=st.sampled_from(["16:9", "9:16", "1:1"]),
    image=st.booleans(),
)
def test_the_public_entry_is_enough_to_compute_the_price(
    duration: int, audio: bool, ratio: str, image: bool
) -> None:
    price = CatalogEntry.of(kling()).model_dump(mode="json")["price"]
    [rate] = [rate for rate in price["rates"] if rate["when"] == {"audio": audio}]
    ordered = settings(duration=duration, audio=audio, aspect_ratio=ratio)
    model = kling()
    assert model.credits(model.resolve(None, ordered)) == -(
        -rate["millicredits"] * duration // 1_000
    )


def changed(**parameters: Any) -> dict[str, Any]:
    return {"parameters": {**KLING["parameters"], **parameters}}


def rates(*rates_: dict[str, Any], per: str = "second") -> dict[str, Any]:
    return {"price": {"kind": "rates", "per": per, "rates": [*rates_]}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (changed(prompt={"type": "text", "max_length": 5}), "prompt: this name has another"),
        (changed(item={"type": "text", "max_length": 5}), "item: this name has another"),
        (changed(audio={"type": "text", "max_length": 5}), "audio: type: boolean"),
        (
            changed(duration={"type": "text", "max_length": 5}),
            "duration: type: choice or integer",
        ),
        (
            changed(duration={"type": "integer", "minimum": 3, "maximum": 15}),
            "duration: needs a default",
        ),
        (
            changed(duration={"type": "integer", "minimum": 0, "maximum": 15, "default": 5}),
            "must be 1 to 600 seconds",
        ),
        (
            changed(duration={"type": "choice", "choices": ["5s"], "default": "5s"}),
            "must be 1 to 600 seconds",
        ),
        (
            changed(resolution={"type": "choice", "choices": [720], "default": 720}),
            "resolution: must be texts",
        ),
        (
            changed(style={"type": "choice", "choices": ["a", "b"], "default": "c"}),
            "'c' is not allowed; allowed: a, b",
        ),
        (changed(style={"type": "choice", "choices": ["a", "a"], "default": "a"}), "twice"),
        (changed(style={"type": "choice", "choices": ["a", 1], "default": 1}), "all texts or"),
        (changed(style={"type": "choice", "choices": [], "default": "a"}), "choices"),
        (changed(seed={"type": "integer", "minimum": 2, "maximum": 1}), "greater than maximum"),
        (
            changed(seed={"type": "integer", "minimum": 1, "maximum": 2, "default": 3}),
            "3 is not allowed; allowed: 1 to 2",
        ),
        (changed(**{"no spaces": {"type": "boolean", "default": True}}), "no spaces"),
        ({"allowed": {"duration": [5]}, "defaults": {"duration": 5}}, "declared by allowed, too"),
        ({"defaults": {"audio": True}}, "audio: state it in parameters"),
        ({"presets": {"draft": {"duration": 99}}}, "duration 99 is not among [3 to 15]"),
        ({"presets": {"draft": {"fps": 24}}}, "fps 24 is not among []"),
        (rates({"millicredits": 1}, {"millicredits": 2}), "2 prices for all orders"),
        (rates({"when": {"audio": True}, "millicredits": 1}), "no prices for audio False"),
        (
            rates(
                {"when": {"audio": True}, "millicredits": 1},
                {"when": {"audio": False}, "millicredits": 1},
                {"when": {"resolution": "1080p", "audio": True}, "millicredits": 2},
            ),
            "2 prices for audio True",
        ),
        (rates({"when": {"resolution": "4k"}, "millicredits": 1}), "no such choice: '4k'"),
        (rates({"when": {"fps": 24}, "millicredits": 1}), "rates.0: fps: no such choice"),
        (rates({"when": {"duration": 5}, "millicredits": 1}), "duration: no such choice"),
        (
            rates(
                {"when": {"aspect_ratio": "16:9"}, "millicredits": 1},
                {"when": {"aspect_ratio": "9:16"}, "millicredits": 2},
                {"when": {"aspect_ratio": "1:1"}, "millicredits": 1},
            ),
            "portrait and landscape must cost the same",
        ),
    ],
)
def test_an_entry_that_makes_no_sense_is_rejected_and_the_place_named(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        kling(**changes)
    assert complaint in str(refused.value)


def test_a_price_per_second_needs_a_duration() -> None:
    parameters = {name: one for name, one in KLING["parameters"].items() if name != "duration"}
    with pytest.raises(ValidationError, match="needs a parameter duration"):
        kling(parameters=parameters, presets={}, **rates({"millicredits": 1}))
    assert (
        kling(
            parameters=parameters, presets={}, **rates({"millicredits": 1_001}, per="generation")
        ).credits(Settings())
        == 2
    )


def test_an_entry_survives_being_written_as_json() -> None:
    model = kling()
    assert Model.model_validate_json(model.model_dump_json()) == model
    # As a later version's entry is read: unknown fields are ignored, settings are not.
    assert Model.model_validate_json(model.model_dump_json(), extra="ignore") == model
