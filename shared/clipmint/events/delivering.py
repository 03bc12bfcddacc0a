"""From an event to its receivers: what is queued, and what one message of the queue does.

Each message is for one attempt. The message of the next attempt is sent before this attempt is
recorded. A crash in between repeats this attempt, with the same id of the event; in the other order
it would end the delivery. A message whose attempt is recorded already does nothing, so that
messages that SQS delivers twice do not multiply.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import httpx

from clipmint import aws, clock
from clipmint.errors import EndpointNotFound
from clipmint.events import deliveries, endpoints, posting, queue, retries, signatures
from clipmint.events.deliveries import Attempt, Delivery
from clipmint.events.endpoints import Endpoint
from clipmint.events.posting import Answer
from clipmint.events.queue import Message
from clipmint.media import pinned_requests
from clipmint.settings import DeliverySettings
from clipmint.telemetry import DELIVERY_ATTEMPTED, ENDPOINT_DISABLED, count, logger

DISABLED = "disabled"
"""The reason of an attempt that was not made: its endpoint is disabled."""


@aws.once
def _http() -> httpx.Client:
    return pinned_requests.new_client()


def handle(message: Message) -> None:
    """Make the attempt of a message, or queue it again if it is not due yet."""
    if message.seconds_left >= 1:
        queue.send(message)
        return
    delivery = deliveries.find(message.endpoint_id, message.delivery_id)
    if delivery is not None and delivery.round < message.round:
        # The owner's request has queued this round, and has not begun it yet, or crashed.
        delivery = deliveries.begin_round(message.endpoint_id, message.delivery_id, message.round)
    if delivery is None or _is_done(delivery, message):
        return
    try:
        endpoint = endpoints.get(message.endpoint_id)
    except EndpointNotFound:
        return
    keys = endpoints.secrets_of(message.endpoint_id)
    if not endpoint.enabled or not keys:
        made = Attempt(clock.now(), None, 0, DISABLED)
        deliveries.record(delivery, message.attempt, made, deliveries.FAILED)
        return
    _attempt(delivery, endpoint, keys, message)


def _is_done(delivery: Delivery, message: Message) -> bool:
    """Whether there is nothing to do: the attempt is recorded, or the owner began another round."""
    if delivery.round != message.round or delivery.status != deliveries.PENDING:
        return True
    return delivery.attempt > message.attempt


def _attempt(delivery: Delivery, endpoint: Endpoint, keys: Sequence[str], message: Message) -> None:
    at, began = clock.now(), time.monotonic()
    headers = signatures.headers(delivery.event_id, clock.epoch(at), delivery.body, keys)
    answer = posting.post(
        endpoint.url,
        headers,
        delivery.body,
        http=_http(),
        test_hosts=DeliverySettings.read().hosts,
    )
    made = Attempt(at, answer.status, posting.timed(began), answer.reason)
    count(DELIVERY_ATTEMPTED, outcome=answer.reason)
    status = deliveries.DELIVERED
    if answer.delivered:
        endpoints.mark_working(endpoint)
    else:
        status = _after_failure(endpoint, answer, message)
    logger.info(
        "delivery attempted",
        extra={
            "endpoint_id": endpoint.endpoint_id,
            "event_id": delivery.event_id,
            "attempt": message.attempt,
            "reason": answer.reason,
            "status": answer.status,
            "milliseconds": made.milliseconds,
        },
    )
    deliveries.record(delivery, message.attempt, made, status)


def _after_failure(endpoint: Endpoint, answer: Answer, message: Message) -> str:
    """Queue the next attempt, or disable the endpoint. Returns the status of the delivery."""
    if answer.gone and _disable(endpoint, "gone"):
        return deliveries.FAILED
    if retries.has_failed_for_long(endpoint.failing_since, clock.now()) and _disable(
        endpoint, "failing"
    ):
        return deliveries.FAILED
    endpoints.mark_failing(endpoint)
    chance = random.random()  # noqa: S311
    pause = retries.pause_before(message.attempt + 1, answer.retry_after, chance)
    if pause is None:
        return deliveries.FAILED
    queue.send(
        Message(
            message.endpoint_id,
            message.delivery_id,
            message.round,
            message.attempt + 1,
            clock.seconds() + pause,
        )
    )
    return deliveries.PENDING


def _disable(endpoint: Endpoint, reason: endpoints.DisabledReason) -> bool:
    """Whether it is disabled: not if the owner has changed it since it was read."""
    if not endpoints.is_unchanged(endpoint):
        return False  # without an alarm
    # Emit the metric before writing the record. In the other order, a crash could lose the alarm.
    count(ENDPOINT_DISABLED)
    logger.error("endpoint disabled", extra={"endpoint_id": endpoint.endpoint_id, "reason": reason})
    return endpoints.disable(endpoint, reason)
