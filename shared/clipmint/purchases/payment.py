"""A payment: what stores have reported about it, and how many of its credits are taken back.

Reports of one payment may arrive in any order, several times, and by several kinds of events. Each
adds a fact that stays: paid, the largest refund so far, the latest state of each dispute. So the
result does not depend on the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Literal

from clipmint.lots import CreditKind, Lot
from clipmint.purchases.pack import Store
from clipmint.values import frozen

Reason = Literal["UNKNOWN_PRODUCT", "UNKNOWN_USER", "TOO_MANY_LOTS", "CONNECTED_TWICE"]
"""Why a paid purchase is not credited."""


@frozen
class Paid:
    """It is paid. ``expires_at`` is the end of a subscription's period; ``waits_for`` is set if the
    owner must decide whether it is credited."""

    product_id: str | None
    user_id: str | None
    expires_at: datetime | None = None
    waits_for: Reason | None = None


@frozen
class Refunded:
    """So much of it is refunded, all in all, in the store's unit: ``part`` of ``whole``."""

    part: int = 1
    whole: int = 1


@frozen
class Withdrawn:
    """All of it is gone: it is disputed, or the store has refunded it. ``returned``: the dispute is
    won, or the refund is reversed.

    ``case`` is the dispute's id, for a payment may have several; a store without such ids has one
    case. Of one case the latest ``at`` counts (epoch milliseconds, where the store reports it),
    and of the same time the return.
    """

    returned: bool = False
    case: str = ""
    at: int = 0


Cases = Mapping[str, tuple[int, bool]]
"""By `Withdrawn.case`: its latest ``at``, and whether it is returned."""


@frozen
class Report:
    """What one event of a store reports about one payment. ``event_id`` is the store's."""

    store: Store
    event_id: str
    payment_id: str
    fact: Paid | Refunded | Withdrawn


@frozen
class Payment:
    """A payment as recorded. Without ``user_id`` it is not credited yet.

    ``taken`` is how many of its credits are taken back at the moment; ``elsewhere`` is the part of
    it that came from other credits of the user, or became a debt, and ``expired`` the part that was
    not taken, because it had expired unspent. ``lot`` is the number of the lot that has its credits
    and no others; None if they do not end, or if a version has written the payment that did not
    know such lots. ``revision`` counts changes.
    """

    store: Store
    payment_id: str
    user_id: str | None = None
    product_id: str | None = None
    credits: int = 0
    kind: CreditKind = CreditKind.PURCHASED
    expires_at: datetime | None = None
    refunded: int = 0
    refunded_of: int = 1
    cases: Cases = field(default_factory=dict)
    taken: int = 0
    elsewhere: int = 0
    expired: int = 0
    lot: int | None = None
    revision: int = 0

    @property
    def name(self) -> str:
        """Names it in references of the journal."""
        return f"{self.store}:{self.payment_id}"

    def is_in(self, lot: Lot) -> bool:
        """Whether a lot has the payment's credits."""
        if self.lot is not None:
            return lot.lot == self.lot
        return (lot.kind, lot.expires_at) == (self.kind, self.expires_at)

    @property
    def to_take(self) -> int:
        """How many credits must be taken back now: a dispute and a refund count once, and a partial
        refund takes its part, rounded down."""
        if not all(returned for _, returned in self.cases.values()):
            return self.credits
        return self.credits * self.refunded // self.refunded_of

    def after(self, fact: Refunded | Withdrawn) -> Payment:
        """The payment after a refund or a dispute was reported. Refunds are cumulative."""
        if isinstance(fact, Withdrawn):
            state = (fact.at, fact.returned)
            latest = max(state, self.cases.get(fact.case, state))
            return replace(self, cases={**self.cases, fact.case: latest})
        part = min(fact.part, fact.whole)
        if part * self.refunded_of <= self.refunded * fact.whole:
            return self
        return replace(self, refunded=part, refunded_of=fact.whole)
