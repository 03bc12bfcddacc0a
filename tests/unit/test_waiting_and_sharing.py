"""How tests wait for progress, and how test processes share a stack."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest

from tests.support.progress import until_idle
from tests.support.shared_stack import alone

LONG = 30.0


def test_it_waits_longer_than_the_idle_time_while_there_is_progress() -> None:
    began, steps = time.monotonic(), itertools.count()

    def ended() -> bool:
        return time.monotonic() - began > 1.5

    assert until_idle(ended, lambda: next(steps), every=0.01, look=0.05, idle_seconds=1.0)


def test_it_fails_when_nothing_changes() -> None:
    with pytest.raises(TimeoutError, match="no progress"):
        until_idle(lambda: False, lambda: "the same", every=0.01, look=0.05, idle_seconds=0.2)


def test_of_two_that_are_alone_the_second_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with alone(tmp_path):
            order.append("second")

    with alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(LONG)
        time.sleep(0.2)
        order.append("first ends")
    thread.join(LONG)
    assert order == ["first ends", "second"]
