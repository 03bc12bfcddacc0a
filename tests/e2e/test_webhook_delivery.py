"""Webhooks that are lost, late, early or repeated: the job ends once, with the right result."""

from __future__ import annotations

from typing import Any

import pytest

from local.running import RunningStack
from tests.support.backstage import (
    assert_counted,
    counted,
    job_item,
    pass_the_deadline,
    submissions,
    sweep,
    until_execution_ended,
    until_tracked,
)
from tests.support.customer import Customer
from tests.support.progress import until


def deliveries(stack: RunningStack, job_id: str) -> list[dict[str, Any]]:
    """The provider's webhook attempts that were answered."""
    (paid,) = submissions(stack, job_id)
    return [sent for sent in paid["deliveries"] if sent["status"] is not None]


def test_a_lost_webhook_is_found_by_the_next_poll(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "completed"
    until_execution_ended(stack, job_id)
    assert stack.transitions(job_id).count("Track") == 2
    (paid,) = submissions(stack, job_id)
    assert paid["deliveries"] == []
    assert paid["calls"] == {"status": 1, "result": 1}


def test_a_poll_that_gets_no_answer_is_repeated(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    stack.fal.arm("poll_error", status=503, prompt_contains=ada.word)
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "completed"
    assert_counted(stack, "TrackFunction", "PollUnanswered", about=job_id, provider="fal")


def test_a_late_webhook_changes_nothing_about_a_finished_job(
    stack: RunningStack, ada: Customer
) -> None:
    for seconds in (5, 20, 80):
        stack.fal.arm("webhook_late", seconds=seconds, prompt_contains=ada.word)
        job_id = ada.order()
        assert ada.until_ended(job_id)["status"] == "completed"
        until_execution_ended(stack, job_id)
        before = job_item(stack, job_id)
        # On a busy machine the webhook can be sooner than the poll.
        if not deliveries(stack, job_id):
            break
    else:
        pytest.fail("the webhook was always sooner than the poll")
    with counted(stack, "WebhooksFunction", "WebhookDuplicate", about=job_id, provider="fal"):
        until(stack, job_id, lambda: deliveries(stack, job_id))
    assert job_item(stack, job_id) == before
    assert [sent["status"] for sent in deliveries(stack, job_id)] == [200]


def test_a_webhook_for_a_job_that_was_given_up_neither_continues_nor_charges_it(
    stack: RunningStack, ada: Customer
) -> None:
    # Enough time to give the job up before, also on a busy computer.
    stack.fal.arm("slow_generation", seconds=8, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    pass_the_deadline(stack, job_id)
    sweep(stack)
    assert ada.until_ended(job_id)["error_code"] == "DEADLINE_EXCEEDED"
    until_execution_ended(stack, job_id)
    # The owner was informed about the task that no job will use; it had begun.
    before = job_item(stack, job_id)
    [orphan] = before["orphans"]
    (paid,) = submissions(stack, job_id)
    assert (orphan["provider"], orphan["request_id"]) == ("fal", paid["request_id"])
    assert orphan["credits"] == before["video"]["credits"]
    with counted(stack, "WebhooksFunction", "WebhookDuplicate", about=job_id, provider="fal"):
        until(stack, job_id, lambda: deliveries(stack, job_id))
    assert job_item(stack, job_id) == before
    assert ada.kinds() == ["grant", "hold", "release"]


def test_a_webhook_that_overtakes_the_answer_to_the_submission_counts(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("webhook_early", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    (paid,) = submissions(stack, job_id)
    submission = job_item(stack, job_id)["video"]["submission"]
    assert (submission["state"], submission["request_id"]) == ("sent", paid["request_id"])


@pytest.mark.parametrize("kind", ["webhook_duplicate", "webhook_replayed"])
def test_a_repeated_webhook_counts_once(stack: RunningStack, ada: Customer, kind: str) -> None:
    stack.fal.arm(kind, copies=3, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    until(stack, job_id, lambda: len(deliveries(stack, job_id)) == 3)
    assert_counted(stack, "WebhooksFunction", "WebhookAccepted", 1, about=job_id)
    assert_counted(stack, "WebhooksFunction", "WebhookDuplicate", 2, about=job_id)
    assert [sent["status"] for sent in deliveries(stack, job_id)] == [200, 200, 200]
    assert ada.kinds() == ["grant", "hold", "capture"]


@pytest.mark.parametrize("kind", ["webhook_payload_null", "webhook_gateway_retry"])
def test_an_odd_but_genuine_webhook_finishes_its_job(
    stack: RunningStack, ada: Customer, kind: str
) -> None:
    stack.fal.arm(kind, prompt_contains=ada.word)
    assert ada.finish(model_id="patient-t2v")["status"] == "completed"


def test_a_webhook_that_could_not_be_received_is_delivered_again(
    stack: RunningStack, ada: Customer
) -> None:
    ada.crash("WebhooksFunction", "GetItem", key="not received")
    job_id = ada.order("not received", model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert [sent["status"] for sent in deliveries(stack, job_id)] == [500, 200]
