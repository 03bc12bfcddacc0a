"""Prices are whole credits, rounded in one direction."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clipmint.catalog.pricing import (
    FixedPrice,
    FreePrice,
    PerSecondPrice,
    Price,
    Rate,
    RatePrice,
    affected_by,
    credits_for,
    public_price,
)
from clipmint.catalog.templates import Value
from tests.support.strategies import prices


def stated(resolution: str | None, seconds: int) -> dict[str, Value]:
    settings: dict[str, Value] = {"duration": seconds}
    return settings if resolution is None else {**settings, "resolution": resolution}


def test_a_fixed_price_is_the_same_for_every_video() -> None:
    price = FixedPrice(credits=12)
    assert credits_for(price, {}) == 12
    assert credits_for(price, stated("4k", 8)) == 12


@pytest.mark.parametrize(
    ("resolution", "seconds", "expected"),
    [("720p", 4, 16), ("720p", 8, 32), ("4k", 8, 48), (None, 6, 24), ("unheard-of", 6, 24)],
)
def test_a_price_per_second_grows_with_length_and_resolution(
    resolution: str | None, seconds: int, expected: int
) -> None:
    price = PerSecondPrice(credits_per_second=4, resolution_percent={"4k": 150})
    assert credits_for(price, stated(resolution, seconds)) == expected


def test_a_part_of_a_credit_is_a_whole_one() -> None:
    price = PerSecondPrice(credits_per_second=1, resolution_percent={"480p": 1, "4k": 151})
    assert credits_for(price, stated("480p", 4)) == 1
    assert credits_for(price, stated("4k", 3)) == 5


@given(
    price=prices, resolution=st.sampled_from([None, "720p", "1080p"]), seconds=st.integers(1, 600)
)
def test_a_price_is_the_exact_one_rounded_up_and_never_nothing(
    price: FixedPrice | PerSecondPrice, resolution: str | None, seconds: int
) -> None:
    charged = credits_for(price, stated(resolution, seconds))
    if isinstance(price, FixedPrice):
        exact = Fraction(price.credits)
    else:
        percent = price.resolution_percent.get(resolution or "", 100)
        exact = price.credits_per_second * seconds * Fraction(percent, 100)
    assert charged == max(1, math.ceil(exact))


def test_a_price_per_second_needs_to_know_how_many() -> None:
    with pytest.raises(ValueError, match="needs a duration"):
        credits_for(PerSecondPrice(credits_per_second=1), {})


@pytest.mark.parametrize(
    "price",
    [
        {"kind": "fixed", "credits": 0},
        {"kind": "fixed", "credits": -3},
        {"kind": "fixed", "credits": 1.5},
        {"kind": "fixed", "credits": "3"},
        {"kind": "per_second", "credits_per_second": 4, "resolution_percent": {"4k": 0}},
        {"kind": "per_second", "credits": 4},
        {"kind": "gratis"},
        {"kind": "free", "credits": 1},
        {"kind": "rates", "per": "minute", "rates": [{"millicredits": 1}]},
        {"kind": "rates", "per": "second", "rates": []},
        {"kind": "rates", "per": "second", "rates": [{"millicredits": 0}]},
        {"kind": "rates", "per": "second", "rates": [{"millicredits": 1.5}]},
        {"credits": 4},
    ],
)
def test_a_price_is_positive_whole_and_of_a_known_kind(price: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Price).validate_python(price)


# ── Rates ────────────────────────────────────────────────────────────────────────────────────────

KLING = RatePrice(
    per="second",
    rates=[
        Rate(when={"resolution": "720p", "audio": False}, millicredits=840),
        Rate(when={"resolution": "720p", "audio": True}, millicredits=1_260),
        Rate(when={"resolution": "1080p", "audio": False}, millicredits=1_120),
        Rate(when={"resolution": "1080p", "audio": True}, millicredits=1_680),
    ],
)


@pytest.mark.parametrize(
    ("resolution", "audio", "seconds", "expected"),
    [("720p", False, 5, 5), ("720p", True, 5, 7), ("1080p", False, 3, 4), ("1080p", True, 15, 26)],
)
def test_a_rate_depends_on_the_users_choices_and_is_rounded_up_once(
    resolution: str, audio: bool, seconds: int, expected: int
) -> None:
    settings: dict[str, Value] = {"resolution": resolution, "audio": audio, "duration": seconds}
    assert credits_for(KLING, settings) == expected


@given(millicredits=st.integers(1, 1_000_000), seconds=st.integers(1, 600))
def test_a_rate_is_the_exact_price_rounded_up_and_at_least_one_credit(
    millicredits: int, seconds: int
) -> None:
    price = RatePrice(per="second", rates=[Rate(millicredits=millicredits)])
    charged = credits_for(price, {"duration": seconds})
    assert charged == max(1, math.ceil(Fraction(millicredits * seconds, 1_000)))
    once = RatePrice(per="generation", rates=[Rate(millicredits=millicredits)])
    assert credits_for(once, {"duration": seconds}) == max(1, -(-millicredits // 1_000))


def test_only_a_price_of_that_kind_is_free() -> None:
    assert credits_for(FreePrice(), {"duration": 8}) == 0
    assert affected_by(FreePrice()) == set()
    assert affected_by(KLING) == {"resolution", "audio", "duration"}


def test_users_do_not_see_what_a_price_was_derived_from() -> None:
    price = KLING.model_copy(update={"source": "fal's list", "as_of": "2026-11-29"})
    assert public_price(price) == KLING
