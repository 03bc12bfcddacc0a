"""The fourth act: the owner's systems learn of what happened, by signed events.

A receiver on this computer verifies each call as a receiver of the owner's would. One event is
delivered, a forged one is rejected, and one is delivered again.
"""

from __future__ import annotations

import json

from local.demo.act import Act
from local.demo.app import public
from local.receiver import Receiver, Subscription
from local.stack import wait_for

CREDITS, REFERENCE = 25, "purchase-with-an-event"
PATIENCE_SECONDS = 180
SIGNATURE = ("webhook-id", "webhook-timestamp", "webhook-signature")


class FourthAct(Act):
    """One run with a user of its own."""

    user = "demo-events"

    def play(self) -> None:
        self.heading("Fourth act: signed events for the owner's systems")
        with (
            Receiver(self.stack.receiver_port) as receiver,
            Subscription(self.stack, receiver, ["credits.granted"]) as webhook,
        ):
            self.owner.grant(self.user, CREDITS, reference=REFERENCE)
            wait_for(lambda: bool(receiver.events), PATIENCE_SECONDS)
            event = receiver.events[0]
            payload = json.loads(event.body)
            self.say(f"delivered: {payload['type']} {event.event_id}, signature verified")
            self.equal("type of the event", payload["type"], "credits.granted")
            self.equal("its credits", payload["data"]["credits"], CREDITS)
            self.equal("its reference", payload["data"]["reference"], REFERENCE)

            # An attacker calls the receiver with more credits, and a signature that was seen.
            payload["data"]["credits"] = 1_000_000
            headers = {name: event.headers[name] for name in SIGNATURE}
            answer = public().post(receiver.url, content=json.dumps(payload), headers=headers)
            self.say(f"rejected: a forged event, with {answer.status_code}")
            self.equal("response to the forged event", answer.status_code, 401)
            self.equal("accepted events", len(receiver.events), 1)

            path = f"/{webhook.webhook_id}/deliveries"

            def delivered() -> str:
                """The id of the one delivery, once it is delivered."""
                [delivery] = webhook.call("GET", path)["deliveries"]
                return str(delivery["delivery_id"]) if delivery["status"] == "delivered" else ""

            delivery_id = wait_for(delivered, PATIENCE_SECONDS)
            webhook.call("POST", f"{path}/{delivery_id}/redeliver")
            wait_for(lambda: len(receiver.events) > 1, PATIENCE_SECONDS)
            again = receiver.events[1]
            self.say(f"delivered again: {again.event_id}, the same id and the same bytes")
            self.equal("id of the repeated event", again.event_id, event.event_id)
            self.equal("body of the repeated event", again.body, event.body)
