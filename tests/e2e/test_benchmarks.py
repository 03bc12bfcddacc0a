"""The ledger's part of `make bench` still runs, and its counts have not changed.

No time is checked: these runs are too short to mean anything, and the computer may be busy.
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
        "4 users, 2 workers: rejected with 503": 0,
    },
}
"""By part, the numbers that are the same in every run. The other parts take minutes even in quick
mode; `make bench` itself runs them.
"""


@pytest.mark.parametrize("part", COUNTED)
def test_a_part_runs_and_counts_what_it_counted(part: str) -> None:
    figures: list[Figure] = importlib.import_module(f"benchmarks.{part}").measure(quick=True)
    named = {figure.name: figure.value for figure in figures}
    assert len(named) == len(figures) > 0
    assert all(math.isfinite(value) and value >= 0 for value in named.values())
    assert {name: named.get(name) for name in COUNTED[part]} == COUNTED[part]


def test_every_module_that_measures_is_a_part() -> None:
    beside = Path(bench.__file__).parent.glob("*.py")
    assert sorted(bench.parts()) == sorted(
        path.stem for path in beside if "def measure(quick: bool)" in path.read_text("utf-8")
    )
