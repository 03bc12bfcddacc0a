"""Every side effect of our code passes here, and here a function can be crashed.

A *side effect* is a write to DynamoDB, a call of S3 or Step Functions, or an HTTP call to a
provider. A run without a crash records them all. Then a run can crash at each of them: just
`before` it (nothing was sent) or just `after` it (it is done, but its response never arrived).

The crash is an exception that no code of ours catches (`Death` is no `Exception`). A killed process
cleans nothing up, so everything that the crashed invocation still attempts, for example in a
``finally``, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
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


class Death(BaseException):
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
    dead: bool = False


@dataclass
class Boundary:
    """Records side effects, and crashes the invocation at some of them.

    ``owners`` number the invocation of each of the ``effects``.
    """

    points: tuple[Point, ...] = ()
    effects: list[Effect] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    crashed: list[Point] = field(default_factory=list)
    _running: list[_Invocation] = field(default_factory=list)
    _invocations: int = 0

    @property
    def inside(self) -> bool:
        """Whether one of our functions is running, and not the test that inspects the result."""
        return bool(self._running)

    def begin(self, function: str) -> None:
        self._invocations += 1
        self._running.append(_Invocation(function, self._invocations))

    def end(self) -> bool:
        """Whether the invocation that ends here was crashed."""
        return self._running.pop().dead

    def aws(self, service: str, operation: str, call: Callable[[], T]) -> T:
        """A call of an AWS service."""
        reading = service == "DynamoDB" and operation in READS
        if reading or (service, operation) in FREE:
            return self._alive(call)
        if service == "DynamoDB" and operation not in WRITES:
            raise AssertionError(f"is {operation} a write or a read?")
        return self.effect(f"{service} {operation}", call)

    def effect(self, what: str, call: Callable[[], T]) -> T:
        """A side effect."""
        if not self._running:
            return call()
        invocation = self._running[-1]
        if invocation.dead:
            raise Death
        effect = Effect(invocation.function, what)
        self.effects.append(effect)
        self.owners.append(invocation.number)
        number = len(self.effects)
        self._die_if_planned(invocation, number, effect, "before")
        try:
            return call()
        finally:
            self._die_if_planned(invocation, number, effect, "after")

    def _alive(self, call: Callable[[], T]) -> T:
        if self._running and self._running[-1].dead:
            raise Death
        return call()

    def _die_if_planned(
        self, invocation: _Invocation, number: int, effect: Effect, moment: Moment
    ) -> None:
        point = Point(number, effect, moment)
        if point in self.points:
            self.crashed.append(point)
            invocation.dead = True
            raise Death
