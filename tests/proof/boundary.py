"""Every side effect of our code passes here, and here a function can be crashed.

A *side effect* is a write to DynamoDB, a call of S3 or Step Functions, or an HTTP call to a
provider. A run without a crash records them all. Then a run can crash at each of them: just
`before` it (nothing was sent) or just `after` it (it is done, but its response never arrived).

The crash is an exception that no code of ours catches (`Crash` is no `Exception`). A killed process
cleans nothing up, so everything that the crashed invocation still attempts, for example in a
``finally``, is refused.

A crash after one side effect of an invocation and a crash before its next one are the same crash,
because only memory changes between the two. So a run has one point before each side effect, one
after the last of an invocation (at its end, before its result is returned), and one after a side
effect during which other invocations had side effects of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar

T = TypeVar("T")

Moment = Literal["before", "after"]

WRITES = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
    }
)
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"})
FREE = frozenset({("Secrets Manager", "GetSecretValue")})
"""Calls that change nothing and are not S3 calls."""


class Crash(BaseException):
    """The process was killed."""


@dataclass(frozen=True, order=True)
class Effect:
    """One side effect: the function that caused it, and what it did."""

    function: str
    what: str

    def __str__(self) -> str:
        return f"{self.function}: {self.what}"


@dataclass(frozen=True)
class Point:
    """Where to crash: at which side effect of a run, counted from 1, and on which side of it."""

    number: int
    effect: Effect
    moment: Moment


@dataclass
class _Invocation:
    function: str
    number: int
    crashed: bool = False
    last: tuple[int, Effect] | None = None
    """Its last side effect so far, unless the point after it has been reached."""


@dataclass
class Boundary:
    """Records side effects, and crashes the invocation at some of them.

    ``owners`` number the invocation of each of the ``effects``. ``reached`` is called at each point
    where a run can crash, and returns whether to crash there although it is none of the ``points``.
    """

    points: tuple[Point, ...] = ()
    reached: Callable[[Point], bool] = lambda _: False
    effects: list[Effect] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    crashed: list[Point] = field(default_factory=list)
    _running: list[_Invocation] = field(default_factory=list)
    _invocations: int = 0

    @property
    def inside(self) -> bool:
        """Whether one of our functions is running, and not the test that inspects the result."""
        return bool(self._running)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What the test itself does here is no side effect of the function that runs."""
        running, self._running = self._running, []
        try:
            yield
        finally:
            self._running = running

    def begin(self, function: str) -> None:
        self._invocations += 1
        self._running.append(_Invocation(function, self._invocations))

    def end(self) -> bool:
        """Whether the invocation that ends here was crashed."""
        invocation = self._running[-1]
        if invocation.last is not None and not invocation.crashed:
            with suppress(Crash):
                self._reach(invocation, Point(*invocation.last, "after"))
        self._running.pop()
        return invocation.crashed

    def aws(self, service: str, operation: str, call: Callable[[], T]) -> T:
        """A call of an AWS service."""
        reading = service == "DynamoDB" and operation in READS
        if reading or (service, operation) in FREE:
            return self._unless_crashed(call)
        if service == "DynamoDB" and operation not in WRITES:
            raise AssertionError(f"is {operation} a write or a read?")
        return self.effect(f"{service} {operation}", call)

    def effect(self, what: str, call: Callable[[], T]) -> T:
        """A side effect."""
        if not self._running:
            return call()
        invocation = self._running[-1]
        if invocation.crashed:
            raise Crash
        effect = Effect(invocation.function, what)
        self.effects.append(effect)
        self.owners.append(invocation.number)
        number = len(self.effects)
        self._reach(invocation, Point(number, effect, "before"))
        invocation.last = number, effect
        try:
            return call()
        finally:
            after = Point(number, effect, "after")
            following = self.owners[number : number + 1]
            if following not in ([], [invocation.number]):  # another invocation's, during this one
                invocation.last = None
                self._reach(invocation, after)
            elif after in self.points:
                self._crash(invocation, after)

    def _unless_crashed(self, call: Callable[[], T]) -> T:
        if self._running and self._running[-1].crashed:
            raise Crash
        return call()

    def _reach(self, invocation: _Invocation, point: Point) -> None:
        if point in self.points or self.reached(point):
            self._crash(invocation, point)

    def _crash(self, invocation: _Invocation, point: Point) -> None:
        self.crashed.append(point)
        invocation.crashed = True
        raise Crash
