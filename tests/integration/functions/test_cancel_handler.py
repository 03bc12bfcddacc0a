"""Cancelling while it is free, and deleting a job that has ended."""

from __future__ import annotations

import pytest

from clipmint.credits import holds
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.media import storage
from clipmint.providers.base import ProviderUnavailable
from functions.cancel.app import handler
from tests.support.gateway import Answer, Caller
from tests.support.jobs import TASK_ID, assert_adds_up, begin_sending, open_job, refuse
from tests.support.moto_aws import BUCKET, Aws
from tests.support.scripted_provider import HANDLE, ScriptedProvider

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler)


def cancel(call: Caller, job: Job) -> Answer:
    return call("POST", f"/v1/videos/{job.job_id}/cancel")


def sent() -> Job:
    job = begin_sending(open_job())
    return job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)


def is_free(job: Job) -> bool:
    found = job_store.get(job.job_id)
    assert found
    account = assert_adds_up("user-1")
    assert (account.held, account.open_jobs) == (0, 0)
    return (found.status, found.failure, found.credits_used, account.available) == (
        JobStatus.CANCELLED,
        FailureCode.CANCELLED,
        0,
        32,
    )


def still_runs(job: Job) -> bool:
    return assert_adds_up("user-1").held == 32 and job_store.get(job.job_id) == job


def test_a_job_not_yet_sent_is_cancelled_for_free(call: Caller, provider: ScriptedProvider) -> None:
    job = open_job()
    answer = cancel(call, job)
    assert (answer.status, answer.body) == (
        200,
        {"job_id": job.job_id, "status": "cancelled", "credits_released": 32},
    )
    assert is_free(job)
    assert provider.cancelled == []


def test_a_job_the_provider_was_too_busy_for_is_cancelled_for_free(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = begin_sending(open_job())
    refuse(job)
    assert cancel(call, job).status == 200
    assert is_free(job)


def test_a_job_in_the_providers_queue_is_withdrawn_and_its_execution_ended(
    aws: Aws, call: Caller, provider: ScriptedProvider
) -> None:
    job = sent()
    job_store.store_task_token(job.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    provider.cancellations = [True]
    assert cancel(call, job).status == 200
    assert is_free(job)
    assert provider.cancelled == [HANDLE]
    [(token, callback)] = aws.executions.responses
    assert (token, callback["error"], callback["cause"]) == (
        "task-token",
        "GenerationFailed",
        "CANCELLED",
    )


def test_a_job_the_provider_has_begun_runs_on(call: Caller, provider: ScriptedProvider) -> None:
    job = sent()
    provider.cancellations = [False]
    answer = cancel(call, job)
    assert (answer.status, answer.code) == (409, "CANCEL_TOO_LATE")
    assert still_runs(job)


def test_a_job_that_may_have_been_paid_for_runs_on(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = begin_sending(open_job())
    job = job_store.mark_unknown(job.job_id, "video", TASK_ID)
    answer = cancel(call, job)
    assert (answer.status, answer.code) == (409, "CANCEL_TOO_LATE")
    assert provider.cancelled == []
    found = job_store.get(job.job_id)
    assert found
    assert not found.is_terminal


def test_while_a_job_is_being_sent_it_is_not_known_whether_it_is_too_late(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = begin_sending(open_job())
    answer = cancel(call, job)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert provider.cancelled == []
    assert still_runs(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    provider.cancellations = [True]
    assert cancel(call, job).status == 200
    assert is_free(job)


def test_what_another_call_has_withdrawn_is_cancelled(
    call: Caller, provider: ScriptedProvider
) -> None:
    # That call crashed, or has not recorded its result yet. The provider has nothing left to
    # cancel.
    job = sent()
    provider.cancellations = [False]
    provider.polls = [Failed(FailureCode.CANCELLED)]
    assert cancel(call, job).status == 200
    assert is_free(job)


def test_a_job_whose_video_is_there_runs_on_to_its_end(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = job_store.record_outcome(sent().job_id, "video", VIDEO)
    assert cancel(call, job).code == "CANCEL_TOO_LATE"
    assert provider.cancelled == []
    assert assert_adds_up("user-1").held == 32


def test_a_video_that_is_finished_while_we_ask_is_kept(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = sent()

    def finish() -> bool:
        job_store.record_outcome(job.job_id, "video", VIDEO)
        return True

    provider.cancellations = [finish]
    assert cancel(call, job).code == "CANCEL_TOO_LATE"
    found = job_store.get(job.job_id)
    assert found
    assert found.stages[0].outcome == VIDEO
    assert assert_adds_up("user-1").held == 32


def test_a_job_sent_while_we_decide_runs_on(
    aws: Aws, call: Caller, provider: ScriptedProvider
) -> None:
    job = open_job()

    def submit() -> None:
        begin_sending(job)

    aws.before_each_transaction(submit)
    assert cancel(call, job).code == "TEMPORARILY_UNAVAILABLE"
    assert assert_adds_up("user-1").held == 32


def test_a_provider_that_does_not_answer_leaves_all_as_it_is(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = sent()
    provider.cancellations = [ProviderUnavailable("timed out")]
    answer = cancel(call, job)
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"
    assert still_runs(job)


def test_cancelling_twice_is_cancelling_once(call: Caller, provider: ScriptedProvider) -> None:
    job = open_job()
    assert cancel(call, job).body == cancel(call, job).body
    assert is_free(job)


def test_a_job_that_has_ended_otherwise_cannot_be_cancelled(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = open_job()
    holds.settle(job.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.NO_OUTPUT))
    answer = cancel(call, job)
    assert (answer.status, answer.code) == (409, "CANCEL_TOO_LATE")


def test_another_users_job_cannot_be_cancelled_or_deleted(
    call: Caller, provider: ScriptedProvider
) -> None:
    theirs = open_job("user-2")
    for job_id in (theirs.job_id, "not-a-uuid", "5a9c1a4e-0f0f-5f60-9b8f-3a3f6d5a2b10"):
        for method, path in (("POST", "/cancel"), ("DELETE", "")):
            answer = call(method, f"/v1/videos/{job_id}{path}")
            assert (answer.status, answer.code) == (404, "JOB_NOT_FOUND")
    assert job_store.get(theirs.job_id) == theirs


# ── Deleting ─────────────────────────────────────────────────────────────────────────────────────


OF_ANOTHER_JOB = storage.video_key("user-1", "another-job", "attempt-1")


def put(aws: Aws, *keys: str) -> None:
    for key in keys:
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"media")


def store(aws: Aws, job: Job, attempt: str = "attempt-1") -> Asset:
    """One attempt's files in the bucket, and what it would record of them."""
    video = storage.video_key(job.user_id, job.job_id, attempt)
    thumbnail = storage.thumbnail_key(job.user_id, job.job_id, attempt)
    put(aws, video, thumbnail)
    return Asset(BUCKET, video, "video/mp4", 5, "0" * 64, 1_280, 720, 8.0, thumbnail)


def finished(aws: Aws) -> Job:
    job = sent()
    job_store.record_outcome(job.job_id, "video", VIDEO)
    put(aws, OF_ANOTHER_JOB)
    job_store.record_asset(job.job_id, "video", store(aws, job))
    return holds.settle(job.job_id, lambda found: verdict(found, None))


def keys(aws: Aws) -> list[str]:
    listed = aws.s3.list_objects_v2(Bucket=BUCKET)
    return [item["Key"] for item in listed.get("Contents", [])]


def test_deleting_removes_the_media_hides_the_job_and_keeps_the_journal(
    aws: Aws, call: Caller
) -> None:
    job = finished(aws)
    answer = call("DELETE", f"/v1/videos/{job.job_id}")
    assert (answer.status, answer.body) == (204, None)
    assert keys(aws) == [OF_ANOTHER_JOB]
    assert job_lists.list_for_user("user-1", status=None, limit=10, cursor=None).jobs == []
    assert assert_adds_up("user-1").sequence == 3


def test_deleting_twice_is_deleting_once_also_after_a_crash_halfway(aws: Aws, call: Caller) -> None:
    job = finished(aws)
    job_store.hide(job.job_id)  # as a crash before the media were removed leaves it
    for _ in range(2):
        assert call("DELETE", f"/v1/videos/{job.job_id}").status == 204
    assert keys(aws) == [OF_ANOTHER_JOB]


def test_deleting_removes_what_attempts_left_that_were_killed(aws: Aws, call: Caller) -> None:
    job = finished(aws)
    store(aws, job, "attempt-2")
    put(aws, storage.video_key(job.user_id, job.job_id, "attempt-3"))
    assert call("DELETE", f"/v1/videos/{job.job_id}").status == 204
    assert keys(aws) == [OF_ANOTHER_JOB]


def test_deleting_after_a_stale_read_removes_what_was_stored_meanwhile(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_store.record_outcome(sent().job_id, "video", VIDEO)
    hide = job_store.hide

    def completed_first(job_id: str) -> Job | None:
        job_store.record_asset(job_id, "video", store(aws, job))
        holds.settle(job_id, lambda found: verdict(found, None))
        return hide(job_id)

    monkeypatch.setattr(job_store, "hide", completed_first)
    assert call("DELETE", f"/v1/videos/{job.job_id}").status == 204
    found = job_store.get(job.job_id)
    assert found
    assert (found.status, found.deleted) == (JobStatus.COMPLETED, True)
    assert keys(aws) == []


def test_a_running_job_is_not_deleted(aws: Aws, call: Caller) -> None:
    job = sent()
    put(aws, storage.video_key(job.user_id, job.job_id, "attempt-1"))
    answer = call("DELETE", f"/v1/videos/{job.job_id}")
    assert (answer.status, answer.code) == (409, "JOB_RUNNING")
    assert job_store.get(job.job_id) == job
    assert len(keys(aws)) == 1


def test_a_deleted_job_cannot_be_cancelled(aws: Aws, call: Caller) -> None:
    job = finished(aws)
    job_store.hide(job.job_id)
    assert cancel(call, job).code == "JOB_NOT_FOUND"


def test_a_failed_job_without_media_can_be_deleted(aws: Aws, call: Caller) -> None:
    job = job_store.record_outcome(sent().job_id, "video", Failed(FailureCode.NO_OUTPUT))
    holds.settle(job.job_id, lambda found: verdict(found, "GenerationFailed"))
    assert call("DELETE", f"/v1/videos/{job.job_id}").status == 204
