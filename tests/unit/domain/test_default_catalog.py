"""The catalog of a new deployment: which models, made where, from which inputs, at which price."""

from __future__ import annotations

import pytest

from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.families import FAMILIES
from clipmint.catalog.model import AllowedSettings, Model, Settings, utf16_units
from clipmint.catalog.pricing import RatePrice

CATALOG = {model.model_id: model for model in DEFAULT_CATALOG}

# What each needs, whether it is on, and where it is made, first choice first.
DEFAULTS = {
    "veo-3.1": (
        ("none", "none", True, "video"),
        ["fal fal-ai/veo3.1", "runware google:3@2"],
    ),
    "veo-3.1-i2v": (("required", "none", True, "video"), ["fal fal-ai/veo3.1/image-to-video"]),
    "veo-3.1-transition": (
        ("required", "required", True, "video"),
        ["fal fal-ai/veo3.1/first-last-frame-to-video"],
    ),
    "sora-2-i2v": (("required", "none", False, "video"), ["fal fal-ai/sora-2/image-to-video"]),
    "gen4-turbo": (("required", "none", True, "video"), ["runway image_to_video/gen4_turbo"]),
    "gen4.5": (("optional", "none", True, "video"), ["runway gen4.5"]),
    "runway-veo-3.1": (("optional", "optional", True, "video"), ["runway veo3.1"]),
    "runway-veo-3.1-fast": (("optional", "optional", True, "video"), ["runway veo3.1_fast"]),
    "gen4-image": (("none", "none", True, "image"), ["runway text_to_image/gen4_image"]),
    "runware-veo-3.1": (("optional", "optional", True, "video"), ["runware google:3@2"]),
    "runware-veo-3.1-fast": (("optional", "optional", True, "video"), ["runware google:3@3"]),
    "runware-veo-3.1-lite": (
        ("optional", "optional", True, "video"),
        ["runware google:veo@3.1-lite"],
    ),
    "runware-image": (("none", "none", True, "image"), ["runware runware:101@1"]),
    **{
        f"kling-3.0-{tier}": (
            ("optional", "optional", True, "video"),
            [
                f"fal fal-ai/kling-video/v3/{tier}/text-to-video",
                f"runway text_to_video/kling3.0_{tier}",
            ],
        )
        for tier in ("standard", "pro")
    },
    **{
        f"seedance-2.0{name}": (
            ("optional", "optional", available, "video"),
            [
                f"fal bytedance/seedance-2.0{path}/text-to-video",
                f"runway text_to_video/seedance2{model}",
            ],
        )
        for name, path, model, available in (
            ("-mini", "/mini", "_mini", True),
            ("-fast", "/fast", "_fast", False),
            ("", "", "", False),
        )
    },
}


def test_the_default_catalog_has_the_models_of_the_three_providers() -> None:
    assert [model.model_id for model in DEFAULT_CATALOG] == list(DEFAULTS)


@pytest.mark.parametrize("model", DEFAULT_CATALOG, ids=lambda model: model.model_id)
def test_a_default_model_needs_the_images_its_providers_models_need(model: Model) -> None:
    needs, routes = DEFAULTS[model.model_id]
    assert (model.image, model.last_image, model.available, model.produces) == needs
    assert [f"{route.provider} {route.endpoint}" for route in model.routes] == routes


def test_what_fals_four_models_allow_is_what_it_always_was() -> None:
    allowed = {
        model.model_id: model.allowed
        for model in DEFAULT_CATALOG
        if model.routes[0].provider == "fal" and model not in FAMILIES
    }
    assert allowed == {
        "veo-3.1": AllowedSettings(
            resolution=["720p", "1080p"], aspect_ratio=["16:9", "9:16"], duration=[4, 6, 8]
        ),
        "veo-3.1-i2v": AllowedSettings(
            resolution=["720p", "1080p"],
            aspect_ratio=["auto", "16:9", "9:16"],
            duration=[4, 6, 8],
        ),
        "veo-3.1-transition": AllowedSettings(
            resolution=["720p", "1080p", "4k"],
            aspect_ratio=["auto", "16:9", "9:16"],
            duration=[4, 6, 8],
        ),
        "sora-2-i2v": AllowedSettings(
            resolution=["auto", "720p"],
            aspect_ratio=["auto", "9:16", "16:9"],
            duration=[4, 8, 12],
        ),
    }


def test_runways_models_speak_of_a_ratio_in_pixels_and_never_of_a_resolution() -> None:
    for model in DEFAULT_CATALOG:
        if model.routes[0].provider == "runway":
            assert model.allowed.resolution == []
            for ratio in model.allowed.aspect_ratio:
                width, height = map(int, ratio.split(":"))
                assert min(width, height) >= 600, "pixels, not a proportion"


def test_a_model_that_runway_makes_takes_no_longer_prompt_than_runway_does() -> None:
    by_runway = {
        model.model_id
        for model in DEFAULT_CATALOG
        if any(route.provider == "runway" for route in model.routes)
    }
    assert {model.model_id: model.max_prompt_units for model in DEFAULT_CATALOG} == {
        model.model_id: 1_000 if model.model_id in by_runway else 5_000 for model in DEFAULT_CATALOG
    }
    assert by_runway


def test_runway_is_polled_no_more_often_than_documented() -> None:
    least_seconds = 5  # docs: more frequent polling is throttled
    for model in DEFAULT_CATALOG:
        if any(route.provider == "runway" for route in model.routes):
            assert min(model.poll_seconds) >= least_seconds
            assert max(model.poll_seconds) <= 15, "nothing but a question tells that it is done"


def test_a_default_model_has_half_an_hour() -> None:
    assert {model.deadline_seconds for model in DEFAULT_CATALOG} == {30 * 60}


@pytest.mark.parametrize(
    ("text", "units"), [("", 0), ("abc", 3), ("é", 1), ("☕", 1), ("😀", 2), ("a😀\ud83d", 4)]
)
def test_a_prompt_is_measured_as_runway_measures_it(text: str, units: int) -> None:
    assert utf16_units(text) == units


def test_sora_offers_what_is_documented_and_is_switched_off() -> None:
    sora = CATALOG["sora-2-i2v"]
    assert sora.allowed == AllowedSettings(
        resolution=["auto", "720p"], aspect_ratio=["auto", "9:16", "16:9"], duration=[4, 8, 12]
    )
    assert sora.defaults == Settings(resolution="auto", aspect_ratio="auto", duration=4)
    assert not sora.available


THREE_PRESETS = ["draft", "standard", "high"]
PRESETS = {
    "veo-3.1": THREE_PRESETS,
    "veo-3.1-i2v": THREE_PRESETS,
    "veo-3.1-transition": THREE_PRESETS,
    "sora-2-i2v": THREE_PRESETS,
    # Runway's have one price for every ratio, so nothing is "high".
    "gen4-turbo": ["draft", "standard"],
    "gen4.5": ["draft", "standard"],
    "runway-veo-3.1": ["draft", "standard"],
    "runway-veo-3.1-fast": ["draft", "standard"],
    "runware-veo-3.1": THREE_PRESETS,
    "runware-veo-3.1-fast": THREE_PRESETS,
    "runware-veo-3.1-lite": THREE_PRESETS,
    # Image models have no presets.
    "gen4-image": [],
    "runware-image": [],
    **{model.model_id: THREE_PRESETS for model in FAMILIES},
}


def test_every_default_model_has_the_presets_that_make_sense_for_it() -> None:
    assert {model.model_id: list(model.presets) for model in DEFAULT_CATALOG} == PRESETS


@pytest.mark.parametrize("model_id", [name for name, presets in PRESETS.items() if presets])
def test_presets_are_in_order_of_price(model_id: str) -> None:
    model = CATALOG[model_id]
    draft, standard, *high = (model.credits(model.resolve(name, None)) for name in model.presets)
    assert draft < standard
    assert all(standard <= price for price in high)


@pytest.mark.parametrize(
    ("model_id", "settings", "credits_"),
    [
        ("veo-3.1", Settings(resolution="720p", duration=4), 16),
        ("veo-3.1", Settings(resolution="1080p", duration=8), 32),
        ("veo-3.1-transition", Settings(resolution="4k", duration=8), 48),
        ("sora-2-i2v", Settings(), 4),
        ("sora-2-i2v", Settings(duration=12), 12),
        ("gen4-turbo", Settings(duration=10), 10),
        ("gen4.5", Settings(), 10),
        ("runway-veo-3.1", Settings(aspect_ratio="1920:1080"), 32),
        ("runway-veo-3.1-fast", Settings(duration=4), 8),
        ("gen4-image", Settings(aspect_ratio="1920:1080"), 1),
        ("runware-veo-3.1", Settings(resolution="1080p"), 32),
        ("runware-veo-3.1", Settings(resolution="4k"), 48),
        ("runware-veo-3.1-fast", Settings(duration=6), 12),
        ("runware-veo-3.1-fast", Settings(resolution="4k", duration=4), 16),
        ("runware-veo-3.1-lite", Settings(resolution="1080p"), 8),
        ("runware-image", Settings(), 1),
        ("kling-3.0-standard", Settings(), 7),
        ("kling-3.0-pro", Settings(duration=15), 26),
        ("kling-3.0-pro", Settings.model_validate({"audio": False, "aspect_ratio": "9:16"}), 6),
        ("seedance-2.0-mini", Settings(resolution="480p", duration=4), 3),
        ("seedance-2.0-mini", Settings.model_validate({"audio": False}), 8),
    ],
)
def test_the_default_prices_are_whole_credits(
    model_id: str, settings: Settings, credits_: int
) -> None:
    model = CATALOG[model_id]
    assert model.credits(model.resolve(None, settings)) == credits_


@pytest.mark.parametrize("model", DEFAULT_CATALOG, ids=lambda model: model.model_id)
def test_a_model_survives_being_written_as_json(model: Model) -> None:
    assert Model.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: model.model_id)
def test_a_price_that_was_derived_names_its_source_and_date(model: Model) -> None:
    assert isinstance(model.price, RatePrice)
    assert model.price.source
    assert model.price.as_of
    assert model.available is ("assumption" not in model.price.source)


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: model.model_id)
def test_a_family_has_two_providers_so_that_failover_is_possible(model: Model) -> None:
    assert len({route.provider for route in model.routes}) >= 2
