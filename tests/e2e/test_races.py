"""Many requests at once: no credit is spent twice, and none is lost.

As many as every run of the tests can afford; ``make proof`` sends two hundred.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import httpx

from local.running import RunningStack
from tests.support.backstage import Owner, scan, submissions
from tests.support.catalog import PRICE
from tests.support.customer import Customer

T = TypeVar("T")
ATTEMPTS = 60


def at_once(calls: list[Callable[[], T]]) -> list[T]:
    """What each of the calls returned, all made at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [started.result() for started in [threads.submit(call) for call in calls]]


def order_patiently(
    customer: Customer, key: str | None = None, about: str = "a fox"
) -> httpx.Response:
    """The final answer to an order that only its webhook will finish."""
    return patiently(
        partial(customer.post, key or uuid.uuid4().hex, about=about, model_id="patient-t2v")
    )


def patiently(call: Callable[[], httpx.Response]) -> httpx.Response:
    """The response, after as many 503s and 409s as it takes, waiting as long as they ask."""
    for _ in range(ATTEMPTS):
        answer = call()
        if answer.status_code not in {409, 503}:
            break
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


def test_twenty_requests_with_one_key_are_one_job(stack: RunningStack, ada: Customer) -> None:
    answers = at_once([partial(ada.post, "pressed twenty times", model_id="patient-t2v")] * 20)
    assert {answer.status_code for answer in answers} <= {202, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "REQUEST_IN_PROGRESS"
            assert int(answer.headers["Retry-After"]) >= 1
    accepted = [answer for answer in answers if answer.status_code == 202]
    first = [answer for answer in accepted if "X-Idempotent-Replay" not in answer.headers]
    assert len(first) == 1
    (job_id,) = {answer.json()["job_id"] for answer in accepted}
    assert ada.until_ended(job_id)["status"] == "completed"
    assert ada.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1
    assert [j["job_id"] for j in scan(stack, "JobsTable") if j["user_id"] == ada.user_id] == [
        job_id
    ]


def test_twelve_requests_for_credits_that_cover_four_start_four(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(4 * PRICE + PRICE - 1)
    keys = [uuid.uuid4().hex for _ in range(12)]
    answers = at_once([partial(order_patiently, customer, key) for key in keys])
    assert Counter(answer.status_code for answer in answers) == {202: 4, 402: 8}
    for answer in answers:
        if answer.status_code == 402:
            assert answer.json()["required_credits"] == PRICE
    job_ids = {answer.json()["job_id"] for answer in answers if answer.status_code == 202}
    assert len(job_ids) == 4
    for job_id in job_ids:
        assert customer.until_ended(job_id)["status"] == "completed"
    assert customer.credits() == {"available": PRICE - 1, "held": 0}


def test_jobs_that_end_together_settle_one_account_exactly(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(6 * PRICE)
    # Half of them fail, all of them end at about the same time.
    stack.fal.arm("slow_generation", seconds=1, times=None, prompt_contains=f"slow {customer.word}")
    stack.fal.arm("runner_error", times=None, prompt_contains=f"doomed {customer.word}")
    orders: list[Callable[[], httpx.Response]] = [
        partial(order_patiently, customer, about=about) for about in ["slow", "doomed"] * 3
    ]
    jobs = [answer.json()["job_id"] for answer in at_once(orders)]
    ends = Counter(customer.until_ended(job_id)["status"] for job_id in jobs)
    assert ends == {"completed": 3, "failed": 3}
    assert customer.credits() == {"available": 3 * PRICE, "held": 0}
    assert Counter(customer.kinds()) == {"grant": 1, "hold": 6, "capture": 3, "release": 3}


def test_a_grant_sent_ten_times_at_once_is_given_once(
    owner: Owner, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(0)
    receipt = uuid.uuid4().hex
    answers = at_once([lambda: patiently(lambda: owner.grant(customer.user_id, 5, receipt))] * 10)
    assert {answer.status_code for answer in answers} == {200}
    assert Counter(answer.json()["replayed"] for answer in answers) == {False: 1, True: 9}
    assert {answer.json()["available"] for answer in answers} == {5}
    assert customer.kinds() == ["grant"]


def test_cancelling_while_it_is_sent_ends_in_one_way_only(
    stack: RunningStack, ada: Customer
) -> None:
    job_ids = [ada.order(model_id="patient-t2v") for _ in range(4)]
    answers = at_once([partial(ada.cancel, job_id) for job_id in job_ids])
    for job_id, answer in zip(job_ids, answers, strict=True):
        assert answer.status_code in {200, 409, 503}
        ended = ada.until_ended(job_id)
        if answer.status_code == 200:
            assert ended["status"] == "cancelled"
        elif answer.status_code == 409:
            assert ended["status"] == "completed"
    cancelled = [job for job in job_ids if ada.video(job)["status"] == "cancelled"]
    spent = (len(job_ids) - len(cancelled)) * PRICE
    assert ada.credits() == {"available": 10 * PRICE - spent, "held": 0}
