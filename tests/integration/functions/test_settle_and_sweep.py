"""How jobs end: by their execution, and by the sweep where nobody else will."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from clipmint import jobs, ledger
from clipmint.domain.jobs import Asset, Job, JobStatus, verdict
from clipmint.domain.outcomes import Failed, FailureCode, Succeeded
from functions.settle.app import handler as settle
from functions.sweep.app import DEADLINE_GRACE, SweepIncomplete
from functions.sweep.app import handler as sweep
from tests.integration.gateway import Context
from tests.integration.moto_aws import (
    TASK_ID,
    Aws,
    Clock,
    assert_adds_up,
    begin_sending,
    journal,
    open_job,
)
from tests.integration.scripted_provider import HANDLE

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
ASSET = Asset("bucket", "key", "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.0)
SCHEDULE = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


def died(job: Job, status: str) -> dict[str, object]:
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"name": job.job_id, "status": status},
    }


def sent(**changes: Any) -> Job:
    job = begin_sending(open_job(**changes))
    return jobs.mark_sent(job.job_id, "video", TASK_ID, HANDLE)


def end_of(job: Job) -> tuple[JobStatus, FailureCode | None]:
    found = jobs.get(job.job_id)
    assert found
    return found.status, found.failure


@pytest.mark.parametrize("times", [1, 3])
def test_a_stored_video_is_captured_once(aws: Aws, times: int) -> None:
    job = sent()
    jobs.record_outcome(job.job_id, "video", VIDEO)
    jobs.record_asset(job.job_id, "video", ASSET)
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
    jobs.record_outcome(stored.job_id, "video", VIDEO)
    jobs.record_asset(stored.job_id, "video", ASSET)
    capsys.readouterr()
    settle({"job_id": stored.job_id, "error": ""}, Context())
    settle({"job_id": late.job_id, "error": "DeadlineExceeded"}, Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [
        (line["JobSettled"], line["status"], line["failure"])
        for line in lines
        if "JobSettled" in line
    ] == [([1.0], "completed", "none"), ([1.0], "failed", "DEADLINE_EXCEEDED")]


def test_a_job_past_its_deadline_is_refunded_and_its_execution_ended(
    aws: Aws, hands: Clock
) -> None:
    late, on_time = sent(deadline_in=60), sent(deadline_in=120)
    jobs.store_task_token(late.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    assert sweep(SCHEDULE, Context()) == {"settled": 1, "started": 0, "failed": 0}
    assert end_of(late) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
    assert end_of(on_time) == (JobStatus.PROCESSING, None)
    [(token, told)] = aws.executions.told
    assert (token, told["cause"]) == ("task-token", "DEADLINE_EXCEEDED")
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    assert assert_adds_up("user-1").held == 32


def test_track_has_a_while_to_ask_once_more_before_the_sweep_gives_a_job_up(
    aws: Aws, hands: Clock
) -> None:
    job = sent(deadline_in=60)
    grace = DEADLINE_GRACE.total_seconds()
    assert grace >= 60
    for seconds, settled in ((60 + grace, 0), (1, 1)):
        hands.forward(seconds=seconds)
        assert sweep(SCHEDULE, Context()) == {"settled": settled, "started": 0, "failed": 0}
    assert end_of(job) == (JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)


def test_one_broken_job_does_not_keep_the_others_waiting(
    aws: Aws,
    hands: Clock,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "time", SimpleNamespace(sleep=lambda _: None))
    broken, late, unstarted = sent(deadline_in=60), sent(deadline_in=61), open_job()
    # As a job restored from a backup: open again, though its hold was resolved long ago.
    item = aws.job_item(broken.job_id)
    ledger.settle(broken.job_id, lambda found: verdict(found, "ABORTED"))
    aws.dynamodb.put_item(TableName="JobsTable", Item=item)
    hands.forward(seconds=62 + DEADLINE_GRACE.total_seconds())
    # Raised, so that it shows as an error of the function: nobody else looks after the broken one.
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
        [said] = [record for record in caplog.records if record.levelname == "ERROR"]
        assert vars(said)["job_id"] == broken.job_id


def test_an_execution_somebody_started_by_hand_is_nobodys_job(aws: Aws) -> None:
    by_hand = {"source": "aws.states", "detail": {"name": "my-try", "status": "FAILED"}}
    assert sweep(by_hand, Context()) == {"settled": 0}
    assert aws.items("JOBS_TABLE") == []


def test_a_job_whose_video_has_just_been_made_is_not_swept(
    aws: Aws, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(deadline_in=60)
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    listed = list(jobs.open_jobs())
    jobs.record_outcome(job.job_id, "video", VIDEO)
    # The index lags behind the table: it still shows the old deadline.
    monkeypatch.setattr(jobs, "open_jobs", lambda: iter(listed))
    assert sweep(SCHEDULE, Context()) == {"settled": 0, "started": 0, "failed": 0}
    assert assert_adds_up("user-1").held == 32


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
def test_a_job_whose_execution_died_is_refunded_at_once(aws: Aws, status: str) -> None:
    job = sent()
    for settled in (1, 1):
        assert sweep(died(job, status), Context()) == {"settled": settled}
    assert end_of(job) == (JobStatus.FAILED, FailureCode.INTERNAL)
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]


def test_a_stored_video_survives_the_death_of_its_execution(aws: Aws) -> None:
    job = sent()
    jobs.record_asset(job.job_id, "video", ASSET)
    sweep(died(job, "ABORTED"), Context())
    assert end_of(job) == (JobStatus.COMPLETED, None)


def test_a_known_failure_keeps_its_reason_when_the_sweep_comes_first(
    aws: Aws, hands: Clock
) -> None:
    job = sent(deadline_in=60)
    jobs.record_outcome(job.job_id, "video", Failed(FailureCode.CONTENT_POLICY))
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
