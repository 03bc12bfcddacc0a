"""How jobs end: by their execution, or else by the sweep."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from clipmint.credits import audit, grants, holds, ledger
from clipmint.execution import workflow
from clipmint.execution.sweeping import DEADLINE_GRACE
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.jobs.verdict import verdict
from clipmint.providers import registry
from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.keys import KeysUnreadable
from clipmint.providers.registry import Registry
from functions.settle.app import handler as settle
from functions.sweep.app import SweepIncomplete
from functions.sweep.app import handler as sweep
from tests.support.clock import Clock
from tests.support.gateway import Context
from tests.support.jobs import TASK_ID, assert_adds_up, begin_sending, journal, open_job
from tests.support.moto_aws import Aws, client_of, hooked
from tests.support.scripted_provider import HANDLE, ScriptedProvider

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
ASSET = Asset("bucket", "key", "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.0)
pytestmark = pytest.mark.usefixtures("providers")  # the providers that a sweep polls
SCHEDULE = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


def execution_event(job: Job, status: str) -> dict[str, object]:
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"name": job.job_id, "status": status},
    }


def sent(**changes: Any) -> Job:
    job = begin_sending(open_job(**changes))
    return job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)


def counters(capsys: pytest.CaptureFixture[str]) -> dict[str, list[float]]:
    """The values of all metrics printed so far, by name."""
    counted: dict[str, list[float]] = {}
    for line in capsys.readouterr().out.splitlines():
        if '"_aws"' in line:
            logged = json.loads(line)
            for metric in logged["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                counted.setdefault(metric["Name"], []).extend(logged[metric["Name"]])
    return counted


def end_of(job: Job) -> tuple[JobStatus, FailureCode | None]:
    found = job_store.get(job.job_id)
    assert found
    return found.status, found.failure


@pytest.mark.parametrize("times", [1, 3])
def test_a_stored_video_is_captured_once(aws: Aws, times: int) -> None:
    job = sent()
    job_store.record_outcome(job.job_id, "video", VIDEO)
    job_store.record_asset(job.job_id, "video", ASSET)
    for _ in range(times):
        assert settle({"job_id": job.job_id, "error": ""}, Context()) == {"status": "completed"}
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "capture"]
    assert assert_adds_up("user-1").open_jobs == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ProviderBusy", FailureCode.PROVIDER_UNAVAILABLE),
        ("DeadlineExceeded", FailureCode.DEADLINE_EXCEEDED),
        ("States.TaskFailed", FailureCode.INTERNAL),
        ("", FailureCode.INTERNAL),
    ],
)
def test_an_error_of_the_execution_is_a_refund_with_a_reason(
    aws: Aws, error: str, code: FailureCode
) -> None:
    job = sent()
    assert settle({"job_id": job.job_id, "error": error}, Context()) == {"status": "failed"}
    assert end_of(job) == (JobStatus.FAILED, code)
    assert assert_adds_up("user-1").available == 32


def test_how_a_job_ended_is_counted_by_status_and_reason(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    stored, late = sent(), sent()
    job_store.record_outcome(stored.job_id, "video", VIDEO)
    job_store.record_asset(stored.job_id, "video", ASSET)
    capsys.readouterr()
    settle({"job_id": stored.job_id, "error": ""}, Context())
    settle({"job_id": late.job_id, "error": "DeadlineExceeded"}, Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["outcome"], line["provider"]) for line in lines if "JobEnded" in line] == [
        ("completed", "fal"),
        ("failed", "fal"),
    ]
    assert [line["reason"] for line in lines if "JobFailed" in line] == ["DEADLINE_EXCEEDED"]


@pytest.mark.parametrize("by_the_sweep", [True, False])
def test_the_end_of_a_job_is_counted_once_in_credits_and_seconds(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str], by_the_sweep: bool
) -> None:
    stored, given_up = sent(), sent(deadline_in=60)
    job_store.record_outcome(stored.job_id, "video", VIDEO)
    job_store.record_asset(stored.job_id, "video", ASSET)
    hands.forward(seconds=400)
    capsys.readouterr()
    for _ in range(2):
        if by_the_sweep:
            sweep(execution_event(stored, "ABORTED"), Context())
            sweep(SCHEDULE, Context())
        else:
            settle({"job_id": stored.job_id, "error": ""}, Context())
            settle({"job_id": given_up.job_id, "error": "DeadlineExceeded"}, Context())
    counted = counters(capsys)
    assert counted["JobEnded"] == [1, 1]
    assert counted["JobSeconds"] == [400, 400]
    assert counted["CreditsCaptured"] == [32, 0]
    assert counted["CreditsReleased"] == [0, 32]


def test_a_batch_of_starts_and_grants_is_counted_in_credits(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    grants.grant("user-2", 500, "receipt")
    grants.grant("user-2", 500, "receipt")
    for _ in range(2):
        open_job("user-2")
    assert counters(capsys) == {
        "CreditsGranted": [500],
        "JobStarted": [1, 1],
        "CreditsHeld": [32, 32],
    }


def test_a_sweep_reports_the_age_of_open_holds_and_the_drift_of_accounts(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(SCHEDULE, Context())
    quiet = {"OpenJobs": [0], "OldestOpenHoldSeconds": [0], "OverdueSeconds": [0]}
    assert counters(capsys) == quiet | {"AccountsAudited": [0], "LedgerDrift": [0]}
    late, young = sent(deadline_in=60), sent(deadline_in=1_800)
    hands.forward(seconds=100)
    capsys.readouterr()
    sweep(SCHEDULE, Context())
    counted = counters(capsys)
    assert (counted["OpenJobs"], counted["OverdueSeconds"]) == ([2], [40])
    assert counted["OldestOpenHoldSeconds"] == [100]
    hands.forward(seconds=100)
    sweep(SCHEDULE, Context())
    counted = counters(capsys)
    assert (counted["OpenJobs"], counted["OverdueSeconds"]) == ([1], [0])
    assert end_of(late)[0] is JobStatus.FAILED
    assert end_of(young)[0] is JobStatus.PROCESSING


def test_a_sweep_audits_the_slice_of_its_minute_and_reports_drift(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def all_of_it(which: int, slices: int, has_time: Callable[[], bool]) -> audit.Audit:
        asked.append((which, slices))
        return whole_audit(0, 1, has_time)

    whole_audit = audit.audit
    monkeypatch.setattr(audit, "audit", all_of_it)
    monkeypatch.setattr(audit, "PAUSE_SECONDS", 0)
    hands.move_to(hands.moment.replace(hour=12, minute=0))
    grants.grant("user-2", 5, "receipt")
    key = {"user_id": {"S": "user-2"}, "sk": {"S": "ACCOUNT"}}
    item = aws.dynamodb.get_item(TableName="LedgerTable", Key=key)["Item"]
    aws.dynamodb.put_item(TableName="LedgerTable", Item={**item, "available": {"N": "8"}})
    assert sweep(SCHEDULE, Context())["failed"] == 0
    counted = counters(capsys)
    assert (counted["AccountsAudited"], counted["LedgerDrift"]) == ([1], [3])
    # Noon is minute 720 of the day.
    assert asked == [(720, 1_440)]
    assert sweep({"audit": "user-2"}, Context()) == {"drift": 3}
    assert sweep({"audit": "nobody"}, Context()) == {"drift": 0}


def test_an_audit_that_fails_delays_no_job(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> audit.Audit:
        raise RuntimeError("the table cannot be scanned")

    monkeypatch.setattr(audit, "audit", unreadable)
    job = sent(deadline_in=60)
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    capsys.readouterr()
    with pytest.raises(SweepIncomplete, match="audit"):
        sweep(SCHEDULE, Context())
    assert end_of(job) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
    counted = counters(capsys)
    assert (counted["SweepFailed"], counted["OpenJobs"]) == ([1], [0])


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"S": "dreaming"}},
        {"created_at": {"S": "once upon a time"}},
        {"created_at": {"N": "7"}},
    ],
)
def test_an_open_job_that_cannot_be_read_hides_none_behind_it(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    first, late = sent(deadline_in=50), sent(deadline_in=60)
    item = aws.job_item(first.job_id)
    aws.dynamodb.put_item(TableName="JobsTable", Item={**item, **change})
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    capsys.readouterr()
    with pytest.raises(SweepIncomplete, match="1 jobs"):
        sweep(SCHEDULE, Context())
    assert end_of(late) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
    assert counters(capsys)["SweepFailed"] == [1]


def test_a_job_past_its_deadline_is_refunded_and_its_execution_ended(
    aws: Aws, hands: Clock
) -> None:
    late, on_time = sent(deadline_in=60), sent(deadline_in=120)
    job_store.store_task_token(late.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    assert sweep(SCHEDULE, Context()) == {"settled": 1, "started": 0, "failed": 0}
    assert end_of(late) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
    assert end_of(on_time) == (JobStatus.PROCESSING, None)
    [(token, reported)] = aws.executions.responses
    assert (token, reported["cause"]) == ("task-token", "DEADLINE_EXCEEDED")
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    assert assert_adds_up("user-1").held == 32


def test_track_has_time_for_one_more_poll_before_the_sweep_ends_a_job(
    aws: Aws, hands: Clock
) -> None:
    job = sent(deadline_in=60)
    grace = DEADLINE_GRACE.total_seconds()
    assert grace >= 60
    for seconds, settled in ((60 + grace, 0), (1, 1)):
        hands.forward(seconds=seconds)
        assert sweep(SCHEDULE, Context()) == {"settled": settled, "started": 0, "failed": 0}
    assert end_of(job) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)


def test_one_broken_job_does_not_delay_the_others(
    aws: Aws,
    hands: Clock,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    broken, late, unstarted = sent(deadline_in=60), sent(deadline_in=61), open_job()
    # As a job restored from a backup: open again, though its hold was resolved long ago.
    item = aws.job_item(broken.job_id)
    holds.settle(broken.job_id, lambda found: verdict(found, "ABORTED"))
    aws.dynamodb.put_item(TableName="JobsTable", Item=item)
    hands.forward(seconds=62 + DEADLINE_GRACE.total_seconds())
    # Raised, so that it shows as an error of the function: no other run handles the broken job.
    for settles_the_late_one in (True, False):
        capsys.readouterr()
        caplog.clear()
        with pytest.raises(SweepIncomplete, match="1 jobs"):
            sweep(SCHEDULE, Context())
        assert end_of(late) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
        assert [found["name"] for found in aws.executions.started()] == [unstarted.job_id]
        printed = capsys.readouterr().out
        assert printed.count('"SweepFailed":[1.0]') == 1
        assert ('"JobSwept":[1.0]' in printed) is settles_the_late_one
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        [logged] = [record for record in errors if record.getMessage() != "paid orphan"]
        assert vars(logged)["job_id"] == broken.job_id


def test_an_execution_started_by_hand_belongs_to_no_job(aws: Aws) -> None:
    by_hand = {"source": "aws.states", "detail": {"name": "my-try", "status": "FAILED"}}
    assert sweep(by_hand, Context()) == {"settled": 0}
    assert aws.items("JOBS_TABLE") == []


def test_a_job_whose_video_has_just_been_made_is_not_swept(
    aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(deadline_in=60)
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    listed = list(job_lists.unfinished())
    job_store.record_outcome(job.job_id, "video", VIDEO)
    # The index lags behind the table: it still shows the old deadline.
    monkeypatch.setattr(job_lists, "unfinished", lambda: iter(listed))
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    assert assert_adds_up("user-1").held == 32


def test_a_video_has_a_day_beyond_the_deadline_to_be_stored(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    job = sent(deadline_in=600)
    workflow.start(job.job_id)
    job_store.record_outcome(job.job_id, "video", VIDEO)
    hands.forward(hours=24)
    capsys.readouterr()
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    counted = counters(capsys)
    assert (counted["OpenJobs"], counted["OverdueSeconds"]) == ([1], [0])
    hands.forward(seconds=601 + DEADLINE_GRACE.total_seconds())
    assert sweep(SCHEDULE, Context()) == {"settled": 1, "started": 0, "failed": 0}
    assert end_of(job) == (JobStatus.FAILED, FailureCode.MEDIA_UNAVAILABLE)


def test_a_job_that_is_being_sent_needs_no_start(aws: Aws, hands: Clock) -> None:
    begin_sending(open_job())
    hands.forward(minutes=3)
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    assert aws.executions.attempts_to_start == 0


def test_a_job_whose_execution_was_never_started_is_started(aws: Aws, hands: Clock) -> None:
    job = open_job()
    hands.forward(minutes=1)
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    assert aws.executions.started() == []
    hands.forward(minutes=2)
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 1, "failed": 0}
    assert [found["name"] for found in aws.executions.started()] == [job.job_id]
    assert end_of(job) == (JobStatus.PENDING, None)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_job_whose_execution_failed_is_refunded_at_once(aws: Aws, status: str) -> None:
    job = sent()
    for settled in (1, 1):
        assert sweep(execution_event(job, status), Context()) == {"settled": settled}
    assert end_of(job) == (JobStatus.FAILED, FailureCode.INTERNAL)
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]


def test_a_stored_video_survives_the_failure_of_its_execution(aws: Aws) -> None:
    job = sent()
    job_store.record_asset(job.job_id, "video", ASSET)
    sweep(execution_event(job, "ABORTED"), Context())
    assert end_of(job) == (JobStatus.COMPLETED, None)


def test_a_known_failure_keeps_its_reason_when_the_sweep_comes_first(
    aws: Aws, hands: Clock
) -> None:
    job = sent(deadline_in=60)
    job_store.record_outcome(job.job_id, "video", Failed(FailureCode.CONTENT_POLICY))
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    sweep(SCHEDULE, Context())
    assert end_of(job) == (JobStatus.FAILED, FailureCode.CONTENT_POLICY)


def test_a_sweep_stops_in_time_and_the_next_one_goes_on(aws: Aws, hands: Clock) -> None:
    late = [sent(deadline_in=60) for _ in range(3)]
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    assert sweep(SCHEDULE, Context(remaining_ms=9_000)) == {"settled": 0, "started": 0, "failed": 0}
    assert sweep(SCHEDULE, Context(remaining_ms=30_000)) == {
        "settled": 3,
        "started": 0,
        "failed": 0,
    }
    assert {end_of(job) for job in late} == {(JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)}
    account = assert_adds_up("user-1")
    assert (account.held, account.open_jobs) == (0, 0)
    assert ledger.account_of("user-1") == account


# ── What a provider has of a job that the sweep ends ─────────────────────────────────────────────


def orphans_of(job: Job) -> list[str]:
    found = job_store.get(job.job_id)
    assert found
    return [orphan.request_id for orphan in found.orphans]


@pytest.mark.parametrize(
    "case",
    [
        ("fal", Running(), True, []),
        ("fal", Running(), False, ["request-1"]),
        ("fal", VIDEO, False, ["request-1"]),  # its webhook woke no execution, or is lost
        ("fal", Failed(FailureCode.PROVIDER_ERROR), False, []),
        ("fal", ProviderUnavailable("timed out"), False, []),  # its webhook reports it
        ("runway", Running(), True, []),
        # Cancelled by an attempt that crashed: Runway does not know it any more.
        ("runway", ProviderUnavailable("HTTP 404"), True, []),
        ("runway", Running(), False, ["request-1"]),
        ("runway", ProviderUnavailable("timed out"), False, ["request-1"]),
    ],
)
@pytest.mark.parametrize("event", ["execution ended", "late"])
def test_what_a_provider_has_is_cancelled_or_reported_to_the_owner(
    providers: dict[str, ScriptedProvider],
    hands: Clock,
    case: tuple[str, Any, bool, list[str]],
    event: str,
) -> None:
    name, polled, withdrawn, reported = case
    job = begin_sending(open_job(providers=[name], deadline_in=60), provider=name)
    job = job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    recorded: list[Any] = []

    def cancel() -> bool:
        recorded.append(job_store.get(job.job_id))
        return withdrawn

    providers[name].polls = [polled]
    providers[name].cancellations = [cancel]
    if event == "late":
        hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    code = FailureCode.DEADLINE_EXCEEDED if event == "late" else FailureCode.INTERNAL
    for _ in range(2):
        sweep(SCHEDULE if event == "late" else execution_event(job, "ABORTED"), Context())
    # Polled once it is recorded that no job waits: a webhook of the cancellation adds nothing.
    [asked] = recorded
    assert (asked.is_terminal, asked.stages[0].outcome) == (False, Failed(code))
    assert end_of(job) == (JobStatus.FAILED, code)
    assert orphans_of(job) == reported
    assert assert_adds_up("user-1").held == 0


def test_a_provider_that_does_not_answer_is_asked_once_a_sweep(
    providers: dict[str, ScriptedProvider], hands: Clock
) -> None:
    late = [sent(deadline_in=60) for _ in range(3)]
    providers["fal"].polls = [ProviderUnavailable("timed out")]
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    assert sweep(SCHEDULE, Context())["settled"] == 3
    assert len(providers["fal"].polled) == 1
    assert {end_of(job)[0] for job in late} == {JobStatus.FAILED}


@contextmanager
def time_for(jobs: int) -> Iterator[Context]:
    """The context of a sweep that has time for so many jobs past their deadline."""
    context = Context(remaining_ms=50_000)
    reads = 0

    def read(**_: Any) -> None:
        nonlocal reads
        reads += 1
        if reads == 2 * jobs:  # a job is read before it is withdrawn, and before it is settled
            context.remaining_ms = 15_000

    with hooked(client_of(JobItem), {"before-call.dynamodb.GetItem": read}):
        yield context


def test_each_sweep_goes_on_where_the_one_before_ran_out_of_time(aws: Aws, hands: Clock) -> None:
    jobs = [open_job(f"user-{n % 3}", deadline_in=60 + n) for n in range(25)]
    hands.forward(seconds=100 + DEADLINE_GRACE.total_seconds())
    for settled in (10, 10, 5, 0):
        with time_for(10) as context:
            swept = sweep(SCHEDULE, context)
        assert swept == {"settled": settled, "started": 0, "failed": 0}
        ended = [end_of(job)[0] is JobStatus.FAILED for job in jobs]
        assert ended == sorted(ended, reverse=True), "the earliest deadline comes first"
    assert all(ended)


def test_jobs_that_cannot_be_swept_delay_no_other_job(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    # As many with an earlier deadline as a sweep has time for, and more.
    for n in range(12):
        open_job("user-2", deadline_in=60 + n)
    jobs = [open_job(deadline_in=100 + n) for n in range(12)]
    key = {"user_id": {"S": "user-2"}, "sk": {"S": "ACCOUNT"}}
    item = aws.dynamodb.get_item(TableName="LedgerTable", Key=key)["Item"]
    aws.dynamodb.put_item(TableName="LedgerTable", Item={**item, "held": {"S": "all"}})
    hands.forward(seconds=200 + DEADLINE_GRACE.total_seconds())
    for _ in range(3):
        with time_for(10) as context, suppress(SweepIncomplete):
            sweep(SCHEDULE, context)
    assert {end_of(job)[0] for job in jobs} == {JobStatus.FAILED}
    # Those that stay are still reported as overdue.
    assert counters(capsys)["OverdueSeconds"][-1] > 200


def test_no_hold_waits_for_the_owners_keys(aws: Aws, hands: Clock) -> None:
    def unreadable() -> Any:
        raise KeysUnreadable("AccessDeniedException")

    job = sent(deadline_in=60)
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    with registry.use(Registry(keys=unreadable)):
        assert sweep(SCHEDULE, Context())["settled"] == 1
    assert end_of(job)[0] is JobStatus.FAILED


@pytest.mark.parametrize("overrides", ["{", '{"fal": {"queue_url": 5}}', '{"acme": {}}'])
def test_no_hold_waits_for_valid_overrides(
    aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch, overrides: str
) -> None:
    job = sent(deadline_in=60)
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    monkeypatch.setenv("PROVIDER_OVERRIDES", overrides)
    registry.forget()
    assert sweep(SCHEDULE, Context())["settled"] == 1
    assert end_of(job)[0] is JobStatus.FAILED


@pytest.mark.parametrize("outcome", [None, VIDEO])
def test_an_execution_end_without_an_event_is_noticed_within_ten_minutes(
    aws: Aws, hands: Clock, outcome: Succeeded | None
) -> None:
    job = sent(deadline_in=3_000)
    workflow.start(job.job_id)
    if outcome:
        job_store.record_outcome(job.job_id, "video", outcome)
    for minute in range(1, 25):
        hands.forward(minutes=1)
        if minute == 12:
            aws.executions.end(job.job_id)
        ended = minute >= 20
        assert sweep(SCHEDULE, Context())["settled"] == (minute == 20)
        assert (end_of(job)[0] is JobStatus.FAILED) is ended
    assert aws.executions.attempts_to_start == 3
