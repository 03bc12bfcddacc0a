"""What providers bill: amounts, list prices, and each generation of a job once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from clipmint.catalog.costs import Cost, cost, reported
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.known_list_prices import KNOWN
from clipmint.catalog.list_prices import ListPrice
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.route import Route
from clipmint.jobs import provider_costs
from clipmint.jobs.job import Earlier, ImageOrder, Job, Orphan, Stage
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from tests.support.jobs import LISTED, new_job

URL = "https://v3.fal.media/files/b/video.mp4"
PAID = Cost(480_000, "USD", "reported", 480_000)
DECLINED = FailureCode.CONTENT_POLICY


@pytest.mark.parametrize(
    ("amount", "micros"),
    [(48, 48_000_000), (0, 0), (1.6, 1_600_000), (0.0038, 3_800), (0.1 + 0.2, 300_000)],
)
def test_an_amount_is_kept_in_millionths_of_its_unit(amount: float, micros: int) -> None:
    assert reported(amount, "USD") == Cost(micros, "USD", "reported", micros)


@pytest.mark.parametrize("amount", [None, True, "48", -1, float("nan"), float("inf"), 1e12, [1]])
def test_what_is_no_amount_is_no_cost(amount: object) -> None:
    assert reported(amount, "USD") is None


def test_another_unit_is_converted_only_at_a_stated_rate() -> None:
    assert reported(48, "provider_credit", 10_000) == Cost(
        48_000_000, "provider_credit", "reported", 480_000
    )
    unknown = reported(48, "provider_credit")
    assert unknown == Cost(48_000_000, "provider_credit", "reported", None)
    assert unknown.usd is None


def price(**members: Any) -> ListPrice:
    given = {"unit": "USD", "per": "second", "rates": [{"micros": 84_000}]}
    return ListPrice.model_validate(given | members)


def test_a_list_price_depends_on_seconds_and_choices() -> None:
    by_sound = price(
        rates=[
            {"when": {"audio": False}, "micros": 84_000},
            {"when": {"audio": True}, "micros": 126_000},
        ]
    )
    assert by_sound.cost({"duration": 5, "audio": True}) == cost(630_000, "USD", "list")
    assert by_sound.cost({"duration": 5}) is None
    assert by_sound.cost({"audio": True}) is None
    assert price(per="generation").cost({}) == cost(84_000, "USD", "list")
    own_unit = price(unit="token", unit_usd_micros=1_000, per="generation")
    assert own_unit.cost({}) == Cost(84_000, "token", "list", 84)


@pytest.mark.parametrize(
    "members",
    [{"unit_usd_micros": 1}, {"rates": []}, {"rates": [{"micros": -1}]}, {"as_of": "today"}],
)
def test_a_list_price_that_makes_no_sense_is_rejected(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        price(**members)


def test_every_endpoint_with_a_known_list_price_has_one_for_the_defaults_of_its_models() -> None:
    """A rate that names another setting than the model has would never apply."""
    missing = {
        (model.model_id, route.provider)
        for model in DEFAULT_CATALOG
        for route in model.routes
        for kind in model.kinds()
        for part in [route.only(kind)]
        if (known := KNOWN.get((part.provider, part.endpoint)))
        and known.cost(model.default_settings().stated()) is None
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("list_price", "problem"),
    [
        (
            {"unit": "USD", "per": "second", "rates": [{"micros": 1}]},
            "routes.0.list_price: a price per second needs a parameter duration",
        ),
        (
            {"unit": "USD", "per": "generation", "rates": [{"when": {"size": "L"}, "micros": 1}]},
            "routes.0.list_price: rates.0: size: no such choice: 'L'",
        ),
        (
            {"unit": "USD", "per": "generation", "rates": [{"micros": 1}, {"micros": 2}]},
            "routes.0.list_price: 2 prices for all orders",
        ),
    ],
)
def test_a_list_price_that_does_not_fit_its_model_is_rejected(
    list_price: dict[str, Any], problem: str
) -> None:
    entry = {
        "model_id": "a-model",
        "name": "A model",
        "price": {"kind": "fixed", "credits": 1},
        "routes": [{"provider": "fal", "endpoint": "x/y", "body": {}, "list_price": list_price}],
    }
    with pytest.raises(ValidationError) as raised:
        Model.model_validate(entry)
    assert raised.value.errors()[0]["msg"] == f"Value error, {problem}"


def test_a_job_keeps_the_list_price_of_its_route_without_the_notes() -> None:
    noted = price(per="generation", source="a page", as_of="2026-11-20")
    given = {"provider": "fal", "endpoint": "x/y", "body": {}}
    plain = Route.model_validate(given | {"list_price": noted})
    cased = Route.model_validate(given | {"list_price": noted, "cases": {"text": {}}})
    for route in (plain, cased):
        kept = route.only("text").list_price
        assert kept == price(per="generation")
        assert "source" not in kept.model_dump()


def test_a_job_keeps_the_rate_of_its_settings() -> None:
    whole = price(rates=[{"when": {"audio": on}, "micros": 1 + on} for on in (True, False)])
    settings = {"audio": True, "duration": 4}
    kept = whole.for_settings(settings)
    assert kept.model_dump()["rates"] == [{"micros": 2}]
    assert kept.cost(settings) == whole.cost(settings) is not None
    assert whole.for_settings({"duration": 4}) == whole, "no rate applies"


def one_stage(stage: Stage, **changes: Any) -> Job:
    return new_job(stages=(stage,), **changes)


VIDEO_STAGE = new_job().stages[0]


def test_the_list_price_fills_in_what_the_provider_does_not_report() -> None:
    job = new_job()

    def filled(outcome: Any) -> Any:
        return provider_costs.with_list_price(outcome, job, job.stages[0])

    assert filled(Succeeded(URL)) == Succeeded(URL, LISTED)
    assert filled(Succeeded(URL, PAID)) == Succeeded(URL, PAID)
    assert filled(Failed(DECLINED)) == Failed(DECLINED, cost=LISTED)
    assert filled(Failed(DECLINED, cost=PAID)) == Failed(DECLINED, cost=PAID)
    # A provider's own errors, and what it never took, are not billed.
    for code in FailureCode:
        if code not in provider_costs.MAY_BE_BILLED:
            assert filled(Failed(code)) == Failed(code)


def test_a_route_with_a_list_price_of_its_own_uses_that() -> None:
    own = price(rates=[{"micros": 1_000}])
    route = Route(provider="fal", endpoint="x/y", body={}, list_price=own)
    stage = replace(VIDEO_STAGE, routes=(route,), endpoint="x/y")
    assert provider_costs.list_price(one_stage(stage), stage) == cost(8_000, "USD", "list")
    stage = replace(stage, routes=(Route(provider="fal", endpoint="x/y", body={}),))
    assert provider_costs.list_price(one_stage(stage), stage) is None


@pytest.mark.parametrize(
    ("ratio", "settings", "credits_"),
    [("1280:720", None, 5), ("1920:1080", None, 8), (None, {"aspect_ratio": "960:720"}, 5)],
)
def test_an_image_has_the_list_price_of_its_own_settings(
    ratio: str | None, settings: dict[str, Any] | None, credits_: int
) -> None:
    stage = replace(
        VIDEO_STAGE,
        name="image",
        provider="runway",
        endpoint="text_to_image/gen4_image",
        image_order=ImageOrder("gen4-image", "a kettle", ratio),
        settings=Settings.model_validate(settings) if settings else None,
    )
    found = provider_costs.list_price(one_stage(stage), stage)
    assert found == Cost(credits_ * 1_000_000, "provider_credit", "list", credits_ * 10_000)


def test_each_generation_of_a_job_is_billed_once() -> None:
    first = Earlier("runway", "task-1", "id-1", Failed(DECLINED, cost=PAID), None)
    stage = replace(VIDEO_STAGE, earlier=(first,), outcome=Succeeded(URL, LISTED))
    orphan = Orphan("video", "fal", "x/y", "id-3", 4, datetime(2026, 11, 20, tzinfo=UTC), PAID)
    job = one_stage(stage, orphans=(orphan, replace(orphan, request_id="id-4", cost=None)))
    found = [
        (one.use, one.provider, one.request_id, one.cost) for one in provider_costs.billed(job)
    ]
    assert found == [
        ("earlier", "runway", "id-1", PAID),
        ("used", "fal", None, LISTED),
        ("orphan", "fal", "id-3", PAID),
        ("orphan", "fal", "id-4", None),
    ]
    assert provider_costs.usd_micros(job) == 480_000 + 3_200_000 + 480_000
    assert [*provider_costs.billed(new_job())] == []


def test_a_billed_failure_is_news_unless_a_cost_is_recorded() -> None:
    billed, given_up = Failed(DECLINED, cost=PAID), Failed(FailureCode.DEADLINE_EXCEEDED)
    assert provider_costs.is_news(billed, given_up)
    assert provider_costs.is_news(billed, None)
    assert not provider_costs.is_news(billed, billed)
    free = Failed(DECLINED, cost=replace(PAID, micros=0))
    supposed = Failed(DECLINED, cost=LISTED)
    for outcome in (Failed(DECLINED), free, supposed, Running(), Succeeded(URL, PAID)):
        assert not provider_costs.is_news(outcome, given_up)
