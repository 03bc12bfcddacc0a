"""Starting a job from every point where an earlier attempt may have crashed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.pricing import FixedPrice
from clipmint.credits import grants, holds, ledger
from clipmint.credits.account import Limits
from clipmint.errors import (
    IdempotencyKeyReused,
    InsufficientCredits,
    LimitReached,
    ModelNotFound,
    ModelUnavailable,
    SettingNotAllowed,
    TemporarilyUnavailable,
)
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.orders import video_orders
from clipmint.orders.idempotency_keys import Order, job_id_for
from clipmint.orders.order_requests import GenerationRequest
from tests.support.jobs import assert_adds_up, journal
from tests.support.moto_aws import Aws

JOB_ID = job_id_for("user-1", "key-1")
LIMITS = Limits()


def request(**changes: Any) -> GenerationRequest:
    return GenerationRequest.model_validate(
        {"model_id": "veo-3.1", "prompt": "a fox in the snow"} | changes
    )


def start(limits: Limits = LIMITS, **changes: Any) -> tuple[Job, bool]:
    asked = request(**changes)
    return video_orders.start(Order("user-1", "key-1", asked.fingerprint()), asked, limits)


class Crash(BaseException):
    """The process was killed: no code in it runs any more."""


def crash() -> str:
    raise Crash


def one_job_one_hold(aws: Aws, credits_: int = 32) -> None:
    assert len(aws.items("JOBS_TABLE")) == 1
    assert [entry.kind for entry in journal("user-1")].count("hold") == 1
    assert assert_adds_up("user-1").held == credits_
    assert aws.executions.started() == [{"name": JOB_ID, "input": {"job_id": JOB_ID}}]


def test_a_start_holds_records_and_starts_the_execution_under_the_jobs_name(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    job, replayed = start(preset="draft", settings={"duration": 8})
    assert not replayed
    assert (job.status, job.credits, job.balance_after) == (JobStatus.PENDING, 32, 68)
    assert job.settings == Settings(resolution="720p", aspect_ratio="16:9", duration=8)
    assert job.preset == "draft"
    assert job.stages[0].endpoint == "fal-ai/veo3.1"
    one_job_one_hold(aws)


def test_a_crash_before_the_transaction_leaves_nothing(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.before_each_transaction(crash)
    with pytest.raises(Crash):
        start()
    assert aws.items("JOBS_TABLE") == []
    assert assert_adds_up("user-1").held == 0
    assert start()[1] is False
    one_job_one_hold(aws)


def test_a_crash_after_the_transaction_is_repaired_by_the_retry(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    with monkeypatch.context() as patch:
        patch.setattr(workflow, "start", lambda _: crash())
        with pytest.raises(Crash):
            start()
    assert aws.executions.started() == []
    job, replayed = start()
    assert (job.job_id, job.balance_after, replayed) == (JOB_ID, 68, True)
    one_job_one_hold(aws)


def test_a_crash_after_everything_is_answered_as_before(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    first, _ = start()
    again, replayed = start()
    assert replayed
    assert (again.job_id, again.credits, again.balance_after) == (JOB_ID, 32, 68)
    assert first.fingerprint == again.fingerprint
    one_job_one_hold(aws)


def test_a_retry_after_the_catalog_changed_finds_its_own_job_at_its_own_price(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    start()
    veo = model_store.find("veo-3.1")
    for change in ({"price": FixedPrice(credits=60)}, {"available": False}):
        model_store.put(Model.model_validate(veo.model_dump() | change))
        job, replayed = start()
        assert (job.credits, replayed) == (32, True)
    aws.dynamodb.delete_item(TableName="ModelsTable", Key={"model_id": {"S": "veo-3.1"}})
    model_store.forget()
    assert start()[1] is True
    one_job_one_hold(aws)


def test_a_retry_whose_own_hold_emptied_the_account_finds_its_own_job(aws: Aws) -> None:
    grants.grant("user-1", 32, "purchase-1")
    start()
    job, replayed = start()
    assert (job.balance_after, replayed) == (0, True)
    one_job_one_hold(aws)


def test_a_retry_that_would_exceed_the_limits_finds_its_own_job(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    limits = Limits(open_jobs=1, jobs_per_hour=1)
    start(limits)
    assert start(limits)[1] is True
    one_job_one_hold(aws)


def test_a_retry_after_a_conflict_finds_its_own_job(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    start()
    monkeypatch.setattr(time, "sleep", lambda _: None)
    aws.before_each_transaction(*[lambda: "TransactionConflict"] * ledger.MAX_ATTEMPTS)
    assert start()[1] is True
    one_job_one_hold(aws)


def test_a_job_that_has_ended_is_found_but_not_started_again(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    start()
    aws.executions.end(JOB_ID)
    holds.settle(JOB_ID, lambda _: Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR))
    attempts = aws.executions.attempts_to_start
    job, replayed = start()
    assert (job.status, replayed) == (JobStatus.FAILED, True)
    assert aws.executions.attempts_to_start == attempts
    assert assert_adds_up("user-1").available == 100


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a fox in the rain"},
        {"settings": {"duration": 4}},
        {"preset": "draft"},
        {"model_id": "veo-3.1-i2v", "image_url": "https://example.com/a.png"},
    ],
)
def test_a_key_used_for_something_else_is_refused(aws: Aws, change: dict[str, Any]) -> None:
    grants.grant("user-1", 100, "purchase-1")
    start()
    with pytest.raises(IdempotencyKeyReused):
        start(**change)
    one_job_one_hold(aws)


def test_a_key_used_for_something_else_is_refused_even_if_that_could_not_be_done(
    aws: Aws,
) -> None:
    grants.grant("user-1", 32, "purchase-1")
    start()
    for change in ({"model_id": "no-such-model"}, {"settings": {"duration": 5}}, {"prompt": "x"}):
        with pytest.raises(IdempotencyKeyReused):
            start(**change)
    one_job_one_hold(aws)


def test_a_job_whose_execution_cannot_be_started_now_is_accepted_all_the_same(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.executions.broken = 10
    job, replayed = start()
    assert (job.status, replayed) == (JobStatus.PENDING, False)
    assert aws.executions.started() == []
    aws.executions.broken = 0
    assert start()[1] is True
    one_job_one_hold(aws)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"model_id": "no-such-model"}, ModelNotFound),
        (
            {"model_id": "sora-2-i2v", "image_url": "https://example.com/a.png"},
            ModelUnavailable,
        ),
        ({"settings": {"duration": 5}}, SettingNotAllowed),
        ({"preset": "best"}, SettingNotAllowed),
    ],
)
def test_a_request_that_is_refused_holds_nothing(
    aws: Aws, change: dict[str, Any], refusal: type[Exception]
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    with pytest.raises(refusal):
        start(**change)
    assert aws.items("JOBS_TABLE") == []
    assert assert_adds_up("user-1").held == 0
    assert aws.executions.attempts_to_start == 0


def test_a_refusal_does_not_use_up_the_key(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InsufficientCredits):
        start()
    grants.grant("user-1", 100, "purchase-1")
    with pytest.raises(LimitReached):
        start(Limits(open_jobs=0, jobs_per_hour=1))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    aws.before_each_transaction(*[lambda: "TransactionConflict"] * ledger.MAX_ATTEMPTS)
    with pytest.raises(TemporarilyUnavailable):
        start()
    assert job_store.get(JOB_ID) is None
    assert start()[1] is False
    one_job_one_hold(aws)
