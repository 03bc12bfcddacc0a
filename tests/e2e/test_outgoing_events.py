"""Events leave the whole stack, with its roles enforced: to a webhook, and to a rule on the bus.

The receiver has one port for all tests of a stack, so these tests are alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from local.deploy import ROOT
from local.receiver import Receiver, Subscription
from local.running import RunningStack, wait_for
from local.stack import STACK_NAME
from tests.support.catalog import VEO_DRAFT
from tests.support.customer import Customer

PATIENCE = 300


@pytest.mark.alone
def test_the_end_of_a_video_reaches_a_webhook_after_two_failures_and_again_by_hand(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    types = ["video.completed", "video.failed"]
    with (
        Receiver(stack.description["receiver_port"]) as receiver,
        Subscription(stack, receiver, types) as webhook,
    ):
        receiver.statuses = [500]
        job_id = new_customer(100).order(model_id="veo-3.1", preset="draft")
        wait_for(lambda: bool(receiver.events), PATIENCE)
        [event] = receiver.events
        assert event.payload is not None
        data = event.payload["data"]
        assert (event.payload["type"], data["job_id"]) == ("video.completed", job_id)
        assert data["credits_used"] == VEO_DRAFT
        assert [call.status for call in receiver.calls] == [500, 204]
        assert {call.event_id for call in receiver.calls} == {event.event_id}
        # The video is in the bucket by then.
        path = f"/{webhook.webhook_id}/deliveries"

        def status() -> str:
            return str(webhook.call("GET", path)["deliveries"][0]["status"])

        wait_for(lambda: status() == "delivered", PATIENCE)
        delivery = webhook.call("GET", path)["deliveries"][0]
        assert [one["status"] for one in delivery["attempts"]] == [500, 204]
        webhook.call("POST", f"{path}/{delivery['delivery_id']}/redeliver")
        wait_for(lambda: len(receiver.events) > 1, PATIENCE)
        assert receiver.events[1].event_id == event.event_id
        assert receiver.events[1].body == event.body


@pytest.mark.alone
def test_a_rule_on_the_bus_gets_events_and_a_rotated_secret_verifies(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    sqs, events = stack.boto3("sqs"), stack.boto3("events")
    queue = sqs.create_queue(QueueName="of-the-owner")["QueueUrl"]
    named = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn, bus = named["Attributes"]["QueueArn"], f"{STACK_NAME}-events"
    pattern = {"source": ["clipmint"], "detail-type": ["credits.granted"]}
    events.put_rule(Name="grants", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="grants", EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
    with (
        Receiver(stack.description["receiver_port"]) as receiver,
        Subscription(stack, receiver, ["credits.granted"]) as webhook,
    ):
        [old] = receiver.secrets
        new = webhook.call("POST", f"/{webhook.webhook_id}/rotate")["secret"]
        for known in ([old], [new]):
            receiver.secrets[:] = known
            customer = new_customer(7)
            wait_for(lambda: bool(receiver.events), PATIENCE)
            event = receiver.events[-1]
            assert event.payload is not None
            assert event.payload["data"]["user_id"] == customer.user_id
            receiver.calls.clear()
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)
    details = [json.loads(message["Body"])["detail"] for message in found["Messages"]]
    assert customer.user_id in {detail["data"]["user_id"] for detail in details}
    assert all(detail["id"].startswith("evt_") for detail in details)
    events.remove_targets(Rule="grants", EventBusName=bus, Ids=["1"])
    events.delete_rule(Name="grants", EventBusName=bus)
    sqs.delete_queue(QueueUrl=queue)


@pytest.mark.alone
def test_the_receiver_program_prints_verified_events_and_removes_its_webhook(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    command = [sys.executable, "-m", "local.receiver", "--types", "credits.granted"]
    program = subprocess.Popen(
        [*command, "--stack", stack.name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stderr is not None
        assert "receiving at" in program.stderr.readline()
        customer = new_customer(7)
        line = program.stdout.readline()
        assert "credits.granted" in line
        assert customer.user_id in line
        url = f"http://127.0.0.1:{stack.description['receiver_port']}/events"
        forged = httpx.post(url, json={"type": "credits.granted"}, trust_env=False)
        assert forged.status_code == 401
        assert program.stdout.readline().startswith("rejected")
        program.send_signal(2)
        program.communicate(timeout=PATIENCE)
        assert program.returncode == 0
    finally:
        program.kill()
    headers = stack.bearer("owner", admin=True)
    listed = httpx.get(f"{stack.api_url}/v1/admin/webhooks", headers=headers, trust_env=False)
    assert listed.json() == {"webhooks": []}
