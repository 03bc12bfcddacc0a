"""Payments: credited once, and taken back once, for all reports of a store and in any order.

`apply` is one transaction of the payment's item, the journal entries and the account. So nothing
counts as seen before its credits have moved: after a crash, the store's next delivery finds either
everything or nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from pynamodb.exceptions import DoesNotExist

from clipmint import clock, unreadable
from clipmint.credits import account_changes, ledger
from clipmint.credits.account import Account, Entry
from clipmint.errors import TooManyLots
from clipmint.lots import CreditKind
from clipmint.purchases import pack_store
from clipmint.purchases.payment import Paid, Payment, Reason, Report
from clipmint.purchases.payment_items import PaymentItem, key_of, to_item, to_payment


class NotApplied(Exception):
    """A paid purchase cannot be credited: ``reason``. Nothing was written."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def apply(report: Report) -> bool:
    """Record a fact about a payment, and move the credits that follow from it.

    A refund or dispute of a payment that is not credited yet is only recorded. When the payment is
    credited, its credits are taken back in the same transaction.

    Returns
    -------
    bool
        Whether anything changed. A fact that is known changes nothing.

    Raises
    ------
    NotApplied
        It is paid, and its product or user is unknown, the user has too many different ends, or the
        owner must decide (`Paid.waits_for`).
    TemporarilyUnavailable
        Too many changes at once; nothing was written.
    """

    def attempt() -> bool:
        before = _read(report)
        paid = report.fact if isinstance(report.fact, Paid) else None
        after = before
        if paid is None:
            after = before.after(report.fact)  # type: ignore[arg-type]
        elif before.user_id is None:
            after = _credited(before, paid)
        if after == before:
            return False
        _write(before, replace(after, revision=before.revision + 1))
        return True

    return ledger.retrying(attempt)


def credited_user(report: Report) -> str | None:
    """To whom the payment of a report is credited; None if it is not."""
    return _read(report).user_id


def _read(report: Report) -> Payment:
    key = key_of(report.store, report.payment_id)
    try:
        item = PaymentItem.get(key, "REFERENCE", consistent_read=True)
    except DoesNotExist:
        return Payment(report.store, report.payment_id)
    return unreadable.required(lambda: to_payment(item), "payment", key)


def _credited(payment: Payment, paid: Paid) -> Payment:
    """The payment with its user and what its pack contains. Raises `NotApplied`."""
    if paid.waits_for is not None:
        raise NotApplied(paid.waits_for)
    found = pack_store.find(payment.store, paid.product_id) if paid.product_id else None
    if found is None:
        raise NotApplied("UNKNOWN_PRODUCT")
    if not paid.user_id:
        raise NotApplied("UNKNOWN_USER")
    product_id, pack = found
    expires_at = None
    if pack.kind is not CreditKind.PURCHASED:
        expires_at = paid.expires_at
        if expires_at is None and pack.expires_after_days is not None:
            expires_at = clock.now() + timedelta(days=pack.expires_after_days)
    if expires_at is not None:
        expires_at = clock.from_iso(clock.iso(expires_at))
    return replace(
        payment,
        user_id=paid.user_id,
        product_id=product_id,
        credits=pack.credits,
        kind=pack.kind,
        expires_at=expires_at,
    )


def _write(before: Payment, after: Payment) -> None:
    key_is_free = PaymentItem.key.does_not_exist()
    unchanged = PaymentItem.revision == before.revision if before.revision else key_is_free
    if after.user_id is None:
        ledger.write(None, [(to_item(after), unchanged)])
        return
    account = ledger.account_of(after.user_id)
    try:
        moved, entries, after = _moved(account, before, after)
    except TooManyLots:
        raise NotApplied("TOO_MANY_LOTS") from None
    ledger.write((account, moved, entries), [(to_item(after), unchanged)])


def _moved(
    account: Account, before: Payment, after: Payment
) -> tuple[Account, list[Entry], Payment]:
    """The account after the credits of a payment were granted, taken back or returned, with the new
    entries and the payment."""
    now, entries = clock.now(), list[Entry]()
    if before.user_id is None:
        account, entries = account_changes.expire(account, now)
        if after.expires_at is not None:
            after = replace(after, lot=account.sequence + 1)
        account, more = account_changes.grant(
            account,
            after.credits,
            f"payment:{after.name}",
            now,
            kind=after.kind,
            expires_at=after.expires_at,
            lot=after.lot,
        )
        entries += more
    change = f"{after.name}:{after.revision}"
    if (take := after.to_take - before.taken) > 0:
        account, more = account_changes.expire(account, now)
        entries += more
        expired = min(take, _expired(account.user_id, after, entries, now))
        after = replace(after, expired=after.expired + expired)
        if take > expired:
            account, [clawback] = account_changes.claw_back(
                account, take - expired, f"refund:{change}", after.kind, now, lot=after.lot
            )
            entries.append(clawback)
            elsewhere = after.elsewhere + clawback.credits - _own(after, clawback)
            after = replace(after, elsewhere=elsewhere)
    elif take < 0:
        account, more, after = _returned(account, -take, after, f"return:{change}", now)
        entries += more
    return account, entries, replace(after, taken=after.to_take)


def _expired(user_id: str, payment: Payment, new: list[Entry], now: datetime) -> int:
    """How many credits of a payment have expired, apart from those that `Payment.expired` counts.

    Payments without a lot of their own share those of the same kind and end, whose expiry counts
    for each of them.
    """
    if payment.expires_at is None or payment.expires_at > now:
        return 0
    expired = ledger.expired_of(user_id, payment.is_in) + sum(
        lot.credits
        for entry in new
        if entry.kind == "expire"
        for lot in entry.lots
        if payment.is_in(lot)
    )
    return max(0, min(expired, payment.credits) - payment.expired)


def _own(payment: Payment, clawback: Entry) -> int:
    """How many credits a clawback has taken from the lot of the payment. Purchased credits are all
    alike and do not end."""
    if payment.kind is CreditKind.PURCHASED:
        return clawback.credits
    return sum(lot.credits for lot in clawback.lots if payment.is_in(lot))


def _returned(
    account: Account, amount: int, payment: Payment, reference: str, now: datetime
) -> tuple[Account, list[Entry], Payment]:
    """Return credits of a payment: first those that were taken elsewhere, as purchased credits, of
    which the debt takes its part. So a debt of the clawback is repaid even if the payment's own
    credits have ended. Credits that had expired were not taken, and do not return."""
    entries = list[Entry]()
    if elsewhere := min(amount, payment.elsewhere):
        account, entries = account_changes.grant(account, elsewhere, f"{reference}:elsewhere", now)
    expired = min(amount - elsewhere, payment.expired)
    if own := amount - elsewhere - expired:
        account, more = account_changes.grant(
            account,
            own,
            reference,
            now,
            kind=payment.kind,
            expires_at=payment.expires_at,
            lot=payment.lot,
            limited=False,
        )
        entries += more
    payment = replace(
        payment,
        elsewhere=payment.elsewhere - elsewhere,
        expired=payment.expired - expired,
    )
    return account, entries, payment
