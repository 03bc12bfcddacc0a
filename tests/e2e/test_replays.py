"""One Idempotency-Key of one user is one job and one charge, for as long as the job exists."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import httpx

from local.running import RunningStack
from tests.support.backstage import Owner, forget_answer, key_status, submissions
from tests.support.catalog import PRICE
from tests.support.customer import Customer


def assert_replay(first: httpx.Response, second: httpx.Response) -> None:
    """The second response equals the first and is marked as a replay."""
    assert (first.status_code, second.status_code) == (202, 202)
    assert "X-Idempotent-Replay" not in first.headers
    assert second.headers["X-Idempotent-Replay"] == "true"
    assert second.json() == first.json()
    assert second.headers["Location"] == first.headers["Location"]


def test_the_same_key_is_the_same_job_and_one_charge(stack: RunningStack, ada: Customer) -> None:
    first = ada.post("again")
    assert_replay(first, ada.post("again"))
    job_id = first.json()["job_id"]
    assert first.headers["Location"] == f"/v1/videos/{job_id}"
    assert ada.until_ended(job_id)["status"] == "completed"
    assert_replay(first, ada.post("again"))
    assert ada.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1


def test_a_key_in_quotes_is_the_same_key(ada: Customer) -> None:
    assert_replay(ada.post("plain"), ada.post('"plain"'))
    assert ada.credits() == {"available": 9 * PRICE, "held": PRICE}


def test_the_order_and_spacing_of_the_json_do_not_make_another_request(ada: Customer) -> None:
    first = ada.post("spaced", settings={"duration": 4})
    body = ada.body(settings={"duration": 4})
    second = ada.http.post(
        "/v1/videos",
        headers={"Idempotency-Key": "spaced", "Content-Type": "application/json"},
        content=json.dumps(dict(reversed(body.items())), indent=4),
    )
    assert_replay(first, second)


def test_another_body_under_the_same_key_is_refused(stack: RunningStack, ada: Customer) -> None:
    job_id = ada.order("used")
    refused = ada.post("used", about="a different fox")
    assert (refused.status_code, refused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    forget_answer(stack, ada.user_id, "used")
    # Now the job itself stores what was ordered with the key.
    refused = ada.post("used", about="a different fox")
    assert (refused.status_code, refused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert ada.credits() == {"available": 9 * PRICE, "held": 0}


def test_a_key_whose_record_has_expired_still_finds_its_job(
    stack: RunningStack, ada: Customer
) -> None:
    first = ada.post("tomorrow")
    job_id = first.json()["job_id"]
    ada.until_ended(job_id)
    assert key_status(stack, ada.user_id, "tomorrow") == "COMPLETED"
    forget_answer(stack, ada.user_id, "tomorrow")
    assert_replay(first, ada.post("tomorrow"))
    assert ada.kinds() == ["grant", "hold", "capture"]
    assert len(submissions(stack, job_id)) == 1


def test_an_expired_key_finds_its_job_also_without_credits_for_another(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(PRICE)
    first = customer.post("the last credits")
    customer.until_ended(first.json()["job_id"])
    forget_answer(stack, customer.user_id, "the last credits")
    assert_replay(first, customer.post("the last credits"))
    assert customer.post("one more").status_code == 402


def test_the_same_key_of_two_users_is_two_jobs(new_customer: Callable[[int], Customer]) -> None:
    ada, grace = new_customer(PRICE), new_customer(PRICE)
    assert ada.order("shared") != grace.order("shared")
    assert ada.credits() == grace.credits() == {"available": 0, "held": PRICE}


def test_a_refusal_is_not_remembered(owner: Owner, new_customer: Callable[[int], Customer]) -> None:
    customer = new_customer(0)
    assert customer.post("early").status_code == 402
    owner.grant(customer.user_id, PRICE)
    answer = customer.post("early")
    assert answer.status_code == 202
    assert "X-Idempotent-Replay" not in answer.headers


def test_a_grant_with_the_same_reference_happens_once(
    owner: Owner, new_customer: Callable[[int], Customer]
) -> None:
    customer, other = new_customer(0), new_customer(0)
    receipt = uuid.uuid4().hex
    first = owner.grant(customer.user_id, 7, receipt).json()
    again = owner.grant(customer.user_id, 7, receipt).json()
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert (first["available"], again["available"]) == (7, 7)
    for user_id, amount in [(customer.user_id, 8), (other.user_id, 7)]:
        refused = owner.grant(user_id, amount, receipt)
        assert (refused.status_code, refused.json()["code"]) == (409, "REFERENCE_REUSED")
    assert customer.kinds() == ["grant"]
    assert other.credits() == {"available": 0, "held": 0}
