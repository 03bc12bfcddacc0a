"""Percentiles of a histogram are at most 5 % off, and what is missing is not invented."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.api.usage_responses import UsageFigures
from clipmint.usage.figures import ERROR, Figures, bucket_of
from tests.support.usage import ROUNDING, TOLERANCE

SECONDS = st.floats(1, 172_800)


def exact(seconds: list[float], percent: int) -> float:
    return sorted(seconds)[math.ceil(len(seconds) * percent / 100) - 1]


@given(st.lists(SECONDS, min_size=1, max_size=60), st.sampled_from([1, 50, 95, 100]))
def test_a_percentile_differs_from_the_exact_one_by_less_than_five_percent(
    seconds: list[float], percent: int
) -> None:
    figures = Figures()
    for one in seconds:
        figures.add({bucket_of(one): 1})
    found = figures.percentile(percent)
    assert found is not None
    # The logarithm of a bound of a bucket may be rounded into the bucket beside it.
    assert abs(found / exact(seconds, percent) - 1) <= ERROR + 1e-9
    assert ERROR < 0.05


def test_a_percentile_of_the_api_is_as_exact_as_the_recount_of_the_tests_expects() -> None:
    for milliseconds in range(1000, 30_000, 3):
        figures = Figures()
        figures.add({"completed": 1, bucket_of(milliseconds / 1000): 1})
        found = UsageFigures.of(figures, None).p95_seconds
        assert found is not None
        off = abs(found - milliseconds / 1000)
        assert off <= TOLERANCE * milliseconds / 1000 + ROUNDING, milliseconds


@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0])
def test_less_than_a_second_counts_as_one(seconds: float) -> None:
    assert bucket_of(seconds) == "s0"


def test_no_duration_is_too_long_for_a_bucket() -> None:
    assert bucket_of(1e12) == bucket_of(1e9) == "s160"


def test_without_jobs_there_is_no_rate_and_no_percentile() -> None:
    figures = Figures()
    figures.add({"cancelled": 2, "orphans": 1, "a counter of a newer version": 4})
    assert (figures.ended, figures.orphans) == (2, 1)
    assert figures.success_rate is None
    assert figures.percentile(50) is None
