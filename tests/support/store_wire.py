"""Webhooks of stores, as the stores write and sign them."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from clipmint import clock
from local import stores
from local.stores import STRIPE_SECRET
from tests.support import appstore_wire

REVENUECAT_SECRET = stores.REVENUECAT_AUTHORIZATION
SECRETS = {
    "STRIPE_WEBHOOK_SECRETS": f"whsec_next_of_the_owner {STRIPE_SECRET}",
    "REVENUECAT_AUTHORIZATIONS": REVENUECAT_SECRET,
    "REVENUECAT_TESTERS": "tester",
    "STRIPE_TESTERS": "another tester",
    **appstore_wire.SECRETS,
}
PACK = {"credits": 500, "name": "500 credits", "store_ids": {"revenuecat": ["com.app.credits_500"]}}


@dataclass(frozen=True)
class Delivery:
    """One webhook: the store in its path, its body and its headers."""

    store: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)


def signature(body: str, *, secret: str = STRIPE_SECRET, seconds_ago: float = 0) -> str:
    """The header ``Stripe-Signature``, computed as Stripe documents it."""
    at = int(clock.seconds() - seconds_ago)
    signed = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def stripe(
    kind: str,
    found: dict[str, Any],
    *,
    event_id: str = "",
    livemode: bool | None = True,
    **signed: Any,
) -> Delivery:
    """An event of Stripe about an object."""
    event = {
        "id": event_id or f"evt_{kind}",
        "object": "event",
        "api_version": "2025-02-24.acacia",
        "livemode": livemode,
        "type": kind,
        "data": {"object": found},
    }
    body = json.dumps(event)
    return Delivery("stripe", body, {"Stripe-Signature": signature(body, **signed)})


def checkout(kind: str = "completed", *, livemode: bool | None = True, **changes: Any) -> Delivery:
    """A session of Checkout that is paid, unless changed."""
    session: dict[str, Any] = {
        "id": "cs_1",
        "mode": "payment",
        "payment_status": "paid",
        "payment_intent": "pi_1",
        "client_reference_id": "ada",
        "metadata": {"clipmint_product": "credits-500"},
        "amount_total": 1,
    }
    return stripe(f"checkout.session.{kind}", session | changes, livemode=livemode)


def intent(**changes: Any) -> Delivery:
    """The same payment, reported by its PaymentIntent."""
    metadata = {"clipmint_product": "credits-500", "clipmint_user": "ada"}
    return stripe("payment_intent.succeeded", {"id": "pi_1", "metadata": metadata} | changes)


def period(price: str = "price_pro", end: int = 4_000_000_000, **changes: Any) -> dict[str, Any]:
    """A line of an invoice: a period of a subscription."""
    line = {"type": "subscription", "proration": False, "price": {"id": price}}
    return line | {"period": {"end": end}} | changes


def invoice(reason: str = "subscription_create", **changes: Any) -> Delivery:
    """An invoice of a period of a subscription that is paid."""
    found: dict[str, Any] = {
        "id": "in_1",
        "billing_reason": reason,
        "amount_paid": 900,
        "payment_intent": "pi_in_1",
        "subscription_details": {"metadata": {"clipmint_user": "ada"}},
        "lines": {"data": [period()]},
    }
    return stripe("invoice.paid", found | changes)


def charge(refunded: int, *, of: int = 1_000, payment: str = "pi_1") -> Delivery:
    """A charge of which so much is refunded, all in all."""
    found = {
        "id": "ch_1",
        "payment_intent": payment,
        "amount": of,
        "amount_captured": of,
        "amount_refunded": refunded,
    }
    return stripe("charge.refunded", found, event_id=f"evt_refund_{refunded}")


def dispute(kind: str, status: str, dispute_id: str = "dp_1", *, payment: str = "pi_1") -> Delivery:
    """A dispute of the charge."""
    found = {"id": dispute_id, "charge": "ch_1", "payment_intent": payment, "status": status}
    return stripe(f"charge.dispute.{kind}", found)


def revenuecat(kind: str = "NON_RENEWING_PURCHASE", **changes: Any) -> Delivery:
    """An event of RevenueCat, with the members of its documentation that we read, and some more."""
    event: dict[str, Any] = {
        "id": "12345678-1234-1234-1234-123456789012",
        "type": kind,
        "app_user_id": "ada",
        "original_app_user_id": "$RCAnonymousID:87c6049c58069238dce29853916d624c",
        "product_id": "com.app.credits_500",
        "period_type": "NORMAL",
        "event_timestamp_ms": 1_658_726_378_900,
        "purchased_at_ms": 1_658_726_378_679,
        "expiration_at_ms": None,
        "environment": "PRODUCTION",
        "is_family_share": False,
        "transaction_id": "123456789012345",
        "original_transaction_id": "123456789012345",
        "store": "PLAY_STORE",
        "price": 4.99,
        "currency": "USD",
    }
    body = json.dumps({"api_version": "1.0", "event": event | changes})
    return Delivery("revenuecat", body, {"Authorization": REVENUECAT_SECRET})


def appstore(kind: str = "ONE_TIME_CHARGE", subtype: str | None = None, **changes: Any) -> Delivery:
    """A notification of the App Store; see `appstore_wire.signed`."""
    return Delivery("appstore", appstore_wire.body(appstore_wire.signed(kind, subtype, **changes)))
