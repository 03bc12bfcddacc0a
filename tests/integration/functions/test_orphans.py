"""Paid orphans: what a provider makes that no job uses is reported to the owner and charged to no
user.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clipmint.credits import holds
from clipmint.execution import orphans
from clipmint.execution.sending import SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Handle, Job, JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.job_store import JobFinished
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.providers.base import Accepted, Notice, ProviderUnavailable, Submitted
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.support.gateway import Caller, Context
from tests.support.jobs import TASK_ID, as_stored, assert_adds_up, begin_sending, journal, open_job
from tests.support.moto_aws import Aws, client_of, hooked
from tests.support.scripted_provider import HANDLE, ScriptedProvider, ScriptedWebhookSender

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
ASSET = Asset("bucket", "key", "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.0)
GIVEN_UP = Verdict(JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)


def deliver(job: Job, provider: ScriptedProvider, outcome: Any) -> str:
    """A webhook; a provider that only sends hints reports the outcome when polled."""
    assert isinstance(provider, ScriptedWebhookSender)
    if provider.name == "runware":
        provider.notices, provider.polls = [Notice(Handle(TASK_ID), None)], [outcome]
    else:
        provider.notices = [Notice(HANDLE, outcome)]
    path = f"/webhooks/{provider.name}/{job.job_id}/video/the-token"
    answer = Caller(webhooks, user=None)("POST", path, body={})
    assert answer.status == 200
    return str(answer.body["result"])


def sent(provider: str = "fal", **changes: Any) -> Job:
    job = begin_sending(open_job(providers=[provider], **changes), provider=provider)
    handle = Handle(TASK_ID) if provider == "runware" else HANDLE
    return job_store.mark_sent(job.job_id, "video", TASK_ID, handle)


@pytest.fixture
def alarms(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[tuple[float, float]]]:
    """Orphans counted since the last time, and what they cost."""

    def since() -> list[tuple[float, float]]:
        lines = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        metrics = [json.loads(line) for line in lines if '"PaidOrphan"' in line]
        return [(line["PaidOrphan"][0], line["PaidOrphanCredits"][0]) for line in metrics]

    return since


Alarms = Callable[[], list[tuple[float, float]]]


@pytest.mark.parametrize("name", ["fal", "runware"])
def test_a_video_finished_after_the_job_ended_is_reported_once(
    aws: Aws,
    providers: dict[str, ScriptedProvider],
    alarms: Alarms,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    job = sent(name)
    ended = holds.settle(job.job_id, lambda _: GIVEN_UP)
    item = aws.job_item(job.job_id)
    results = [deliver(job, providers[name], VIDEO) for _ in range(3)]
    assert results == ["late", "duplicate", "duplicate"]
    assert alarms() == [(1, 32)]
    [orphan] = as_stored(job).orphans
    request_id = TASK_ID if name == "runware" else HANDLE.request_id
    assert (orphan.stage, orphan.provider, orphan.credits) == ("video", name, 32)
    assert (orphan.request_id, orphan.endpoint) == (request_id, job.stages[0].endpoint)
    [line] = [record.__dict__ for record in caplog.records if record.message == "paid orphan"]
    assert (line["job_id"], line["provider"], line["credits"]) == (job.job_id, name, 32)
    assert (line["request_id"], line["model_id"]) == (request_id, "veo-3.1")
    # Nothing else has changed, in particular nothing of the user's.
    reported = {"orphans": None, "newest_orphan": None}
    assert {**aws.job_item(job.job_id), **reported} == {**item, **reported}
    assert as_stored(job).status is ended.status
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]
    assert assert_adds_up("user-1").available == 32


@pytest.mark.parametrize("name", ["fal", "runware"])
def test_a_video_finished_while_the_job_is_ending_is_reported_too(
    aws: Aws, providers: dict[str, ScriptedProvider], alarms: Alarms, name: str
) -> None:
    job = sent(name)
    job_store.record_outcome(job.job_id, "video", Failed(FailureCode.DEADLINE_EXCEEDED))
    assert deliver(job, providers[name], VIDEO) == "late"
    assert as_stored(job).stages[0].outcome == Failed(FailureCode.DEADLINE_EXCEEDED)
    settle({"job_id": job.job_id, "error": "GenerationFailed"}, Context())
    assert deliver(job, providers[name], VIDEO) == "duplicate"
    assert alarms() == [(1, 32)]
    assert len(as_stored(job).orphans) == 1


@pytest.mark.parametrize("name", ["fal", "runware"])
@pytest.mark.parametrize("outcome", [Failed(FailureCode.PROVIDER_ERROR), Running()])
def test_what_failed_or_goes_on_is_no_orphan(
    aws: Aws, providers: dict[str, ScriptedProvider], alarms: Alarms, name: str, outcome: Any
) -> None:
    job = sent(name)
    holds.settle(job.job_id, lambda _: GIVEN_UP)
    deliver(job, providers[name], outcome)
    assert (alarms(), as_stored(job).orphans) == ([], ())


@pytest.mark.parametrize("name", ["fal", "runware"])
def test_the_video_of_a_completed_job_is_no_orphan(
    aws: Aws, providers: dict[str, ScriptedProvider], alarms: Alarms, name: str
) -> None:
    job = sent(name)
    assert deliver(job, providers[name], VIDEO) == "accepted"
    job_store.record_asset(job.job_id, "video", ASSET)
    settle({"job_id": job.job_id, "error": ""}, Context())
    polls = len(providers[name].polled)
    assert deliver(job, providers[name], VIDEO) == "duplicate"
    assert len(providers[name].polled) == polls
    assert (alarms(), as_stored(job).orphans) == ([], ())


def test_a_delivery_that_crashed_before_its_write_is_recorded_by_the_next(
    provider: ScriptedWebhookSender, alarms: Alarms
) -> None:
    job = sent()
    holds.settle(job.job_id, lambda _: GIVEN_UP)

    def crash(params: dict[str, Any], **_: object) -> None:
        if "orphans" in params["ExpressionAttributeNames"].values():
            raise KeyboardInterrupt

    with (
        hooked(client_of(JobItem), {"provide-client-params.dynamodb.UpdateItem": crash}),
        pytest.raises(KeyboardInterrupt),
    ):
        deliver(job, provider, VIDEO)
    assert deliver(job, provider, VIDEO) == "late"
    assert alarms() == [(1, 32)] * 2, "rather twice than never"
    assert len(as_stored(job).orphans) == 1


def test_a_recorded_orphan_raises_no_second_alarm(aws: Aws, alarms: Alarms) -> None:
    job = sent()
    for expected in ([(1, 32)], []):
        orphans.record(as_stored(job), job.stages[0], "first")
        assert alarms() == expected


def test_two_orphans_reported_at_once_are_both_kept(aws: Aws) -> None:
    job = sent()
    stage = job.stages[0]
    stale = as_stored(job)
    orphans.record(stale, stage, "first")
    orphans.record(stale, stage, "second")
    orphans.record(stale, stage, "first")
    assert [orphan.request_id for orphan in as_stored(job).orphans] == ["first", "second"]
    assert as_stored(job).revision == job.revision


def cancelled_meanwhile(job: Job) -> Callable[[], Submitted]:
    def answer() -> Submitted:
        holds.settle(job.job_id, lambda _: Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED))
        return Accepted(HANDLE)

    return answer


@pytest.mark.parametrize("cancellation", [True, False, ProviderUnavailable("timed out")])
def test_what_was_accepted_for_an_ended_job_is_cancelled_or_reported(
    provider: ScriptedWebhookSender, alarms: Alarms, cancellation: Any
) -> None:
    job = open_job()
    provider.submissions = [cancelled_meanwhile(job)]
    provider.cancellations = [cancellation]
    with pytest.raises(JobFinished):
        submit({"job_id": job.job_id}, Context())
    assert provider.cancelled == [HANDLE]
    expected_alarms = [] if cancellation is True else [(1, 32)]
    assert alarms() == expected_alarms
    assert [orphan.request_id for orphan in as_stored(job).orphans] == ["request-1"] * len(
        expected_alarms
    )
    assert assert_adds_up("user-1").held == 0


@pytest.mark.parametrize("cancellation", [True, False])
def test_what_was_accepted_for_an_attempt_presumed_crashed_is_cancelled_or_reported(
    providers: dict[str, ScriptedProvider], alarms: Alarms, cancellation: bool
) -> None:
    job = open_job(providers=["runway"])

    def overtaken() -> Submitted:
        # The next attempt finds ``sending``; for Runway nothing more can be known.
        with pytest.raises(SubmissionRejected):
            submit({"job_id": job.job_id}, Context())
        return Accepted(HANDLE)

    providers["runway"].submissions = [overtaken]
    providers["runway"].cancellations = [cancellation]
    submit({"job_id": job.job_id}, Context())
    assert len(providers["runway"].tasks) == 1
    assert providers["runway"].cancelled == [HANDLE]
    expected_alarms = [] if cancellation else [(1, 32)]
    assert alarms() == expected_alarms
    assert [orphan.request_id for orphan in as_stored(job).orphans] == ["request-1"] * len(
        expected_alarms
    )


def test_a_job_its_webhook_completed_before_the_answer_was_noted_has_no_orphan(
    provider: ScriptedWebhookSender, alarms: Alarms
) -> None:
    job = open_job()

    def overtaken() -> Submitted:
        job_store.record_outcome(job.job_id, "video", VIDEO, handle=HANDLE)
        job_store.record_asset(job.job_id, "video", ASSET)
        settle({"job_id": job.job_id, "error": ""}, Context())
        return Accepted(HANDLE)

    provider.submissions = [overtaken]
    with pytest.raises(JobFinished):
        submit({"job_id": job.job_id}, Context())
    assert (provider.cancelled, alarms(), as_stored(job).orphans) == ([], [], ())


def test_a_failure_that_its_webhook_reported_before_the_answer_was_noted_is_no_orphan(
    provider: ScriptedWebhookSender, alarms: Alarms
) -> None:
    # The webhook resumes the execution, which ends the job while Submit still runs.
    job = open_job()

    def overtaken() -> Submitted:
        failed = Failed(FailureCode.CONTENT_POLICY)
        job_store.record_outcome(job.job_id, "video", failed, handle=HANDLE)
        settle({"job_id": job.job_id, "error": "SubmissionRejected"}, Context())
        return Accepted(HANDLE)

    provider.submissions = [overtaken]
    with pytest.raises(JobFinished):
        submit({"job_id": job.job_id}, Context())
    assert (provider.cancelled, alarms(), as_stored(job).orphans) == ([], [], ())


def test_what_was_accepted_for_a_job_that_was_given_up_meanwhile_is_an_orphan(
    provider: ScriptedWebhookSender, alarms: Alarms
) -> None:
    job = open_job()

    def overtaken() -> Submitted:
        job_store.record_outcome(job.job_id, "video", Failed(FailureCode.DEADLINE_EXCEEDED))
        holds.settle(job.job_id, lambda _: GIVEN_UP)
        return Accepted(HANDLE)

    provider.submissions = [overtaken]
    with pytest.raises(JobFinished):
        submit({"job_id": job.job_id}, Context())
    assert (provider.cancelled, alarms()) == ([HANDLE], [(1, 32)])


@pytest.mark.parametrize(
    ("name", "withdrawn", "expected_alarms"),
    [
        ("runway", False, 1),
        ("runway", True, 0),
        ("runway", ProviderUnavailable("timed out"), 1),
        ("fal", False, 1),
        ("fal", True, 0),
        ("fal", ProviderUnavailable("timed out"), 0),  # its webhook reports it, if it is made
        ("runware", False, 1),
    ],
)
@pytest.mark.usefixtures("hands")
def test_a_task_that_has_begun_is_reported_when_it_is_given_up(
    providers: dict[str, ScriptedProvider],
    alarms: Alarms,
    name: str,
    withdrawn: Any,
    expected_alarms: int,
) -> None:
    job = sent(name, deadline_in=0)
    providers[name].cancellations = [withdrawn, withdrawn]
    event = {"job_id": job.job_id, "stage": "video", "turn": 1, "task_token": "sleeper"}
    track(event, Context())
    assert len(alarms()) == len(as_stored(job).orphans) == expected_alarms
    assert as_stored(job).stages[0].outcome == Failed(FailureCode.DEADLINE_EXCEEDED)
    # An attempt that is repeated after a crash, and the webhook of the finished task, add nothing.
    track(event | {"turn": 2}, Context())
    if expected_alarms and name != "runway":
        assert deliver(job, providers[name], VIDEO) == "duplicate"
    assert len(as_stored(job).orphans) == expected_alarms
