"""Tests at another date: ``CLIPMINT_TEST_DATE=2028-02-29T23:59:30Z make test``.

Every test runs as if the run had begun at that moment, for every library that reads a clock, except
in the folders of `AT_THE_REAL_DATE`. Tests there exchange messages with other processes (the stack,
an emulator, a provider's simulator or SDK). The clocks of those cannot be moved from here; they
always run at the real date. The header of a run names the date and these folders.

``python -m tests.support.shifted_date COMMIT`` prints the date at which ``.ci/run`` tests a commit.
pytest loads this module as a plugin (``tests/conftest.py``).
"""

from __future__ import annotations

import functools
import os
import random
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path, PurePath

import pytest
import time_machine

VARIABLE = "CLIPMINT_TEST_DATE"

AT_THE_REAL_DATE = (
    "tests/browser",
    "tests/contract",
    "tests/e2e",
    "tests/integration/emulator",
    "tests/integration/operations",
    "tests/integration/storage",
)
"""Folders whose tests exchange messages with other processes."""

DAYS_AHEAD = 20 * 365
"""How far ahead a date may lie; a bit less than twenty years."""

_ROOT = Path(__file__).parents[2]


def date_of(commit: str, today: date) -> datetime:
    """The date at which a commit is tested: from tomorrow to twenty years ahead, in UTC.

    The same arguments always give the same date. One commit in four gets a 29 February, one in
    four the last day of a month; the time of day is arbitrary.
    """
    chosen = random.Random(commit)
    leap_days, month_ends, days = _days_after(today)
    day = chosen.choice(chosen.choice([leap_days, month_ends, days, days]))
    return datetime.combine(day, time(), UTC) + timedelta(seconds=chosen.randrange(86_400))


@functools.cache
def _days_after(today: date) -> tuple[list[date], list[date], list[date]]:
    """Those that are a 29 February, those that end a month, and all."""
    days = [today + timedelta(days=ahead) for ahead in range(1, DAYS_AHEAD + 1)]
    month_ends = [day for day in days if (day + timedelta(days=1)).day == 1]
    return [day for day in month_ends if (day.month, day.day) == (2, 29)], month_ends, days


def asked() -> datetime | None:
    """The date in the environment, in UTC. Raises `ValueError` as `read` does."""
    text = os.environ.get(VARIABLE)
    return read(text) if text else None


def read(text: str) -> datetime:
    """A date in RFC 3339, in UTC. Raises `ValueError` for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a date needs a time zone, such as Z: {text}")
    return moment.astimezone(UTC)


def written(date_: datetime) -> str:
    """The value of the environment variable for this date."""
    return date_.isoformat().replace("+00:00", "Z")


@functools.cache
def runs_shifted(path: PurePath) -> bool:
    """Whether a test file (or a folder of them) follows the date in the environment."""
    inside = path.relative_to(_ROOT) if path.is_relative_to(_ROOT) else path
    return not any(inside.is_relative_to(real) for real in AT_THE_REAL_DATE)


# ── The plugin ───────────────────────────────────────────────────────────────────────────────────


class _Shift:
    """All clocks of this process, moved by some time while started; they go on from there."""

    def __init__(self, by: timedelta) -> None:
        self.by = by

    def start(self) -> None:
        # By a duration: with a datetime, time-machine would set the time zone of the process, too.
        self._travel = time_machine.travel(self.by)
        self._travel.start()

    def stop(self) -> None:
        # Travels end in the reverse order of their begin.
        assert len(time_machine.traveller_stack) == 1, "virtual time outlives the tests of a file"
        self._travel.stop()


_SHIFT = pytest.StashKey[_Shift]()


def pytest_configure(config: pytest.Config) -> None:
    try:
        date_ = asked()
    except ValueError as error:
        raise pytest.UsageError(f"{VARIABLE}: {error}") from None
    # pytest-xdist's controller runs no test, but starts the stack for the tests at the real date.
    distributes = config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")
    if date_ is not None and not distributes:
        config.stash[_SHIFT] = _Shift(date_ - datetime.now(UTC))
        config.stash[_SHIFT].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if (shift := config.stash.get(_SHIFT, None)) is not None:
        shift.stop()


def pytest_report_header() -> list[str]:
    if (date_ := asked()) is None:
        return []
    return [f"date: {VARIABLE}={written(date_)}; real: {', '.join(AT_THE_REAL_DATE)}"]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    with _date_of(collector):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with _date_of(item):
        return (yield)


@contextmanager
def _date_of(node: pytest.Item | pytest.Collector) -> Iterator[None]:
    with nullcontext() if runs_shifted(node.path) else at_the_real_date(node.config):
        yield


@contextmanager
def at_the_real_date(config: pytest.Config) -> Iterator[None]:
    """Run the block at the real date, for what talks to other processes."""
    shift = config.stash.get(_SHIFT, None)
    if shift is None:
        yield
        return
    shift.stop()
    try:
        yield
    finally:
        shift.start()


if __name__ == "__main__":
    print(written(date_of(sys.argv[1], datetime.now(UTC).date())))
