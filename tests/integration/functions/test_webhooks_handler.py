"""Webhooks of the providers: believed only if verified, and then exactly once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from clipmint.credits import holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, JobStatus, SubmissionState
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.providers.base import Notice, ProviderUnavailable, WebhookRejected
from functions.webhooks.app import handler
from tests.support.gateway import Answer, Caller, Context, answer_of, event
from tests.support.jobs import LISTED, TASK_ID, begin_sending, open_job, refuse
from tests.support.moto_aws import Aws, write_keys
from tests.support.scripted_provider import HANDLE, ScriptedProvider, ScriptedWebhookSender

VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4", LISTED)
GIVEN_UP = Verdict(JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
DECLINED = Failed(FailureCode.CONTENT_POLICY, "flagged", cost=LISTED)


@pytest.fixture
def call(aws: Aws, provider: ScriptedWebhookSender) -> Caller:
    return Caller(handler, user=None)


def path_of(job: Job, **changes: str) -> str:
    parts = {
        "provider": "fal",
        "job_id": job.job_id,
        "stage": "video",
        "token": "the-token",
    } | changes
    return "/webhooks/{provider}/{job_id}/{stage}/{token}".format(**parts)


def deliver(call: Caller, job: Job, **changes: str) -> Answer:
    return call("POST", path_of(job, **changes), body={"request_id": "request-1"})


def submitted(state: SubmissionState = SubmissionState.SENT) -> Job:
    job = begin_sending(open_job(), "the-token")
    if state is SubmissionState.SENT:
        return job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    if state is SubmissionState.UNKNOWN:
        return job_store.mark_unknown(job.job_id, "video", TASK_ID)
    return job


def outcome_of(job: Job) -> object:
    found = job_store.get(job.job_id)
    assert found
    return found.stages[0].outcome


@pytest.mark.parametrize("outcome", [VIDEO, DECLINED])
def test_a_verified_webhook_is_recorded_and_resumes_the_execution(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender, outcome: Succeeded | Failed
) -> None:
    job = submitted()
    job_store.store_task_token(job.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    provider.notices = [Notice(Handle("request-1"), outcome)]
    answer = deliver(call, job)
    assert (answer.status, answer.body) == (200, {"result": "accepted"})
    assert outcome_of(job) == outcome
    assert [token for token, _ in aws.executions.responses] == ["task-token"]


def test_a_webhook_before_the_token_is_recorded_for_track_to_find(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted()
    provider.notices = [Notice(Handle("request-1"), VIDEO)]
    assert deliver(call, job).status == 200
    assert outcome_of(job) == VIDEO
    assert aws.executions.responses == []


@pytest.mark.parametrize("state", [SubmissionState.SENDING, SubmissionState.UNKNOWN])
def test_a_webhook_carries_the_id_of_a_submission_whose_response_was_lost(
    call: Caller, provider: ScriptedWebhookSender, state: SubmissionState
) -> None:
    job = submitted(state)
    provider.notices = [Notice(Handle("told-by-webhook"), VIDEO)]
    assert deliver(call, job).status == 200
    found = job_store.get(job.job_id)
    assert found
    submission = found.stages[0].submission
    assert submission
    assert (submission.state, submission.request_id) == (SubmissionState.SENT, "told-by-webhook")


def test_a_repeated_webhook_changes_nothing_and_resumes_the_execution_again(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted()
    provider.notices = [Notice(Handle("request-1"), VIDEO)] * 2
    deliver(call, job)
    job_store.store_task_token(job.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    before = aws.job_item(job.job_id)
    answer = deliver(call, job)
    assert (answer.status, answer.body) == (200, {"result": "duplicate"})
    assert aws.job_item(job.job_id) == before
    assert [token for token, _ in aws.executions.responses] == ["task-token"]


@pytest.mark.parametrize(
    "changes",
    [
        {"token": "another-token"},
        {"token": "THE-TOKEN"},
        {"token": "the-toke"},
        {"token": "thé-token"},
        {"provider": "runway"},
        {"provider": "acme"},
        {"stage": "image"},
        {"stage": "__class__"},
        {"job_id": "5a9c1a4e-0f0f-5f60-9b8f-3a3f6d5a2b10"},
        {"job_id": "not-a-uuid"},
    ],
)
def test_a_webhook_at_the_wrong_address_finds_nothing(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender, changes: dict[str, str]
) -> None:
    job = submitted()
    before = aws.job_item(job.job_id)
    answer = deliver(call, job, **changes)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert aws.job_item(job.job_id) == before
    assert provider.calls == []


def test_a_job_that_was_never_sent_has_no_webhook(
    call: Caller, provider: ScriptedWebhookSender
) -> None:
    assert deliver(call, open_job()).status == 404
    assert provider.calls == []


@pytest.mark.parametrize(
    ("notice", "status"),
    [
        (WebhookRejected("forged"), 401),
        (Notice(Handle("another-request"), VIDEO), 401),
        (ProviderUnavailable("no keys"), 503),
    ],
)
def test_a_webhook_that_is_not_proven_changes_nothing_and_is_counted(
    aws: Aws,
    provider: ScriptedWebhookSender,
    capsys: pytest.CaptureFixture[str],
    notice: Any,
    status: int,
) -> None:
    job = submitted()
    before = aws.job_item(job.job_id)
    provider.notices = [notice]
    answer = deliver(Caller(handler, user=None), job)
    assert answer.status == status
    assert answer.code in {"WEBHOOK_NOT_PROVEN", "TEMPORARILY_UNAVAILABLE"}
    assert aws.job_item(job.job_id) == before
    assert aws.executions.responses == []
    printed = capsys.readouterr().out
    metrics = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    [metric] = [metric for metric in metrics if "WebhookRejected" in metric]
    assert (metric["provider"], metric["reason"]) == ("fal", answer.code)
    assert "the-token" not in printed


def test_a_hint_is_followed_by_asking(call: Caller, provider: ScriptedWebhookSender) -> None:
    job = submitted()
    provider.notices = [Notice(Handle("request-1"), None)] * 2
    provider.polls = [Running(), VIDEO]
    assert deliver(call, job).body == {"result": "ignored"}
    assert outcome_of(job) is None
    assert deliver(call, job).body == {"result": "accepted"}
    assert outcome_of(job) == VIDEO


def sent_to(provider: str) -> Job:
    job = begin_sending(open_job(providers=[provider]), provider=provider)
    # Runware identifies a submission by the id that we chose.
    handle = Handle(TASK_ID) if provider == "runware" else HANDLE
    return job_store.mark_sent(job.job_id, "video", TASK_ID, handle)


def hint(runware: ScriptedProvider) -> None:
    assert isinstance(runware, ScriptedWebhookSender)
    runware.notices = [Notice(Handle(TASK_ID), None)]


def test_a_provider_that_sends_no_webhooks_has_no_address(
    aws: Aws, call: Caller, providers: dict[str, ScriptedProvider]
) -> None:
    job = sent_to("runway")
    before = aws.job_item(job.job_id)
    answer = deliver(call, job, provider="runway")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert aws.job_item(job.job_id) == before
    assert providers["runway"].polled == []


@pytest.mark.parametrize(
    ("poll", "status"), [(Running(), 200), (ProviderUnavailable("timed out"), 503)]
)
def test_a_hint_alone_changes_nothing(
    aws: Aws, call: Caller, providers: dict[str, ScriptedProvider], poll: Any, status: int
) -> None:
    job = sent_to("runware")
    job_store.store_task_token(job.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    before = aws.job_item(job.job_id)
    hint(providers["runware"])
    providers["runware"].polls = [poll]
    assert deliver(call, job, provider="runware").status == status
    assert providers["runware"].polled == [Handle(TASK_ID)]
    assert aws.job_item(job.job_id) == before
    assert aws.executions.responses == []


@pytest.mark.parametrize("outcome", [VIDEO, DECLINED])
def test_the_poll_counts_and_not_the_hint(
    aws: Aws,
    call: Caller,
    providers: dict[str, ScriptedProvider],
    outcome: Succeeded | Failed,
) -> None:
    job = sent_to("runware")
    job_store.store_task_token(job.job_id, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    hint(providers["runware"])
    providers["runware"].polls = [outcome]
    assert deliver(call, job, provider="runware").body == {"result": "accepted"}
    assert outcome_of(job) == outcome
    assert [token for token, _ in aws.executions.responses] == ["task-token"]


def test_a_hint_about_another_task_is_not_followed(
    aws: Aws, call: Caller, providers: dict[str, ScriptedProvider]
) -> None:
    job = sent_to("runware")
    before = aws.job_item(job.job_id)
    runware = providers["runware"]
    assert isinstance(runware, ScriptedWebhookSender)
    runware.notices = [Notice(Handle("another-task"), None)]
    assert deliver(call, job, provider="runware").status == 401
    assert runware.polled == []
    assert aws.job_item(job.job_id) == before


def test_the_address_of_a_refused_route_leads_nowhere_once_the_next_is_taken(
    aws: Aws, call: Caller, providers: dict[str, ScriptedProvider]
) -> None:
    job = begin_sending(open_job(providers=["fal", "runware"]), "first-token")
    refuse(job, "first-token")
    begin_sending(job, "second-token", provider="runware")
    before = aws.job_item(job.job_id)
    for changes in (
        {"provider": "fal", "token": "first-token"},
        {"provider": "runware", "token": "first-token"},
        {"provider": "fal", "token": "second-token"},
    ):
        assert deliver(call, job, **changes).status == 404
    assert aws.job_item(job.job_id) == before


def test_a_webhook_that_cannot_be_checked_for_want_of_a_key_is_to_be_delivered_again(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted()
    write_keys({})
    answer = deliver(call, job)
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert provider.polled == []
    assert outcome_of(job) is None


def test_a_failure_of_a_job_that_has_ended_is_acknowledged_and_changes_nothing(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted()
    holds.settle(job.job_id, lambda _: GIVEN_UP)
    before = aws.job_item(job.job_id)
    provider.notices = [Notice(Handle("request-1"), DECLINED)]
    answer = deliver(call, job)
    assert (answer.status, answer.body) == (200, {"result": "late"})
    assert aws.job_item(job.job_id) == before


def test_the_proof_is_over_the_bytes_as_they_came(
    call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted()
    body = '{"request_id": "request-1",  "status": "OK", "note": "ü"}'
    plain = event("POST", path_of(job), user=None, body=body, headers={"X-Fal-Signature": "ab"})
    encoded = plain | {
        "body": base64.b64encode(body.encode()).decode(),
        "isBase64Encoded": True,
    }
    for made in (plain, encoded):
        assert answer_of(handler(made, Context())).status == 200
    assert [given.body for given in provider.calls] == [body.encode()] * 2
    assert provider.calls[0].headers["x-fal-signature"] == "ab"


def test_a_body_that_is_not_base64_is_refused(
    aws: Aws, call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted()
    broken = event("POST", path_of(job), user=None, body="a") | {"isBase64Encoded": True}
    assert answer_of(handler(broken, Context())).status == 401
    assert provider.calls == []


def test_a_repeated_hint_is_not_followed_again(
    call: Caller, providers: dict[str, ScriptedProvider]
) -> None:
    job = sent_to("runware")
    providers["runware"].polls = [VIDEO]
    for result in ("accepted", "duplicate", "duplicate"):
        hint(providers["runware"])
        assert deliver(call, job, provider="runware").body == {"result": result}
    assert len(providers["runware"].polled) == 1


def test_an_outcome_is_not_recorded_for_another_submission_that_began_meanwhile(
    call: Caller, provider: ScriptedWebhookSender
) -> None:
    job = submitted(SubmissionState.SENDING)

    def sent_again_meanwhile() -> Notice:
        refuse(job, "the-token")
        begin_sending(job, "another-token")
        return Notice(Handle("request-1"), VIDEO)

    provider.notices = [sent_again_meanwhile]
    answer = deliver(call, job)
    assert (answer.status, answer.body) == (200, {"result": "late"})
    found = job_store.get(job.job_id)
    assert found
    stage = found.stages[0]
    assert stage.outcome is None
    assert stage.submission
    assert stage.submission.webhook_token == "another-token"
    assert stage.submission.request_id is None
    assert [orphan.request_id for orphan in found.orphans] == ["request-1"]
