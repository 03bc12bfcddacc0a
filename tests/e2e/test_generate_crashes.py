"""Generate killed at any point: a retry with the same key finds one job, one hold, one charge."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack, wait_for
from tests.support.audit import Auditor
from tests.support.backstage import (
    Owner,
    age,
    execution,
    job_item,
    key_status,
    metric,
    release_key,
    scan,
    submissions,
    sweep,
    until_execution_ended,
)
from tests.support.catalog import PRICE
from tests.support.customer import Customer

KEY = "tried twice"
RETRY_SECONDS = 45
"""More than generate's own timeout, which is when the key of a crashed request is free again."""


def die(stack: Stack, customer: Customer, operation: str, *, moment: str = "after") -> None:
    """Order, and see the worker killed around its next call of an operation."""
    stack.crash("GenerateFunction", operation, moment=moment)
    answer = customer.post(KEY)
    assert answer.status_code == 500
    assert answer.json() == {"message": "Internal Server Error"}
    assert stack.planned_crashes() == 0


def retry(customer: Customer) -> httpx.Response:
    """The same request until it is answered, waiting as long as we are told to."""
    until = time.monotonic() + RETRY_SECONDS
    while True:
        answer = customer.post(KEY)
        if answer.status_code not in {409, 503} or time.monotonic() > until:
            return answer
        time.sleep(int(answer.headers["Retry-After"]))


def jobs_of(stack: Stack, customer: Customer) -> list[str]:
    found = [job for job in scan(stack, "JobsTable") if job["user_id"] == customer.user_id]
    return [job["job_id"] for job in found]


def assert_one_of_everything(stack: Stack, customer: Customer, job_id: str) -> None:
    assert customer.until_ended(job_id)["status"] == "completed"
    assert jobs_of(stack, customer) == [job_id]
    assert customer.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1
    assert customer.credits() == {"available": 9 * PRICE, "held": 0}


@pytest.fixture(scope="module", autouse=True)
def unlucky(stack: Stack, owner: Owner, auditor: Auditor) -> Iterator[Customer]:
    """Somebody whose request died, who will keep trying as the answers tell them to.

    Their key is taken for as long as generate may run, so the other tests go on meanwhile.
    """
    with Customer(stack) as customer:
        owner.grant(customer.user_id, 10 * PRICE)
        die(stack, customer, "TransactWriteItems")
        yield customer
        for job_id in jobs_of(stack, customer):
            until_execution_ended(stack, job_id)
        auditor.check(customer.user_id)


def test_killed_after_its_transaction_the_retry_finds_the_job(stack: Stack, ada: Customer) -> None:
    die(stack, ada, "TransactWriteItems")
    (job_id,) = jobs_of(stack, ada)
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


def test_killed_before_its_transaction_it_left_nothing(stack: Stack, ada: Customer) -> None:
    die(stack, ada, "TransactWriteItems", moment="before")
    assert jobs_of(stack, ada) == []
    assert ada.credits() == {"available": 10 * PRICE, "held": 0}
    release_key(stack, ada.user_id, KEY)
    answer = ada.post(KEY)
    assert answer.status_code == 202
    assert "X-Idempotent-Replay" not in answer.headers
    assert_one_of_everything(stack, ada, answer.json()["job_id"])


@pytest.mark.parametrize("operation", ["StartExecution", "UpdateItem", "Return"])
def test_killed_after_the_execution_was_started_the_job_goes_on(
    stack: Stack, ada: Customer, operation: str
) -> None:
    die(stack, ada, operation)
    (job_id,) = jobs_of(stack, ada)
    assert_one_of_everything(stack, ada, job_id)
    # Had the answer been noted down, it would be replayed at once.
    if key_status(stack, ada.user_id, KEY) == "INPROGRESS":
        release_key(stack, ada.user_id, KEY)
    answer = ada.post(KEY)
    assert (answer.status_code, answer.json()["job_id"]) == (202, job_id)
    assert_one_of_everything(stack, ada, job_id)


def test_killed_twice_in_a_row_it_is_still_one_job(stack: Stack, ada: Customer) -> None:
    die(stack, ada, "TransactWriteItems")
    release_key(stack, ada.user_id, KEY)
    die(stack, ada, "StartExecution", moment="before")
    release_key(stack, ada.user_id, KEY)
    answer = ada.post(KEY)
    assert answer.status_code == 202
    assert_one_of_everything(stack, ada, answer.json()["job_id"])


def test_killed_and_never_retried_the_sweep_starts_the_job(stack: Stack, ada: Customer) -> None:
    die(stack, ada, "StartExecution", moment="before")
    (job_id,) = jobs_of(stack, ada)
    sweep(stack)
    assert execution(stack, job_id) is None, "generate may still be about to start it"

    before = metric(stack, "SweepFunction", "ExecutionEnsured")
    age(stack, job_id)
    sweep(stack)
    # The schedule may have been a moment quicker.
    wait_for(lambda: metric(stack, "SweepFunction", "ExecutionEnsured") > before, 60)
    assert_one_of_everything(stack, ada, job_id)
    assert job_item(stack, job_id)["status"] == "completed"


def test_whoever_waits_as_long_as_told_gets_their_job(stack: Stack, unlucky: Customer) -> None:
    answer = retry(unlucky)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["job_id"]
    assert_one_of_everything(stack, unlucky, job_id)
    dead = [
        run for run in stack.invocations(function="GenerateFunction", about=KEY) if not run.ended
    ]
    assert dead
