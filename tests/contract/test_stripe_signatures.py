"""Our check of Stripe's signatures against the official `stripe` package, in both directions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import stripe as official
from hypothesis import given
from hypothesis import strategies as st

from clipmint.errors import WebhookNotProven
from clipmint.purchases import stripe
from local import stores
from tests.support import store_wire as wire

SECRET = stores.STRIPE_SECRET
BODY = '{"id": "evt_1", "object": "event", "name": "Zoë"}'


def signed_by_stripe(body: str, secret: str, at: int) -> str:
    """The header that the official package makes."""
    signature = official.WebhookSignature._compute_signature(f"{at}.{body}", secret)  # noqa: SLF001
    return f"t={at},v1={signature},v0=another-scheme"


def accepted_by_us(header: str, body: bytes, *secrets: str) -> bool:
    try:
        stripe.verify(header, body, secrets, time.time())
    except WebhookNotProven:
        return False
    return True


def accepted_by_stripe(header: str, body: str, secret: str) -> bool:
    try:
        official.WebhookSignature.verify_header(
            body, header, secret, tolerance=stripe.TOLERANCE_SECONDS
        )
    except official.SignatureVerificationError:
        return False
    return True


@given(st.text(max_size=200), st.text("abcdef0123456789_", min_size=1, max_size=40))
def test_what_the_official_package_signs_we_accept_and_the_reverse(body: str, secret: str) -> None:
    at = int(time.time())
    header = signed_by_stripe(body, f"whsec_{secret}", at)
    assert accepted_by_us(header, body.encode(), "whsec_old", f"whsec_{secret}")
    assert accepted_by_stripe(wire.signature(body, secret=secret), body, secret)


@pytest.mark.parametrize(
    "make",
    [
        lambda: signed_by_stripe(BODY, "whsec_another", int(time.time())),
        lambda: signed_by_stripe(BODY + " ", SECRET, int(time.time())),
        lambda: signed_by_stripe(BODY, SECRET, int(time.time()) - 302),
        lambda: signed_by_stripe(BODY, SECRET, int(time.time())).replace("v1=", "v0="),
        lambda: signed_by_stripe(BODY, SECRET, int(time.time())).partition(",")[2],
        lambda: "",
        lambda: "t=now,v1=abc",
        lambda: "t=,v1=",
    ],
)
def test_what_the_official_package_refuses_we_refuse(make: Any) -> None:
    header = make()
    assert not accepted_by_stripe(header, BODY, SECRET)
    assert not accepted_by_us(header, BODY.encode(), SECRET)


def test_one_of_several_signatures_or_secrets_is_enough() -> None:
    at = int(time.time())
    both = ",".join(
        [signed_by_stripe(BODY, "whsec_a", at), signed_by_stripe(BODY, SECRET, at).split(",")[1]]
    )
    assert accepted_by_stripe(both, BODY, SECRET)
    assert accepted_by_us(both, BODY.encode(), "whsec_b", SECRET)


def test_the_events_of_our_tests_are_events_of_the_official_package() -> None:
    delivery = wire.checkout()
    event = official.Webhook.construct_event(
        delivery.body, delivery.headers["Stripe-Signature"], SECRET
    )
    assert event.type == "checkout.session.completed"
    assert event.data.object["payment_intent"] == "pi_1"
    assert json.loads(delivery.body)["id"] == event.id
