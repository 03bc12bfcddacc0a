"""The conditional writes that change a job, and the lists that a user sees."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from pynamodb.exceptions import UpdateError

from clipmint import clock
from clipmint.credits import grants, holds
from clipmint.errors import InvalidRequest, TemporarilyUnavailable
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Asset, Handle, Job, JobStatus, Refusal, SubmissionState
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.job_lists import OpenJob
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict
from tests.support.clock import Clock
from tests.support.jobs import ROUTES, begin_sending, open_job, refuse, task_id_of
from tests.support.moto_aws import Aws, client_of, hooked

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
FAILED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)
HANDLE = Handle("request-1", {"status": "https://queue.fal.run/fal-ai/veo3.1/requests/request-1"})
ASSET = Asset("bucket", "key", "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.04, "thumbnail")


def in_state(state: SubmissionState | None) -> Job:
    """A job with a submission that the writes themselves brought to this state."""
    job = open_job()
    if state is None:
        return job
    job = begin_sending(job, "token-1")
    if state is SubmissionState.REFUSED:
        return refuse(job, "token-1")
    if state is SubmissionState.UNKNOWN:
        return job_store.mark_unknown(job.job_id, "video", TASK_ID)
    if state is SubmissionState.SENT:
        return job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    return job


def submission_state(job_id: str) -> SubmissionState | None:
    job = job_store.get(job_id)
    assert job is not None
    submission = job.stages[0].submission
    return submission.state if submission else None


TASK_ID = task_id_of("token-1")

WRITES: dict[SubmissionState, Callable[[Job], Job]] = {
    SubmissionState.SENDING: lambda job: begin_sending(job, "token-2"),
    SubmissionState.REFUSED: lambda job: refuse(job, "token-1"),
    SubmissionState.UNKNOWN: lambda job: job_store.mark_unknown(job.job_id, "video", TASK_ID),
    SubmissionState.SENT: lambda job: job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE),
}
MAY_FOLLOW: dict[SubmissionState | None, set[SubmissionState]] = {
    None: {SubmissionState.SENDING},
    SubmissionState.SENDING: {
        SubmissionState.REFUSED,
        SubmissionState.UNKNOWN,
        SubmissionState.SENT,
    },
    # A refusal is noted once, with its reason.
    SubmissionState.REFUSED: {SubmissionState.SENDING, SubmissionState.SENT},
    SubmissionState.UNKNOWN: {SubmissionState.UNKNOWN, SubmissionState.SENT},
    SubmissionState.SENT: {SubmissionState.SENT},
}


@pytest.mark.parametrize("before", [None, *SubmissionState])
@pytest.mark.parametrize("after", SubmissionState)
def test_a_submission_moves_only_where_it_may(
    aws: Aws, before: SubmissionState | None, after: SubmissionState
) -> None:
    job = in_state(before)
    if after in MAY_FOLLOW[before]:
        assert WRITES[after](job).stages[0].submission
        assert submission_state(job.job_id) is after
    else:
        with pytest.raises(JobMoved) as second:
            WRITES[after](job)
        assert second.value.job == job_store.get(job.job_id) == job


@pytest.mark.parametrize(
    "write",
    [
        *WRITES.values(),
        lambda job: job_store.record_outcome(job.job_id, "video", VIDEO),
        lambda job: job_store.store_task_token(job.job_id, "video", "task-token"),
        lambda job: job_store.record_asset(job.job_id, "video", ASSET),
    ],
)
def test_nothing_is_written_on_a_job_that_has_ended(aws: Aws, write: Callable[[Job], Job]) -> None:
    for state in (None, *SubmissionState):
        job = in_state(state)
        holds.settle(job.job_id, lambda _: FAILED)
        item = aws.job_item(job.job_id)
        with pytest.raises(JobFinished):
            write(job)
        assert aws.job_item(job.job_id) == item


def test_nothing_is_written_on_a_job_that_never_was(aws: Aws) -> None:
    with pytest.raises(JobFinished):
        job_store.store_task_token("no-such-job", "video", "task-token")
    with pytest.raises(JobFinished):
        job_store.mark_sent("no-such-job", "video", TASK_ID, HANDLE)
    assert aws.items("JOBS_TABLE") == []


def test_a_write_that_times_out_is_not_reported_as_an_unreadable_record(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    job = open_job()

    def time_out(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="https://dynamodb.example.com")

    with (
        hooked(client_of(JobItem), {"before-call.dynamodb.UpdateItem": time_out}),
        pytest.raises(UpdateError),
    ):
        begin_sending(job)
    assert "UnreadableRecord" not in capsys.readouterr().out


def test_a_lost_answer_to_the_sending_record_does_not_stop_the_sender(aws: Aws) -> None:
    job = open_job()
    begin_sending(job, "token-1")
    # The client repeats a write if its response was lost: the same task id shows that it is the
    # same sender.
    again = begin_sending(job, "token-1")
    assert again.stages[0].submission
    assert again.stages[0].submission.state is SubmissionState.SENDING
    assert again.stages[0].refusals == ()
    with pytest.raises(JobMoved):
        begin_sending(job, "token-of-another-sender")


def test_each_refusal_is_kept_and_each_attempt_has_its_own_ids_and_route(
    aws: Aws, hands: Clock
) -> None:
    job = open_job(providers=list(ROUTES))
    kept: list[Refusal] = []
    for attempt, (provider, route) in enumerate(ROUTES.items(), start=1):
        token = f"token-{attempt}"
        job = begin_sending(job, token, provider=provider)
        [stage] = job.stages
        assert stage.submission
        assert stage.submission.webhook_token == token
        assert stage.submission.task_id == task_id_of(token)
        assert (stage.provider, stage.endpoint) == (provider, route.endpoint)
        hands.forward(seconds=attempt)
        job = refuse(job, token, provider=provider, reason=f"reason {attempt}")
        kept.append(Refusal(provider, f"reason {attempt}", hands.moment))
        assert job.stages[0].refusals == tuple(kept)
        assert job.stages[0].routes == tuple(ROUTES.values())
    assert job_store.get(job.job_id) == job


def test_a_refusal_of_another_submission_changes_nothing(aws: Aws) -> None:
    job = begin_sending(refuse(begin_sending(open_job(), "token-1"), "token-1"), "token-2")
    with pytest.raises(JobMoved):
        refuse(job, "token-1")
    assert job_store.get(job.job_id) == job


def test_what_the_provider_knows_the_submission_by_is_kept(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    submission = job.stages[0].submission
    assert submission
    assert (submission.request_id, dict(submission.urls)) == ("request-1", dict(HANDLE.urls))
    assert submission.webhook_token == "token-1"
    assert job.status is JobStatus.PROCESSING


# ── Outcome and token: the second writer sees both ───────────────────────────────────────────────


def test_a_webhook_after_the_token_sees_the_token(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.store_task_token(job.job_id, "video", "task-token")
    [stage] = job_store.record_outcome(job.job_id, "video", VIDEO).stages
    assert (stage.task_token, stage.outcome) == ("task-token", VIDEO)


def test_a_token_after_the_webhook_sees_the_outcome(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.record_outcome(job.job_id, "video", VIDEO)
    [stage] = job_store.store_task_token(job.job_id, "video", "task-token").stages
    assert (stage.task_token, stage.outcome) == ("task-token", VIDEO)


def test_a_new_turn_replaces_the_token(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.store_task_token(job.job_id, "video", "first")
    [stage] = job_store.store_task_token(job.job_id, "video", "second").stages
    assert stage.task_token == "second"


def test_the_first_outcome_is_kept(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.record_outcome(job.job_id, "video", VIDEO)
    for later in (Failed(FailureCode.PROVIDER_ERROR), Succeeded("https://elsewhere.example/")):
        with pytest.raises(JobMoved):
            job_store.record_outcome(job.job_id, "video", later)
    found = job_store.get(job.job_id)
    assert found
    assert found.stages[0].outcome == VIDEO


def test_there_is_no_outcome_of_what_was_never_submitted(aws: Aws) -> None:
    job = open_job()
    with pytest.raises(JobMoved):
        job_store.record_outcome(job.job_id, "video", VIDEO)
    assert job_store.get(job.job_id) == job


@pytest.mark.parametrize("state", [SubmissionState.SENDING, SubmissionState.UNKNOWN])
def test_an_early_webhook_also_carries_the_id_of_the_submission(
    aws: Aws, state: SubmissionState
) -> None:
    job = in_state(state)
    [stage] = job_store.record_outcome(job.job_id, "video", VIDEO, handle=HANDLE).stages
    assert stage.submission
    assert (stage.submission.state, stage.submission.request_id) == (
        SubmissionState.SENT,
        "request-1",
    )
    # The submitter, answered only now, finds it already recorded.
    [stage] = job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE).stages
    assert stage.outcome == VIDEO
    # And a sender that gave up waiting cannot remove it.
    with pytest.raises(JobMoved):
        job_store.mark_unknown(job.job_id, "video", TASK_ID)


def test_a_success_gives_the_copy_a_day_and_a_failure_does_not(aws: Aws) -> None:
    made, failed = in_state(SubmissionState.SENT), in_state(SubmissionState.SENT)
    assert made.overdue_at == made.deadline
    made = job_store.record_outcome(made.job_id, "video", VIDEO)
    assert made.overdue_at == made.deadline + 24 * 3_600
    deadline = failed.deadline
    failed = job_store.record_outcome(
        failed.job_id, "video", Failed(FailureCode.NO_OUTPUT, "nothing")
    )
    assert failed.overdue_at == failed.deadline == deadline
    assert failed.stages[0].outcome == Failed(FailureCode.NO_OUTPUT, "nothing")
    made = job_store.record_asset(made.job_id, "video", ASSET)
    assert made.overdue_at == made.deadline


def test_a_stored_file_needs_no_task_token_any_more(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.store_task_token(job.job_id, "video", "task-token")
    job_store.record_outcome(job.job_id, "video", VIDEO)
    [stage] = job_store.record_asset(job.job_id, "video", ASSET).stages
    assert (stage.asset, stage.task_token) == (ASSET, None)


def test_a_long_detail_of_a_failure_is_truncated(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    novel = Failed(FailureCode.PROVIDER_ERROR, "long " * 100_000)
    outcome = job_store.record_outcome(job.job_id, "video", novel).stages[0].outcome
    assert isinstance(outcome, Failed)
    assert len(outcome.detail) == 1_000


def test_the_first_asset_is_kept(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.record_outcome(job.job_id, "video", VIDEO)
    first = job_store.record_asset(job.job_id, "video", ASSET)
    with pytest.raises(JobMoved) as second:
        job_store.record_asset(job.job_id, "video", replace(ASSET, key="of-another-attempt"))
    assert second.value.job == job_store.get(job.job_id) == first


def test_an_asset_comes_back_as_it_was_recorded(aws: Aws) -> None:
    job = in_state(SubmissionState.SENT)
    job_store.record_outcome(job.job_id, "video", VIDEO)
    job_store.record_asset(job.job_id, "video", ASSET)
    found = job_store.get(job.job_id)
    assert found
    assert found.stages[0].asset == ASSET
    assert found.current_stage is None


def test_every_write_counts_the_revision_up(aws: Aws) -> None:
    job = open_job()
    seen = [job.revision]
    writes: list[Callable[[], Job | None]] = [
        lambda: begin_sending(job, "token-1"),
        lambda: job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE),
        lambda: job_store.store_task_token(job.job_id, "video", "task-token"),
        lambda: job_store.record_outcome(job.job_id, "video", VIDEO),
        lambda: job_store.record_asset(job.job_id, "video", ASSET),
        lambda: holds.settle(job.job_id, lambda _: Verdict(JobStatus.COMPLETED)),
        lambda: job_store.hide(job.job_id),
    ]
    for write in writes:
        after = write()
        assert after
        seen.append(after.revision)
        assert job_store.get(job.job_id) is not None
    assert seen == list(range(1, 9))


# ── Transactions ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, recorded instead of slept."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted


@contextmanager
def refused_updates(code: str, times: int) -> Iterator[list[str]]:
    """DynamoDB refuses the next updates with this error; yields one entry per update it saw."""
    seen: list[str] = []

    def refuse(**_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        seen.append(code)
        if len(seen) > times:
            return None
        parsed = {
            "ResponseMetadata": {"HTTPStatusCode": 400},
            "Error": {"Code": code, "Message": "Transaction is ongoing for the item"},
        }
        return AWSResponse("https://dynamodb.example.com", 400, HTTPHeaders(), None), parsed

    with hooked(client_of(JobItem), {"before-call.dynamodb.UpdateItem": refuse}):
        yield seen


@pytest.mark.parametrize("times", [1, 4])
def test_an_update_waits_for_a_transaction_on_its_item(
    aws: Aws, pauses: list[float], times: int
) -> None:
    job = in_state(SubmissionState.SENDING)
    with refused_updates("TransactionConflictException", times) as seen:
        sent = job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    assert sent.stages[0].submission
    assert sent.stages[0].submission.state is SubmissionState.SENT
    assert sent.revision == job.revision + 1
    assert job_store.get(job.job_id) == sent
    assert len(seen) == times + 1
    assert len(pauses) == times
    assert sum(pauses) < 1


def test_an_update_that_always_meets_a_transaction_is_to_be_asked_for_later(
    aws: Aws, pauses: list[float]
) -> None:
    job = in_state(SubmissionState.SENDING)
    with (
        refused_updates("TransactionConflictException", 100) as seen,
        pytest.raises(TemporarilyUnavailable) as refused,
    ):
        job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    assert refused.value.headers["Retry-After"] == "1"
    assert len(seen) == 5
    assert job_store.get(job.job_id) == job


def test_an_update_that_is_refused_otherwise_is_not_tried_again(
    aws: Aws, pauses: list[float]
) -> None:
    job = in_state(SubmissionState.SENDING)
    with refused_updates("AccessDeniedException", 100) as seen, pytest.raises(UpdateError):
        job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    assert (len(seen), pauses) == (1, [])


# ── Hiding ───────────────────────────────────────────────────────────────────────────────────────


def test_hiding_a_job_waits_for_a_transaction_on_it(aws: Aws, pauses: list[float]) -> None:
    job = open_job()
    holds.settle(job.job_id, lambda _: FAILED)
    with refused_updates("TransactionConflictException", 2):
        hidden = job_store.hide(job.job_id)
    assert hidden
    assert hidden.deleted
    assert len(pauses) == 2


def test_only_a_job_that_has_ended_can_be_hidden(aws: Aws) -> None:
    job = open_job()
    assert job_store.hide(job.job_id) is None
    assert job_store.hide("no-such-job") is None
    holds.settle(job.job_id, lambda _: FAILED)
    for _ in range(2):
        hidden = job_store.hide(job.job_id)
        assert hidden
        assert hidden.deleted
    assert len(aws.items("JOBS_TABLE")) == 1


# ── Lists ────────────────────────────────────────────────────────────────────────────────────────

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def some_jobs(count: int, user_id: str = "user-1") -> list[str]:
    """Ids, newest first."""
    grants.grant(user_id, 32 * count, f"{count} jobs of {user_id}")
    made = [
        open_job(user_id, created_at=NOON + timedelta(minutes=minute)).job_id
        for minute in range(count)
    ]
    return made[::-1]


def listed(
    user_id: str = "user-1",
    *,
    limit: int = 100,
    cursor: str | None = None,
    status: JobStatus | None = None,
) -> tuple[list[str], str | None]:
    page = job_lists.list_for_user(user_id, status=status, limit=limit, cursor=cursor)
    return [job.job_id for job in page.jobs], page.cursor


def test_pages_do_not_move_while_new_jobs_arrive(aws: Aws) -> None:
    known = some_jobs(7)
    first, cursor = listed(limit=3)
    newer = open_job(created_at=NOON + timedelta(hours=1))
    second, cursor = listed(limit=3, cursor=cursor)
    third, end = listed(limit=3, cursor=cursor)
    assert first + second + third == known
    assert end is None
    assert listed(limit=1)[0] == [newer.job_id]


def test_a_page_that_ends_exactly_at_the_end_of_the_list_is_the_last(aws: Aws) -> None:
    known = some_jobs(4)
    assert listed(limit=4) == (known, None)


def test_a_list_longer_than_one_answer_of_dynamodb_is_complete(aws: Aws) -> None:
    known = some_jobs(60)
    assert listed(limit=100) == (known, None)
    first, cursor = listed(limit=40)
    assert first + listed(limit=40, cursor=cursor)[0] == known


def test_filtered_and_hidden_jobs_shorten_no_page(aws: Aws) -> None:
    known = some_jobs(9)
    failed = known[::2]
    for job_id in failed:
        holds.settle(job_id, lambda _: FAILED)
    hidden = failed[1]
    job_store.hide(hidden)
    pages, cursor = listed(limit=2, status=JobStatus.FAILED)
    while cursor:
        page, cursor = listed(limit=2, status=JobStatus.FAILED, cursor=cursor)
        pages += page
    assert pages == [job_id for job_id in failed if job_id != hidden]
    assert listed()[0] == [job_id for job_id in known if job_id != hidden]


def test_two_jobs_of_one_millisecond_are_both_listed(aws: Aws) -> None:
    made = {open_job(created_at=NOON).job_id for _ in range(5)}
    seen, cursor = listed(limit=1)
    while cursor:
        page, cursor = listed(limit=1, cursor=cursor)
        seen += page
    assert len(seen) == 5
    assert set(seen) == made


def test_a_forged_cursor_lists_only_the_callers_own_jobs(aws: Aws) -> None:
    mine = some_jobs(2, "user-1")
    theirs = some_jobs(3, "user-2")
    _, cursor = listed("user-2", limit=1)
    page, _ = listed("user-1", cursor=cursor)
    assert set(page) <= set(mine)
    forged = json.dumps(["2030-01-01T00:00:00.000Z", theirs[0]])
    page, _ = listed("user-1", cursor=base64.urlsafe_b64encode(forged.encode()).decode())
    assert page == mine


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '["2026-11-20T12:00:00.000Z"]',
        '["yesterday", "5a9c1a4e-0f0f-5f60-9b8f-3a3f6d5a2b10"]',
        '["2026-11-20T12:00:00.000Z", "not-a-job"]',
        '["2026-11-20T12:00:00.000Z", 7]',
        '[7, "5a9c1a4e-0f0f-5f60-9b8f-3a3f6d5a2b10"]',
        '{"created_at": 1, "job_id": 2}',
        '["a", "b", "c"]',
        "\x00\xff",
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(aws: Aws, text: str) -> None:
    cursor = base64.urlsafe_b64encode(text.encode("latin-1")).decode() or "!"
    for forged in (cursor, cursor + "x", "%%%", "é"):
        with pytest.raises(InvalidRequest):
            listed(cursor=forged)


def test_open_jobs_are_found_by_deadline_and_ended_ones_are_not(aws: Aws) -> None:
    later = open_job(deadline_in=3_600)
    soon = open_job(deadline_in=60)
    ended = open_job(deadline_in=30)
    holds.settle(ended.job_id, lambda _: FAILED)
    found = [job for job in job_lists.unfinished() if isinstance(job, OpenJob)]
    assert [job.job_id for job in found] == [soon.job_id, later.job_id]
    assert [job.status for job in found] == [JobStatus.PENDING] * 2
    assert [job.deadline for job in found] == [soon.deadline, later.deadline]


def test_a_time_is_written_so_that_it_sorts_as_text() -> None:
    times = [NOON, NOON + timedelta(milliseconds=1), NOON + timedelta(seconds=1)]
    written = [clock.iso(moment) for moment in times]
    assert written == sorted(written)
    assert [clock.from_iso(text) for text in written] == times
    berlin = datetime.fromisoformat("2026-11-20T13:00:00+01:00")
    assert clock.iso(berlin) == "2026-11-20T12:00:00.000Z"
