"""How tests wait for progress, and how test processes share a stack."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest

from tests.support.progress import until_idle
from tests.support.shared_stack import beside_others

LONG = 30.0


def test_it_waits_longer_than_the_idle_time_while_there_is_progress() -> None:
    began, steps = time.monotonic(), itertools.count()

    def ended() -> bool:
        return time.monotonic() - began > 1.5

    assert until_idle(ended, lambda: next(steps), every=0.01, look=0.05, idle_seconds=1.0)


def test_it_fails_when_nothing_changes() -> None:
    with pytest.raises(TimeoutError, match="no progress"):
        until_idle(lambda: False, lambda: "the same", every=0.01, look=0.05, idle_seconds=0.2)


def test_a_process_that_is_alone_waits_for_the_others_and_keeps_new_ones_out(
    tmp_path: Path,
) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def alone() -> None:
        waiting.set()
        with beside_others(tmp_path, alone=True):
            order.append("alone begins")
            time.sleep(0.1)
            order.append("alone ends")

    def late() -> None:
        with beside_others(tmp_path, alone=False):
            order.append("late")

    with beside_others(tmp_path, alone=False), beside_others(tmp_path, alone=False):
        one = threading.Thread(target=alone)
        one.start()
        assert waiting.wait(LONG)
        time.sleep(0.2)  # until it has the lock of the entrance
        other = threading.Thread(target=late)
        other.start()
        time.sleep(0.2)
        order.append("others leave")
    one.join(LONG)
    other.join(LONG)
    assert order == ["others leave", "alone begins", "alone ends", "late"]
