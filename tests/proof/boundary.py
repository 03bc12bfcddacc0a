"""Where our code meets the world: every side effect passes here, and here a function dies.

A *side effect* is a write to DynamoDB, a call of S3 or Step Functions, or an HTTP call to a
provider. A run without a death records them all; then each can be died at, just `before` it
(nothing has left) and just `after` it (it is done, and its answer never came).

Dying is an exception that no code of ours catches (`Death` is no `Exception`). A process that is
gone cleans nothing up, so whatever the dead invocation still attempts, in a ``finally`` say, is
refused.
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
"""Calls that change nothing anywhere, and are no S3 calls."""


class Death(BaseException):
    """The process is gone."""


@dataclass(frozen=True, order=True)
class Effect:
    """One side effect: of which function, and what."""

    function: str
    what: str

    def __str__(self) -> str:
        return f"{self.function}: {self.what}"


@dataclass(frozen=True)
class Point:
    """Where to die: at which side effect of a run, counted from 1, and on which side of it."""

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
    """Records side effects, and lets the invocation die at some of them.

    ``owners`` number the invocation of each of the ``effects``.
    """

    points: tuple[Point, ...] = ()
    effects: list[Effect] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    died: list[Point] = field(default_factory=list)
    _running: list[_Invocation] = field(default_factory=list)
    _invocations: int = 0

    @property
    def inside(self) -> bool:
        """Whether one of our functions is at work, as opposed to whoever looks on."""
        return bool(self._running)

    def begin(self, function: str) -> None:
        self._invocations += 1
        self._running.append(_Invocation(function, self._invocations))

    def end(self) -> bool:
        """Whether the invocation that ends here has died."""
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
            self.died.append(point)
            invocation.dead = True
            raise Death
