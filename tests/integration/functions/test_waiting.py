"""Submit waits itself: its task token is recorded with its intent, and found by every outcome."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from clipmint.credits import holds
from clipmint.execution.sending import ProviderBusy, SubmissionRejected
from clipmint.execution.waiting import SUBMIT_SECONDS
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, SubmissionState
from clipmint.jobs.job_store import JobFinished
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.providers.base import Accepted, Busy, Notice, Submitted, Unanswered
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.support.clock import Clock
from tests.support.gateway import Caller, Context
from tests.support.jobs import as_stored, begin_sending, new_job, open_job
from tests.support.moto_aws import Aws
from tests.support.scripted_provider import HANDLE, ScriptedProvider, ScriptedWebhookSender

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
DECLINED = Failed(FailureCode.CONTENT_POLICY, "flagged")
PATIENT = (SUBMIT_SECONDS, 30)
"""Polls of a model whose jobs wait in Submit."""


class Killed(BaseException):
    """The process is gone."""


def ordered(*, poll_seconds: tuple[int, ...] = PATIENT, **changes: Any) -> Job:
    [stage] = new_job().stages
    return open_job(stages=(replace(stage, poll_seconds=poll_seconds),), **changes)


def wait(aws: Aws, job: Job, attempt: int = 1) -> dict[str, Any]:
    """One attempt of the state Submit; each has a token of its own."""
    aws.executions.sleeping.add(f"token-{attempt}")
    return submit({"job_id": job.job_id, "task_token": f"token-{attempt}"}, Context())


def deliver(provider: ScriptedWebhookSender, job: Job, outcome: Any) -> str:
    provider.notices = [Notice(HANDLE, outcome)]
    [stage] = as_stored(job).stages
    assert stage.submission
    path = f"/webhooks/fal/{job.job_id}/video/{stage.submission.webhook_token}"
    answer = Caller(webhooks, user=None)("POST", path, body={})
    assert answer.status == 200
    return str(answer.body["result"])


def resumed(aws: Aws) -> list[tuple[str, Any]]:
    """Tokens that were used, with the output or the error they were used for."""
    return [
        (token, json.loads(callback["output"]) if "output" in callback else callback["error"])
        for token, callback in aws.executions.responses
    ]


def test_the_token_is_on_the_job_before_the_provider_is_called(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered()
    seen: list[tuple[SubmissionState | None, str | None]] = []

    def look() -> Submitted:
        [stage] = as_stored(job).stages
        seen.append((stage.submission_state, stage.task_token))
        return Accepted(HANDLE)

    provider.submissions = [look]
    wait(aws, job)
    assert seen == [(SubmissionState.SENDING, "token-1")]
    assert resumed(aws) == []


def test_a_webhook_that_arrives_before_the_providers_answer_resumes_the_execution(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered()

    def webhook_first() -> Submitted:
        assert deliver(provider, job, VIDEO) == "accepted"
        return Accepted(HANDLE)

    provider.submissions = [webhook_first]
    wait(aws, job)
    assert resumed(aws) == [("token-1", {"stage": "video"})]
    assert as_stored(job).stages[0].submission_state is SubmissionState.SENT


@pytest.mark.parametrize(
    ("outcome", "expected"), [(VIDEO, {"stage": "video"}), (DECLINED, "GenerationFailed")]
)
def test_a_webhook_ends_submits_wait(
    aws: Aws, provider: ScriptedWebhookSender, outcome: Any, expected: Any
) -> None:
    job = ordered()
    wait(aws, job)
    assert deliver(provider, job, outcome) == "accepted"
    assert resumed(aws) == [("token-1", expected)]


def test_a_wait_costs_no_write_but_those_of_the_submission(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered()
    wait(aws, job)
    assert as_stored(job).revision == job.revision + 2  # sending, sent


def test_an_unknown_submission_waits_for_its_webhook(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered()
    provider.submissions = [Unanswered("reset")]
    wait(aws, job)
    assert as_stored(job).stages[0].submission_state is SubmissionState.UNKNOWN
    assert deliver(provider, job, VIDEO) == "accepted"
    assert resumed(aws) == [("token-1", {"stage": "video"})]


# ── An attempt that finds an earlier one's submission ────────────────────────────────────────────


@pytest.mark.parametrize("write", ["mark_sending", "mark_sent"])
@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_killed_around_a_write_the_next_attempt_waits_with_its_own_token(
    aws: Aws,
    provider: ScriptedWebhookSender,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    written: bool,
) -> None:
    job = ordered()
    original = getattr(job_store, write)

    def kill(*args: Any, **how: Any) -> Job:
        monkeypatch.setattr(job_store, write, original)
        if written:
            original(*args, **how)
        raise Killed

    monkeypatch.setattr(job_store, write, kill)
    with pytest.raises(Killed):
        wait(aws, job)
    aws.executions.sleeping.discard("token-1")  # a token ends with its attempt
    wait(aws, job, 2)
    assert len(provider.tasks) == (0 if (write, written) == ("mark_sending", True) else 1)
    assert as_stored(job).stages[0].task_token == "token-2"
    assert deliver(provider, job, VIDEO) == "accepted"
    assert resumed(aws) == [("token-2", {"stage": "video"})]


def test_an_outcome_that_found_only_a_dead_token_is_found_by_the_next_attempt(
    aws: Aws, provider: ScriptedWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ordered()

    def answer_is_lost() -> Submitted:
        raise Killed

    provider.submissions = [answer_is_lost]
    with pytest.raises(Killed):
        wait(aws, job)
    aws.executions.sleeping.clear()
    assert deliver(provider, job, VIDEO) == "accepted"
    assert resumed(aws) == []
    wait(aws, job, 2)
    assert resumed(aws) == [("token-2", {"stage": "video"})]
    assert len(provider.tasks) == 1


def test_an_outcome_that_comes_as_the_next_attempt_stores_its_token_is_not_missed(
    aws: Aws, provider: ScriptedWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ordered()
    wait(aws, job)
    aws.executions.sleeping.clear()
    original = job_store.store_task_token

    def the_webhook_first(*args: Any) -> Job:
        deliver(provider, job, VIDEO)
        return original(*args)

    monkeypatch.setattr(job_store, "store_task_token", the_webhook_first)
    wait(aws, job, 2)
    assert resumed(aws) == [("token-2", {"stage": "video"})]


def test_a_busy_provider_is_retried_with_the_next_attempts_token(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered()
    provider.submissions = [Busy("503")]
    with pytest.raises(ProviderBusy):
        wait(aws, job)
    wait(aws, job, 2)
    assert as_stored(job).stages[0].task_token == "token-2"


def test_a_failed_generation_is_not_waited_for(aws: Aws, provider: ScriptedWebhookSender) -> None:
    job = ordered()
    wait(aws, job)
    deliver(provider, job, DECLINED)
    with pytest.raises(SubmissionRejected):
        wait(aws, job, 2)


def test_a_cancelled_job_is_not_waited_for(aws: Aws, provider: ScriptedWebhookSender) -> None:
    job = ordered()
    wait(aws, job)
    holds.settle(job.job_id, lambda _: Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED))
    with pytest.raises(JobFinished):
        wait(aws, job, 2)


# ── What must be polled soon is handed to Track ──────────────────────────────────────────────────


def handed_over(aws: Aws) -> list[dict[str, Any]]:
    """The plans that Submit handed over."""
    ended = [callback for _, callback in aws.executions.responses]
    return [
        json.loads(callback["cause"]) for callback in ended if callback["error"] == "PollNeeded"
    ]


@pytest.mark.parametrize(
    ("poll_seconds", "deadline_in", "here"),
    [
        ((SUBMIT_SECONDS, 30), 1_800, True),
        ((SUBMIT_SECONDS - 1, 30), 1_800, False),
        ((3_600,), SUBMIT_SECONDS, True),
        ((3_600,), SUBMIT_SECONDS - 1, False),
    ],
)
@pytest.mark.usefixtures("hands", "provider")
def test_submit_waits_only_if_no_poll_and_no_deadline_comes_before_its_end(
    aws: Aws, poll_seconds: tuple[int, ...], deadline_in: int, here: bool
) -> None:
    job = ordered(poll_seconds=poll_seconds, deadline_in=deadline_in)
    wait(aws, job)
    plan = {"stage": "video", "poll_seconds": list(poll_seconds), "deadline": job.deadline}
    assert handed_over(aws) == ([] if here else [plan])
    assert as_stored(job).stages[0].task_token == ("token-1" if here else None)


def test_submit_does_not_wait_for_a_webhook_that_cannot_arrive(
    aws: Aws, provider: ScriptedWebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_BASE_URL", "none")
    wait(aws, ordered())
    assert provider.tasks[0].webhook_url is None
    assert len(handed_over(aws)) == 1


def test_a_provider_that_takes_long_to_answer_leaves_the_wait_to_track(
    aws: Aws, provider: ScriptedWebhookSender, hands: Clock
) -> None:
    job = ordered(deadline_in=SUBMIT_SECONDS + 30)

    def slowly() -> Submitted:
        hands.forward(seconds=60)
        return Accepted(HANDLE)

    provider.submissions = [slowly]
    wait(aws, job)
    assert [plan["deadline"] for plan in handed_over(aws)] == [job.deadline]


def test_a_plan_that_is_handed_over_twice_is_handed_over_once(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered(poll_seconds=(30,))
    wait(aws, job)
    submit({"job_id": job.job_id, "task_token": "token-1"}, Context())
    assert len(handed_over(aws)) == 1
    assert len(provider.tasks) == 1


def test_the_next_attempt_hands_over_what_an_earlier_one_sent(
    aws: Aws, providers: dict[str, ScriptedProvider]
) -> None:
    [stage] = new_job(providers=["runway"]).stages
    job = begin_sending(open_job(providers=["runway"], stages=(stage,)), provider="runway")
    submission = job.stages[0].submission
    assert submission
    job_store.mark_sent(job.job_id, "video", submission.task_id, HANDLE)
    wait(aws, job)
    assert [plan["poll_seconds"] for plan in handed_over(aws)] == [list(stage.poll_seconds)]
    assert providers["runway"].tasks == []


# ── After a wait in vain, and for executions of the earlier definition ───────────────────────────


def start_polling(job: Job) -> dict[str, Any]:
    return submit({"job_id": job.job_id}, Context())


def test_after_a_wait_in_vain_track_polls_by_the_plan(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    job = ordered()
    wait(aws, job)
    aws.executions.sleeping.clear()
    plan = start_polling(job)
    assert plan == {"stage": "video", "poll_seconds": list(PATIENT), "deadline": job.deadline}
    assert len(provider.tasks) == 1
    provider.polls = [VIDEO]
    aws.executions.sleeping.add("token-2")
    track({"job_id": job.job_id, "turn": 1, "task_token": "token-2"} | plan, Context())
    assert resumed(aws) == [("token-2", {"stage": "video"})]


def test_without_a_token_nothing_is_handed_over_and_no_token_recorded(
    aws: Aws, provider: ScriptedWebhookSender
) -> None:
    for poll_seconds in (PATIENT, (30,)):
        job = ordered(poll_seconds=poll_seconds)
        start_polling(job)
        assert as_stored(job).stages[0].task_token is None
    assert aws.executions.responses == []
