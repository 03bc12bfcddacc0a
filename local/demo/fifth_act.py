"""The fifth act: a user pays at a store, a promotion ends, and a payment is refunded.

The store is Stripe: this module signs its events as Stripe documents it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from local.demo.app import App, retry_after
from local.demo.checks import Checks
from local.demo.screen import Screen
from local.stack import Stack, wait_for

USER = "demo-shop"
PACK, CREDITS = "demo-credits-50", 50
PROMOTION, PROMOTION_SECONDS = 20, 3
PATIENCE_SECONDS = 60
ORDER = {"model_id": "veo-3.1", "prompt": "A shop window at night", "preset": "draft"}


class FifthAct:
    """One run on the stack of the other acts, with a user and a pack of its own."""

    def __init__(self, stack: Stack, screen: Screen, checks: Checks) -> None:
        self._stack = stack
        self._screen = screen
        self._checks = checks
        self._payment = f"pi_{uuid.uuid4().hex}"
        self._secret = f"whsec_{secrets.token_urlsafe(24)}"

    def run(self) -> None:
        """Run the act. Raises what `App` raises."""
        self._screen.heading("Fifth act: a payment, a promotion, and a refund")
        bearer = self._stack.bearer
        with (
            App(self._stack.api_url, bearer("shop", admin=True)) as owner,
            App(self._stack.api_url, bearer(USER)) as user,
        ):
            self._connect_the_store(owner)
            self._pay(user)
            self._promote(owner, user)
            self._refund(user, self._spend(user))

    def _connect_the_store(self, owner: App) -> None:
        self._stack.boto3("secretsmanager").put_secret_value(
            SecretId=self._stack.outputs["StoreSecretsArn"],
            SecretString=json.dumps({"STRIPE_WEBHOOK_SECRETS": self._secret}),
        )
        owner.put(f"/v1/admin/packs/{PACK}", {"credits": CREDITS})

    def _pay(self, user: App) -> None:
        """The store reports one payment twice."""
        session = {
            "id": f"cs_{uuid.uuid4().hex}",
            "mode": "payment",
            "payment_status": "paid",
            "payment_intent": self._payment,
            "client_reference_id": USER,
            "metadata": {"clipmint_product": PACK},
        }
        results = [self._report("checkout.session.completed", session) for _ in range(2)]
        self._screen.say(f"a payment, reported twice: {CREDITS} credits, once")
        self._checks.equal("results of the two reports", results, [["applied"], ["known"]])
        self._checks.equal("credits that were bought", credits_of(user)["available"], CREDITS)

    def _promote(self, owner: App, user: App) -> None:
        """Credits that end in some seconds."""
        ends = datetime.now(UTC) + timedelta(seconds=PROMOTION_SECONDS)
        grant = {
            "user_id": USER,
            "amount": PROMOTION,
            "reference": f"promotion-{uuid.uuid4()}",
            "kind": "promo",
            "expires_at": ends.isoformat(),
        }
        granted = owner.post("/v1/admin/grants", grant).json()
        self._checks.equal("credits with the promotion", granted["available"], CREDITS + PROMOTION)
        wait_for(lambda: credits_of(user)["available"] == CREDITS, PATIENCE_SECONDS, every=0.2)
        self._screen.say(f"a promotion of {PROMOTION} credits: gone after {PROMOTION_SECONDS} s")
        self._checks.that(datetime.now(UTC) >= ends, "the promotion was there until its end")

    def _spend(self, user: App) -> int:
        """A video. Returns what it cost."""
        key = str(uuid.uuid4())
        job_id = user.post("/v1/videos", ORDER, idempotency_key=key).json()["job_id"]
        while (answer := user.get(f"/v1/videos/{job_id}")).json()["completed_at"] is None:
            time.sleep(retry_after(answer))
        video = answer.json()
        self._checks.equal("the video that was paid for", video["status"], "completed")
        return int(video["credits_used"])

    def _refund(self, user: App, spent: int) -> None:
        """The store refunds the whole payment, and reports it twice."""
        charge = {
            "id": f"ch_{uuid.uuid4().hex}",
            "payment_intent": self._payment,
            "amount": 1_000,
            "amount_captured": 1_000,
            "amount_refunded": 1_000,
        }
        results = [self._report("charge.refunded", charge) for _ in range(2)]
        left = credits_of(user)
        self._screen.say(f"refunded: {CREDITS} credits, of which {spent} were spent: a debt")
        self._checks.equal("results of the two refunds", results, [["applied"], ["known"]])
        self._checks.equal("credits after it", (left["available"], left["debt"]), (0, spent))
        kinds = [entry["kind"] for entry in user.all_entries()]
        expected = ["grant", "grant", "expire", "hold", "capture", "clawback"]
        self._checks.equal("the journal", kinds, expected)

    def _report(self, kind: str, found: Mapping[str, Any]) -> list[str]:
        """Send a signed event to the store's webhook. Returns what was done."""
        event = {
            "id": f"evt_{uuid.uuid4().hex}",
            "object": "event",
            "api_version": "2025-02-24.acacia",
            "livemode": True,
            "type": kind,
            "data": {"object": found},
        }
        body, at = json.dumps(event), int(time.time())
        digest = hmac.new(self._secret.encode(), f"{at}.{body}".encode(), hashlib.sha256)
        answer = httpx.post(
            f"{self._stack.api_url}/webhooks/purchases/stripe",
            content=body,
            headers={"Stripe-Signature": f"t={at},v1={digest.hexdigest()}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )
        results: list[str] = answer.raise_for_status().json()["results"]
        return results


def credits_of(user: App) -> dict[str, Any]:
    shown: dict[str, Any] = user.get("/v1/credits").json()
    return shown
