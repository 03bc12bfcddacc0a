"""Virtual time: nothing waits, and everything happens in the order of the clock.

There are two kinds of things that happen. What production does (the state machine's waits, the
schedule, a caller who tries again) is a callback at a moment, run between others. What the
simulated providers do runs on an asyncio loop whose clock is the same one, and which never sleeps:
asked to wait it moves the clock instead. A function that talks to a provider lets that loop run
until it has its answer.

Everything is one thread. So what happens is the same in every run, and a moment once seen can be
found again.
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
"""Added to every wait: a datetime knows microseconds, and a wait must not end before its time."""


class _NeverWaiting(selectors.SelectSelector):
    """Nothing here comes from outside the process: to wait is to move the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        if timeout > 0:
            self._clock.forward(seconds=timeout + _TICK)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a clock that is moved by hand; what goes to an executor is done at once."""

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
        except Exception as error:  # noqa: BLE001  (whoever awaits it gets it)
            done.set_exception(error)
        return done


class Timer:
    """Something that is going to happen, unless it is called off."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def call_off(self) -> None:
        self.action = None


class Timeline:
    """What is going to happen, and the providers' loop in between."""

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
        """Let something happen in so many seconds."""
        timer = Timer(action)
        heapq.heappush(self._coming, (self.now() + seconds, next(self._numbers), timer))
        return timer

    def call(self, action: Callable[[], None]) -> None:
        """Let something happen at once, but outside the loop; for what runs on it."""
        self._calls.append(action)
        self._called.set()

    def step(self) -> None:
        """Let the next thing happen."""
        # Looked at again after each wait: a provider's call may bring something earlier.
        while (left := self._coming[0][0] - self.now()) > 0:
            self._run(asyncio.sleep(max(left, _TICK)))
            self._answer_calls()
        _, _, timer = heapq.heappop(self._coming)
        if timer.action is not None:
            timer.action()
        self._answer_calls()

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the loop run until this is done. Others may call meanwhile, and are answered."""
        task = self.loop.create_task(work)
        while not task.done():
            self._run(_done(task))
            self._answer_calls()
        return task.result()

    def _run(self, until: Coroutine[Any, Any, None]) -> None:
        """Let the loop run until then, or until somebody calls."""

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
