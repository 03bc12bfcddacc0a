"""Paid purchases that wait for the owner, mostly because their product or user was unknown.

The store got 200, because it would give up otherwise. The purchase is kept under an id that follows
from the event's, so a repeated event is one purchase.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, cast, get_args

from pynamodb.exceptions import DoesNotExist, PutError

from clipmint import aws, clock, cursors, unreadable
from clipmint.errors import InvalidRequest, PurchaseNotFound, PurchaseNotWaiting
from clipmint.purchases import payments
from clipmint.purchases.pack import STORES
from clipmint.purchases.payment import Paid, Reason, Report
from clipmint.purchases.payment_items import WAITING, WaitingItem
from clipmint.telemetry import PURCHASE_WAITING, count, logger
from clipmint.values import frozen

Status = Literal["waiting", "applied", "dismissed"]
_NAMESPACE = uuid.UUID("7d0d2a4e-6d0f-4c50-8d0c-2f3a9b7f6e11")


@frozen
class Purchase:
    """A paid purchase that was not credited when it was reported."""

    purchase_id: str
    report: Report
    reason: str
    status: Status
    received_at: datetime

    @property
    def paid(self) -> Paid:
        """What was paid."""
        assert isinstance(self.report.fact, Paid)  # noqa: S101  (only such reports are kept)
        return self.report.fact


@frozen
class Page:
    """Part of the purchases, newest first; ``cursor`` continues it, None at its end."""

    purchases: list[Purchase]
    cursor: str | None


def keep(report: Report, reason: Reason) -> None:
    """Keep a purchase for the owner, and raise the alarm. A repeated event changes nothing."""
    paid = report.fact
    if not isinstance(paid, Paid):
        raise TypeError("only a purchase waits")
    purchase_id, now = _id_of(report), clock.now()
    item = WaitingItem(
        WAITING,
        _sk(purchase_id),
        store=report.store,
        event_id=report.event_id,
        payment_id=report.payment_id,
        product_id=paid.product_id,
        for_user=paid.user_id,
        expires_at=clock.iso(paid.expires_at) if paid.expires_at else None,
        reason=reason,
        status="waiting",
        received_at=clock.iso(now),
        sequence=_milliseconds(now),
    )
    # Emit the metric before writing the item. If we crash in between, the store delivers again, and
    # the metric is emitted twice. In the other order it could be lost.
    count(PURCHASE_WAITING, store=report.store)
    logger.warning("purchase waits", extra={"purchase_id": purchase_id, "reason": reason})
    try:
        item.save(condition=WaitingItem.key.does_not_exist())
    except PutError as error:
        if not aws.condition_failed(error):
            raise
    # Another event may have credited the payment before this write, and found nothing to end.
    if payments.credited_user(report) is not None:
        no_longer(report)


def no_longer(report: Report) -> None:
    """End the wait of a purchase whose payment was credited by another event: one that named the
    missing product or user."""
    try:
        item = WaitingItem.get(WAITING, _sk(_id_of(report)), consistent_read=True)
    except DoesNotExist:
        return
    if item.status != "applied":
        item.status = "applied"
        item.save()


def list_page(*, status: Status, limit: int, cursor: str | None) -> Page:
    """Purchases with a status, newest first (strongly consistent), without those that cannot be
    read.

    Raises `InvalidRequest` for a cursor that is not one of ours.
    """
    results = WaitingItem.by_sequence.query(
        WAITING,
        filter_condition=WaitingItem.status == status,
        consistent_read=True,
        scan_index_forward=False,
        last_evaluated_key=_start_key(cursor) if cursor else None,
    )
    found: list[Purchase] = []
    for purchase in unreadable.readable(results, _purchase, "purchase", lambda item: item.sk):
        if len(found) == limit:
            last = found[-1]
            return Page(found, cursors.after_item(clock.iso(last.received_at), last.purchase_id))
        found.append(purchase)
    return Page(found, None)


def _start_key(cursor: str) -> dict[str, dict[str, Any]]:
    received_at, purchase_id = cursors.item_in(cursor)
    return {
        "user_id": {"S": WAITING},
        "sequence": {"N": str(_milliseconds(clock.from_iso(received_at)))},
        "sk": {"S": _sk(purchase_id)},
    }


def _milliseconds(moment: datetime) -> int:
    # As `clock.iso` cuts it, from which a cursor is made.
    return round(clock.from_iso(clock.iso(moment)).timestamp() * 1_000)


def _id_of(report: Report) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{report.store} {report.payment_id}"))


def _sk(purchase_id: str) -> str:
    return f"PURCHASE#{purchase_id}"


def get(purchase_id: str) -> Purchase:
    """A purchase, also one that waits no more. Raises `PurchaseNotFound`."""
    return unreadable.required(lambda: _purchase(_item(purchase_id)), "purchase", purchase_id)


def apply(purchase_id: str, *, user_id: str | None, product_id: str | None) -> Purchase:
    """Credit a purchase, once; the user and the product go before those of the store.

    Raises
    ------
    PurchaseNotFound
    PurchaseNotWaiting
        It was dismissed, or its payment was credited to another user.
    InvalidRequest
        It cannot be credited yet; the details give the reason.
    """
    purchase = get(purchase_id)
    if purchase.status == "dismissed":
        raise PurchaseNotWaiting("This purchase was dismissed")
    paid = purchase.paid
    fact = replace(
        paid,
        user_id=user_id or paid.user_id,
        product_id=product_id or paid.product_id,
        waits_for=None,
    )
    try:
        changed = payments.apply(replace(purchase.report, fact=fact))
    except payments.NotApplied as refused:
        raise InvalidRequest(
            "This purchase cannot be credited yet", details=refused.reason
        ) from None
    if not changed and payments.credited_user(purchase.report) != fact.user_id:
        raise PurchaseNotWaiting("This payment was credited to another user meanwhile")
    # After a crash here the purchase waits, and is credited already: applying it again ends that.
    item = _item(purchase_id)
    item.status = "applied"
    item.save()
    return replace(purchase, status="applied")


def dismiss(purchase_id: str) -> Purchase:
    """Set a purchase aside without credits. Raises `PurchaseNotFound`, `PurchaseNotWaiting`."""
    purchase, item = get(purchase_id), _item(purchase_id)
    if purchase.status == "dismissed":
        return purchase
    if payments.credited_user(purchase.report) is not None:
        raise PurchaseNotWaiting("This payment was credited meanwhile")
    item.status = "dismissed"
    try:
        item.save(condition=WaitingItem.status == "waiting")
    except PutError as error:
        if not aws.condition_failed(error):
            raise
        raise PurchaseNotWaiting("This purchase was applied") from None
    return replace(purchase, status="dismissed")


def _item(purchase_id: str) -> WaitingItem:
    try:
        return WaitingItem.get(WAITING, _sk(purchase_id), consistent_read=True)
    except DoesNotExist:
        raise PurchaseNotFound("There is no such purchase") from None


def _purchase(item: WaitingItem) -> Purchase:
    if item.store not in STORES or item.status not in get_args(Status):
        raise ValueError("an unknown store or status")
    paid = Paid(
        item.product_id,
        item.for_user,
        clock.from_iso(item.expires_at) if item.expires_at else None,
    )
    return Purchase(
        purchase_id=item.sk.removeprefix("PURCHASE#"),
        report=Report(item.store, item.event_id, item.payment_id, paid),
        reason=item.reason,
        status=cast("Status", item.status),
        received_at=clock.from_iso(item.received_at),
    )
