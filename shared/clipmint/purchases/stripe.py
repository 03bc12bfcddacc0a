"""Stripe's webhooks, for the API versions up to ``2025-02-24.acacia`` (docs/purchases.md).

The signature is that of https://docs.stripe.com/webhooks#verify-manually: HMAC-SHA256 over the time
and the raw body. The contract tests compare it with the official `stripe` package.

A payment is a PaymentIntent: Checkout, an invoice, a charge and a dispute all name it. The user is
``clipmint_user`` of the metadata, or ``client_reference_id``; the product is ``clipmint_product``
of the metadata, or the price of an invoice's line.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipmint import clock
from clipmint.errors import InvalidRequest, WebhookNotProven
from clipmint.purchases import pack_store
from clipmint.purchases.payment import Paid, Refunded, Report, Withdrawn
from clipmint.purchases.reading import integer, json_object, moment, objects, text

SECRETS = "STRIPE_WEBHOOK_SECRETS"
TESTERS = "STRIPE_TESTERS"
TOLERANCE_SECONDS = 300
NEW_PERIODS = frozenset({"subscription_create", "subscription_cycle"})


def read(
    headers: Mapping[str, str], raw: bytes, secrets: Mapping[str, Sequence[str]]
) -> list[Report]:
    """What a webhook reports; nothing for an event that moves no credits.

    Payments in the test mode count only for users who are testers. Refunds and disputes do not name
    a user; in the test mode there are only those of such payments.

    Parameters
    ----------
    headers
        With names in lower case.

    Raises
    ------
    WebhookNotProven
        It is not signed with one of the secrets, or not within five minutes.
    InvalidRequest
        It is signed, and not an event.
    """
    verify(headers.get("stripe-signature", ""), raw, secrets[SECRETS], clock.seconds())
    event = json_object(raw)
    event_id, kind = text(event, "id"), text(event, "type")
    found = objects(objects(event, "data"), "object")
    facts = _READERS[kind](found) if kind in _READERS else iter(())
    live = event.get("livemode") is True
    return [
        Report("stripe", event_id, payment_id, fact)
        for payment_id, fact in facts
        if live or not isinstance(fact, Paid) or fact.user_id in secrets[TESTERS]
    ]


def verify(header: str, raw: bytes, secrets: Sequence[str], now: float) -> None:
    """Raise `WebhookNotProven` unless one of the secrets has signed this body about now."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()):
        raise WebhookNotProven("The signature is missing")
    expected = [
        hmac.new(secret.encode(), times[0].encode() + b"." + raw, hashlib.sha256).hexdigest()
        for secret in secrets
    ]
    matches = [
        hmac.compare_digest(one.encode(), signature.encode())
        for one in expected
        for signature in signatures
    ]
    if not any(matches):
        raise WebhookNotProven("The signature is not valid")
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise WebhookNotProven("The signature is too old")


Facts = Iterator[tuple[str, Paid | Refunded | Withdrawn]]


def _checkout(session: Mapping[str, Any]) -> Facts:
    # A subscription's session is paid by its invoice; a session may also cost nothing.
    if session.get("mode") == "payment" and session.get("payment_status") == "paid":
        metadata = objects(session, "metadata")
        user = text(metadata, "clipmint_user")
        if not user and not session.get("payment_link"):
            # In the URL of a payment link, the buyer can write any client_reference_id.
            user = text(session, "client_reference_id")
        product = text(metadata, "clipmint_product")
        if user or product:  # otherwise it belongs to another business of the owner
            yield _payment_of(session), Paid(product or None, user or None)


def _payment_intent(intent: Mapping[str, Any]) -> Facts:
    # Without our metadata it belongs to a Checkout session, to an invoice, or to another business.
    metadata = objects(intent, "metadata")
    user, product = text(metadata, "clipmint_user"), text(metadata, "clipmint_product")
    if user or product:
        yield text(intent, "id"), Paid(product or None, user or None)


def _invoice(invoice: Mapping[str, Any]) -> Facts:
    # What the customer's balance has paid is not in ``amount_paid``: Stripe fills the balance with
    # the unused time of a subscription, whose credits may be spent.
    outside = invoice.get("paid_out_of_band") is True
    paid = integer(invoice, "total" if outside else "amount_paid")
    if invoice.get("billing_reason") not in NEW_PERIODS or paid <= 0:
        return
    details = objects(invoice, "subscription_details")
    metadata = objects(details, "metadata") or objects(invoice, "metadata")

    def product_of(line: Mapping[str, Any]) -> str:
        return text(objects(line, "price"), "id") or text(metadata, "clipmint_product")

    packs = pack_store.all_packs().items()
    lines = _new_periods(invoice)
    sold = [
        line
        for line in lines
        if any(pack.is_sold_as("stripe", product_of(line), own_id) for own_id, pack in packs)
    ]
    # With several packs, or with several prices and no pack, the purchase waits for the owner.
    found = sold or lines
    product = product_of(found[0]) if len(found) == 1 else ""
    ends = max((integer(objects(line, "period"), "end") for line in found), default=0)
    yield (
        # The owner has marked an invoice as paid outside Stripe: there may be no PaymentIntent, and
        # Stripe will report no refund of it.
        (text(invoice, "id") if outside else "") or _payment_of(invoice),
        Paid(product or None, text(metadata, "clipmint_user") or None, moment(ends)),
    )


def _new_periods(invoice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The lines that pay for a period of a subscription: no single items, and no prorations."""
    lines = objects(invoice, "lines").get("data")
    return [
        line
        for line in (lines if isinstance(lines, list) else [])
        if isinstance(line, dict)
        and line.get("type") == "subscription"
        and line.get("proration") is not True
    ]


def _charge(charge: Mapping[str, Any]) -> Facts:
    whole = integer(charge, "amount_captured") or integer(charge, "amount")
    part = integer(charge, "amount_refunded")
    if text(charge, "payment_intent") and whole > 0 and part > 0:
        yield _payment_of(charge), Refunded(part, whole)


def _dispute(dispute: Mapping[str, Any]) -> Facts:
    # An inquiry ("warning_…") has taken no money. If it becomes a dispute, Stripe reports that the
    # funds are withdrawn.
    if not text(dispute, "status").startswith("warning_"):
        yield from _withdrawn(dispute)


def _withdrawn(dispute: Mapping[str, Any]) -> Facts:
    if text(dispute, "payment_intent"):
        won = text(dispute, "status") == "won"
        yield _payment_of(dispute), Withdrawn(won, text(dispute, "id"))


_READERS = {
    "checkout.session.completed": _checkout,
    "checkout.session.async_payment_succeeded": _checkout,
    "payment_intent.succeeded": _payment_intent,
    "invoice.paid": _invoice,
    "charge.refunded": _charge,
    "charge.dispute.created": _dispute,
    "charge.dispute.funds_withdrawn": _withdrawn,
    "charge.dispute.closed": _dispute,
}


def _payment_of(found: Mapping[str, Any]) -> str:
    """The PaymentIntent, by which a refund names the payment.

    Raises `InvalidRequest` without one: newer API versions do not name it in an invoice. Without
    it, a refund would not find what it has to take back.
    """
    if not (payment_id := text(found, "payment_intent")):
        raise InvalidRequest(
            "The event does not name its PaymentIntent",
            details="Set the API version of the webhook endpoint to 2025-02-24.acacia",
        )
    return payment_id
