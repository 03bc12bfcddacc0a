"""Lots: the credits of an account that are not purchased, by the time at which they end.

A lot is what grants of an allowance or of promotional credits with one end have added, or one
payment alone. Purchased credits never end; they are one amount of the account and no lot.
Everything here is pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from clipmint import clock
from clipmint.values import frozen


class CreditKind(StrEnum):
    """Where credits come from. Among credits that end at the same time, the first kind is spent
    first."""

    PROMO = "promo"
    ALLOWANCE = "allowance"
    PURCHASED = "purchased"


_RANK = {kind: rank for rank, kind in enumerate(CreditKind)}
_NEVER = datetime.max.replace(tzinfo=UTC)


@frozen
class Lot:
    """Credits of one lot: all that are left of it, or the part of it that one entry moved.

    ``lot`` is the number of the journal entry that granted it. ``expires_at`` is the instant from
    which the credits cannot be spent; None if they never end. ``own``: all of its credits are of
    one payment, so what is spent and what expires of that payment is known.
    """

    lot: int
    kind: CreditKind
    credits: int
    expires_at: datetime | None = None
    own: bool = False

    def is_due(self, now: datetime) -> bool:
        """Whether its credits have ended."""
        return self.expires_at is not None and self.expires_at <= now


Lots = tuple[Lot, ...]


def total(lots: Iterable[Lot]) -> int:
    """The sum of their credits."""
    return sum(lot.credits for lot in lots)


def in_order(lots: Iterable[Lot]) -> Lots:
    """Lots in the order in which they are spent: what ends sooner first, then by kind, then by age.

    Purchased credits would be the last of this order, because they never end.
    """
    return tuple(sorted(lots, key=lambda lot: (lot.expires_at or _NEVER, _RANK[lot.kind], lot.lot)))


def take(lots: Iterable[Lot], amount: int) -> tuple[Lots, Lots]:
    """Take up to so many credits from lots, in the order given.

    Returns
    -------
    tuple
        What was taken from each lot, and what is left of them. Neither contains empty lots.
    """
    taken, left = [], []
    for lot in lots:
        part = min(lot.credits, amount)
        amount -= part
        if part:
            taken.append(replace(lot, credits=part))
        if lot.credits > part:
            left.append(replace(lot, credits=lot.credits - part))
    return tuple(taken), tuple(left)


def put(lots: Lots, parts: Iterable[Lot]) -> Lots:
    """Lots with these parts added to the lots of the same number. A lot that had no credits left
    exists again."""
    by_number = {lot.lot: lot for lot in lots}
    for part in parts:
        before = by_number[part.lot].credits if part.lot in by_number else 0
        by_number[part.lot] = replace(part, credits=before + part.credits)
    return in_order(by_number.values())


def to_json(lots: Lots) -> str:
    """Lots as the JSON text that an item contains."""
    return json.dumps(
        [
            {"lot": lot.lot, "kind": lot.kind.value, "credits": lot.credits}
            | ({"expires_at": clock.iso(lot.expires_at)} if lot.expires_at else {})
            | ({"own": True} if lot.own else {})
            for lot in lots
        ],
        separators=(",", ":"),
    )


def from_json(text: str) -> Lots:
    """The inverse of `to_json`. Other members are ignored.

    Raises
    ------
    LookupError, TypeError, ValueError
        The text is not one of a list of lots.
    """
    return tuple(
        Lot(
            lot=int(one["lot"]),
            kind=CreditKind(one["kind"]),
            credits=int(one["credits"]),
            expires_at=clock.from_iso(one["expires_at"]) if one.get("expires_at") else None,
            own=bool(one.get("own")),
        )
        for one in json.loads(text)
    )
