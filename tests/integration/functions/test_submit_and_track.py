"""Submit and Track, entered from every point where an earlier attempt may have crashed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from clipmint.credits import holds
from clipmint.execution.sending import DeadlineExceeded, ProviderBusy, SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, SubmissionState
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.providers.base import (
    Accepted,
    Busy,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Unanswered,
)
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from tests.support.clock import Clock
from tests.support.gateway import Context
from tests.support.jobs import (
    LISTED,
    as_stored,
    assert_adds_up,
    begin_sending,
    open_job,
    refuse,
    state_of,
)
from tests.support.moto_aws import WEBHOOKS, Aws
from tests.support.scripted_provider import HANDLE, ScriptedProvider

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
DECLINED = Failed(FailureCode.CONTENT_POLICY, "flagged")
FAILED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)


class Killed(BaseException):
    """The process was killed."""


def send(job: Job) -> dict[str, Any]:
    return submit({"job_id": job.job_id}, Context())


def test_a_job_is_sent_with_everything_the_user_asked_for(provider: ScriptedProvider) -> None:
    job = open_job(image_url="https://example.com/a.png", deadline_in=1_800)
    assert send(job) == {
        "stage": "video",
        "poll_seconds": [90, 30, 30, 60],
        "deadline": job.deadline,
    }
    [task] = provider.tasks
    assert (task.route.endpoint, task.prompt) == ("fal-ai/veo3.1", "a fox in the snow")
    assert task.settings == {"resolution": "720p", "aspect_ratio": "16:9", "duration": 8}
    assert (task.image_url, task.last_image_url) == ("https://example.com/a.png", None)
    assert task.start_within_seconds is not None
    assert 0 < task.start_within_seconds < 1_800
    submission = as_stored(job).stages[0].submission
    assert submission
    assert (submission.state, submission.request_id) == (SubmissionState.SENT, "request-1")
    assert (submission.task_id, task.resent) == (task.task_id, False)
    url = urlsplit(task.webhook_url or "")
    assert f"{url.scheme}://{url.netloc}" == WEBHOOKS
    assert url.path == f"/webhooks/fal/{job.job_id}/video/{submission.webhook_token}"
    assert len(submission.webhook_token) >= 43


def test_without_an_address_of_our_own_no_webhook_is_asked_for(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_BASE_URL", "")
    send(open_job())
    assert provider.tasks[0].webhook_url is None


def test_the_job_is_recorded_as_sending_while_the_provider_is_called(
    provider: ScriptedProvider,
) -> None:
    job = open_job()
    seen: list[SubmissionState | None] = []

    def look() -> Submitted:
        seen.append(state_of(job))
        return Accepted(HANDLE)

    provider.submissions = [look]
    send(job)
    assert seen == [SubmissionState.SENDING]


@pytest.mark.parametrize(
    ("answer", "error", "left"),
    [
        (Accepted(HANDLE), None, SubmissionState.SENT),
        (Busy("429"), ProviderBusy, SubmissionState.REFUSED),
        (Rejected(DECLINED), SubmissionRejected, SubmissionState.SENDING),
        (Unanswered("timed out"), None, SubmissionState.UNKNOWN),
    ],
)
def test_each_answer_is_recorded_for_what_it_proves(
    provider: ScriptedProvider,
    answer: Submitted,
    error: type[Exception] | None,
    left: SubmissionState,
) -> None:
    job = open_job()
    provider.submissions = [answer]
    if error is None:
        assert send(job)["stage"] == "video"
    else:
        with pytest.raises(error):
            send(job)
    assert state_of(job) is left
    outcome = as_stored(job).stages[0].outcome
    assert (outcome is not None) == isinstance(answer, Rejected)


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Accepted(HANDLE), 0),
        (Busy("503"), 1),
        (Rejected(DECLINED), 0),
        (Unanswered("reset"), 0),
        (Killed(), 0),
    ],
)
def test_entered_again_it_asks_again_only_after_a_certain_no(
    provider: ScriptedProvider, answer: Any, again: int
) -> None:
    job = open_job()
    provider.submissions = [answer]
    for _ in range(3):
        with suppress(ProviderBusy, SubmissionRejected, Killed):
            send(job)
    assert len(provider.tasks) == 1 + again


@pytest.mark.parametrize("write", ["mark_sent", "mark_refused", "mark_unknown"])
def test_a_crash_after_the_provider_was_called_never_leads_to_a_second_call(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    job = open_job()
    answers: dict[str, Submitted] = {"mark_sent": Accepted(HANDLE), "mark_refused": Busy("429")}
    provider.submissions = [answers.get(write, Unanswered("reset"))]

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(job_store, write, kill)
        with pytest.raises(Killed):
            send(job)
    assert state_of(job) is SubmissionState.SENDING
    for _ in range(3):
        assert send(job)["stage"] == "video"
    assert state_of(job) is SubmissionState.UNKNOWN
    assert len(provider.tasks) == 1


def test_a_busy_provider_is_asked_under_a_new_token_each_time(provider: ScriptedProvider) -> None:
    job = open_job()
    provider.submissions = [Busy("429"), Busy("429")]
    for _ in range(2):
        with pytest.raises(ProviderBusy):
            send(job)
    send(job)
    assert len({task.webhook_url for task in provider.tasks}) == 3
    assert len({task.task_id for task in provider.tasks}) == 3
    [stage] = as_stored(job).stages
    assert [(refusal.provider, refusal.reason) for refusal in stage.refusals] == [
        ("fal", "BUSY")
    ] * 2


def test_a_webhook_that_overtakes_the_answer_is_not_overwritten(
    provider: ScriptedProvider,
) -> None:
    job = open_job()

    def call_back_first() -> Submitted:
        job_store.record_outcome(job.job_id, "video", VIDEO, handle=HANDLE)
        return Unanswered("reset after the webhook")

    provider.submissions = [call_back_first]
    send(job)
    [stage] = as_stored(job).stages
    assert (stage.outcome, state_of(job)) == (VIDEO, SubmissionState.SENT)


def test_a_job_cancelled_while_it_is_sent_stays_cancelled(provider: ScriptedProvider) -> None:
    job = open_job()

    def cancel() -> Submitted:
        holds.settle(job.job_id, lambda _: FAILED)
        return Accepted(HANDLE)

    provider.submissions = [cancel]
    with pytest.raises(JobFinished):
        send(job)
    assert assert_adds_up("user-1").held == 0


def test_a_job_whose_time_is_up_is_not_sent(provider: ScriptedProvider, hands: Clock) -> None:
    job = open_job(deadline_in=60)
    hands.forward(seconds=61)
    with pytest.raises(DeadlineExceeded):
        send(job)
    assert provider.tasks == []


@pytest.mark.parametrize(("seconds_left", "sent"), [(30, 1), (29, 0)])
def test_nothing_is_sent_that_could_not_be_fetched_in_time(
    provider: ScriptedProvider, hands: Clock, seconds_left: int, sent: int
) -> None:
    job = open_job(deadline_in=600)
    hands.forward(seconds=600 - seconds_left)
    with suppress(DeadlineExceeded):
        send(job)
    assert len(provider.tasks) == sent
    assert (state_of(job) is None) is not sent


def test_of_two_concurrent_submits_one_sends_and_the_other_reads_again(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = open_job()
    mark_sending = job_store.mark_sending

    def the_twin_first(*args: Any, **ids: Any) -> Job:
        monkeypatch.setattr(job_store, "mark_sending", mark_sending)
        assert send(job)["stage"] == "video"
        return mark_sending(*args, **ids)

    monkeypatch.setattr(job_store, "mark_sending", the_twin_first)
    with pytest.raises(JobMoved):
        send(job)
    # The state machine retries errors that it does not know.
    assert send(job)["stage"] == "video"
    assert state_of(job) is SubmissionState.SENT
    assert len(provider.tasks) == 1
    assert assert_adds_up("user-1").held == 32


def test_a_webhook_that_comes_as_a_refused_job_is_sent_again_is_enough(
    aws: Aws, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = open_job()
    provider.submissions = [Busy("503 from a gateway, behind which it was accepted")]
    with pytest.raises(ProviderBusy):
        send(job)
    mark_sending = job_store.mark_sending

    def the_webhook_first(*args: Any, **ids: Any) -> Job:
        monkeypatch.setattr(job_store, "mark_sending", mark_sending)
        job_store.record_outcome(job.job_id, "video", VIDEO, handle=HANDLE)
        return mark_sending(*args, **ids)

    monkeypatch.setattr(job_store, "mark_sending", the_webhook_first)
    with pytest.raises(JobMoved):
        send(job)
    assert send(job)["stage"] == "video"
    assert len(provider.tasks) == 1
    aws.executions.sleeping.add("task-token")
    assert look(job)
    assert as_stored(job).stages[0].outcome == VIDEO
    assert assert_adds_up("user-1").held == 32


def test_an_attempt_presumed_crashed_that_is_refused_is_followed_by_another(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = open_job()
    begin_sending(job, "token-of-the-slow-attempt")
    mark_unknown = job_store.mark_unknown

    def the_slow_attempt_first(*args: Any) -> Job:
        monkeypatch.setattr(job_store, "mark_unknown", mark_unknown)
        refuse(job, "token-of-the-slow-attempt")
        return mark_unknown(*args)

    monkeypatch.setattr(job_store, "mark_unknown", the_slow_attempt_first)
    with pytest.raises(JobMoved):
        send(job)
    assert provider.tasks == []
    assert send(job)["stage"] == "video"
    assert state_of(job) is SubmissionState.SENT
    assert len(provider.tasks) == 1


def test_a_job_that_has_ended_or_never_was_is_not_sent(provider: ScriptedProvider) -> None:
    job = open_job()
    holds.settle(job.job_id, lambda _: FAILED)
    for job_id in (job.job_id, "no-such-job"):
        with pytest.raises(JobFinished):
            submit({"job_id": job_id}, Context())
    assert provider.tasks == []


# ── Track ────────────────────────────────────────────────────────────────────────────────────────


def look(job: Job, turn: int = 0, sleeper: str = "task-token") -> bool:
    event = {"job_id": job.job_id, "stage": "video", "turn": turn, "task_token": sleeper}
    return bool(track(event, Context())["woken"])


@pytest.fixture
def sent(aws: Aws, provider: ScriptedProvider) -> Job:
    job = open_job()
    send(job)
    aws.executions.sleeping.update({"task-token", "second-token"})
    return job


def test_the_first_turn_records_its_token_and_polls_no_provider(
    sent: Job, provider: ScriptedProvider
) -> None:
    assert not look(sent)
    assert provider.polled == []
    assert as_stored(sent).stages[0].task_token == "task-token"


def test_a_later_turn_asks_and_sleeps_on_while_it_runs(
    aws: Aws, sent: Job, provider: ScriptedProvider
) -> None:
    provider.polls = [Running(3), ProviderUnavailable("502"), Running()]
    for turn in (1, 2, 3):
        assert not look(sent, turn)
    assert provider.polled == [HANDLE] * 3
    assert aws.executions.responses == []


def test_a_lost_webhook_is_found_by_the_next_poll(
    aws: Aws, sent: Job, provider: ScriptedProvider
) -> None:
    look(sent)
    provider.polls = [VIDEO]
    assert look(sent, 1, "second-token")
    assert as_stored(sent).stages[0].outcome == replace(VIDEO, cost=LISTED)
    [(token, callback)] = aws.executions.responses
    assert (token, json.loads(callback["output"])) == ("second-token", {"stage": "video"})


def test_a_polled_failure_ends_the_wait_with_its_code(
    aws: Aws, sent: Job, provider: ScriptedProvider
) -> None:
    provider.polls = [DECLINED]
    assert look(sent, 1)
    [(_, callback)] = aws.executions.responses
    assert callback == {"error": "GenerationFailed", "cause": "CONTENT_POLICY"}


def test_an_outcome_that_came_before_the_token_wakes_at_once(
    aws: Aws, sent: Job, provider: ScriptedProvider
) -> None:
    job_store.record_outcome(sent.job_id, "video", VIDEO)
    assert look(sent)
    assert look(sent, 1, "second-token")
    assert provider.polled == []
    assert [token for token, _ in aws.executions.responses] == ["task-token", "second-token"]


def test_the_webhook_counts_when_both_arrive_at_once(sent: Job, provider: ScriptedProvider) -> None:
    def webhook() -> Failed:
        job_store.record_outcome(sent.job_id, "video", VIDEO)
        return DECLINED

    provider.polls = [webhook]
    assert look(sent, 1)
    assert as_stored(sent).stages[0].outcome == VIDEO


def test_what_was_never_confirmed_cannot_be_asked_for(provider: ScriptedProvider) -> None:
    job = open_job()
    provider.submissions = [Unanswered("reset")]
    send(job)
    assert not look(job, 1)
    assert provider.polled == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Accepted(HANDLE), FailureCode.DEADLINE_EXCEEDED),
        (Unanswered("reset"), FailureCode.SUBMIT_UNKNOWN),
    ],
)
def test_at_its_deadline_a_job_is_given_up(
    provider: ScriptedProvider, hands: Clock, answer: Submitted, code: FailureCode
) -> None:
    job = open_job(deadline_in=600)
    provider.submissions = [answer]
    send(job)
    hands.forward(seconds=599)
    look(job, 1)
    assert as_stored(job).stages[0].outcome is None
    hands.forward(seconds=1)
    look(job, 2)
    assert as_stored(job).stages[0].outcome == Failed(code)


# The first turn starts after the deadline if Submit or Track itself failed for long.
@pytest.mark.parametrize("turn", [0, 1])
def test_a_video_found_at_the_deadline_is_kept(
    provider: ScriptedProvider, hands: Clock, turn: int
) -> None:
    job = open_job(deadline_in=60)
    send(job)
    hands.forward(seconds=61)
    provider.polls = [VIDEO]
    look(job, turn)
    assert as_stored(job).stages[0].outcome == replace(VIDEO, cost=LISTED)
    assert provider.polled == [HANDLE]


def test_a_job_that_has_ended_ends_its_execution(sent: Job) -> None:
    holds.settle(sent.job_id, lambda _: FAILED)
    with pytest.raises(JobFinished):
        look(sent)
