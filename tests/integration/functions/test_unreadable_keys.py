"""While the owner's keys cannot be read, nothing answers 500 and no credits stay on hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from clipmint import aws as clients
from clipmint.credits import grants
from clipmint.execution.sweeping import DEADLINE_GRACE
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, JobStatus
from clipmint.jobs.outcomes import FailureCode, Succeeded
from clipmint.providers import registry
from clipmint.providers.base import Notice
from clipmint.providers.keys import KeysUnreadable
from clipmint.providers.registry import Registry
from functions.cancel.app import handler as cancel
from functions.generate.app import handler as generate
from functions.status.app import handler as status
from functions.submit.app import handler as submit
from functions.sweep.app import handler as sweep
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import (
    LISTED,
    TASK_ID,
    TOKEN,
    as_stored,
    assert_adds_up,
    begin_sending,
    open_job,
)
from tests.support.moto_aws import KEYS, Aws, publish_keys, write_keys
from tests.support.scripted_provider import (
    HANDLE,
    ScriptedProvider,
    ScriptedWebhookSender,
    scripted_providers,
)

SCHEDULE = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")


def write(text: str) -> None:
    clients.secrets().put_secret_value(SecretId=os.environ["PROVIDER_KEYS_ARN"], SecretString=text)


@pytest.fixture(params=["not json", "[]", '{"FAL_KEY": "id:sec', '{"FAL_KEY": 5}'])
def scripted(request: pytest.FixtureRequest, aws: Aws) -> Iterator[dict[str, ScriptedProvider]]:
    """Processes that know no keys, and cannot read them. The sweep had recorded all providers."""
    publish_keys(KEYS)
    write(request.param)
    made = scripted_providers()
    with registry.use(Registry(lambda name, _: made[name])):
        yield made


def sent(provider: str = "fal", deadline_in: int = 1_800) -> Job:
    opened = open_job(providers=[provider], deadline_in=deadline_in)
    job = begin_sending(opened, provider=provider)
    handle = Handle(TASK_ID) if provider == "runware" else HANDLE
    return job_store.mark_sent(job.job_id, "video", TASK_ID, handle)


def webhook_sender(provider: ScriptedProvider) -> ScriptedWebhookSender:
    assert isinstance(provider, ScriptedWebhookSender)
    return provider


def assert_try_again(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


def deliver(job: Job) -> Answer:
    provider = job.stages[0].provider
    path = f"/webhooks/{provider}/{job.job_id}/video/{TOKEN}"
    return Caller(webhooks)("POST", path, body={"request_id": "request-1"})


def test_models_are_shown_and_ordered_as_before(
    aws: Aws, scripted: dict[str, ScriptedProvider]
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    assert {one["model_id"] for one in Caller(status)("GET", "/v1/models").body["models"]} >= {
        "veo-3.1",
        "gen4-turbo",
        "runware-veo-3.1",
    }
    body = {"model_id": "veo-3.1", "prompt": "a fox in the snow"}
    key = {"Idempotency-Key": "key-1"}
    assert Caller(generate)("POST", "/v1/videos/estimate", body=body).status == 200
    assert Caller(generate)("POST", "/v1/videos", body=body, headers=key).status == 202


def test_a_job_waits_in_submit_until_the_keys_are_readable(
    aws: Aws, hands: Clock, scripted: dict[str, ScriptedProvider]
) -> None:
    job = open_job()
    with pytest.raises(KeysUnreadable):
        submit({"job_id": job.job_id}, Context())
    assert as_stored(job).stages[0].submission is None
    write_keys(KEYS)
    hands.forward(seconds=30)
    submit({"job_id": job.job_id}, Context())
    assert len(scripted["fal"].tasks) == 1


def test_a_cancellation_is_to_be_tried_again(
    aws: Aws, scripted: dict[str, ScriptedProvider]
) -> None:
    job = sent()
    assert_try_again(Caller(cancel)("POST", f"/v1/videos/{job.job_id}/cancel"))
    assert as_stored(job).status is JobStatus.PROCESSING
    assert scripted["fal"].cancelled == []


def test_a_webhook_that_brings_its_outcome_is_processed(
    aws: Aws, scripted: dict[str, ScriptedProvider]
) -> None:
    job = sent()
    webhook_sender(scripted["fal"]).notices = [Notice(HANDLE, VIDEO)]
    answer = deliver(job)
    assert (answer.status, answer.body) == (200, {"result": "accepted"})
    assert as_stored(job).stages[0].outcome == replace(VIDEO, cost=LISTED)


def test_a_webhook_that_needs_a_poll_is_to_be_delivered_again(
    aws: Aws, scripted: dict[str, ScriptedProvider]
) -> None:
    job = sent("runware")
    webhook_sender(scripted["runware"]).notices = [Notice(Handle(TASK_ID), None)]
    assert_try_again(deliver(job))
    assert as_stored(job).stages[0].outcome is None


@pytest.mark.parametrize("provider", ["fal", "runway", "runware"])
def test_the_sweep_settles_a_job_past_its_deadline(
    aws: Aws, hands: Clock, scripted: dict[str, ScriptedProvider], provider: str
) -> None:
    jobs = [sent(provider, deadline_in=60) for _ in range(3)]
    hands.forward(seconds=61 + DEADLINE_GRACE.total_seconds())
    assert sweep(SCHEDULE, Context()) == {"settled": 3, "started": 0, "failed": 0}
    for job in jobs:
        assert (as_stored(job).status, as_stored(job).failure) == (
            JobStatus.FAILED,
            FailureCode.DEADLINE_EXCEEDED,
        )
        # fal's and Runware's webhooks report whether they made it. Runway reports nothing.
        assert len(as_stored(job).orphans) == (provider == "runway")
    assert assert_adds_up("user-1").held == 0


def test_track_ends_a_job_at_its_deadline(
    aws: Aws, hands: Clock, scripted: dict[str, ScriptedProvider]
) -> None:
    job = sent(deadline_in=60)
    hands.forward(seconds=61)
    event = {"job_id": job.job_id, "stage": "video", "turn": 1, "task_token": "sleeper"}
    track(event, Context())
    outcome = as_stored(job).stages[0].outcome
    assert getattr(outcome, "code", None) is FailureCode.DEADLINE_EXCEEDED


def test_the_sweep_records_which_providers_have_a_key_and_keeps_the_record_meanwhile(
    aws: Aws, hands: Clock
) -> None:
    def shown() -> set[str]:
        hands.forward(seconds=60)
        models = Caller(status)("GET", "/v1/models").body["models"]
        return {"runway" for one in models if one["model_id"] == "gen4-turbo"} | {
            "fal" for one in models if one["model_id"] == "veo-3.1-i2v"
        }

    assert shown() == {"fal"}
    write_keys(KEYS)
    sweep(SCHEDULE, Context())
    assert shown() == {"fal", "runway"}
    write("not json")
    registry.forget()
    sweep(SCHEDULE, Context())
    assert shown() == {"fal", "runway"}
    write_keys({"RUNWAYML_API_SECRET": KEYS["RUNWAYML_API_SECRET"]})
    hands.forward(seconds=30)
    sweep(SCHEDULE, Context())
    assert shown() == {"runway"}


def test_before_the_first_sweep_every_model_is_on_offer(aws: Aws) -> None:
    key = {"model_id": {"S": "#state"}}
    aws.dynamodb.delete_item(TableName="ModelsTable", Key=key)
    models = {one["model_id"] for one in Caller(status)("GET", "/v1/models").body["models"]}
    assert models >= {"veo-3.1", "gen4-turbo", "runware-veo-3.1"}
