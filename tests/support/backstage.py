"""What only a test may do: read and edit the tables, invoke the sweep, count metrics, act as the
owner.

Editing a record simulates the passing of time, which no test can wait for. Each such function
states which time it simulates.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from boto3.dynamodb.types import TypeDeserializer

from local.running import RunningStack
from tests.support.invariants import stages_of, tries_of
from tests.support.plain_http import PLAIN
from tests.support.progress import until

Item = dict[str, Any]

_reader = TypeDeserializer()


def plain(item: Mapping[str, Any]) -> Item:
    """A DynamoDB item without its type marks."""
    return {name: _reader.deserialize(value) for name, value in item.items()}


def scan(stack: RunningStack, table: str) -> list[Item]:
    """A whole table, by its logical id."""
    pages = stack.boto3("dynamodb").get_paginator("scan")
    found = pages.paginate(TableName=stack.tables[table], ConsistentRead=True)
    return [plain(item) for page in found for item in page["Items"]]


def job_item(stack: RunningStack, job_id: str) -> Item:
    """The job's item, every attribute of it."""
    answer = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["JobsTable"], Key={"job_id": {"S": job_id}}, ConsistentRead=True
    )
    return plain(answer["Item"])


def jobs_of(stack: RunningStack, user_id: str) -> list[Item]:
    """A user's job items, including deleted jobs."""
    pages = stack.boto3("dynamodb").get_paginator("scan")
    found = pages.paginate(
        TableName=stack.tables["JobsTable"],
        FilterExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": user_id}},
        ConsistentRead=True,
    )
    return [plain(item) for page in found for item in page["Items"]]


def ledger_items(stack: RunningStack, user_id: str) -> list[Item]:
    """A user's account and journal as recorded."""
    return _items_of(stack, "LedgerTable", user_id)


def projects_of(stack: RunningStack, user_id: str) -> list[Item]:
    """A user's projects and scenes as recorded."""
    return _items_of(stack, "ProjectsTable", user_id)


def _items_of(stack: RunningStack, table: str, user_id: str) -> list[Item]:
    pages = stack.boto3("dynamodb").get_paginator("query")
    found = pages.paginate(
        TableName=stack.tables[table],
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": user_id}},
        ConsistentRead=True,
    )
    return [plain(item) for page in found for item in page["Items"]]


def until_tracked(stack: RunningStack, job_id: str, stage: str = "video") -> Item:
    """The job once its submission is answered and its execution waits, in Submit or in Track."""

    def tracked() -> Item | None:
        item = job_item(stack, job_id)
        answered = item[stage].get("submission", {}).get("state") in {"sent", "unknown"}
        return item if answered and item[stage].get("task_token") else None

    item = until(stack, job_id, tracked)
    assert item is not None
    return item


def pass_the_deadline(stack: RunningStack, job_id: str, *, at: float = 1) -> None:
    """As if the model's time had run out, at this moment in epoch seconds."""
    _edit(stack, job_id, "deadline", {"N": str(int(at))})


def age(stack: RunningStack, job_id: str) -> None:
    """As if the job had been accepted an hour ago: past every grace.

    A job that has ended is left as it is: its duration is counted already.
    """
    accepted = datetime.now(UTC) - timedelta(hours=1)
    text = accepted.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with suppress(stack.boto3("dynamodb").exceptions.ConditionalCheckFailedException):
        _edit(stack, job_id, "created_at", {"S": text}, where="open")


def _edit(
    stack: RunningStack, job_id: str, attribute: str, value: dict[str, str], where: str = "job_id"
) -> None:
    """Set an attribute of a job that has the attribute ``where``."""
    stack.boto3("dynamodb").update_item(
        TableName=stack.tables["JobsTable"],
        Key={"job_id": {"S": job_id}},
        UpdateExpression="SET #a = :value",
        ConditionExpression="attribute_exists(#where)",
        ExpressionAttributeNames={"#a": attribute, "#where": where},
        ExpressionAttributeValues={":value": value},
    )


def _key_record(user_id: str, key: str) -> dict[str, dict[str, str]]:
    """Powertools' id of the record of one Idempotency-Key."""
    digest = hashlib.sha256(json.dumps([user_id, key]).encode()).hexdigest()
    return {"id": {"S": f"generate#{digest}"}}


def key_status(stack: RunningStack, user_id: str, key: str) -> str | None:
    """``INPROGRESS``, ``COMPLETED``, or None without a record."""
    answer = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["IdempotencyTable"],
        Key=_key_record(user_id, key),
        ConsistentRead=True,
    )
    return str(plain(answer["Item"])["status"]) if "Item" in answer else None


def forget_answer(stack: RunningStack, user_id: str, key: str) -> None:
    """As if a day had passed, and DynamoDB had removed the expired record."""
    stack.boto3("dynamodb").delete_item(
        TableName=stack.tables["IdempotencyTable"],
        Key=_key_record(user_id, key),
        ConditionExpression="attribute_exists(id)",
    )


def release_key(stack: RunningStack, user_id: str, key: str) -> None:
    """As if the crashed function's own timeout had passed, which is when its key is free again."""
    stack.boto3("dynamodb").update_item(
        TableName=stack.tables["IdempotencyTable"],
        Key=_key_record(user_id, key),
        UpdateExpression="SET in_progress_expiration = :past",
        ConditionExpression="#s = :running",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":past": {"N": "1"}, ":running": {"S": "INPROGRESS"}},
    )


def sweep(stack: RunningStack) -> dict[str, int]:
    """Invokes the sweep, as the schedule does every minute. Returns what was settled and
    started.
    """
    answer = stack.boto3("lambda").invoke(
        FunctionName=stack.functions["SweepFunction"],
        Payload=json.dumps({"source": "aws.events", "detail-type": "Scheduled Event"}),
    )
    payload: dict[str, int] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def metric(
    stack: RunningStack, function: str, name: str, *, about: str | None = None, **dimensions: str
) -> int:
    """How often a function has counted a metric, by the embedded-metric lines of its log.

    With ``about``, only in the runs whose event or result contains that text, such as a job id.
    """
    lines = stack.logs(function) if about is None else stack.logs_about(function, about)
    total = 0
    for line in lines:
        if f'"{name}"' in line and '"_aws"' in line:
            payload = json.loads(line)
            if all(payload.get(key) == value for key, value in dimensions.items()):
                total += int(sum(payload[name]))
    return total


def assert_counted(
    stack: RunningStack, function: str, name: str, times: int = 1, *, about: str, **dimensions: str
) -> None:
    """A function counts a metric exactly ``times`` times in its runs about a job."""

    def enough() -> bool:
        return metric(stack, function, name, about=about, **dimensions) >= times

    until(stack, about, enough)
    assert metric(stack, function, name, about=about, **dimensions) == times


@contextmanager
def counted(
    stack: RunningStack, function: str, name: str, times: int = 1, *, about: str, **dimensions: str
) -> Iterator[None]:
    """The block makes a function count a metric exactly ``times`` more times about a job."""
    before = metric(stack, function, name, about=about, **dimensions)
    yield
    assert_counted(stack, function, name, before + times, about=about, **dimensions)


def execution(stack: RunningStack, job_id: str) -> dict[str, Any] | None:
    """The job's execution; None if it was never started."""
    states = stack.boto3("stepfunctions")
    try:
        found: dict[str, Any] = states.describe_execution(executionArn=stack.execution_arn(job_id))
    except states.exceptions.ExecutionDoesNotExist:
        return None
    return found


def until_execution_ended(stack: RunningStack, job_id: str) -> str | None:
    """How the job's execution ended; None if it was never started."""

    def ended() -> tuple[str | None] | None:
        found = execution(stack, job_id)
        if found is None:
            return (None,)
        return None if found["status"] == "RUNNING" else (str(found["status"]),)

    answer = until(stack, job_id, ended)
    assert answer is not None
    return answer[0]


def submissions(stack: RunningStack, job_id: str, stage: str | None = None) -> list[dict[str, Any]]:
    """What all providers were paid for a job, or for one stage of it.

    Providers that send webhooks know the job by its webhook URL. Runway knows only its own task id,
    which is on the job if its response arrived.
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


def request_ids(stack: RunningStack, provider: str) -> set[str]:
    """The ids of all submissions to one provider, by any job."""
    return {str(one["request_id"]) for one in stack.simulators[provider].submissions()}


def close_circuits(stack: RunningStack) -> None:
    """As if every provider that kept failing had been left alone for its minute; for tests that are
    ``alone``."""
    for record in scan(stack, "IdempotencyTable"):
        if record["id"].startswith("provider#"):
            stack.boto3("dynamodb").delete_item(
                TableName=stack.tables["IdempotencyTable"], Key={"id": {"S": record["id"]}}
            )


def crashed(stack: RunningStack, function: str, job_id: str) -> int:
    """How many runs of a function for a job crashed."""
    runs = stack.invocations(function=function, about=job_id)
    return sum(1 for run in runs if not run.ended)


@contextmanager
def events_of_executions_lost(stack: RunningStack) -> Iterator[None]:
    """EventBridge delivers no event about the end of any execution; for tests that are
    ``alone``.
    """
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

    def __init__(self, stack: RunningStack) -> None:
        self._http = httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer("back-office", admin=True),
            timeout=60,
            trust_env=False,
            verify=PLAIN,
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

    def check_model(self, **model: Any) -> dict[str, Any]:
        """What is wrong with an entry, and what its orders would be."""
        answer = self._http.post(f"/v1/admin/models/{model['model_id']}/check", json=model)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def usage(self, **query: str) -> dict[str, Any]:
        """The usage of some days."""
        answer = self._http.get("/v1/admin/usage", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def put_model(self, **model: Any) -> None:
        answer = self._http.put(f"/v1/admin/models/{model['model_id']}", json=model)
        assert answer.status_code == 200, answer.text
