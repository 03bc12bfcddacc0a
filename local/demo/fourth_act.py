"""The fourth act: the owner's systems learn of what happened, by signed events.

A receiver on this computer verifies each call as a receiver of the owner's would. One event is
delivered, a forged one is rejected, and one is delivered again.
"""

from __future__ import annotations

import json
import uuid

import httpx

from local.demo.app import App
from local.demo.checks import Checks
from local.demo.screen import Screen
from local.receiver import Received, Receiver, Subscription
from local.stack import Stack, wait_for

USER = "demo-events"
CREDITS = 25
PATIENCE_SECONDS = 60


class FourthAct:
    """One run on the stack of the other acts, with a user of its own."""

    def __init__(self, stack: Stack, screen: Screen, checks: Checks) -> None:
        self._stack = stack
        self._screen = screen
        self._checks = checks

    def run(self) -> None:
        """Run the act. Raises what `App` raises."""
        self._screen.heading("Fourth act: signed events for the owner's systems")
        with (
            Receiver(self._stack.receiver_port) as receiver,
            Subscription(self._stack, receiver, ["credits.granted"]) as webhook,
        ):
            delivered = self._deliver(receiver)
            self._forge(receiver, delivered)
            self._deliver_again(receiver, webhook, delivered)

    def _deliver(self, receiver: Receiver) -> Received:
        reference = f"purchase-{uuid.uuid4()}"
        grant = {"user_id": USER, "amount": CREDITS, "reference": reference}
        with App(self._stack.api_url, self._stack.bearer("shop", admin=True)) as owner:
            owner.post("/v1/admin/grants", grant)
        wait_for(lambda: bool(receiver.events), PATIENCE_SECONDS)
        event = receiver.events[0]
        payload = event.payload or {}
        self._screen.say(f"delivered: {payload.get('type')} {event.event_id}, signature verified")
        self._checks.equal("type of the event", payload.get("type"), "credits.granted")
        self._checks.equal("its credits", payload.get("data", {}).get("credits"), CREDITS)
        self._checks.equal("its reference", payload.get("data", {}).get("reference"), reference)
        return event

    def _forge(self, receiver: Receiver, real: Received) -> None:
        """An attacker calls the receiver with more credits, and a signature that was seen."""
        payload = json.loads(real.body)
        payload["data"]["credits"] = 1_000_000
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        answer = httpx.post(
            receiver.url,
            content=json.dumps(payload),
            headers={name: real.headers[name] for name in names},
            trust_env=False,
        )
        self._screen.say(f"rejected: a forged event, with {answer.status_code}")
        self._checks.equal("response to the forged event", answer.status_code, 401)
        self._checks.equal("accepted events", len(receiver.events), 1)

    def _deliver_again(self, receiver: Receiver, webhook: Subscription, real: Received) -> None:
        path = f"/{webhook.webhook_id}/deliveries"

        def first() -> dict[str, str]:
            [delivery] = webhook.call("GET", path)["deliveries"]
            found: dict[str, str] = delivery
            return found

        wait_for(lambda: first()["status"] == "delivered", PATIENCE_SECONDS)
        webhook.call("POST", f"{path}/{first()['delivery_id']}/redeliver")
        wait_for(lambda: len(receiver.events) > 1, PATIENCE_SECONDS)
        again = receiver.events[1]
        self._screen.say(f"delivered again: {again.event_id}, the same id and the same bytes")
        self._checks.equal("id of the repeated event", again.event_id, real.event_id)
        self._checks.equal("body of the repeated event", again.body, real.body)
