"""The items of payments and of purchases that are not applied yet, in the Ledger table."""

from __future__ import annotations

import json
from typing import cast

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from clipmint import clock
from clipmint.credits.ledger_items import BySequence
from clipmint.lots import CreditKind
from clipmint.purchases.pack import Store
from clipmint.purchases.payment import Payment
from clipmint.tables import FromEnvironment, TableMeta


class PaymentItem(Model):
    """A payment, at ``PAYMENT#{store}#{id}``. The audit skips it, as it does references."""

    class Meta(TableMeta):
        table_name = FromEnvironment("LEDGER_TABLE")

    key = UnicodeAttribute(hash_key=True, attr_name="user_id")
    sk = UnicodeAttribute(range_key=True, default="REFERENCE")
    store = UnicodeAttribute()
    payment_id = UnicodeAttribute()
    granted_to = UnicodeAttribute(null=True)
    product_id = UnicodeAttribute(null=True)
    credits = NumberAttribute()
    credit_kind = UnicodeAttribute()
    expires_at = UnicodeAttribute(null=True)
    refunded = NumberAttribute()
    refunded_of = NumberAttribute()
    cases = UnicodeAttribute()
    taken = NumberAttribute()
    elsewhere = NumberAttribute()
    expired = NumberAttribute()
    lot = NumberAttribute(null=True)
    revision = NumberAttribute()


def key_of(store: str, payment_id: str) -> str:
    """The key of a payment's item."""
    return f"PAYMENT#{store}#{payment_id}"


def to_item(payment: Payment) -> PaymentItem:
    """A payment as an item."""
    return PaymentItem(
        key_of(payment.store, payment.payment_id),
        store=payment.store,
        payment_id=payment.payment_id,
        granted_to=payment.user_id,
        product_id=payment.product_id,
        credits=payment.credits,
        credit_kind=payment.kind.value,
        expires_at=clock.iso(payment.expires_at) if payment.expires_at else None,
        refunded=payment.refunded,
        refunded_of=payment.refunded_of,
        cases=json.dumps(payment.cases, sort_keys=True),
        taken=payment.taken,
        elsewhere=payment.elsewhere,
        expired=payment.expired,
        lot=payment.lot,
        revision=payment.revision,
    )


def to_payment(item: PaymentItem) -> Payment:
    """The inverse of `to_item`. Raises one of `unreadable.UNREADABLE`."""
    return Payment(
        store=cast("Store", item.store),
        payment_id=item.payment_id,
        user_id=item.granted_to,
        product_id=item.product_id,
        credits=int(item.credits),
        kind=CreditKind(item.credit_kind),
        expires_at=clock.from_iso(item.expires_at) if item.expires_at else None,
        refunded=int(item.refunded),
        refunded_of=int(item.refunded_of),
        cases={
            case: (int(at), bool(returned))
            for case, (at, returned) in json.loads(item.cases).items()
        },
        taken=int(item.taken),
        elsewhere=int(item.elsewhere),
        expired=int(item.expired),
        lot=None if item.lot is None else int(item.lot),
        revision=int(item.revision),
    )


WAITING = "WAITING"
"""The partition of purchases that are not applied."""


class WaitingItem(Model):
    """A paid purchase that could not be credited, at ``sk = PURCHASE#{purchase_id}``.

    ``status`` is ``waiting``, ``applied`` or ``dismissed``. ``sequence`` is ``received_at`` in
    epoch milliseconds: the table's index sorts by it.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("LEDGER_TABLE")

    key = UnicodeAttribute(hash_key=True, attr_name="user_id", default=WAITING)
    sk = UnicodeAttribute(range_key=True)
    store = UnicodeAttribute()
    event_id = UnicodeAttribute()
    payment_id = UnicodeAttribute()
    product_id = UnicodeAttribute(null=True)
    for_user = UnicodeAttribute(null=True)
    expires_at = UnicodeAttribute(null=True)
    reason = UnicodeAttribute()
    status = UnicodeAttribute()
    received_at = UnicodeAttribute()
    sequence = NumberAttribute(null=True)

    by_sequence = BySequence()
