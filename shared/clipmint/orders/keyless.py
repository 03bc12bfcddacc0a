"""Orders without an Idempotency-Key: the same order again, soon, is one job.

Clients of some protocols send no key, and repeat a request whose response was lost. So the same
order of the same user gets the same key while its window is open (`clipmint.orders.order_window`).
The window is one item, written before the order and after it; the order itself is placed under its
key as any other (`clipmint.orders.placing`).

Every write is conditional on the item that was read, so two simultaneous requests get one key. A
crash before the first write leaves nothing. After a crash after it, a retry finds the key, and by
it the job if there is one. After a crash before the last write, the window stays open until the
function's time-out and some seconds more.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.exceptions import DoesNotExist, PutError, PynamoDBException
from pynamodb.expressions.condition import Condition
from pynamodb.models import Model

from clipmint import aws, clock, unreadable
from clipmint.errors import ClipmintError, try_again
from clipmint.orders.idempotency_keys import Order
from clipmint.orders.order_settings import KeylessSettings
from clipmint.orders.order_window import OrderWindow, join, leave
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.telemetry import logger

ATTEMPTS = 10
"""Attempts at one write while simultaneous requests for the same order write the item."""

KEPT_SECONDS = 3_600
"""How long DynamoDB keeps the item of a closed window, at least."""


class WindowItem(Model):
    """The last window of one order of one user, in the table whose items expire.

    ``version`` changes with each write. ``running`` has no attribute while it is empty.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("IDEMPOTENCY_TABLE")

    id = UnicodeAttribute(hash_key=True)
    order_key = UnicodeAttribute()
    running = UnicodeSetAttribute(null=True)
    open_until = NumberAttribute()
    version = UnicodeAttribute()
    expiration = NumberAttribute()


@contextmanager
def order(user_id: str, fingerprint: str, *, seconds_left: float) -> Iterator[Order]:
    """Place an order of this user without a key: the body of the ``with`` statement places it.

    Parameters
    ----------
    fingerprint
        Identifies what is ordered.
    seconds_left
        How long this process may run, at most.

    Raises
    ------
    TemporarilyUnavailable
        Too many simultaneous requests for the same order, or the item cannot be read. Nothing was
        ordered.
    """
    length = KeylessSettings.read().keyless_order_seconds * 1_000
    # The length makes the pair unambiguous.
    item_id = f"order#{len(user_id)}:{user_id}#{fingerprint}"
    request = str(uuid.uuid4())
    item = _begin(item_id, request, int(seconds_left * 1_000), length)
    try:
        yield Order(user_id, item.order_key, fingerprint)
    except ClipmintError:
        _end(item, request, length)
        raise
    # After any other error it is not known what was written, as after a crash: no end.
    _end(item, request, length)


def _begin(item_id: str, request: str, milliseconds_left: int, length: int) -> WindowItem:
    """The item of the window to which this request belongs, as written."""
    read_first = False  # most orders are new

    def attempt() -> WindowItem:
        nonlocal read_first
        now = _now()
        found = _read(item_id) if read_first else None
        unchanged = _unchanged(found)
        if not read_first:
            unchanged = unchanged | (WindowItem.open_until < now)
        read_first = True
        window = join(
            _window(found) if found else None,
            request,
            now=now,
            latest_end=now + milliseconds_left,
            length=length,
        )
        return _write(item_id, window, unchanged)

    return aws.retry_on_conflict(
        attempt,
        attempts=ATTEMPTS,
        conflict=_was_changed,
        otherwise=try_again("The same order is being placed", details="Nothing was charged"),
    )


def _end(written: WindowItem, request: str, length: int) -> None:
    """Record that the request has ended. Without this record the window stays open longer."""
    found: WindowItem | None = written

    def attempt() -> None:
        nonlocal found
        found = found or _read(written.id)
        if found is None or request not in (found.running or ()):
            return  # the item expired: the clock of another machine is ahead
        window, unchanged = _window(found), _unchanged(found)
        found = None  # if another request has changed it, the next attempt reads it again
        _write(written.id, leave(window, request, now=_now(), length=length), unchanged)

    try:
        aws.retry_on_conflict(
            attempt,
            attempts=ATTEMPTS,
            conflict=_was_changed,
            otherwise=try_again("The same order is being placed"),
        )
    except (ClipmintError, BotoCoreError, PynamoDBException):
        # The order is placed or refused already, and the window closes at its latest time.
        logger.exception("the end of an order without a key was not recorded")


def _now() -> int:
    return int(clock.seconds() * 1_000)


def _read(item_id: str) -> WindowItem | None:
    try:
        return unreadable.required(
            lambda: WindowItem.get(item_id, consistent_read=True), "order window", item_id
        )
    except DoesNotExist:
        return None


def _window(item: WindowItem) -> OrderWindow:
    return OrderWindow(item.order_key, frozenset(item.running or ()), int(item.open_until))


def _unchanged(item: WindowItem | None) -> Condition:
    return WindowItem.version == item.version if item else WindowItem.id.does_not_exist()


def _write(item_id: str, window: OrderWindow, condition: Condition) -> WindowItem:
    item = WindowItem(
        item_id,
        order_key=window.key,
        running=set(window.running) or None,
        open_until=window.until,
        version=str(uuid.uuid4()),
        expiration=window.until // 1_000 + KEPT_SECONDS,
    )
    item.save(condition=condition)
    return item


def _was_changed(error: Exception) -> bool:
    return isinstance(error, PutError) and aws.condition_failed(error)
