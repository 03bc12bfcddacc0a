"""Record and queue a delivery of an event for each endpoint that is subscribed to its type."""

from __future__ import annotations

from collections.abc import Iterable

from clipmint import clock
from clipmint.events import deliveries, queue
from clipmint.events.changes import Event
from clipmint.events.endpoints import Endpoint
from clipmint.events.queue import Message


def deliver(event: Event, found: Iterable[Endpoint]) -> None:
    """Record and queue an event for the endpoints that are subscribed to its type.

    If we crash in between, the record of the stream is read again: then the delivery exists, and is
    queued."""
    for endpoint in found:
        if endpoint.wants(event.type):
            begin(endpoint.endpoint_id, event)


def begin(endpoint_id: str, event: Event) -> str:
    """Record and queue an event for an endpoint. Returns the id of the delivery."""
    delivery_id = deliveries.create(endpoint_id, event)
    queue.send(Message(endpoint_id, delivery_id, round=0, attempt=0, due_at=clock.seconds()))
    return delivery_id


def begin_again(endpoint_id: str, delivery_id: str) -> deliveries.Delivery:
    """Deliver an event again immediately, with the same id.

    The message is queued before the round is begun. If we crash in between, the function that
    receives it begins the round; in the other order nothing would make the round's attempts.

    Raises
    ------
    DeliveryNotFound
    TemporarilyUnavailable
        The delivery cannot be read.
    """
    following = deliveries.existing(endpoint_id, delivery_id).round + 1
    queue.send(Message(endpoint_id, delivery_id, following, 0, due_at=clock.seconds()))
    return deliveries.begin_round(endpoint_id, delivery_id, following)
