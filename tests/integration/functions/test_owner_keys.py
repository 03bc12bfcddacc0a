"""The owner's keys: read once, an alarm if missing, and read again without a restart."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from clipmint.execution.sending import ProviderBusy, SubmissionInDoubt, SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, SubmissionState
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.providers import registry
from clipmint.providers.base import AccountRefused, Busy, ProviderUnavailable, Rejected, Unanswered
from clipmint.providers.registry import ProviderNotConfigured
from functions.cancel.app import handler as cancel
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from tests.support.fal_on_loopback import REFUSED_KEY, FalOnLoopback
from tests.support.gateway import Caller, Context
from tests.support.jobs import TASK_ID, as_stored, assert_adds_up, begin_sending, open_job
from tests.support.moto_aws import (
    override,
    write_keys,
)
from tests.support.scripted_provider import ACCEPTED, HANDLE, ScriptedProvider


def send() -> SubmissionState | None:
    job = open_job()
    submit({"job_id": job.job_id}, Context())
    submission = as_stored(job).stages[0].submission
    return submission.state if submission else None


def refused() -> Job:
    """A job sent with invalid keys, as its execution ends it."""
    job = open_job()
    with pytest.raises((ProviderNotConfigured, SubmissionRejected)) as error:
        submit({"job_id": job.job_id}, Context())
    assert settle({"job_id": job.job_id, "error": error.type.__name__}, Context()) == {
        "status": "failed"
    }
    return as_stored(job)


def alarms(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The providers for which a refusal of the account was counted."""
    lines = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    metrics = [json.loads(line) for line in lines]
    return [metric["provider"] for metric in metrics if "OwnerAccountRefused" in metric]


def test_keys_are_read_once_while_they_are_good(
    fal: FalOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send() is SubmissionState.SENT
    monkeypatch.setenv("PROVIDER_KEYS_ARN", "of-a-secret-that-is-gone")
    assert send() is SubmissionState.SENT
    assert fal.keys == ["id:secret"] * 2


@pytest.mark.parametrize("key", ["", "no-colon-in-it", REFUSED_KEY])
def test_an_invalid_key_alarms_the_owner_and_the_corrected_one_is_used_by_the_same_process(
    fal: FalOnLoopback, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    write_keys({"FAL_KEY": key})
    for _ in range(2):
        assert refused().failure is FailureCode.OWNER_ACCOUNT
        assert set(alarms(capsys)) == {"fal"}
    assert assert_adds_up("user-1").held == 0
    write_keys({"FAL_KEY": "mended-id:mended-secret"})
    assert send() is SubmissionState.SENT
    assert fal.keys[-1] == "mended-id:mended-secret"


def test_a_key_that_is_refused_after_it_was_good_is_replaced_too(fal: FalOnLoopback) -> None:
    assert send() is SubmissionState.SENT
    fal.refused.add("id:secret")
    assert refused().failure is FailureCode.OWNER_ACCOUNT
    write_keys({"FAL_KEY": "mended-id:mended-secret"})
    assert send() is SubmissionState.SENT
    assert fal.keys == ["id:secret", "id:secret", "mended-id:mended-secret"]


def test_malformed_overrides_release_the_credits_and_raise_the_alarm(
    fal: FalOnLoopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        override(patch, fal={"queue_ur": fal.url})
        registry.forget()
        assert refused().failure is FailureCode.OWNER_ACCOUNT
        assert set(alarms(capsys)) == {"fal"}
        assert registry.configured() == frozenset()
    assert assert_adds_up("user-1").held == 0
    assert fal.keys == []
    registry.forget()  # Lambda starts new processes when a variable changes
    assert send() is SubmissionState.SENT


def test_a_failure_that_is_not_about_the_account_raises_no_alarm(
    provider: ScriptedProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.submissions = [Rejected(Failed(FailureCode.CONTENT_POLICY))]
    assert refused().failure is FailureCode.CONTENT_POLICY
    assert alarms(capsys) == []


def ask(job: Job) -> None:
    event = {"job_id": job.job_id, "stage": "video", "turn": 1, "task_token": "sleeper"}
    track(event, Context())


def sent_to(provider: str) -> Job:
    job = begin_sending(open_job(providers=[provider]), provider=provider)
    handle = Handle(TASK_ID) if provider == "runware" else HANDLE
    return job_store.mark_sent(job.job_id, "video", TASK_ID, handle)


@pytest.mark.parametrize("name", sorted(registry.NAMES))
def test_a_key_refused_during_a_poll_alarms_the_owner(
    providers: dict[str, ScriptedProvider], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    job = sent_to(name)
    providers[name].polls = [AccountRefused("HTTP 401"), ProviderUnavailable("timed out")]
    ask(job)
    assert alarms(capsys) == [name]
    ask(job)
    assert alarms(capsys) == []
    assert as_stored(job).stages[0].outcome is None


def test_a_key_missing_for_a_running_task_alarms_the_owner(
    provider: ScriptedProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    job = sent_to("fal")
    write_keys({})
    registry.forget_keys()
    ask(job)
    assert alarms(capsys) == ["fal"]
    assert provider.polled == []


@pytest.mark.parametrize("refused", [True, False])
def test_a_doubt_that_missing_funds_keep_open_alarms_the_owner(
    providers: dict[str, ScriptedProvider], capsys: pytest.CaptureFixture[str], refused: bool
) -> None:
    job = begin_sending(open_job(providers=["runware"]), provider="runware")
    providers["runware"].submissions = [Unanswered("HTTP 402", account_refused=refused)]
    with pytest.raises(SubmissionInDoubt):
        submit({"job_id": job.job_id}, Context())
    assert alarms(capsys) == (["runware"] if refused else [])


def test_a_cancellation_refused_for_the_account_alarms_the_owner(
    provider: ScriptedProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    job = sent_to("fal")
    provider.cancellations = [AccountRefused("HTTP 403")]
    assert Caller(cancel)("POST", f"/v1/videos/{job.job_id}/cancel").status == 503
    assert alarms(capsys) == ["fal"]


def test_the_share_of_responses_that_are_a_providers_fault_is_counted(
    provider: ScriptedProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.submissions = [
        ACCEPTED,
        Busy("429"),
        Rejected(Failed(FailureCode.PROVIDER_ERROR)),
        Rejected(Failed(FailureCode.CONTENT_POLICY)),
        Unanswered("timed out"),
    ]
    for expected in ([0], [1], [1], [0], [1]):
        with suppress(ProviderBusy, SubmissionRejected):
            submit({"job_id": open_job().job_id}, Context())
        assert faults(capsys) == expected
    for outcome, expected in (
        (Succeeded("https://v3.fal.media/files/b/video.mp4"), [0]),
        (Failed(FailureCode.PROVIDER_TIMEOUT), [1]),
        (Failed(FailureCode.NO_OUTPUT), [0]),
        (Running(), []),
    ):
        job = sent_to("fal")
        provider.polls = [outcome]
        ask(job)
        ask(job)
        assert faults(capsys) == expected


def faults(capsys: pytest.CaptureFixture[str]) -> list[float]:
    lines = [line for line in capsys.readouterr().out.splitlines() if '"ProviderError"' in line]
    return [json.loads(line)["ProviderError"][0] for line in lines]
