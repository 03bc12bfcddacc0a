"""Generate killed while it runs: a retry with the same key finds one job, one hold, one charge.

`make proof` kills it before and after every side effect, in one process. These tests show that a
worker killed by SIGKILL behind the gateway is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from local.running import RunningStack
from tests.support.backstage import assert_counted, execution, jobs_of, release_key, submissions
from tests.support.catalog import PRICE
from tests.support.customer import Customer

KEY = "tried twice"
ATTEMPTS = 90
"""For a client that waits a second after each 409: three times as long as Generate may run."""


def order_and_crash(customer: Customer, operation: str) -> None:
    """Order, and see the worker killed after its next call of an operation."""
    customer.crash("GenerateFunction", operation)
    answer = customer.post(KEY)
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal Server Error"}
    assert customer.planned_crashes() == 0


def job_ids(stack: RunningStack, customer: Customer) -> list[str]:
    return [job["job_id"] for job in jobs_of(stack, customer.user_id)]


def assert_one_of_everything(stack: RunningStack, customer: Customer, job_id: str) -> None:
    assert customer.until_ended(job_id)["status"] == "completed"
    assert job_ids(stack, customer) == [job_id]
    assert customer.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1
    assert customer.credits() == {"available": 9 * PRICE, "held": 0}


def test_killed_after_its_transaction_the_retry_finds_the_job(
    stack: RunningStack, ada: Customer
) -> None:
    order_and_crash(ada, "TransactWriteItems")
    (job_id,) = job_ids(stack, ada)
    assert ada.credits() == {"available": 9 * PRICE, "held": PRICE}
    assert execution(stack, job_id) is None
    refused = ada.post(KEY)
    assert (refused.status_code, refused.json()["code"]) == (409, "REQUEST_IN_PROGRESS")
    assert refused.headers["Retry-After"] == "1"

    release_key(stack, ada.user_id, KEY)
    answer = ada.post(KEY)
    assert (answer.status_code, answer.json()["job_id"]) == (202, job_id)
    assert answer.headers["X-Idempotent-Replay"] == "true"
    assert answer.json()["credits_remaining"] == 9 * PRICE
    assert_one_of_everything(stack, ada, job_id)


def test_timeouts_that_pass_in_real_time_free_a_killed_request_and_end_an_unanswered_submission(
    stack: RunningStack, ada: Customer, new_customer: Callable[[int], Customer]
) -> None:
    # Both take half a minute, so they run in parallel.
    unanswered = new_customer(10 * PRICE)
    stack.fal.arm("submit_timeout_after", prompt_contains=unanswered.word)
    slow_id = unanswered.order(model_id="patient-t2v")
    order_and_crash(ada, "TransactWriteItems")

    # Ada retries as long as the responses ask her to.
    answer = retry(ada)
    assert answer.status_code == 202, answer.text
    assert_one_of_everything(stack, ada, answer.json()["job_id"])

    # The submission was accepted, its response never arrived, and the webhook finished the job.
    assert_one_of_everything(stack, unanswered, slow_id)
    assert_counted(stack, "SubmitFunction", "SubmissionUnanswered", about=slow_id)
    # One invocation. When its call timed out, the webhook had ended the job and the execution had
    # gone on, so the error of the invocation changes nothing.
    (run,) = stack.invocations(function="SubmitFunction", about=slow_id)
    assert run.error is not None
    assert run.error["errorType"] == "JobFinished"
    assert stack.transitions(slow_id).count("Submit") == 1


def retry(customer: Customer) -> httpx.Response:
    """Repeat the same request until it is answered, waiting as long as the responses ask."""
    for _ in range(ATTEMPTS):
        answer = customer.post(KEY)
        if answer.status_code not in {409, 503}:
            break
        time.sleep(int(answer.headers["Retry-After"]))
    return answer
