"""A model with several routes: the next is tried after a certain refusal for reasons of the
provider.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import pytest

from clipmint.credits import grants, ledger
from clipmint.execution.sending import ProviderBusy, SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, JobStatus, SubmissionState
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.providers.base import Accepted, Busy, Rejected, Submitted, Unanswered
from clipmint.providers.circuit import FAILURES_TO_OPEN
from clipmint.providers.registry import ProviderNotConfigured
from functions.generate.app import handler as generate
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import ROUTES, assert_adds_up, journal, open_job, stage_of, state_of
from tests.support.moto_aws import KEYS, Aws, publish_keys
from tests.support.scripted_provider import ScriptedProvider

Providers = dict[str, ScriptedProvider]

ANYWHERE = Accepted(Handle("made-elsewhere"))
OUT_OF_FUNDS = Rejected(Failed(FailureCode.OWNER_ACCOUNT, "exhausted balance"))
MODEL_GONE = Rejected(Failed(FailureCode.PROVIDER_ERROR, "no such model"))


def two_routes(**changes: Any) -> Job:
    return open_job(providers=("fal", "runware"), **changes)


def send(job: Job) -> dict[str, Any]:
    return submit({"job_id": job.job_id}, Context())


def calls(providers: Providers) -> dict[str, int]:
    """How often each provider was asked to make something."""
    return {name: len(provider.tasks) for name, provider in providers.items()}


def settled(job: Job, error: str) -> Job:
    """The job as its execution ends it."""
    assert settle({"job_id": job.job_id, "error": error}, Context()) == {"status": "failed"}
    found = job_store.get(job.job_id)
    assert found
    return found


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Busy("connection refused"), "BUSY"),
        (Busy("429"), "BUSY"),
        (Busy("503"), "BUSY"),
        (OUT_OF_FUNDS, "OWNER_ACCOUNT"),
        (MODEL_GONE, "PROVIDER_ERROR"),
    ],
)
def test_what_the_first_provider_certainly_refuses_goes_to_the_next_inside_the_same_hold(
    providers: Providers, hands: Clock, refusal: Submitted, reason: str
) -> None:
    job = two_routes()
    providers["fal"].submissions = [refusal]
    providers["runware"].submissions = [ANYWHERE]
    assert send(job)["stage"] == "video"
    assert calls(providers) == {"fal": 1, "runway": 0, "runware": 1}
    stage = stage_of(job)
    assert (stage.provider, stage.endpoint) == ("runware", ROUTES["runware"].endpoint)
    assert stage.submission
    assert (stage.submission.state, stage.submission.request_id) == (
        SubmissionState.SENT,
        "made-elsewhere",
    )
    assert [(was.provider, was.reason, was.at) for was in stage.refusals] == [
        ("fal", reason, hands.moment)
    ]
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold"]
    assert assert_adds_up("user-1").held == 32
    # The next Submit finds it done.
    send(job)
    assert calls(providers) == {"fal": 1, "runway": 0, "runware": 1}


def test_each_route_gets_a_task_id_and_a_webhook_address_of_its_own(providers: Providers) -> None:
    job = open_job(providers=("runway", "fal", "runware"))
    providers["runway"].submissions = [Busy("429")]
    providers["fal"].submissions = [Busy("503")]
    send(job)
    tasks = [providers[name].tasks[0] for name in ("runway", "fal", "runware")]
    assert len({task.task_id for task in tasks}) == 3
    assert {uuid.UUID(task.task_id).version for task in tasks} == {4}
    assert [task.route.endpoint for task in tasks] == [
        ROUTES[name].endpoint for name in ("runway", "fal", "runware")
    ]
    paths = [(task.webhook_url or "").split("/webhooks/")[1].split("/") for task in tasks]
    assert [path[0] for path in paths] == ["runway", "fal", "runware"]
    assert len({path[-1] for path in paths}) == 3
    stage = stage_of(job)
    assert stage.submission
    assert (stage.submission.task_id, stage.submission.webhook_token) == (
        tasks[2].task_id,
        paths[2][-1],
    )
    assert [refusal.provider for refusal in stage.refusals] == ["runway", "fal"]


def test_the_task_id_is_on_the_record_before_the_provider_is_called(providers: Providers) -> None:
    job = two_routes()
    recorded: list[tuple[str, str]] = []

    def look() -> Submitted:
        stage = stage_of(job)
        assert stage.submission
        assert stage.submission.state is SubmissionState.SENDING
        recorded.append((stage.provider, stage.submission.task_id))
        return Busy("503") if len(recorded) == 1 else ANYWHERE

    providers["fal"].submissions = [look]
    providers["runware"].submissions = [look]
    send(job)
    assert recorded == [(name, providers[name].tasks[0].task_id) for name in ("fal", "runware")]


@pytest.mark.parametrize(
    "code",
    [FailureCode.CONTENT_POLICY, FailureCode.INVALID_INPUT, FailureCode.INPUT_UNREADABLE],
)
def test_a_request_that_is_itself_at_fault_is_not_taken_elsewhere(
    providers: Providers, code: FailureCode
) -> None:
    job = two_routes()
    providers["fal"].submissions = [Rejected(Failed(code, "in the provider's words"))]
    with pytest.raises(SubmissionRejected, match=code.value):
        send(job)
    assert stage_of(job).outcome == Failed(code, "in the provider's words")
    with pytest.raises(SubmissionRejected):
        send(job)
    assert calls(providers) == {"fal": 1, "runway": 0, "runware": 0}
    assert settled(job, "SubmissionRejected").failure is code
    assert assert_adds_up("user-1").available == 32


@pytest.mark.parametrize("first", ["fal", "runway", "runware"])
def test_a_lost_answer_is_never_followed_by_another_provider(
    providers: Providers, first: str
) -> None:
    others = [name for name in providers if name != first]
    job = open_job(providers=(first, *others))
    providers[first].submissions = [Unanswered("timed out")] * 4
    for _ in range(4):
        with suppress(Exception):
            send(job)
    assert [len(providers[name].tasks) for name in others] == [0, 0]
    assert len({task.task_id for task in providers[first].tasks}) == 1


def test_while_all_are_busy_the_state_machine_asks_again_from_the_first(
    providers: Providers,
) -> None:
    job = two_routes()
    providers["fal"].submissions = [Busy("429"), Busy("429")]
    providers["runware"].submissions = [Busy("503")]
    with pytest.raises(ProviderBusy):
        send(job)
    assert state_of(job) is SubmissionState.REFUSED
    assert stage_of(job).outcome is None
    send(job)
    assert calls(providers) == {"fal": 2, "runway": 0, "runware": 2}
    assert [refusal.provider for refusal in stage_of(job).refusals] == ["fal", "runware", "fal"]
    assert assert_adds_up("user-1").held == 32


def test_one_busy_provider_is_enough_to_retry(providers: Providers) -> None:
    job = two_routes()
    providers["fal"].submissions = [Busy("429")]
    providers["runware"].submissions = [MODEL_GONE]
    with pytest.raises(ProviderBusy):
        send(job)
    assert stage_of(job).outcome is None


def test_when_all_have_refused_the_last_reason_counts_and_the_credits_come_back(
    providers: Providers,
) -> None:
    job = two_routes()
    providers["fal"].submissions = [OUT_OF_FUNDS]
    providers["runware"].submissions = [MODEL_GONE]
    with pytest.raises(SubmissionRejected, match="PROVIDER_ERROR"):
        send(job)
    assert [refusal.reason for refusal in stage_of(job).refusals] == [
        "OWNER_ACCOUNT",
        "PROVIDER_ERROR",
    ]
    ended = settled(job, "SubmissionRejected")
    assert (ended.status, ended.failure) == (JobStatus.FAILED, FailureCode.PROVIDER_ERROR)
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]
    assert assert_adds_up("user-1").available == 32


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_provider_without_a_key_is_passed_over_without_a_record(providers: Providers) -> None:
    job = two_routes()
    publish_keys(KEYS | {"FAL_KEY": ""})
    send(job)
    assert calls(providers) == {"fal": 0, "runway": 0, "runware": 1}
    assert (stage_of(job).provider, stage_of(job).refusals) == ("runware", ())


def test_a_job_whose_providers_have_all_lost_their_keys_ends_refunded(
    providers: Providers,
) -> None:
    job = two_routes()
    publish_keys({})
    with pytest.raises(ProviderNotConfigured):
        send(job)
    assert calls(providers) == {"fal": 0, "runway": 0, "runware": 0}
    assert stage_of(job).submission is None
    assert settled(job, "ProviderNotConfigured").failure is FailureCode.OWNER_ACCOUNT
    assert assert_adds_up("user-1").available == 32


# ── What generate lets a job try ─────────────────────────────────────────────────────────────────


def order(key: str = "key-1", **changes: Any) -> Answer:
    if ledger.account_of("user-1").available == 0:
        grants.grant("user-1", 100, "purchase-1")
    body = {"model_id": "veo-3.1", "prompt": "a fox in the snow"} | changes
    return Caller(generate)("POST", "/v1/videos", body=body, headers={"Idempotency-Key": key})


def routes_of(answer: Answer) -> list[str]:
    assert answer.status == 202
    job = job_store.get(answer.body["job_id"])
    assert job
    [stage] = job.stages
    assert (stage.provider, stage.endpoint) == (
        stage.routes[0].provider,
        stage.routes[0].endpoint,
    )
    return [route.provider for route in stage.routes]


def test_a_job_may_try_every_route_whose_key_is_set_by_default(
    providers: Providers,
) -> None:
    assert routes_of(order()) == ["fal", "runware"]
    answer = order("key-2", fallback=False)
    assert routes_of(answer) == ["fal"]
    providers["fal"].submissions = [Busy("503")]
    with pytest.raises(ProviderBusy):
        submit({"job_id": answer.body["job_id"]}, Context())
    assert calls(providers) == {"fal": 1, "runway": 0, "runware": 0}


def test_an_explicit_default_is_the_same_request_and_the_opposite_is_another(
    providers: Providers,
) -> None:
    first = order()
    assert order(fallback=True).body == first.body
    assert order(fallback=False).code == "IDEMPOTENCY_KEY_REUSED"


def test_a_route_without_a_key_is_no_route(providers: Providers) -> None:
    publish_keys(KEYS | {"FAL_KEY": " \n"})
    assert routes_of(order()) == ["runware"]


def test_a_model_none_of_whose_providers_has_a_key_cannot_be_ordered(
    aws: Aws, providers: Providers
) -> None:
    publish_keys({"RUNWAYML_API_SECRET": KEYS["RUNWAYML_API_SECRET"]})
    answer = order()
    assert (answer.status, answer.code) == (400, "MODEL_UNAVAILABLE")
    assert aws.items("JOBS_TABLE") == []
    assert assert_adds_up("user-1").held == 0


# ── The circuit breaker ──────────────────────────────────────────────────────────────────────────


def test_a_provider_that_keeps_failing_is_passed_over_without_a_call_or_a_record(
    providers: Providers,
) -> None:
    providers["fal"].submissions = [Busy("503")] * 100
    for _ in range(FAILURES_TO_OPEN):
        send(two_routes())
    assert calls(providers) == {"fal": 5, "runway": 0, "runware": 5}
    job = two_routes()
    send(job)
    assert calls(providers) == {"fal": 5, "runway": 0, "runware": 6}
    assert (stage_of(job).provider, stage_of(job).refusals) == ("runware", ())
    # Without another route the job waits, and no attempt is recorded that was never made.
    alone = open_job()
    with pytest.raises(ProviderBusy):
        send(alone)
    assert calls(providers)["fal"] == 5
    assert (state_of(alone), stage_of(alone).refusals) == (None, ())
