"""Prices are whole credits, rounded in one direction."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from clipmint.catalog.pricing import FixedPrice, PerSecondPrice, Price, credits_for
from tests.support.strategies import prices


def test_a_fixed_price_is_the_same_for_every_video() -> None:
    price = FixedPrice(credits=12)
    assert credits_for(price, resolution=None, duration_seconds=None) == 12
    assert credits_for(price, resolution="4k", duration_seconds=8) == 12


@pytest.mark.parametrize(
    ("resolution", "seconds", "expected"),
    [("720p", 4, 16), ("720p", 8, 32), ("4k", 8, 48), (None, 6, 24), ("unheard-of", 6, 24)],
)
def test_a_price_per_second_grows_with_length_and_resolution(
    resolution: str | None, seconds: int, expected: int
) -> None:
    price = PerSecondPrice(credits_per_second=4, resolution_percent={"4k": 150})
    assert credits_for(price, resolution=resolution, duration_seconds=seconds) == expected


def test_a_part_of_a_credit_is_a_whole_one() -> None:
    price = PerSecondPrice(credits_per_second=1, resolution_percent={"480p": 1, "4k": 151})
    assert credits_for(price, resolution="480p", duration_seconds=4) == 1
    assert credits_for(price, resolution="4k", duration_seconds=3) == 5


@given(
    price=prices, resolution=st.sampled_from([None, "720p", "1080p"]), seconds=st.integers(1, 600)
)
def test_a_price_is_the_exact_one_rounded_up_and_never_nothing(
    price: FixedPrice | PerSecondPrice, resolution: str | None, seconds: int
) -> None:
    charged = credits_for(price, resolution=resolution, duration_seconds=seconds)
    if isinstance(price, FixedPrice):
        exact = Fraction(price.credits)
    else:
        percent = price.resolution_percent.get(resolution or "", 100)
        exact = price.credits_per_second * seconds * Fraction(percent, 100)
    assert charged == max(1, math.ceil(exact))


def test_a_price_per_second_needs_to_know_how_many() -> None:
    with pytest.raises(ValueError, match="needs a duration"):
        credits_for(PerSecondPrice(credits_per_second=1), resolution=None, duration_seconds=None)


@pytest.mark.parametrize(
    "price",
    [
        {"kind": "fixed", "credits": 0},
        {"kind": "fixed", "credits": -3},
        {"kind": "fixed", "credits": 1.5},
        {"kind": "fixed", "credits": "3"},
        {"kind": "per_second", "credits_per_second": 4, "resolution_percent": {"4k": 0}},
        {"kind": "per_second", "credits": 4},
        {"kind": "free"},
        {"credits": 4},
    ],
)
def test_a_price_is_positive_whole_and_of_a_known_kind(price: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Price).validate_python(price)
