"""The catalog of a new deployment: which models, made where, from which inputs, at which price."""

from __future__ import annotations

import itertools

import pytest

from clipmint.api.catalog_responses import CatalogEntry
from clipmint.catalog import templates
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.families import FAMILIES
from clipmint.catalog.known_endpoints import complete
from clipmint.catalog.known_list_prices import KNOWN
from clipmint.catalog.model import AllowedSettings, Model, Settings, utf16_units
from clipmint.catalog.pricing import RatePrice
from clipmint.catalog.route import Kind
from clipmint.catalog.templates import render

FRAME = "https://images.example/frame.png"
IMAGES_OF: dict[Kind, tuple[str, ...]] = {
    "text": (),
    "image": (FRAME,),
    "frames": (FRAME, FRAME),
}

CATALOG = {model.model_id: model for model in DEFAULT_CATALOG}

# What each needs, whether it is on, and where it is made, first choice first.
DEFAULTS: dict[str, tuple[tuple[str, str, bool, str], list[str]]] = {
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
}

# Of the families: the frames they take, whether they are on, and their routes.
BOTH, FIRST = ("optional", "optional"), ("optional", "none")
FAMILY_ROUTES: dict[str, tuple[tuple[str, str], bool, list[str]]] = {
    "kling-3.0-standard": (
        BOTH,
        True,
        [
            "fal fal-ai/kling-video/v3/standard/text-to-video",
            "runway text_to_video/kling3.0_standard",
            "runware klingai:kling-video@3-standard",
        ],
    ),
    "kling-3.0-pro": (
        BOTH,
        True,
        [
            "fal fal-ai/kling-video/v3/pro/text-to-video",
            "runway text_to_video/kling3.0_pro",
            "runware klingai:kling-video@3-pro",
        ],
    ),
    "kling-3.0-4k": (
        BOTH,
        False,
        ["runway text_to_video/kling3.0_4k", "runware klingai:kling-video@3-4k"],
    ),
    "kling-o3-standard": (
        BOTH,
        False,
        [
            "fal fal-ai/kling-video/o3/standard/text-to-video",
            "runway text_to_video/klingO3_standard",
            "runware klingai:kling-video@o3-standard",
        ],
    ),
    "kling-o3-pro": (
        BOTH,
        False,
        [
            "fal fal-ai/kling-video/o3/pro/text-to-video",
            "runway text_to_video/klingO3_pro",
            "runware klingai:kling-video@o3-pro",
        ],
    ),
    "kling-4.0": (BOTH, False, ["fal kling/v4/text-to-video", "runway text_to_video/kling_4"]),
    **{
        f"seedance-2.0{name}": (
            BOTH,
            name == "-mini",
            [
                f"fal bytedance/seedance-2.0{name.replace('-', '/')}/text-to-video",
                f"runway text_to_video/seedance2{name.replace('-', '_')}",
                f"runware bytedance:seedance@2.0{name}",
            ],
        )
        for name in ("-mini", "-fast", "")
    },
    "seedance-2.5": (
        BOTH,
        False,
        [
            "fal bytedance/seedance-2.5/text-to-video",
            "runway text_to_video/seedance2_5",
            "runware bytedance:seedance@2.5",
        ],
    ),
    "h3-max": (
        BOTH,
        True,
        ["fal minimax/h3-max/text-to-video", "runway text_to_video/h3_max"],
    ),
    "hailuo-3": (
        BOTH,
        False,
        ["fal minimax/h3/text-to-video", "runway text_to_video/hailuo3", "runware minimax:h3@0"],
    ),
    "wan-3.0": (
        BOTH,
        False,
        [
            "fal alibaba/wan-3.0/text-to-video",
            "runway text_to_video/wan3",
            "runware alibaba:wan@3.0",
        ],
    ),
    "wan-3.0-prime": (
        BOTH,
        False,
        ["runway text_to_video/wan3_prime", "runware alibaba:wan@3.0-prime"],
    ),
    "happyhorse-1.0": (
        FIRST,
        False,
        ["runway text_to_video/happyhorse_1_0", "runware alibaba:happyhorse@1.0"],
    ),
    "gemini-omni-flash-1.1": (
        BOTH,
        False,
        [
            "fal google/gemini-omni-flash/v1.1/text-to-video",
            "runway text_to_video/gemini_omni_flash_1.1",
            "runware google:gemini@omni-flash-1.1",
        ],
    ),
    "grok-imagine-1.5-lite": (
        FIRST,
        False,
        ["runway text_to_video/grok_imagine_1_5_lite", "runware xai:grok-imagine@video-1.5-lite"],
    ),
    "veo-3.1-full": (
        BOTH,
        True,
        ["fal fal-ai/veo3.1", "runway text_to_video/veo3.1", "runware google:3@2"],
    ),
    "veo-3.1-fast": (
        BOTH,
        True,
        ["fal fal-ai/veo3.1/fast", "runway text_to_video/veo3.1_fast", "runware google:3@3"],
    ),
    "veo-3.1-lite": (BOTH, True, ["fal fal-ai/veo3.1/lite", "runware google:veo@3.1-lite"]),
    "gen4.5-720p": (FIRST, True, ["runway text_to_video/gen4.5", "runware runway:1@2"]),
    "pixverse-v6": (
        BOTH,
        False,
        ["fal fal-ai/pixverse/v6/text-to-video", "runware pixverse:1@8"],
    ),
    "ltx-2.3": (BOTH, False, ["fal fal-ai/ltx-2.3/text-to-video", "runware lightricks:ltx@2.3"]),
}
DEFAULTS |= {
    model_id: ((*images, available, "video"), routes)
    for model_id, (images, available, routes) in FAMILY_ROUTES.items()
}


def test_the_default_catalog_has_the_models_of_the_three_providers() -> None:
    assert [model.model_id for model in DEFAULT_CATALOG] == list(DEFAULTS)


@pytest.mark.parametrize("model", DEFAULT_CATALOG, ids=lambda model: model.model_id)
def test_a_default_model_needs_the_images_its_providers_models_need(model: Model) -> None:
    needs, routes = DEFAULTS[model.model_id]
    assert (model.image, model.last_image, model.available, model.produces) == needs
    assert [f"{route.provider} {route.endpoint}" for route in model.routes] == routes


def test_fals_four_models_still_allow_the_same_settings() -> None:
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
        model.model_id: 1_000 if model.model_id in by_runway or model in FAMILIES else 5_000
        for model in DEFAULT_CATALOG
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


def test_the_catalog_is_small_enough_to_be_read_and_shown_at_once() -> None:
    # A scan of DynamoDB reads up to 1 MB at once, and a response of Lambda may have 6 MB.
    assert sum(len(model.model_dump_json()) for model in DEFAULT_CATALOG) < 200_000
    shown = [CatalogEntry.of(model).model_dump_json() for model in DEFAULT_CATALOG]
    assert sum(map(len, shown)) < 100_000


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: model.model_id)
def test_a_price_that_was_derived_names_its_source_and_date(model: Model) -> None:
    assert isinstance(model.price, RatePrice)
    assert model.price.source
    assert model.price.as_of
    assert model.available is ("assumption" not in model.price.source)


@pytest.mark.parametrize("model", DEFAULT_CATALOG, ids=lambda model: model.model_id)
def test_no_default_model_is_sold_below_the_list_price_of_a_route(model: Model) -> None:
    # A credit is 0.10 USD.
    for route, kind in itertools.product(model.routes, model.kinds()):
        kept = route.only(kind)
        listed = kept.list_price or KNOWN.get((kept.provider, kept.endpoint))
        for settings in (model.resolve(preset, None) for preset in (None, *model.presets)):
            cost = listed.cost(settings.stated()) if listed else None
            if cost and cost.usd is not None:
                assert model.credits(settings) >= round(cost.usd * 10, 6), route.provider
                if model in FAMILIES:
                    assert model.credits(settings) - cost.usd * 10 < 1, "rounded up once"


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: model.model_id)
def test_a_family_has_two_providers_so_that_failover_is_possible(model: Model) -> None:
    assert len({route.provider for route in model.routes}) >= 2


@pytest.mark.parametrize("model", DEFAULT_CATALOG, ids=lambda model: model.model_id)
def test_what_a_job_keeps_of_its_routes_makes_the_same_request_and_list_price(model: Model) -> None:
    for route, kind in itertools.product(model.routes, model.kinds()):
        whole = complete(route).only(kind)
        images = dict(zip(templates.IMAGES, IMAGES_OF[kind], strict=False))
        for preset in (None, *model.presets):
            settings = model.resolve(preset, None).stated()
            kept = whole.for_settings(settings)
            inputs = {**settings, **images, "prompt": "a fox"}
            bodies = [render(one.body or {}, inputs, one.ignores) for one in (whole, kept)]
            assert bodies[0] == bodies[1]
            prices = [one.list_price and one.list_price.cost(settings) for one in (whole, kept)]
            assert prices[0] == prices[1]
            assert len(kept.model_dump_json()) <= len(whole.model_dump_json())
