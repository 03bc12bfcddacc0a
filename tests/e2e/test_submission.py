"""Submitting when the provider is busy, broken or out of funds: paid for once at most."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.running import RunningStack
from tests.support.backstage import (
    assert_counted,
    job_item,
    pass_the_deadline,
    submissions,
    sweep,
    until_execution_ended,
    until_tracked,
)
from tests.support.catalog import PRICE
from tests.support.customer import Customer

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("no_failure_counted")]

NOT_STARTED = "Video generation could not be started. Please try again."


@pytest.mark.parametrize("kind", ["submit_429", "submit_503"])
def test_a_busy_provider_is_asked_again(stack: RunningStack, ada: Customer, kind: str) -> None:
    stack.fal.arm(kind, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert len(submissions(stack, job_id)) == 1
    (refusal,) = job_item(stack, job_id)["video"]["refusals"]
    assert (refusal["provider"], refusal["reason"]) == ("fal", "BUSY")


@pytest.mark.parametrize("kind", ["submit_reset_after", "submit_garbled"])
def test_a_lost_answer_is_not_asked_for_twice_and_the_webhook_finishes_the_job(
    stack: RunningStack, ada: Customer, kind: str
) -> None:
    stack.fal.arm(kind, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert_counted(stack, "SubmitFunction", "SubmissionUnanswered", about=job_id, provider="fal")
    (paid,) = submissions(stack, job_id)
    assert paid["calls"] == {}
    assert job_item(stack, job_id)["video"]["submission"]["request_id"] == paid["request_id"]
    assert ada.kinds() == ["grant", "hold", "capture"]


def assert_given_up_for_free(customer: Customer, job_id: str) -> None:
    ended = customer.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", "SUBMIT_UNKNOWN")
    assert ended["error_message"] == NOT_STARTED
    assert ended["credits_used"] == 0
    assert customer.kinds() == ["grant", "hold", "release"]


def test_a_lost_answer_and_a_lost_webhook_end_at_the_deadline_for_free(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("submit_reset_after", prompt_contains=ada.word)
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert until_tracked(stack, job_id)["video"]["submission"]["state"] == "unknown"
    sweep(stack)
    assert ada.video(job_id)["status"] == "processing", "there is still time"

    pass_the_deadline(stack, job_id)
    sweep(stack)
    assert_given_up_for_free(ada, job_id)
    assert until_execution_ended(stack, job_id) == "SUCCEEDED", "woken, though nobody polled"
    assert len(submissions(stack, job_id)) == 1


def test_track_gives_up_at_the_deadline_without_any_sweep(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("submit_reset_after", prompt_contains=ada.word)
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    job_id = ada.order()
    until_tracked(stack, job_id)
    pass_the_deadline(stack, job_id)
    assert_given_up_for_free(ada, job_id)
    until_execution_ended(stack, job_id)
    assert stack.transitions(job_id)[-1] == "Settle"


def test_a_reset_that_proves_nothing_is_treated_as_accepted(
    stack: RunningStack, ada: Customer
) -> None:
    # From our side a reset before and after acceptance look the same: bytes had left.
    stack.fal.arm("submit_reset_before", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    pass_the_deadline(stack, job_id)
    sweep(stack)
    assert_given_up_for_free(ada, job_id)
    assert submissions(stack, job_id) == []


def test_missing_funds_are_reported_to_the_owner_and_not_to_the_user(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("submit_locked", prompt_contains=ada.word)
    job_id = ada.order()
    ended = ada.until_ended(job_id)
    assert_counted(stack, "SettleFunction", "OwnerAccountRefused", about=job_id, provider="fal")
    assert (ended["status"], ended["error_code"]) == ("failed", "OWNER_ACCOUNT")
    assert ended["error_message"] == "Video generation is not available right now."
    assert ada.kinds() == ["grant", "hold", "release"]
    assert ada.credits() == {"available": 10 * PRICE, "held": 0}


def test_all_jobs_of_a_burst_beyond_the_providers_capacity_end(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(4 * PRICE)
    # Jobs that other tests gave up may still be running there.
    occupied = sum(one["state"] == "IN_PROGRESS" for one in stack.fal.submissions())
    stack.fal.change(concurrency=occupied + 1)
    try:
        job_ids = [customer.order(model_id="patient-t2v") for _ in range(4)]
        for job_id in job_ids:
            assert customer.until_ended(job_id)["status"] == "completed"
    finally:
        stack.fal.change(concurrency=40)
    assert customer.credits() == {"available": 0, "held": 0}
