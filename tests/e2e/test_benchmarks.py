"""Every part of `make bench` still runs, and what it counts is what it counted.

No time is looked at: these runs are too short to mean anything, and the computer may be busy.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.results import Figure

pytestmark = pytest.mark.slow

COUNTED = {
    "ledger": {
        "4 users, 2 workers: refused transactions": 0,
        "4 users, 2 workers: told to ask again": 0,
    },
    "scale": {
        "1 job: AWS calls of each": 21,
        "1 job: writes of each": 9,
        "1 job: state transitions of each": 5,
        "3 jobs of 1 user: state transitions of each": 5,
        "1 job: AWS calls of a sweep": 2,
        "3 jobs of 1 user: AWS calls of a sweep": 2,
    },
    "clips": {
        "2 clips, state transitions of each": 5,
        "2 clips, submissions paid": 2,
        "2 clips, credits held after the last": 0,
    },
}
"""By part, the figures that are the same in every run."""


@pytest.mark.parametrize("part", bench.parts())
def test_a_part_runs_and_counts_what_it_counted(part: str) -> None:
    figures: list[Figure] = importlib.import_module(f"benchmarks.{part}").measure(quick=True)
    named = {figure.name: figure.value for figure in figures}
    assert len(named) == len(figures) > 0
    assert all(math.isfinite(value) and value >= 0 for value in named.values())
    counted = COUNTED.get(part, {})
    assert {name: named.get(name) for name in counted} == counted


def test_every_module_that_measures_is_a_part() -> None:
    beside = Path(bench.__file__).parent.glob("*.py")
    assert sorted(bench.parts()) == sorted(
        path.stem for path in beside if "def measure(quick: bool)" in path.read_text("utf-8")
    )
