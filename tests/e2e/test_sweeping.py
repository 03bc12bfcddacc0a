"""No job is stuck: jobs also end if their execution failed, never began, or outlived their
deadline.
"""

from __future__ import annotations

import time

import httpx
import pytest

from local.running import RunningStack
from tests.support.backstage import (
    age,
    assert_counted,
    crashed,
    events_of_executions_lost,
    job_item,
    pass_the_deadline,
    submissions,
    sweep,
    until_execution_ended,
    until_tracked,
)
from tests.support.customer import Customer
from tests.support.progress import until


def abort(stack: RunningStack, job_id: str) -> None:
    stack.boto3("stepfunctions").stop_execution(executionArn=stack.execution_arn(job_id))


def test_an_aborted_execution_is_settled_by_its_event(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("stuck", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    abort(stack, job_id)
    ended = ada.until_ended(job_id)
    assert_counted(stack, "SweepFunction", "ExecutionDied", about=job_id, status="ABORTED")
    assert (ended["status"], ended["credits_used"]) == ("failed", 0)
    assert ended["error_message"] == "Video generation failed. Please try again."
    assert ada.kinds() == ["grant", "hold", "release"]


def test_an_execution_aborted_before_settle_still_completes_its_job(
    stack: RunningStack, ada: Customer
) -> None:
    # The video is in the owner's bucket: the user gets it, and is charged for it.
    for _ in range(3):
        ada.crash("SettleFunction", "GetItem", key="aborted")
    job_id = ada.order("aborted", model_id="patient-t2v")
    until(stack, job_id, lambda: job_item(stack, job_id)["video"].get("asset"))
    abort(stack, job_id)
    ended = ada.until_ended(job_id)
    assert ended["status"] == "completed"
    assert httpx.get(ended["video_url"], trust_env=False).status_code == 200
    assert ada.kinds() == ["grant", "hold", "capture"]
    ada.withdraw()


def test_a_job_past_its_deadline_is_settled_and_its_execution_ends(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("stuck", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    sweep(stack)
    assert ada.video(job_id)["status"] == "processing"
    pass_the_deadline(stack, job_id)
    sweep(stack)
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", "DEADLINE_EXCEEDED")
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    assert stack.transitions(job_id) == ["Submit", "Submit", "Settle"]
    assert ada.kinds() == ["grant", "hold", "release"]


def test_track_ends_a_job_past_its_deadline_by_itself(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("stuck", prompt_contains=ada.word)
    job_id = ada.order()
    until_tracked(stack, job_id)
    pass_the_deadline(stack, job_id)
    assert ada.until_ended(job_id)["error_code"] == "DEADLINE_EXCEEDED"
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    assert ada.kinds() == ["grant", "hold", "release"]


def test_a_video_that_exists_gets_a_day_to_arrive(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("media_error", status=503, times=3, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until(stack, job_id, lambda: job_item(stack, job_id)["video"].get("outcome"))
    pass_the_deadline(stack, job_id, at=time.time() - 3_600)
    sweep(stack)
    assert ada.until_ended(job_id)["status"] == "completed"


@pytest.mark.alone
def test_an_execution_end_without_an_event_is_found_by_the_schedule(
    stack: RunningStack, ada: Customer
) -> None:
    for _ in range(20):  # more than Submit is retried until the execution is aborted
        ada.crash("SubmitFunction", "GetItem", key="unheard")
    job_id = ada.order("unheard", model_id="patient-t2v")
    with events_of_executions_lost(stack):
        until(stack, job_id, lambda: crashed(stack, "SubmitFunction", job_id))
        abort(stack, job_id)
        assert until_execution_ended(stack, job_id) == "ABORTED"
        sweep(stack)
        assert ada.video(job_id)["status"] == "pending"
        age(stack, job_id)
        sweep(stack)
        ended = ada.until_ended(job_id)
    # Not before the end: an attempt that began before the execution was aborted would succeed.
    ada.withdraw()
    assert (ended["status"], ended["credits_used"]) == ("failed", 0)
    assert submissions(stack, job_id) == []
    assert ada.kinds() == ["grant", "hold", "release"]


def test_sweeping_twice_changes_nothing_more(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("stuck", prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    pass_the_deadline(stack, job_id)
    sweep(stack)
    ada.until_ended(job_id)
    until_execution_ended(stack, job_id)
    before = job_item(stack, job_id)
    sweep(stack)
    assert job_item(stack, job_id) == before
    assert ada.kinds() == ["grant", "hold", "release"]
