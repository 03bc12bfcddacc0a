"""Response bodies for credits: balances, the journal, the owner's changes, packs and purchases."""

import itertools
from typing import TYPE_CHECKING, Literal

from clipmint import clock
from clipmint.api.timestamps import Timestamp
from clipmint.lots import CreditKind, total
from clipmint.schemas import Schema

if TYPE_CHECKING:
    from clipmint.credits.account import Account, Entry
    from clipmint.purchases.waiting_purchases import Purchase


class CreditLot(Schema):
    """Available credits that end at the same time; ``expires_at`` is None if they never end."""

    kind: CreditKind
    credits: int
    expires_at: Timestamp | None


class Credits(Schema):
    """Whole credits. Those ``held`` belong to jobs that have not ended. With a ``debt`` none are
    available."""

    available: int
    held: int
    debt: int
    lots: list[CreditLot]

    @classmethod
    def of(cls, account: "Account") -> "Credits":
        # Several payments may end at the same time. Lots are sorted by their end and kind.
        alike = itertools.groupby(account.lots, lambda lot: (lot.kind, lot.expires_at))
        lots = [
            CreditLot.model_validate(
                {"kind": kind, "credits": total(found), "expires_at": expires_at}
            )
            for (kind, expires_at), found in alike
        ]
        if account.purchased:  # they never end, so they are spent last
            purchased = CreditKind.PURCHASED
            lots.append(CreditLot(kind=purchased, credits=account.purchased, expires_at=None))
        return cls(available=account.available, held=account.held, debt=account.debt, lots=lots)


class JournalEntry(Schema):
    """One entry of the journal; ``balance_after`` and ``debt_after`` are right after it.

    ``credit_kind`` is that of a grant or clawback, ``expires_at`` of a grant, ``reason`` of an
    adjustment or a grant.
    """

    sequence: int
    kind: str
    credits: int
    balance_after: int
    held_after: int
    job_id: str | None
    stage: str | None
    reference: str | None
    created_at: Timestamp
    debt_after: int
    credit_kind: CreditKind | None
    expires_at: Timestamp | None
    reason: str | None

    @classmethod
    def of(cls, entry: "Entry") -> "JournalEntry":
        shown = cls.model_validate(entry, from_attributes=True)
        if shown.credit_kind is None and shown.kind in {"grant", "clawback"}:
            return shown.model_copy(update={"credit_kind": CreditKind.PURCHASED})
        return shown


class Journal(Schema):
    """Newest first; ``cursor`` is None on the last page."""

    entries: list[JournalEntry]
    cursor: str | None


class Granted(Schema):
    """``job_id``: of a grant that is goodwill for a job."""

    user_id: str
    amount: int
    reference: str
    job_id: str | None
    available: int
    replayed: bool


class ClawedBack(Schema):
    """``available`` and ``debt`` are those right after the clawback."""

    user_id: str
    amount: int
    reference: str
    kind: CreditKind
    available: int
    debt: int
    replayed: bool


class Adjusted(Schema):
    """``available`` and ``debt`` are those right after the adjustment."""

    user_id: str
    amount: int
    reference: str
    reason: str
    available: int
    debt: int
    replayed: bool


class OfferedPack(Schema):
    """A pack as the app's shop shows it, which knows its product's id in the store."""

    product_id: str
    name: str
    credits: int
    kind: CreditKind
    expires_after_days: int | None
    store_ids: dict[str, list[str]]


class PackList(Schema):
    packs: list[OfferedPack]


class PurchaseAnswer(Schema):
    """A paid purchase whose product or user was unknown (``reason``)."""

    purchase_id: str
    store: str
    event_id: str
    payment_id: str
    product_id: str | None
    user_id: str | None
    expires_at: Timestamp | None
    reason: str
    status: Literal["waiting", "applied", "dismissed"]
    received_at: Timestamp

    @classmethod
    def of(cls, purchase: "Purchase") -> "PurchaseAnswer":
        paid, report = purchase.paid, purchase.report
        return cls(
            purchase_id=purchase.purchase_id,
            store=report.store,
            event_id=report.event_id,
            payment_id=report.payment_id,
            product_id=paid.product_id,
            user_id=paid.user_id,
            expires_at=clock.iso(paid.expires_at) if paid.expires_at else None,
            reason=purchase.reason,
            status=purchase.status,
            received_at=clock.iso(purchase.received_at),
        )


class PurchaseList(Schema):
    """Newest first; ``cursor`` is None on the last page."""

    purchases: list[PurchaseAnswer]
    cursor: str | None
