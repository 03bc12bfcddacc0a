"""Estimates of how long generations take, and the polls that follow from them."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.catalog import durations
from clipmint.catalog.durations import POLL_EVERY, Estimate, intervals

FIXED = (15, 10, 10, 15)
"""The intervals of models that are polled."""


def polls(waits: tuple[int, ...]) -> itertools.accumulate[int]:
    return itertools.accumulate(itertools.chain(waits, itertools.repeat(waits[-1])))


def found_by(waits: tuple[int, ...], seconds: float) -> tuple[int, float, float]:
    """The number of polls, and between which moments a generation of so many seconds ended."""
    before = 0
    for number, moment in enumerate(polls(waits), start=1):
        if moment >= seconds:
            return number, before, moment
        before = moment
    raise AssertionError


def history(length: Callable[[], float], jobs: int) -> list[tuple[int, int, float]]:
    """For each of these jobs: its polls, those of the fixed intervals, and the seconds added."""
    estimate: Estimate | None = None
    seen = []
    for _ in range(jobs):
        seconds = length()
        number, earliest, latest = found_by(intervals(FIXED, estimate), seconds)
        seen.append((number, found_by(FIXED, seconds)[0], latest - seconds))
        if estimate is None:
            estimate = durations.first(earliest, latest)
        else:
            estimate = estimate.after(earliest, latest)
    return seen


def test_the_median_added_time_is_three_seconds_with_no_more_polls_than_fixed_intervals() -> None:
    """For models of different speeds, whose generations differ by 0, 5 or 15 percent."""
    jobs = []
    for seconds, spread in itertools.product([31.7, 44.2, 58, 90, 171, 240, 400], [0, 0.05, 0.15]):
        draw = random.Random(f"{seconds} {spread}")
        own = history(lambda: max(1.0, draw.gauss(seconds, seconds * spread)), 120)[20:]  # noqa: B023
        assert statistics.median(added for _, _, added in own) <= 4
        assert sum(adaptive for adaptive, _, _ in own) <= sum(fixed for _, fixed, _ in own)
        jobs += own
    assert statistics.median(added for _, _, added in jobs) <= 3


def test_an_estimate_follows_a_model_that_becomes_faster_or_slower() -> None:
    lengths = iter([40.0] * 30 + [20.0] * 60 + [60.0] * 60)
    jobs = history(lambda: next(lengths), 150)
    for settled in (jobs[20:30], jobs[70:90], jobs[130:150]):
        assert statistics.median(added for _, _, added in settled) <= 3


@given(
    st.floats(0.5, 5_000),
    st.floats(0, 2_000),
    st.lists(st.integers(5, 170), min_size=1, max_size=5),
)
def test_polls_never_come_too_soon_or_stop(
    seconds: float, deviation: float, own: list[int]
) -> None:
    waits = intervals(own, Estimate(seconds, deviation))
    assert min(waits) >= min(POLL_EVERY, own[-1])
    assert waits[0] <= durations.LONGEST_FIRST_WAIT
    assert waits[-1] == own[-1]
    assert len(waits) <= 75


def test_without_an_estimate_the_intervals_are_the_models_own() -> None:
    assert intervals(FIXED, None) == FIXED


def test_a_model_that_waits_for_its_webhook_is_not_polled_earlier() -> None:
    assert intervals((180, 30), Estimate(20, 1)) == (180, 30)


def test_a_stated_estimate_is_polled_for_a_little_earlier() -> None:
    assert intervals(FIXED, Estimate.stated(40))[:3] == (32, 5, 5)


def test_estimates_are_kept_as_text_the_newest_last() -> None:
    text = None
    for number in range(durations.MOST_ESTIMATES + 2):
        text = durations.write(durations.read(text), f"key {number}", Estimate(number, 0.5))
    text = durations.write(durations.read(text), "key 2", Estimate(7, 1))
    found = durations.read(text)
    assert len(found) == durations.MOST_ESTIMATES
    assert next(iter(found)) == "key 3"
    assert [*found.items()][-1] == ("key 2", Estimate(7, 1))


@pytest.mark.parametrize("text", [None, "", "[", "[]", '{"a": 1}', '{"a": ["x", 1]}'])
def test_what_is_no_estimate_is_none(text: str | None) -> None:
    assert durations.read(text) == {}


def test_settings_that_matter_have_estimates_of_their_own() -> None:
    def key(**settings: int | str | bool) -> str:
        return durations.key_of("a-model", "a-provider", settings)

    assert len({key(duration=5), key(duration=8), key(duration=5, audio=True), key()}) == 4
    assert key(duration=5, seed=1) == key(duration=5, seed=2)
