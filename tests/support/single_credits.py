"""One user's credits, counted one by one: what the ledger must have, without sums, lots or splits.

Each credit is an object with a kind and an end, and perhaps a payment. A hold moves objects, a
release moves them back, and time removes them. This shares no code with the product, and computes
in another way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime

SPENT_FIRST = ("promo", "allowance", "purchased")
"""The kinds in the order in which they are spent, if they end at the same time."""


@dataclass(frozen=True)
class Credit:
    """One credit. ``ends`` is None if it never does. ``payment``: the one whose refund takes it
    first. ``age`` is the number of the grant that began its lot: the older one is spent first."""

    kind: str = "purchased"
    ends: datetime | None = None
    payment: Hashable = None
    age: int = field(default=0, compare=False)

    def has_ended(self, now: datetime) -> bool:
        return self.ends is not None and now >= self.ends

    @property
    def turn(self) -> tuple[bool, float, int, int]:
        """The credit with the smallest one is spent first."""
        ends = self.ends.timestamp() if self.ends else 0.0
        return (self.ends is None, ends, SPENT_FIRST.index(self.kind), self.age)


@dataclass
class Credits:
    """The credits of one user. Each method is one thing that can happen at a moment."""

    free: list[Credit] = field(default_factory=list)
    on_hold: dict[Hashable, list[Credit]] = field(default_factory=dict)
    debt: int = 0
    given: int = 0
    used: int = 0
    ended: int = 0
    taken_back: int = 0
    grants: int = 0

    def expire(self, now: datetime) -> bool:
        """Remove what has ended. Returns whether there was any."""
        live = self.live(now)
        ended = len(self.free) - len(live)
        self.free = live
        self.ended += ended
        return ended > 0

    def live(self, now: datetime) -> list[Credit]:
        """The available credits that have not ended."""
        return [credit for credit in self.free if not credit.has_ended(now)]

    @property
    def available(self) -> int:
        """How many are available, also if they have ended since the last change."""
        return len(self.free)

    @property
    def held(self) -> int:
        return sum(map(len, self.on_hold.values()))

    @property
    def by_end(self) -> Counter[Credit]:
        """How many available credits there are of each kind and end."""
        return Counter(self.free)

    def grant(self, now: datetime, amount: int, credit: Credit | None = None) -> None:
        self.expire(now)
        self.given += amount
        self.grants += 1
        credit = credit or Credit()
        # Those that are equal and there already are one lot.
        age = min((one.age for one in self.free if one == credit), default=self.grants)
        for _ in range(amount):
            self._receive(replace(credit, age=age), now)

    def _receive(self, credit: Credit, now: datetime) -> None:
        if credit.has_ended(now):
            self.ended += 1
        elif self.debt:
            self.debt -= 1
        else:
            self.free.append(credit)

    def can_hold(self, now: datetime, amount: int) -> bool:
        return not self.debt and len(self.live(now)) >= amount

    def hold(self, now: datetime, name: Hashable, amount: int) -> None:
        self.expire(now)
        self.on_hold[name] = [self._spend() for _ in range(amount)]

    def _spend(self, first: str | None = None, payment: Hashable = None) -> Credit:
        own = [credit for credit in self.free if payment and credit.payment == payment]
        alike = [credit for credit in self.free if credit.kind == first]
        candidates = own or alike or self.free
        chosen = min(candidates, key=lambda credit: credit.turn)
        self.free.remove(chosen)
        return chosen

    def capture(self, name: Hashable) -> None:
        self.used += len(self.on_hold.pop(name))

    def release(self, now: datetime, name: Hashable) -> None:
        self.expire(now)
        for credit in sorted(self.on_hold.pop(name), key=lambda one: one.turn):
            self._receive(credit, now)

    def take_back(
        self, now: datetime, amount: int, kind: str | None, payment: Hashable = None
    ) -> None:
        """A refund of credits of a kind, perhaps of a payment; a correction has neither."""
        self.expire(now)
        self.taken_back += amount
        for _ in range(amount):
            if self.free:
                self._spend(kind, payment)
            else:
                self.debt += 1

    def problems(self) -> list[str]:
        """What is wrong with this model itself."""
        owned = self.given - self.used - self.ended - self.taken_back
        found = []
        if self.available + self.held - self.debt != owned:
            found.append(f"{self.available} + {self.held} - {self.debt} is not {owned}")
        if self.debt and self.available:
            found.append(f"a debt of {self.debt} with {self.available} available")
        return found
