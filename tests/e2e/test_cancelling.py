"""Cancelling is free while it is possible; deleting removes the media and keeps the books."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from local.running import RunningStack
from tests.support.backstage import job_item, submissions, until_execution_ended, until_tracked
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.progress import until


@pytest.fixture
def crowded(stack: RunningStack) -> Iterator[None]:
    """A provider with a queue that does not move."""
    stack.fal.change(queue_seconds=600)
    yield
    stack.fal.change(queue_seconds=0.05)


def assert_cancelled_for_free(stack: RunningStack, customer: Customer, job_id: str) -> None:
    ended = customer.video(job_id)
    assert (ended["status"], ended["error_code"]) == ("cancelled", "CANCELLED")
    assert ended["credits_used"] == 0
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    assert customer.kinds() == ["grant", "hold", "release"]
    assert customer.credits() == {"available": 10 * PRICE, "held": 0}


def assert_too_late(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (409, "CANCEL_TOO_LATE")


@pytest.mark.alone
@pytest.mark.usefixtures("crowded")
def test_a_job_in_the_providers_queue_is_cancelled(stack: RunningStack, ada: Customer) -> None:
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    answer = ada.cancel(job_id)
    assert (answer.status_code, answer.json()) == (
        200,
        {"job_id": job_id, "status": "cancelled", "credits_released": PRICE},
    )
    assert_cancelled_for_free(stack, ada, job_id)
    (withdrawn,) = submissions(stack, job_id)
    assert withdrawn["calls"]["cancel"] == 1
    assert withdrawn["started_at"] is None, "nobody paid for a run"
    # Requested twice, it is still cancelled once.
    assert ada.cancel(job_id).status_code == 200
    assert_cancelled_for_free(stack, ada, job_id)


def test_a_job_that_is_running_completes_all_the_same(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("slow_generation", seconds=1.5, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    until(stack, job_id, lambda: submissions(stack, job_id)[0]["state"] == "IN_PROGRESS")
    assert_too_late(ada.cancel(job_id))
    assert ada.until_ended(job_id)["status"] == "completed"
    assert ada.kinds() == ["grant", "hold", "capture"]
    (paid,) = submissions(stack, job_id)
    assert "cancel" not in paid["calls"], "a run that is paid for is not thrown away"


def test_a_job_that_was_never_sent_needs_no_provider(stack: RunningStack, ada: Customer) -> None:
    # Generate crashes before it starts the execution, so nothing is sent until the sweep runs.
    ada.crash("GenerateFunction", "StartExecution", moment="before")
    assert ada.post("unsent").status_code == 500
    (video,) = ada.http.get("/v1/videos").json()["videos"]
    job_id = video["job_id"]
    assert (video["status"], video["progress"]) == ("pending", 5)
    answer = ada.cancel(job_id)
    assert (answer.status_code, answer.json()["credits_released"]) == (200, PRICE)
    assert ada.video(job_id)["status"] == "cancelled"
    assert submissions(stack, job_id) == []
    assert ada.credits() == {"available": 10 * PRICE, "held": 0}


@pytest.mark.alone
@pytest.mark.usefixtures("no_failure_counted")
def test_a_job_between_two_attempts_at_a_busy_provider_is_cancelled(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("submit_429", times=None, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")

    def refused() -> bool:
        submission = job_item(stack, job_id)["video"].get("submission")
        return bool(submission and submission["state"] == "refused")

    until(stack, job_id, refused, every=0.02)
    answer = ada.cancel(job_id)
    if answer.status_code == 503:
        # It met an attempt under way, with an unknown result then; by now the attempt is refused.
        until(stack, job_id, refused, every=0.02)
        answer = ada.cancel(job_id)
    assert answer.status_code == 200
    assert_cancelled_for_free(stack, ada, job_id)
    assert submissions(stack, job_id) == []


def test_a_finished_job_cannot_be_cancelled(stack: RunningStack, ada: Customer) -> None:
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "completed"
    before = job_item(stack, job_id)
    assert_too_late(ada.cancel(job_id))
    assert job_item(stack, job_id) == before


def test_a_failed_job_cannot_be_cancelled(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("runner_error", prompt_contains=ada.word)
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "failed"
    assert_too_late(ada.cancel(job_id))
    assert ada.kinds() == ["grant", "hold", "release"]


@pytest.mark.alone
@pytest.mark.usefixtures("crowded")
def test_a_cancellation_killed_after_the_withdrawal_is_finished_by_asking_again(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    # The provider has forgotten the request; the record of that is all that is left.
    ada.crash("CancelFunction", "UpdateItem")
    assert ada.cancel(job_id).status_code == 500
    answer = ada.cancel(job_id)
    # Or the provider's own webhook about the cancelled request was quicker.
    assert answer.status_code == 200
    assert_cancelled_for_free(stack, ada, job_id)


def test_a_running_job_cannot_be_deleted(stack: RunningStack, ada: Customer) -> None:
    stack.fal.arm("slow_generation", seconds=1, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    answer = ada.http.delete(f"/v1/videos/{job_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_RUNNING")
    assert ada.until_ended(job_id)["status"] == "completed"


def test_a_deleted_video_is_gone_and_its_journal_stays(stack: RunningStack, ada: Customer) -> None:
    kept, job_id = ada.order(), ada.order()
    for each in (kept, job_id):
        ended = ada.until_ended(each)
    journal = ada.entries()
    asset = job_item(stack, job_id)["video"]["asset"]

    for _ in range(2):
        answer = ada.http.delete(f"/v1/videos/{job_id}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert ada.http.get(f"/v1/videos/{job_id}").status_code == 404
    assert [video["job_id"] for video in ada.http.get("/v1/videos").json()["videos"]] == [kept]
    assert httpx.get(ended["video_url"], trust_env=False).status_code == 404
    s3 = stack.boto3("s3")
    left = s3.list_objects_v2(Bucket=asset["bucket"], Prefix=f"videos/u-{ada.user_id}/")
    names = [item["Key"] for item in left["Contents"]]
    assert len(names) == 2
    assert not any(job_id in name for name in names)
    assert ada.entries() == journal


def test_the_key_of_a_deleted_job_starts_no_other(stack: RunningStack, ada: Customer) -> None:
    job_id = ada.order("once")
    ada.until_ended(job_id)
    ada.http.delete(f"/v1/videos/{job_id}")
    again = ada.post("once")
    assert (again.status_code, again.json()["job_id"]) == (202, job_id)
    assert json.loads(again.text)["credits_remaining"] == 9 * PRICE
    assert ada.kinds() == ["grant", "hold", "capture"]
