"""Deliver: make one attempt to send an event to an endpoint, for a message of the queue."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.events import delivering
from clipmint.events.queue import Message


def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001
    # One message each time: a slow endpoint delays no other message of a batch.
    for record in event["Records"]:
        delivering.handle(Message.from_json(record["body"]))
