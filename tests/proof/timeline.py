"""Events in virtual time: nothing waits; to wait is to move the clock.

There are two kinds of events. What production does (the state machine's waits, the schedule, a
caller's retry) is a callback that runs at its time, between others. What the simulated providers do
runs on an asyncio loop that reads the same clock and never sleeps: a wait moves the clock instead.
A function that calls a provider runs that loop until the response arrives.

All of it runs in one thread, so every run has the same events in the same order.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from tests.support.clock import Clock

T = TypeVar("T")

_TICK = 0.001
"""Seconds added to every wait: a datetime counts whole microseconds, and no wait may end early."""


class _NeverWaiting(selectors.SelectSelector):
    """No event comes from outside this process, so a wait moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for another one")
        if timeout > 0:
            self._clock.forward(seconds=timeout + _TICK)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on the virtual clock; what is given to an executor is done at once."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_NeverWaiting(clock))
        self._clock = clock
        # Epoch seconds as a float are good to a quarter of a microsecond: a timer that is due now
        # must not be taken for one that is yet to come.
        self._clock_resolution = _TICK

    def time(self) -> float:
        return self._clock.seconds()

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Executor | None,  # noqa: ARG002  (of asyncio)
        func: Callable[..., T],
        *args: Any,
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  (it is raised where the future is awaited)
            done.set_exception(error)
        return done


class Timer:
    """A callback that will run at its time, unless it is cancelled."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def call_off(self) -> None:
        self.action = None


class Timeline:
    """All callbacks to come, in the order of their times, and the loop of the providers."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.loop = VirtualLoop(clock)
        self._coming: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._calls: list[Callable[[], None]] = []
        self._called = asyncio.Event()

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def now(self) -> float:
        """Epoch seconds."""
        return self.clock.seconds()

    def idle(self) -> bool:
        """Whether nothing is left to do on the loop."""
        return not asyncio.all_tasks(self.loop)

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run ``action`` in so many seconds, unless its timer is cancelled."""
        timer = Timer(action)
        heapq.heappush(self._coming, (self.now() + seconds, next(self._numbers), timer))
        return timer

    def call(self, action: Callable[[], None]) -> None:
        """Run ``action`` at once, but outside the loop; called by what runs on the loop."""
        self._calls.append(action)
        self._called.set()

    def step(self) -> None:
        """Move time to the next callback, and run it."""
        # Compared again after each wait: a provider's call may add an earlier callback.
        while (left := self._coming[0][0] - self.now()) > 0:
            self._run(asyncio.sleep(max(left, _TICK)))
            self._answer_calls()
        _, _, timer = heapq.heappop(self._coming)
        if timer.action is not None:
            timer.action()
        self._answer_calls()

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the loop until ``work`` is done, answering calls that arrive meanwhile."""
        task = self.loop.create_task(work)
        while not task.done():
            self._run(_done(task))
            self._answer_calls()
        return task.result()

    def _run(self, until: Coroutine[Any, Any, None]) -> None:
        """Run the loop until ``until`` is done or a call arrives."""

        async def either() -> None:
            waits = {asyncio.ensure_future(until), asyncio.ensure_future(self._called.wait())}
            _, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in left:
                wait.cancel()

        self.loop.run_until_complete(either())

    def _answer_calls(self) -> None:
        while self._calls:
            self._calls.pop(0)()
        self._called.clear()


async def _done(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})
