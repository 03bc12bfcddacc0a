"""The fifth act: a user pays at a store, a promotion ends, and a payment is refunded.

The store is Stripe: its official package signs the events.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from local import stores
from local.demo.act import Act
from local.demo.app import once, public, retry_after
from local.stack import wait_for

PACK, CREDITS, PAYMENT = "demo-credits-50", 50, "pi_demo"
PROMOTION, PROMOTION_SECONDS = 20, 3
PATIENCE_SECONDS = 180
ORDER = {"model_id": "veo-3.1", "prompt": "A shop window at night", "preset": "draft"}
REFUND = {"id": "ch_demo", "payment_intent": PAYMENT} | dict.fromkeys(
    ("amount", "amount_captured", "amount_refunded"), 1_000
)


class FifthAct(Act):
    """One run with a user and a pack of its own."""

    user = "demo-shop"

    def play(self) -> None:
        self.heading("Fifth act: a payment, a promotion, and a refund")
        stores.connect(self.stack)
        self.owner.put(f"/v1/admin/packs/{PACK}", json={"credits": CREDITS})
        self._pay()
        self._promote()
        self._refund(self._spend())

    def _pay(self) -> None:
        """The store reports one payment twice."""
        session = {
            "id": "cs_demo",
            "mode": "payment",
            "payment_status": "paid",
            "payment_intent": PAYMENT,
            "client_reference_id": self.user,
            "metadata": {"clipmint_product": PACK},
        }
        results = [self._report("checkout.session.completed", session, n) for n in (1, 2)]
        self.say(f"a payment, reported twice: {CREDITS} credits, once")
        self.equal("results of the two reports", results, [["applied"], ["known"]])
        self.equal("credits that were bought", self.app.credits()["available"], CREDITS)

    def _promote(self) -> None:
        """Credits that end in some seconds."""
        ends = datetime.now(UTC) + timedelta(seconds=PROMOTION_SECONDS)
        more = {"kind": "promo", "expires_at": ends.isoformat()}
        granted = self.owner.grant(self.user, PROMOTION, **more)
        self.equal("credits with the promotion", granted["available"], CREDITS + PROMOTION)
        wait_for(lambda: self.app.credits()["available"] == CREDITS, PATIENCE_SECONDS, every=0.2)
        self.say(f"a promotion of {PROMOTION} credits: gone after {PROMOTION_SECONDS} s")
        self.checks.that(datetime.now(UTC) >= ends, "the promotion was there until its end")

    def _spend(self) -> int:
        """A video. Returns what it cost."""
        job_id = self.app.post("/v1/videos", json=ORDER, headers=once()).json()["job_id"]
        while (answer := self.app.get(f"/v1/videos/{job_id}")).json()["completed_at"] is None:
            time.sleep(retry_after(answer))
        video = answer.json()
        self.equal("the video that was paid for", video["status"], "completed")
        return int(video["credits_used"])

    def _refund(self, spent: int) -> None:
        """The store refunds the whole payment, and reports it twice."""
        results = [self._report("charge.refunded", REFUND, number) for number in (3, 4)]
        left = self.app.credits()
        self.say(f"refunded: {CREDITS} credits, of which {spent} were spent: a debt")
        self.equal("results of the two refunds", results, [["applied"], ["known"]])
        self.equal("credits after it", (left["available"], left["debt"]), (0, spent))
        kinds = [entry["kind"] for entry in self.app.journal()]
        expected = ["grant", "grant", "expire", "hold", "capture", "clawback"]
        self.equal("the journal", kinds, expected)

    def _report(self, kind: str, found: dict[str, Any], number: int) -> list[str]:
        """Send a signed event to the store's webhook. Returns what was done."""
        event = {
            "id": f"evt_demo_{number}",
            "object": "event",
            "api_version": "2025-02-24.acacia",
            "livemode": True,
            "type": kind,
            "data": {"object": found},
        }
        body = json.dumps(event)
        name, _, signature = stores.SIGN["stripe"](body).partition(": ")
        answer = public().post(
            f"{self.stack.api_url}/webhooks/purchases/stripe",
            content=body,
            headers={name: signature},
            timeout=PATIENCE_SECONDS,
        )
        return list(answer.raise_for_status().json()["results"])
