"""Deliveries: one event for one endpoint, with its attempts. They are kept for thirty days.

A delivery's key is derived from the endpoint and the event, so a record of a stream that is read
again finds the delivery that exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import DoesNotExist, PutError, UpdateError

from clipmint import aws, clock, unreadable
from clipmint.errors import DeliveryNotFound
from clipmint.events.changes import Event
from clipmint.events.endpoint_items import DeliveryItem
from clipmint.values import frozen

KEPT = timedelta(days=30)
MAX_ATTEMPTS_KEPT = 30
"""The newest attempts that a delivery shows: three rounds of eight, and a few more."""

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"


@frozen
class Attempt:
    """One attempt: when it began, its HTTP status if there was a response, how long it took, and
    one of `posting.REASONS`, or ``disabled``."""

    at: datetime
    status: int | None
    milliseconds: int
    reason: str


@frozen
class Delivery:
    """See `endpoint_items.DeliveryItem`."""

    endpoint_id: str
    delivery_id: str
    event_id: str
    type: str
    body: str
    status: str
    round: int
    attempt: int
    attempts: tuple[Attempt, ...]
    created_at: datetime


def id_of(timestamp: str, event_id: str) -> str:
    """The id of the deliveries of an event, the same for each endpoint."""
    return f"{timestamp}_{event_id}"


def create(endpoint_id: str, event: Event) -> str:
    """Record that an event is to be delivered, unless that is recorded. Returns its id."""
    delivery_id = id_of(event.timestamp, event.event_id)
    now = clock.now()
    item = DeliveryItem(
        endpoint_id,
        delivery_id,
        event_id=event.event_id,
        type=event.type,
        body=event.body(),
        status=PENDING,
        round=0,
        attempt=0,
        attempts=[],
        created_at=clock.iso(now),
        expires_at=clock.epoch(now + KEPT),
    )
    try:
        item.save(condition=DeliveryItem.sk.does_not_exist())
    except PutError as error:
        if not aws.condition_failed(error):
            raise
    return delivery_id


def find(endpoint_id: str, delivery_id: str) -> Delivery | None:
    """A delivery as it stands; None if there is none, or it has expired.

    Raises
    ------
    TemporarilyUnavailable
        It cannot be read.
    """
    return unreadable.required(lambda: _find(endpoint_id, delivery_id), "delivery", delivery_id)


def existing(endpoint_id: str, delivery_id: str) -> Delivery:
    """A delivery as it stands. Raises `DeliveryNotFound`, and what `find` raises."""
    delivery = find(endpoint_id, delivery_id)
    if delivery is None:
        raise DeliveryNotFound("There is no such delivery")
    return delivery


def _find(endpoint_id: str, delivery_id: str) -> Delivery | None:
    try:
        return _delivery(DeliveryItem.get(endpoint_id, delivery_id, consistent_read=True))
    except DoesNotExist:
        return None


def newest(
    endpoint_id: str, *, limit: int, before: str | None = None
) -> tuple[list[Delivery], str | None]:
    """An endpoint's deliveries, those of the newest events first; and before which id the next page
    begins, None at the end."""
    older = DeliveryItem.sk < before if before is not None else None
    found = DeliveryItem.query(
        endpoint_id, older, scan_index_forward=False, consistent_read=True, limit=limit + 1
    )
    page = list(unreadable.readable(found, _delivery, "delivery", lambda item: item.sk))
    more = len(page) > limit
    return page[:limit], page[limit - 1].delivery_id if more else None


def record(delivery: Delivery, attempt: int, made: Attempt, status: str) -> None:
    """Record an attempt of the delivery's round, unless it, or a later one, is recorded."""
    kept = [*delivery.attempts, made][-MAX_ATTEMPTS_KEPT:]
    _write(
        delivery,
        [
            DeliveryItem.attempts.set([_stored(one) for one in kept]),
            DeliveryItem.attempt.set(attempt + 1),
            DeliveryItem.status.set(status),
        ],
        DeliveryItem.attempt <= attempt,
    )


def begin_round(endpoint_id: str, delivery_id: str, number: int) -> Delivery:
    """Let a delivery begin again with its first attempt, in any status, unless this round has
    begun. Returns the delivery as it stands.

    Raises
    ------
    DeliveryNotFound
    TemporarilyUnavailable
        The delivery cannot be read.
    """
    item = DeliveryItem(endpoint_id, delivery_id)
    try:
        item.update(
            [
                DeliveryItem.round.set(number),
                DeliveryItem.attempt.set(0),
                DeliveryItem.status.set(PENDING),
            ],
            condition=DeliveryItem.event_id.exists() & (DeliveryItem.round < number),
        )
    except UpdateError as error:
        if aws.condition_failed(error):
            return existing(endpoint_id, delivery_id)
        raise
    return _delivery(item)


def _write(delivery: Delivery, actions: Sequence[Any], condition: Any) -> None:
    try:
        DeliveryItem(delivery.endpoint_id, delivery.delivery_id).update(
            list(actions), condition=(DeliveryItem.round == delivery.round) & condition
        )
    except UpdateError as error:
        if not aws.condition_failed(error):
            raise


def _stored(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": clock.iso(attempt.at),
        "status": attempt.status,
        "milliseconds": attempt.milliseconds,
        "reason": attempt.reason,
    }


def _delivery(item: DeliveryItem) -> Delivery:
    return Delivery(
        endpoint_id=item.group,
        delivery_id=item.sk,
        event_id=item.event_id,
        type=item.type,
        body=item.body,
        status=item.status,
        round=int(item.round),
        attempt=int(item.attempt),
        attempts=tuple(_attempt(one) for one in item.attempts),
        created_at=clock.from_iso(item.created_at),
    )


def _attempt(stored: Any) -> Attempt:
    return Attempt(
        at=clock.from_iso(stored["at"]),
        status=None if stored["status"] is None else int(stored["status"]),
        milliseconds=int(stored["milliseconds"]),
        reason=stored["reason"],
    )
