"""The owner's keys: read once, missed loudly, and found again without a restart."""

from __future__ import annotations

import json

import pytest

from clipmint import jobs
from clipmint.domain.jobs import Job, SubmissionState
from clipmint.domain.outcomes import Failed, FailureCode
from clipmint.providers.base import Rejected
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.submission import SubmissionRejected
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from tests.integration.fal_on_loopback import REFUSED_KEY, FalOnLoopback
from tests.integration.gateway import Context
from tests.integration.moto_aws import assert_adds_up, open_job, write_keys
from tests.integration.scripted_provider import ScriptedProvider


def send() -> SubmissionState | None:
    job = open_job()
    submit({"job_id": job.job_id}, Context())
    submission = found(job).stages[0].submission
    return submission.state if submission else None


def found(job: Job) -> Job:
    now = jobs.get(job.job_id)
    assert now
    return now


def refused() -> Job:
    """A job sent with keys that are no good, as its execution ends it."""
    job = open_job()
    with pytest.raises((ProviderNotConfigured, SubmissionRejected)) as error:
        submit({"job_id": job.job_id}, Context())
    assert settle({"job_id": job.job_id, "error": error.type.__name__}, Context()) == {
        "status": "failed"
    }
    return found(job)


def alarms(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The providers whose refusal of the account has been counted."""
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
def test_a_key_that_is_no_good_rings_and_a_mended_one_is_used_by_the_same_process(
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


def test_a_failure_that_is_not_the_accounts_rings_no_alarm(
    provider: ScriptedProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.submissions = [Rejected(Failed(FailureCode.CONTENT_POLICY))]
    assert refused().failure is FailureCode.CONTENT_POLICY
    assert alarms(capsys) == []
