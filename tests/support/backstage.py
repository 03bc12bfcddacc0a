"""What only a test may do: read and edit the tables, invoke the sweep, count metrics, be the owner.

Editing a record stands for time passing, which no test can wait for; each such function says which
time it is.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from boto3.dynamodb.types import TypeDeserializer

from local.stack import Stack, wait_for
from tests.support.invariants import stages_of, tries_of

Item = dict[str, Any]

_reader = TypeDeserializer()


def plain(item: Mapping[str, Any]) -> Item:
    """A DynamoDB item without its type marks."""
    return {name: _reader.deserialize(value) for name, value in item.items()}


def scan(stack: Stack, table: str) -> list[Item]:
    """A whole table, by its logical id."""
    pages = stack.boto3("dynamodb").get_paginator("scan")
    found = pages.paginate(TableName=stack.tables[table], ConsistentRead=True)
    return [plain(item) for page in found for item in page["Items"]]


def job_item(stack: Stack, job_id: str) -> Item:
    """The job as recorded, every attribute of it."""
    answer = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["JobsTable"], Key={"job_id": {"S": job_id}}, ConsistentRead=True
    )
    return plain(answer["Item"])


def ledger_items(stack: Stack, user_id: str) -> list[Item]:
    """A user's account and journal as recorded."""
    answer = stack.boto3("dynamodb").query(
        TableName=stack.tables["LedgerTable"],
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": user_id}},
        ConsistentRead=True,
    )
    return [plain(item) for item in answer["Items"]]


def until_tracked(stack: Stack, job_id: str, stage: str = "video") -> Item:
    """The job once its submission is answered and Track sleeps."""

    def tracked() -> Item | None:
        item = job_item(stack, job_id)
        return item if item[stage].get("task_token") else None

    item = wait_for(tracked, 60)
    assert item is not None
    return item


def pass_the_deadline(stack: Stack, job_id: str) -> None:
    """As if the model's time had run out."""
    _edit(stack, job_id, "deadline", {"N": "1"})


def age(stack: Stack, job_id: str) -> None:
    """As if the job had been accepted in 2026's first hour: past every grace."""
    _edit(stack, job_id, "created_at", {"S": "2026-01-01T00:00:00.000Z"})


def _edit(stack: Stack, job_id: str, attribute: str, value: dict[str, str]) -> None:
    stack.boto3("dynamodb").update_item(
        TableName=stack.tables["JobsTable"],
        Key={"job_id": {"S": job_id}},
        UpdateExpression="SET #a = :value",
        ConditionExpression="attribute_exists(job_id)",
        ExpressionAttributeNames={"#a": attribute},
        ExpressionAttributeValues={":value": value},
    )


def _key_record(user_id: str, key: str) -> dict[str, dict[str, str]]:
    """Powertools' id of the record of one Idempotency-Key."""
    digest = hashlib.sha256(json.dumps([user_id, key]).encode()).hexdigest()
    return {"id": {"S": f"generate#{digest}"}}


def key_status(stack: Stack, user_id: str, key: str) -> str | None:
    """``INPROGRESS``, ``COMPLETED``, or None without a record."""
    answer = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["IdempotencyTable"],
        Key=_key_record(user_id, key),
        ConsistentRead=True,
    )
    return str(plain(answer["Item"])["status"]) if "Item" in answer else None


def forget_answer(stack: Stack, user_id: str, key: str) -> None:
    """As if a day had passed, and DynamoDB had removed the expired record."""
    stack.boto3("dynamodb").delete_item(
        TableName=stack.tables["IdempotencyTable"],
        Key=_key_record(user_id, key),
        ConditionExpression="attribute_exists(id)",
    )


def release_key(stack: Stack, user_id: str, key: str) -> None:
    """As if the crashed function's own timeout had passed, which is when its key is free again."""
    stack.boto3("dynamodb").update_item(
        TableName=stack.tables["IdempotencyTable"],
        Key=_key_record(user_id, key),
        UpdateExpression="SET in_progress_expiration = :past",
        ConditionExpression="#s = :running",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":past": {"N": "1"}, ":running": {"S": "INPROGRESS"}},
    )


def sweep(stack: Stack) -> dict[str, int]:
    """What the schedule does every minute, now. What was settled and started."""
    answer = stack.boto3("lambda").invoke(
        FunctionName=stack.functions["SweepFunction"],
        Payload=json.dumps({"source": "aws.events", "detail-type": "Scheduled Event"}),
    )
    said: dict[str, int] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, said
    return said


def metric(stack: Stack, function: str, name: str, **dimensions: str) -> int:
    """How often a function has counted a metric, by the embedded-metric lines of its log."""
    total = 0
    for line in stack.logs(function):
        if f'"{name}"' in line and '"_aws"' in line:
            said = json.loads(line)
            if all(said.get(key) == value for key, value in dimensions.items()):
                total += int(sum(said[name]))
    return total


@contextmanager
def counted(
    stack: Stack, function: str, name: str, times: int = 1, **dimensions: str
) -> Iterator[None]:
    """The block makes a function count a metric exactly ``times`` times."""
    before = metric(stack, function, name, **dimensions)
    yield
    if times:
        wait_for(lambda: metric(stack, function, name, **dimensions) >= before + times, 60)
    assert metric(stack, function, name, **dimensions) == before + times


def execution(stack: Stack, job_id: str) -> dict[str, Any] | None:
    """The job's execution; None if it was never started."""
    states = stack.boto3("stepfunctions")
    try:
        found: dict[str, Any] = states.describe_execution(executionArn=stack.execution_arn(job_id))
    except states.exceptions.ExecutionDoesNotExist:
        return None
    return found


def until_execution_ended(stack: Stack, job_id: str) -> str | None:
    """How the job's execution ended; None if it was never started."""

    def ended() -> tuple[str | None] | None:
        found = execution(stack, job_id)
        if found is None:
            return (None,)
        return None if found["status"] == "RUNNING" else (str(found["status"]),)

    answer = wait_for(ended, 60)
    assert answer is not None
    return answer[0]


def submissions(stack: Stack, job_id: str, stage: str | None = None) -> list[dict[str, Any]]:
    """What the providers, all of them, were paid for on behalf of a job, or of one stage of it.

    Those that call us know the job by their webhook URL; Runway knows only its own task id, which
    is the job's if its answer arrived.
    """
    item = job_item(stack, job_id)
    tasks = {
        one["request_id"]
        for name, found in stages_of(item).items()
        for one in tries_of(found)
        if stage in {None, name} and one.get("request_id")
    }
    return [
        submission
        for simulator in stack.simulators.values()
        for submission in simulator.submissions()
        if f"/{job_id}/{stage or ''}" in (submission["webhook_url"] or "")
        or submission["request_id"] in tasks
    ]


def close_circuits(stack: Stack) -> None:
    """As if every provider that kept failing had been left alone for its minute."""
    for record in scan(stack, "IdempotencyTable"):
        if record["id"].startswith("provider#"):
            stack.boto3("dynamodb").delete_item(
                TableName=stack.tables["IdempotencyTable"], Key={"id": {"S": record["id"]}}
            )


def crashed(stack: Stack, function: str, job_id: str) -> int:
    """How many runs of a function that had to do with a job died."""
    runs = stack.invocations(function=function, about=job_id)
    return sum(1 for run in runs if not run.ended)


def call_off_crashes(stack: Stack) -> None:
    """No worker dies any more, unless it already has."""
    for plan in (stack.state_dir / "crashes").iterdir():
        plan.unlink(missing_ok=True)


@contextmanager
def events_of_executions_lost(stack: Stack) -> Iterator[None]:
    """EventBridge says nothing of what becomes of executions."""
    events = stack.boto3("events")
    rules = [rule["Name"] for rule in events.list_rules()["Rules"] if "EventPattern" in rule]
    assert rules
    for rule in rules:
        events.disable_rule(Name=rule)
    try:
        yield
    finally:
        for rule in rules:
            events.enable_rule(Name=rule)


class Owner:
    """The owner's back office: the admin endpoints."""

    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer("back-office", admin=True),
            timeout=60,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def grant(self, user_id: str, amount: int, reference: str | None = None) -> httpx.Response:
        return self._http.post(
            "/v1/admin/grants",
            json={
                "user_id": user_id,
                "amount": amount,
                "reference": reference or f"receipt-{uuid.uuid4().hex}",
            },
        )

    def put_model(self, **model: Any) -> None:
        answer = self._http.put(f"/v1/admin/models/{model['model_id']}", json=model)
        assert answer.status_code == 200, answer.text
