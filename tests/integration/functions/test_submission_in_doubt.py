"""Submissions without a response, at each kind of provider, and crashes at every line between.

For fal we can only wait, for Runway we can only give up, and Runware can be sent the same task id
again. None of them is ever paid twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from clipmint.execution.sending import ProviderBusy, SubmissionInDoubt, SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, SubmissionState
from clipmint.jobs.job_store import JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Succeeded
from clipmint.providers.base import (
    Accepted,
    Busy,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Task,
    Unanswered,
)
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from tests.support.clock import Clock
from tests.support.gateway import Context
from tests.support.jobs import (
    LISTED,
    ROUTES,
    TOKEN,
    assert_adds_up,
    begin_sending,
    open_job,
    stage_of,
    state_of,
    task_id_of,
)
from tests.support.scripted_provider import ACCEPTED, HANDLE, ScriptedProvider

Providers = dict[str, ScriptedProvider]

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
UNKNOWN = Failed(FailureCode.SUBMIT_UNKNOWN)
PROVIDERS = list(ROUTES)


class Killed(BaseException):
    """The process was killed."""


def send(job: Job) -> dict[str, Any]:
    return submit({"job_id": job.job_id}, Context())


def crashed_sending(provider: str, **changes: Any) -> Job:
    """A job with another route left; its first attempt crashed around the call."""
    others = [name for name in PROVIDERS if name != provider]
    return begin_sending(open_job(providers=[provider, *others], **changes), provider=provider)


def test_fal_is_waited_for(providers: Providers) -> None:
    job = crashed_sending("fal")
    for _ in range(2):
        assert send(job)["stage"] == "video"
        assert (state_of(job), stage_of(job).outcome) == (SubmissionState.UNKNOWN, None)
    assert [len(provider.tasks) for provider in providers.values()] == [0, 0, 0]


def test_runway_is_given_up_for_the_owner_to_pay_and_not_the_user(providers: Providers) -> None:
    job = crashed_sending("runway")
    for _ in range(2):
        with pytest.raises(SubmissionRejected, match="SUBMIT_UNKNOWN"):
            send(job)
    assert stage_of(job).outcome == UNKNOWN
    assert [len(provider.tasks) for provider in providers.values()] == [0, 0, 0]
    assert settle({"job_id": job.job_id, "error": "SubmissionRejected"}, Context()) == {
        "status": "failed"
    }
    assert assert_adds_up("user-1").available == 32


def test_runware_is_sent_the_same_task_again(providers: Providers) -> None:
    job = crashed_sending("runware")
    providers["runware"].submissions = [Accepted(HANDLE)]
    assert send(job)["stage"] == "video"
    [task] = providers["runware"].tasks
    assert (task.task_id, task.resent) == (task_id_of(TOKEN), True)
    assert (task.webhook_url or "").endswith(f"/webhooks/runware/{job.job_id}/video/{TOKEN}")
    assert task.route == ROUTES["runware"]
    submission = stage_of(job).submission
    assert submission
    assert (submission.state, submission.task_id, submission.webhook_token) == (
        SubmissionState.SENT,
        task_id_of(TOKEN),
        TOKEN,
    )
    send(job)
    assert len(providers["runware"].tasks) == 1


@pytest.mark.parametrize("answer", [Busy("429"), Busy("503"), Unanswered("timed out")])
def test_what_does_not_settle_the_doubt_leaves_it(providers: Providers, answer: Submitted) -> None:
    job = crashed_sending("runware")
    before = stage_of(job)
    providers["runware"].submissions = [answer] * 6
    for _ in range(6):
        with pytest.raises(SubmissionInDoubt):
            send(job)
        assert before.submission
        doubted = replace(before.submission, state=SubmissionState.UNKNOWN)
        assert stage_of(job) == replace(before, submission=doubted)
    send(job)
    assert state_of(job) is SubmissionState.SENT
    assert len({task.task_id for task in providers["runware"].tasks}) == 1
    assert {name: len(providers[name].tasks) for name in ("fal", "runway")} == {
        "fal": 0,
        "runway": 0,
    }


def test_a_late_refusal_of_an_attempt_in_doubt_tries_no_other_provider(
    providers: Providers,
) -> None:
    """Two Submits overlap: the second has sent the first one's task again, and it was accepted."""
    job = open_job(providers=("runware", "fal"))

    def the_second_overtakes() -> Submitted:
        assert send(job)["stage"] == "video"
        return Busy("503 by a proxy")

    providers["runware"].submissions = [the_second_overtakes, ACCEPTED]
    with pytest.raises(JobMoved):
        send(job)
    assert send(job)["stage"] == "video"
    assert (state_of(job), stage_of(job).provider) == (SubmissionState.SENT, "runware")
    assert providers["fal"].tasks == []


def test_after_a_lost_first_response_the_same_task_is_sent_again(
    providers: Providers,
) -> None:
    job = open_job(providers=("runware", "fal"))
    providers["runware"].submissions = [Unanswered("timed out"), Accepted(HANDLE)]
    with pytest.raises(SubmissionInDoubt):
        send(job)
    assert state_of(job) is SubmissionState.UNKNOWN
    send(job)
    first, second = providers["runware"].tasks
    assert (first.resent, second.resent) == (False, True)
    assert (first.task_id, first.webhook_url) == (second.task_id, second.webhook_url)
    assert uuid.UUID(first.task_id).version == 4


def test_a_certain_refusal_of_the_second_submission_ends_it(providers: Providers) -> None:
    job = crashed_sending("runware")
    refusal = Failed(FailureCode.PROVIDER_ERROR, "no such model")
    providers["runware"].submissions = [Rejected(refusal)]
    for _ in range(2):
        with pytest.raises(SubmissionRejected, match="PROVIDER_ERROR"):
            send(job)
    assert stage_of(job).outcome == refusal
    assert [len(provider.tasks) for provider in providers.values()] == [0, 0, 1]


def test_a_job_still_in_doubt_when_its_execution_gives_up_is_refunded_as_such(
    providers: Providers,
) -> None:
    job = crashed_sending("runware")
    settle({"job_id": job.job_id, "error": "SubmissionInDoubt"}, Context())
    found = job_store.get(job.job_id)
    assert found
    assert found.failure is FailureCode.SUBMIT_UNKNOWN
    assert assert_adds_up("user-1").available == 32


def test_when_it_is_too_late_to_send_again_the_task_is_still_polled(
    providers: Providers, hands: Clock
) -> None:
    job = crashed_sending("runware", deadline_in=600)
    hands.forward(seconds=600)
    assert send(job)["stage"] == "video"
    runware = providers["runware"]
    assert (runware.tasks, len(runware.polled)) == ([], 1)
    # Track keeps polling, by the id that we chose and Runware uses.
    submission = stage_of(job).submission
    assert submission
    assert (submission.state, submission.request_id) == (SubmissionState.SENT, submission.task_id)


def test_what_is_asked_for_and_there_is_not_sent_again(providers: Providers) -> None:
    job = crashed_sending("runware")
    providers["runware"].polls = [VIDEO]
    assert send(job)["stage"] == "video"
    recorded = replace(VIDEO, cost=LISTED)
    assert (providers["runware"].tasks, stage_of(job).outcome) == ([], recorded)


def test_a_webhook_that_comes_while_the_question_is_repeated_is_not_overruled(
    providers: Providers,
) -> None:
    job = crashed_sending("runware")

    def the_webhook_first() -> Submitted:
        job_store.record_outcome(job.job_id, "video", VIDEO, handle=HANDLE)
        return Rejected(Failed(FailureCode.PROVIDER_ERROR, "too late"))

    providers["runware"].submissions = [the_webhook_first]
    with pytest.raises(JobMoved):
        send(job)
    assert send(job)["stage"] == "video"
    assert (stage_of(job).outcome, state_of(job)) == (VIDEO, SubmissionState.SENT)


# ── Killed anywhere ──────────────────────────────────────────────────────────────────────────────


def keep_accounts(providers: Providers) -> list[str]:
    """Counts what is made, and paid for, from now on: one task id per generation.

    A lost response is the worst case: accepted. Only Runware recognises a task id that is sent
    again.
    """
    made: list[str] = []

    def charging(provider: ScriptedProvider) -> Callable[[Task], Submitted]:
        scripted = provider.submit

        def submit(task: Task) -> Submitted:
            answer = scripted(task)
            if not isinstance(answer, Accepted | Unanswered):
                return answer
            if not (provider.name == "runware" and task.task_id in made):
                made.append(task.task_id)
            return Accepted(Handle(task.task_id)) if isinstance(answer, Accepted) else answer

        return submit

    for provider in providers.values():
        provider.submit = charging(provider)  # type: ignore[method-assign, assignment]
    return made


# Each write between two side effects, and the first provider's response that leads there.
CRASHES = [
    *[
        (first, *crash)
        for first in PROVIDERS
        for crash in (
            ("mark_sending", Accepted(HANDLE)),
            ("mark_sent", Accepted(HANDLE)),
            ("mark_refused", Busy("503")),
            ("record_outcome", Rejected(Failed(FailureCode.CONTENT_POLICY, "flagged"))),
        )
    ],
    ("fal", "mark_unknown", Unanswered("reset")),
    ("runway", "record_outcome", Unanswered("reset")),
]


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: f"{crash[0]}-{crash[1]}")
def test_killed_around_any_write_nothing_is_paid_for_twice(
    providers: Providers,
    monkeypatch: pytest.MonkeyPatch,
    crash: tuple[str, str, Submitted],
    written: bool,
) -> None:
    first, write, answer = crash
    made = keep_accounts(providers)
    job = open_job(providers=[first, *(name for name in PROVIDERS if name != first)])
    providers[first].submissions = [answer]
    original = getattr(job_store, write)

    def kill(*args: Any, **how: Any) -> Job:
        monkeypatch.setattr(job_store, write, original)
        if written:
            original(*args, **how)
        raise Killed

    monkeypatch.setattr(job_store, write, kill)
    with pytest.raises(Killed):
        send(job)
    rejected = False
    for _ in range(4):
        with suppress(JobMoved, ProviderBusy, SubmissionInDoubt):
            try:
                send(job)
            except SubmissionRejected:
                rejected = True
    assert len(made) <= 1
    stage = stage_of(job)
    assert stage.submission
    if rejected:
        # Nothing was made, or it can never be known.
        assert isinstance(stage.outcome, Failed)
        assert made == [] or stage.outcome == UNKNOWN
    elif stage.submission.state is SubmissionState.SENT:
        assert made == [stage.submission.task_id] == [stage.submission.request_id]
    else:
        assert (stage.submission.state, stage.provider) == (SubmissionState.UNKNOWN, "fal")
        assert made in ([], [stage.submission.task_id])


def test_killed_between_the_refusal_and_the_next_route_the_retry_starts_from_the_first(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = open_job(providers=("fal", "runware"))
    providers["fal"].submissions = [Busy("503"), Busy("503")]
    providers["runware"].submissions = [Killed()]
    with pytest.raises(Killed):
        send(job)
    # fal's refusal is certain; whether Runware has it is not, so Runware is called, and fal is not.
    assert (stage_of(job).provider, state_of(job)) == ("runware", SubmissionState.SENDING)
    send(job)
    assert len(providers["fal"].tasks) == 1
    first, second = providers["runware"].tasks
    assert (first.task_id, second.resent) == (second.task_id, True)


# ── At the deadline ──────────────────────────────────────────────────────────────────────────────


def look(job: Job, turn: int = 1) -> None:
    event = {"job_id": job.job_id, "stage": "video", "turn": turn, "task_token": "task-token"}
    track(event, Context())


@pytest.mark.parametrize("cancelled", [True, False, ProviderUnavailable("timed out")])
def test_at_the_deadline_what_has_not_begun_is_cancelled(
    providers: Providers, hands: Clock, cancelled: Any
) -> None:
    job = open_job(deadline_in=600)
    send(job)
    hands.forward(seconds=599)
    look(job)
    assert providers["fal"].cancelled == []
    hands.forward(seconds=1)
    providers["fal"].cancellations = [cancelled]
    look(job)
    assert providers["fal"].cancelled == [HANDLE]
    # The user did not cancel anything.
    assert stage_of(job).outcome == Failed(FailureCode.DEADLINE_EXCEEDED)


def test_a_video_that_is_there_at_the_deadline_is_not_cancelled(
    providers: Providers, hands: Clock
) -> None:
    job = open_job(deadline_in=600)
    send(job)
    hands.forward(seconds=600)
    providers["fal"].polls = [VIDEO]
    look(job)
    assert stage_of(job).outcome == replace(VIDEO, cost=LISTED)
    assert providers["fal"].cancelled == []


def test_at_the_deadline_an_unconfirmed_submission_has_nothing_to_cancel(
    providers: Providers, hands: Clock
) -> None:
    job = crashed_sending("fal", deadline_in=600)
    send(job)
    hands.forward(seconds=600)
    look(job)
    assert (providers["fal"].cancelled, providers["fal"].polled) == ([], [])
    assert stage_of(job).outcome == UNKNOWN


def test_a_call_that_could_be_cut_short_is_not_begun(providers: Providers) -> None:
    job = open_job(providers=("fal", "runware"))
    with pytest.raises(ProviderBusy):
        submit({"job_id": job.job_id}, Context(remaining_ms=60_000))
    assert state_of(job) is None
    assert [provider.tasks for provider in providers.values()] == [[], [], []]


def test_an_answer_is_recorded_only_for_the_submission_it_is_about(providers: Providers) -> None:
    job = crashed_sending("fal")
    with pytest.raises(JobMoved):
        job_store.mark_sent(job.job_id, "video", "another-task", HANDLE)
    with pytest.raises(JobMoved):
        job_store.mark_unknown(job.job_id, "video", "another-task")
    with pytest.raises(JobMoved):
        job_store.record_outcome(job.job_id, "video", VIDEO, task_id="another-task")
    assert state_of(job) is SubmissionState.SENDING


def test_nothing_is_sent_for_a_stage_that_has_come_out(providers: Providers) -> None:
    job = crashed_sending("fal")
    job_store.record_outcome(job.job_id, "video", VIDEO)
    with pytest.raises(JobMoved):
        begin_sending(job, "another-token")


@pytest.mark.parametrize("state", [SubmissionState.SENDING, SubmissionState.UNKNOWN])
def test_what_a_webhook_reports_during_failed_polls_is_not_sent_again(
    providers: Providers, state: SubmissionState
) -> None:
    job = crashed_sending("runware")
    if state is SubmissionState.UNKNOWN:
        job_store.mark_unknown(job.job_id, "video", task_id_of(TOKEN))

    def the_webhook_arrives() -> Outcome:
        handle = Handle(task_id_of(TOKEN))
        job_store.record_outcome(job.job_id, "video", VIDEO, handle=handle)
        raise ProviderUnavailable("timed out")

    providers["runware"].polls = [the_webhook_arrives]
    assert send(job)["stage"] == "video"
    assert providers["runware"].tasks == []
    assert (stage_of(job).outcome, state_of(job)) == (VIDEO, SubmissionState.SENT)
