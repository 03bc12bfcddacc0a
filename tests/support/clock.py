"""Virtual time: the clock of this process stands still until a test moves it.

It is the clock of every library here, ours and others' (PyJWT, botocore, Powertools, moto): all of
``time`` and ``datetime`` that reads the current time, and ``time.monotonic``. Not moved are
``time.perf_counter`` (durations of tests), waits of threads, and clocks of other processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tests.support import shifted_date

_BEGAN = datetime.now(UTC).replace(microsecond=0)


def start() -> datetime:
    """Where virtual time starts, in UTC: at the date of this run, and the same moment each time."""
    return shifted_date.asked() or _BEGAN


class Clock:
    """The time of this process, moved by a test. Made by `virtual_time`."""

    def __init__(self, moment: datetime, traveller: time_machine.Traveller) -> None:
        self.moment = moment
        self._traveller = traveller
        # Whole, so that differences between whole seconds are exact.
        self._monotonic = int(time.monotonic()) - moment.timestamp()

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        return self.moment

    def seconds(self) -> float:
        """The current time in epoch seconds."""
        return self.moment.timestamp()

    def monotonic(self) -> float:
        """The value of ``time.monotonic``: seconds since an arbitrary moment."""
        return self.moment.timestamp() + self._monotonic

    def forward(self, **by: float) -> None:
        """Let so much time pass, in the arguments of `timedelta`."""
        self._shift(timedelta(**by))

    def move_to(self, moment: datetime) -> None:
        """Set the current time, forward or back."""
        self._shift(moment - self.moment)

    def to_next_hour(self) -> None:
        """Let time pass until a full hour, for what is counted by the hour."""
        hour = self.moment.replace(minute=0, second=0, microsecond=0)
        self.move_to(hour + timedelta(hours=1))

    def _shift(self, by: timedelta) -> None:
        self.moment += by
        self._traveller.shift(by)


@contextmanager
def virtual_time(moment: datetime | None = None) -> Iterator[Clock]:
    """Stop the time of this process at ``moment`` (by default `start`), and go on when left."""
    begins = moment or start()
    # A number of seconds: with a datetime, time-machine would set the time zone, too.
    traveller = time_machine.travel(int(begins.timestamp()), tick=False)
    with traveller as moved, pytest.MonkeyPatch.context() as patch:
        clock = Clock(begins.replace(microsecond=0), moved)
        clock.move_to(begins)
        patch.setattr(time, "monotonic", clock.monotonic)
        yield clock


@pytest.fixture
def hand_moved_clock() -> Iterator[Clock]:
    """A clock that stands still until it is moved."""
    with virtual_time() as clock:
        yield clock
