"""The queue of attempts: one message for each attempt that is to come.

SQS delays a message by fifteen minutes at most. A message that is received before its time is
replaced by one for the rest of the time. So no message waits invisibly in the queue, of which SQS
allows 120,000, and an endpoint that is down cannot use them up for the others. The messages of an
endpoint are one group: in a queue with `fair` groups, those of a slow one come last.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Self

from clipmint import aws, clock
from clipmint.settings import DeliverySettings
from clipmint.values import frozen

LONGEST_DELAY_SECONDS = 900
"""SQS's limit."""


@frozen
class Message:
    """An attempt that is due at a time, in epoch seconds. ``round`` and ``attempt``: see
    `endpoint_items.DeliveryItem`."""

    endpoint_id: str
    delivery_id: str
    round: int
    attempt: int
    due_at: float

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))

    @property
    def seconds_left(self) -> float:
        """Until it is due; negative afterwards."""
        return self.due_at - clock.seconds()


def send(message: Message) -> None:
    """Queue an attempt, to be received when it is due, or in fifteen minutes if that is earlier."""
    delay = min(max(0, round(message.seconds_left)), LONGEST_DELAY_SECONDS)
    # The messages of a group are in no order in a standard queue.
    arguments: dict[str, Any] = {
        "QueueUrl": DeliverySettings.read().delivery_queue_url,
        "MessageBody": json.dumps(asdict(message)),
        "MessageGroupId": message.endpoint_id,
        "DelaySeconds": delay,
    }
    aws.sqs().send_message(**arguments)
