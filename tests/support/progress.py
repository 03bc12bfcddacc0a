"""Waiting for as long as there is progress, however slow the computer is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from local.journal import Invocation
from local.running import RunningStack

Answer = TypeVar("Answer")

IDLE_SECONDS = 60.0
"""A job without progress for this long is stuck: no function waits half as long for a provider."""
_LOOK_SECONDS = 1.0
"""Seconds between two checks of the progress, which cost more than one of the condition."""


def until(
    stack: RunningStack,
    about: str,
    condition: Callable[[], Answer],
    *,
    every: float = 0.1,
) -> Answer:
    """The first true answer of ``condition()``.

    ``about`` is a text in the events of what has to make progress, such as a job id. Raises
    TimeoutError when no function run about it has begun, called AWS or ended for `IDLE_SECONDS`.
    """
    try:
        return until_idle(condition, lambda: activity(stack, about), every=every, what=about)
    except TimeoutError as stuck:
        for run in stack.invocations(about=about):
            stuck.add_note(_described(run))
        raise


def until_idle(
    condition: Callable[[], Answer],
    progress: Callable[[], object],
    *,
    every: float = 0.1,
    look: float = _LOOK_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
    what: str = "",
) -> Answer:
    """The first true answer of ``condition()``; TimeoutError when ``progress()`` stays the same."""
    # Most conditions are true before the first look.
    seen: object = None
    since = looked = time.monotonic()
    while not (answer := condition()):
        time.sleep(every)
        now = time.monotonic()
        if now - looked < look:
            continue
        looked = now
        latest = progress()
        if latest != seen:
            seen, since = latest, now
        elif now - since > idle_seconds:
            raise TimeoutError(f"no progress for {idle_seconds} s {what}: {condition}, at {seen}")
    return answer


def _described(run: Invocation) -> str:
    calls = ", ".join(f"{call.operation} {call.error or call.status}" for call in run.calls)
    return f"{run.function} at {run.at}, ended: {run.ended}, {run.error or run.result}: {calls}"


def activity(stack: RunningStack, about: str) -> tuple[int, int, int]:
    """How many function runs about a text have begun, called AWS, and ended so far."""
    runs = [run for run in stack.invocations(about=about) if not _is_read(run.event)]
    return len(runs), sum(len(run.calls) for run in runs), sum(run.ended for run in runs)


def _is_read(event: object) -> bool:
    """Whether it is a GET over HTTP: a test's own polling is no progress."""
    return isinstance(event, dict) and str(event.get("routeKey", "")).startswith("GET ")
