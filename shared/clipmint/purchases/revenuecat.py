"""RevenueCat's webhooks: https://www.revenuecat.com/docs/integrations/webhooks/event-types-and-fields.

RevenueCat authenticates its calls by the header ``Authorization``; the owner has chosen its value.
A payment is a transaction of the store; the user is ``app_user_id``.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from clipmint.errors import WebhookNotProven
from clipmint.purchases import appstore, stripe
from clipmint.purchases.payment import Paid, Reason, Report, Withdrawn
from clipmint.purchases.reading import integer, json_object, moment, objects, text

SECRETS = "REVENUECAT_AUTHORIZATIONS"
TESTERS = "REVENUECAT_TESTERS"
PURCHASES = frozenset({"INITIAL_PURCHASE", "NON_RENEWING_PURCHASE", "RENEWAL"})
PAID_PERIODS = frozenset({"NORMAL", "INTRO", "PREPAID", ""})
"""Not a trial nor a promotion: nothing is paid for these."""
ANONYMOUS = "$RCAnonymousID:"
DIRECT = {
    "APP_STORE": appstore.SECRETS,
    "MAC_APP_STORE": appstore.SECRETS,
    "STRIPE": stripe.SECRETS,
}
"""By ``store`` of an event: the member of the secret that connects this store without
RevenueCat."""


def read(
    headers: Mapping[str, str], raw: bytes, secrets: Mapping[str, Sequence[str]]
) -> list[Report]:
    """What a webhook reports; nothing for an event that moves no credits.

    Credits move for purchases and renewals, and for refunds by customer support. A plain
    cancellation takes nothing, because the period is paid; a transfer moves nothing. Events of the
    sandbox count only for users who are testers. A purchase of a store that is also connected
    directly waits for the owner: that store reports it, too, and each report would be credited.

    Raises
    ------
    WebhookNotProven
        The header is not one of the secrets.
    InvalidRequest
        It is proven, and not an event.
    """
    shown = headers.get("authorization", "").encode()
    matches = [hmac.compare_digest(shown, secret.encode()) for secret in secrets[SECRETS]]
    if not any(matches):
        raise WebhookNotProven("The header Authorization is not the agreed one")
    event = objects(json_object(raw), "event")
    user, payment_id = text(event, "app_user_id"), text(event, "transaction_id")
    twice = bool(secrets.get(DIRECT.get(text(event, "store"), "")))
    fact = _fact(event, user, "CONNECTED_TWICE" if twice else None)
    if not payment_id or fact is None:
        return []
    if event.get("environment") != "PRODUCTION" and user not in secrets[TESTERS]:
        return []
    return [Report("revenuecat", text(event, "id"), payment_id, fact)]


def _fact(event: Mapping[str, Any], user: str, waits_for: Reason | None) -> Paid | Withdrawn | None:
    kind = text(event, "type")
    if event.get("is_family_share") is True:
        return None  # each member of the family has an event, and one of them has paid
    if kind == "CANCELLATION" and event.get("cancel_reason") == "CUSTOMER_SUPPORT":
        return Withdrawn(at=integer(event, "event_timestamp_ms"))
    if kind == "REFUND_REVERSED":
        return Withdrawn(returned=True, at=integer(event, "event_timestamp_ms"))
    if kind in PURCHASES and text(event, "period_type") in PAID_PERIODS and event.get("price") != 0:
        ends = integer(event, "expiration_at_ms")
        known = user and not user.startswith(ANONYMOUS)
        return Paid(
            text(event, "product_id") or None,
            user if known else None,
            moment(ends / 1_000),
            waits_for,
        )
    return None
