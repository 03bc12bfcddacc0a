"""The queue of attempts of the moto account: SQS, played with the clock that a test moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from clipmint import aws, clock
from functions.deliver.app import handler as deliver
from tests.support.clock import Clock
from tests.support.executions import answer
from tests.support.gateway import Context
from tests.support.moto_aws import hooked


@dataclass
class Queue:
    """Messages with the time at which SQS passes them on, in epoch seconds."""

    messages: list[tuple[float, str]] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)

    def send(self, params: dict[str, Any], **_: Any) -> Any:
        http, parsed = answer(200)
        sent = json.loads(params["body"])
        assert 0 <= sent["DelaySeconds"] <= 900
        self.groups.add(sent["MessageGroupId"])
        self.messages.append((clock.seconds() + sent["DelaySeconds"], sent["MessageBody"]))
        return http, parsed | {"MessageId": "1"}

    def pass_on(self) -> str | None:
        """Run the function for the earliest message that is due; the message, or None."""
        due = [message for message in sorted(self.messages) if message[0] <= clock.seconds()]
        if not due:
            return None
        self.messages.remove(due[0])
        deliver({"Records": [{"body": due[0][1]}]}, Context())
        return due[0][1]

    def run(self, hands: Clock) -> None:
        """Let time pass until the queue is empty."""
        while self.messages:
            wait = min(self.messages)[0] - clock.seconds()
            if wait > 0:
                hands.forward(seconds=wait)
            self.pass_on()


@contextmanager
def attempts() -> Iterator[Queue]:
    """The queue instead of moto's."""
    queue = Queue()
    with hooked(aws.sqs(), {"before-call.sqs.SendMessage": queue.send}):
        yield queue
