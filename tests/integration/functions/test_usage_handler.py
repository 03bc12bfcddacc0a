"""Ended jobs and orphans are counted once each, and the owner reads what a recount gives."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from clipmint import clock
from clipmint.catalog.costs import LIST, REPORTED, Cost
from clipmint.credits import holds
from clipmint.execution import orphans
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Handle, Job, JobStatus
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.usage import counting, reports
from clipmint.usage.usage_items import UsageItem
from functions.operator.app import handler as operator
from functions.usage.app import handler
from operations.installation import DeployedStack
from operations.recount import CannotCount, main, recount
from tests.support import streams
from tests.support.clock import Clock
from tests.support.gateway import Caller, Context
from tests.support.jobs import TASK_ID, begin_sending, open_job
from tests.support.moto_aws import REGION, Aws, client_of, hooked
from tests.support.usage import differences

FILE = Asset("videos", "v.mp4", "video/mp4", 1, "a" * 64, 16, 9, 4.0)
COSTS = (
    None,
    Cost(1_234_567, "USD", REPORTED, 1_234_567),
    Cost(25_000_000, "provider_credit", LIST, 250_000),
    Cost(3_000_000, "token", REPORTED),
)
GROUPINGS = ("day", "model", "provider", "user", "outcome")
STACK = DeployedStack(
    "clipmint",
    "CREATE_COMPLETE",
    REGION,
    "123456789012",
    {
        "JobsTableName": "JobsTable",
        "UsageTableName": "UsageTable",
        "UsageFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:usage:live",
    },
)

_plain = TypeDeserializer().deserialize


@pytest.fixture
def owner(aws: Aws) -> Caller:
    return Caller(operator, user="back-office", scope="openid clipmint/admin")


def passed() -> list[dict[str, Any]]:
    """Every record that Lambda passes to the function so far."""
    patterns = streams.filters("JobsTable", mapping=streams.USAGE)
    return [one for one in streams.records("JobsTable", REGION) if streams.passes(one, patterns)]


def run(records: list[dict[str, Any]]) -> None:
    handler({"Records": json.loads(json.dumps(records))}, Context())


def end(
    status: JobStatus = JobStatus.COMPLETED,
    user: str = "ada",
    after: float = 70.0,
    cost: Cost | None = None,
    **changes: Any,
) -> Job:
    """A job that ended now, so many seconds after its order. ``cost``: of its generation."""
    created_at = clock.from_iso(clock.iso(clock.now() - timedelta(seconds=after)))
    job = begin_sending(open_job(user, created_at=created_at, **changes))
    outcome: Finished = Succeeded("https://example.com/v.mp4", cost)
    if status is not JobStatus.COMPLETED:
        outcome = Failed(FailureCode.CONTENT_POLICY, cost=cost)
    job_store.record_outcome(job.job_id, "video", outcome)
    if status is JobStatus.COMPLETED:
        job_store.record_asset(job.job_id, "video", FILE)
        return holds.settle(job.job_id, lambda _: Verdict(status, None))
    code = FailureCode.CANCELLED if status is JobStatus.CANCELLED else FailureCode.CONTENT_POLICY
    return holds.settle(job.job_id, lambda _: Verdict(status, code))


def jobs(aws: Aws) -> list[dict[str, Any]]:
    return [
        {name: _plain(value) for name, value in item.items()} for item in aws.items("JOBS_TABLE")
    ]


def read(owner: Caller, **query: str) -> dict[str, Any]:
    today = str(datetime.now(UTC).date())
    answer = owner("GET", "/v1/admin/usage", query={"from": today, "to": today} | query)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def assert_counted(aws: Aws, owner: Caller, **query: str) -> None:
    """The API answers what a full recount of the table gives, by every dimension."""
    for group_by in GROUPINGS:
        answer = read(owner, group_by=group_by, **query)
        assert [*differences(answer, jobs(aws))] == []


# ── What is counted ──────────────────────────────────────────────────────────────────────────────


def test_a_completed_job_is_counted_with_its_credits_and_its_seconds(owner: Caller) -> None:
    end(after=70)
    run(passed())
    answer = read(owner, group_by="model")
    [group] = answer["groups"]
    assert (group.pop("p50_seconds"), group.pop("p95_seconds")) == (
        pytest.approx(70, rel=0.05),
        pytest.approx(70, rel=0.05),
    )
    assert group == {
        "key": "veo-3.1",
        "jobs": 1,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
        "success_rate": 1.0,
        "credits_captured": 32,
        "credits_released": 0,
        "provider_cost_usd": None,
        "provider_cost_unknown": 1,
        "provider_cost": [],
        "margin_usd": None,
        "orphans": 0,
    }
    assert answer["groups_left_out"] == 0
    assert answer["totals"].items() > {"jobs": 1, "credits_captured": 32}.items()


@pytest.mark.parametrize(
    ("code", "unknown"),
    [
        (FailureCode.NOT_AS_ORDERED, 1),
        (FailureCode.CONTENT_POLICY, 1),
        (FailureCode.NO_OUTPUT, 1),
        (FailureCode.PROVIDER_ERROR, 0),
    ],
)
def test_a_failure_that_may_be_billed_has_an_unknown_cost(
    aws: Aws, owner: Caller, code: FailureCode, unknown: int
) -> None:
    job = begin_sending(open_job())
    job_store.mark_sent(job.job_id, "video", TASK_ID, Handle("task"))
    job_store.record_outcome(job.job_id, "video", Failed(code))
    holds.settle(job.job_id, lambda _: Verdict(JobStatus.FAILED, code))
    run(passed())
    assert read(owner)["totals"]["provider_cost_unknown"] == unknown
    assert_counted(aws, owner)


def test_the_margin_is_what_the_owner_earns_less_what_the_providers_bill(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(cost=Cost(1_250_000, "USD", REPORTED, 1_250_000))
    end(JobStatus.FAILED, cost=Cost(25_000_000, "provider_credit", LIST, 250_000))
    end(JobStatus.FAILED)  # not billed
    run(passed())
    totals = read(owner)["totals"]
    assert (totals["provider_cost_usd"], totals["provider_cost_unknown"]) == (1.5, 0)
    assert totals["provider_cost"] == [
        {"provider": "fal", "unit": "USD", "amount": 1.25},
        {"provider": "fal", "unit": "provider_credit", "amount": 25.0},
    ]
    assert totals["margin_usd"] is None
    monkeypatch.setenv("CREDIT_USD", "")
    assert read(owner)["totals"]["margin_usd"] is None
    monkeypatch.setenv("CREDIT_USD", "0.1")
    assert read(owner)["totals"]["margin_usd"] == pytest.approx(32 * 0.1 - 1.5)


def test_every_dimension_agrees_with_a_recount_of_the_table(aws: Aws, owner: Caller) -> None:
    draws = random.Random("some jobs")
    for number in range(14):
        job = end(
            draws.choice(
                [JobStatus.COMPLETED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED]
            ),
            user=draws.choice(["ada", "bob", "x" * 1_024]),
            after=draws.uniform(0, 2_000),
            cost=draws.choice(COSTS),
            providers=draws.choice([("fal",), ("runway",)]),
            credits_=draws.randrange(1, 50),
            model_id=draws.choice(["veo-3.1", "kling-3.0"]),
        )
        if number % 5 == 0:
            orphans.record(job, job.stages[0], f"request-{number}")
    run(passed())
    assert_counted(aws, owner)


def test_a_job_that_runs_is_not_counted_and_its_orphan_is(aws: Aws, owner: Caller) -> None:
    job = begin_sending(open_job("ada"))
    orphans.record(job, job.stages[0], "request-1")
    run(passed())
    [group] = read(owner, group_by="outcome")["groups"]
    assert (group["key"], group["jobs"], group["orphans"]) == ("orphan", 0, 1)
    assert group["success_rate"] is None
    current = job_store.get(job.job_id)
    assert current is not None
    orphans.record(current, job.stages[0], "request-2")
    holds.settle(job.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.CONTENT_POLICY))
    run(passed())
    assert read(owner)["totals"]["orphans"] == 2
    assert_counted(aws, owner)


def test_a_change_of_an_ended_job_counts_nothing(aws: Aws, owner: Caller) -> None:
    job = end()
    before = len(passed())
    job_store.hide(job.job_id)
    assert len(passed()) == before
    run(streams.records("JobsTable", REGION))
    assert read(owner)["totals"]["jobs"] == 1


# ── Once each ────────────────────────────────────────────────────────────────────────────────────


def test_records_that_are_passed_again_in_other_batches_count_once(aws: Aws, owner: Caller) -> None:
    for number in range(4):
        job = end(user=f"user-{number % 2}")
        orphans.record(job, job.stages[0], f"request-{number}")
    records = passed()
    for batch in (records[:3], records, records[2:], records[::2], records):
        run(batch)
        run(batch)
    assert_counted(aws, owner)


def test_more_records_than_fit_in_a_transaction_are_counted(
    aws: Aws, owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2 * counting.FACTS_PER_TRANSACTION <= 100  # DynamoDB's limit
    monkeypatch.setattr(counting, "FACTS_PER_TRANSACTION", 2)
    for number in range(5):
        end(user=f"user-{number}")
    run(passed())
    assert_counted(aws, owner)


def test_a_conflict_is_retried(aws: Aws, owner: Caller) -> None:
    end()
    conflicts = iter(["TransactionConflict", "TransactionConflict", None])

    def refuse(**_: Any) -> Any:
        reason = next(conflicts)
        aws.before_each_transaction(lambda: reason)
        return aws.intercept()

    with hooked(client_of(UsageItem), {"before-call.dynamodb.TransactWriteItems": refuse}):
        run(passed())
    assert_counted(aws, owner)


def test_too_many_conflicts_leave_everything_to_the_next_attempt(
    aws: Aws, owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    end()

    def refuse(**_: Any) -> Any:
        aws.before_each_transaction(lambda: "TransactionConflict")
        return aws.intercept()

    with (
        hooked(client_of(UsageItem), {"before-call.dynamodb.TransactWriteItems": refuse}),
        pytest.raises(counting.NotCounted),
    ):
        run(passed())
    assert aws.items("USAGE_TABLE") == []
    run(passed())
    assert_counted(aws, owner)


def test_a_record_that_cannot_be_read_is_reported_and_stops_no_other(
    aws: Aws, owner: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    end()
    end()
    records = json.loads(json.dumps(passed()))
    del records[0]["dynamodb"]["NewImage"]["video"]
    run(records)
    assert read(owner)["totals"]["jobs"] == 1
    assert "UnreadableRecord" in capsys.readouterr().out


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────


def test_days_are_in_utc_and_both_are_included(owner: Caller, hands: Clock) -> None:
    hands.move_to(datetime(2027, 1, 1, 0, 30, tzinfo=UTC))
    for _ in range(3):
        end()
        hands.forward(hours=12)
    run(passed())
    answer = read(owner, **{"from": "2026-12-31", "to": "2027-01-02"})
    counts = {group["key"]: group["jobs"] for group in answer["groups"]}
    # Also a day without a job, so that a chart has no gap.
    assert counts == {"2026-12-31": 0, "2027-01-01": 2, "2027-01-02": 1}
    assert (answer["from"], answer["to"], answer["group_by"]) == ("2026-12-31", "2027-01-02", "day")
    assert read(owner, **{"from": "2027-01-01", "to": "2027-01-01"})["totals"]["jobs"] == 2


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"from": "2026-11-01"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2026-08-01", "to": "2026-11-01"},
        {"from": "2026-11-31", "to": "2026-12-01"},
        {"from": "1793000000", "to": "2026-12-01"},
        {"from": "2026-11-01T00:00:00", "to": "2026-12-01"},
        {"from": "2026-11-01", "to": "2026-11-01", "group_by": "colour"},
        {"from": "2026-11-01", "to": "2026-11-01", "days": "1"},
    ],
)
def test_what_are_no_days_or_too_many_is_rejected(owner: Caller, query: dict[str, str]) -> None:
    answer = owner("GET", "/v1/admin/usage", query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("first", "last"), [("2026-08-01", "2026-10-31"), ("0001-01-01", "0001-01-02")]
)
def test_as_many_days_as_allowed_and_the_first_and_last_date_there_is(
    owner: Caller, first: str, last: str
) -> None:
    assert read(owner, **{"from": first, "to": last})["totals"]["jobs"] == 0
    assert (date.fromisoformat(last) - date.fromisoformat(first)).days + 1 <= reports.MAX_DAYS
    ends = {"from": "9999-12-31", "to": "9999-12-31"}
    assert len(read(owner, **ends)["groups"]) == 1


def test_more_users_than_one_answer_holds_are_counted_in_the_totals(
    owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        for _ in range(number + 1):
            end(user=f"user-{number}")
    run(passed())
    monkeypatch.setattr(reports, "MAX_GROUPS", 2)
    answer = read(owner, group_by="user")
    assert [group["key"] for group in answer["groups"]] == ["user-3", "user-2"]
    assert (answer["groups_left_out"], answer["totals"]["jobs"]) == (2, 10)
    monkeypatch.setattr(reports, "MAX_ITEMS", 3)
    today = str(datetime.now(UTC).date())
    query = {"from": today, "to": today, "group_by": "user"}
    refused = owner("GET", "/v1/admin/usage", query=query)
    assert (refused.status, refused.code) == (400, "INVALID_REQUEST")


def test_only_the_owner_reads_usage(owner: Caller) -> None:
    query = {"from": "2026-11-01", "to": "2026-11-01"}
    answer = owner("GET", "/v1/admin/usage", query=query, scope="openid")
    assert (answer.status, answer.code) == (403, "SCOPE_REQUIRED")


# ── The recount of the owner ─────────────────────────────────────────────────────────────────────


class Lambda:
    """Lambda's API, with the function behind it."""

    def __init__(self) -> None:
        self.calls = 0

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == STACK.outputs["UsageFunctionArn"]
        self.calls += 1
        try:
            handler(json.loads(Payload), Context())
        except Exception as error:  # noqa: BLE001  (so does Lambda)
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(repr(error).encode())}
        return {"Payload": io.BytesIO(b"null")}


@pytest.fixture
def function(aws: Aws) -> Lambda:
    return Lambda()


def agrees(function: Lambda, how: str = "", *, days: int = 0) -> bool:
    def client(service: str) -> Any:
        if service == "lambda":
            return function
        return boto3.client(service)  # type: ignore[call-overload]  # wants a literal

    today = datetime.now(UTC).date()
    return recount(client, STACK, today - timedelta(days), today, how)


def test_a_recount_finds_and_counts_what_is_missing(
    aws: Aws, owner: Caller, function: Lambda, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        job = end(user=f"user-{number}")
        orphans.record(job, job.stages[0], f"request-{number}")
    run(passed()[:3])
    assert not agrees(function)
    assert "6 jobs and orphans, 3 not counted, 0 counted without a job" in capsys.readouterr().out
    assert function.calls == 0
    assert agrees(function, "missing")
    assert agrees(function)
    assert_counted(aws, owner)


def test_a_recount_after_a_restore_counts_again_from_nothing(
    aws: Aws, owner: Caller, function: Lambda, hands: Clock
) -> None:
    lost, kept = end(user="ada"), end(user="bob")
    run(passed())
    aws.dynamodb.delete_item(TableName="JobsTable", Key={"job_id": {"S": lost.job_id}})
    assert not agrees(function, "missing")
    with pytest.raises(CannotCount, match="before yesterday"):
        agrees(function, "again")
    hands.forward(days=3)
    today = datetime.now(UTC).date()

    def client(service: str) -> Any:
        return function if service == "lambda" else boto3.client(service)  # type: ignore[call-overload]

    first, last = today - timedelta(4), today - timedelta(2)
    assert recount(client, STACK, first, last, "again")
    days = {"from": f"{first}", "to": f"{last}"}
    [group] = read(owner, group_by="user", **days)["groups"]
    assert (group["key"], group["jobs"]) == (kept.user_id, 1)
    assert_counted(aws, owner, **days)


def test_a_recount_of_an_unknown_installation_lists_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    days = ["--first", "2026-11-01", "--last", "2026-11-02"]
    assert main(["--env", "nowhere", *days]) == 1
    assert "ENV can be: dev, prod" in capsys.readouterr().err


def test_a_recount_during_which_the_function_fails_prints_the_reason(
    aws: Aws, function: Lambda
) -> None:
    end()

    def refuse(**_: Any) -> Any:
        aws.before_each_transaction(lambda: "ValidationError")
        return aws.intercept()

    with (
        hooked(client_of(UsageItem), {"before-call.dynamodb.TransactWriteItems": refuse}),
        pytest.raises(CannotCount, match="TransactWriteError"),
    ):
        agrees(function, "missing")
