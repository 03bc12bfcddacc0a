"""Hundreds of events: none is missing at the receiver, and no forged one is accepted.

EVENTS=10000 in the environment sends more of them.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from typing import Any

import httpx
import pytest

from clipmint import clock
from clipmint.events import deliveries
from functions.admin.app import handler as admin
from functions.events.app import handler as events
from local.receiver import Receiver
from tests.support.attempts import Queue, attempts
from tests.support.clock import Clock
from tests.support.event_bus import event_bus
from tests.support.gateway import Caller, Context
from tests.support.moto_aws import Aws

NUMBER = int(os.environ.get("EVENTS", "500"))
BATCH = 100


def grant(number: int) -> dict[str, Any]:
    """The record of a grant."""
    entry = {
        "user_id": {"S": f"user-{number % 50}"},
        "sk": {"S": f"ENTRY#GRANT#{number}"},
        "sequence": {"N": str(number + 1)},
        "kind": {"S": "grant"},
        "credits": {"N": "5"},
        "balance_after": {"N": "5"},
        "held_after": {"N": "0"},
        "created_at": {"S": clock.iso(clock.now())},
        "reference": {"S": f"purchase-{number}"},
    }
    change = {
        "Keys": {name: entry[name] for name in ("user_id", "sk")},
        "NewImage": entry,
        "SequenceNumber": str(number),
        "ApproximateCreationDateTime": clock.epoch(clock.now()),
    }
    return {"eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change}


def forge(receiver: Receiver, chance: random.Random) -> None:
    """Call the receiver as an attacker who copies a call and changes a part of it."""
    if not receiver.calls:
        return
    seen = chance.choice(receiver.calls)
    headers = {
        name: seen.headers[name]
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    }
    body = seen.body.decode()
    match chance.randrange(4):
        case 0:
            body = body.replace('"credits":5', '"credits":5000')
        case 1:
            headers["webhook-id"] = "evt_" + "0" * 32
        case 2:
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
        case _:
            headers["webhook-signature"] = "v1,AAAA"
    answer = httpx.post(receiver.url, content=body, headers=headers, trust_env=False)
    assert answer.status_code == 401


def send_all(queue: Queue, receiver: Receiver, hands: Clock, chance: random.Random) -> None:
    """Let time pass until nothing is queued; some messages come twice, some calls fail."""
    while queue.messages:
        wait = min(queue.messages)[0] - clock.seconds()
        if wait > 0:
            hands.forward(seconds=wait)
        if chance.random() < 0.05:
            queue.messages.append(min(queue.messages))
        if chance.random() < 0.02:
            receiver.statuses.append(chance.choice([500, 503, 429, 302]))
        queue.pass_on()
        if chance.random() < 0.02:
            forge(receiver, chance)


@pytest.mark.slow
def test_of_many_events_none_is_missing_and_no_forged_one_is_accepted(
    aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(15)
    with event_bus() as bus, attempts() as queue, Receiver() as receiver:
        monkeypatch.setenv("WEBHOOK_TEST_HOSTS", receiver.host)
        owner = Caller(admin, scope="clipmint/admin")
        created = owner("POST", "/v1/admin/webhooks", body={"url": receiver.url}).body
        receiver.secrets.append(created["secret"])
        for first in range(0, NUMBER, BATCH):
            records = json.loads(json.dumps([grant(n) for n in range(first, first + BATCH)]))
            bus.refusals = chance.choice([0, 0, 1])
            while (answer := events({"Records": records}, Context()))["batchItemFailures"]:
                failed = answer["batchItemFailures"][0]["itemIdentifier"]
                numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
                records = records[max(0, numbers.index(failed) - chance.randrange(3)) :]
            send_all(queue, receiver, hands, chance)
        received = {event.event_id: event.payload for event in receiver.events}
        references = Counter(
            payload["data"]["reference"] for payload in received.values() if payload is not None
        )
        assert references == Counter(f"purchase-{number}" for number in range(NUMBER))
        bodies = {(event.event_id, event.body) for event in receiver.events}
        assert len(bodies) == NUMBER
        refused = [call for call in receiver.calls if call.payload is None]
        assert len(refused) > NUMBER / 100
        assert {detail["id"] for detail in bus.details} == received.keys()
    pages = aws.dynamodb.get_paginator("scan").paginate(TableName="EndpointsTable")
    items = [item for page in pages for item in page["Items"]]
    states = Counter(item["status"]["S"] for item in items if "attempts" in item)
    assert states == {deliveries.DELIVERED: NUMBER}
