"""Two stacks side by side share nothing: no user, no job, no token, no provider."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from tests.support.backstage import Owner, scan
from tests.support.catalog import MODELS, PRICE
from tests.support.customer import Customer


@pytest.fixture(scope="module")
def other() -> Iterator[Stack]:
    with Stack(parameters={"MaxJobsPerHour": "2"}) as running:
        yield running


def test_what_happens_in_one_stack_does_not_happen_in_the_other(
    stack: Stack, other: Stack, ada: Customer
) -> None:
    job_id = ada.order()
    assert ada.until_ended(job_id)["status"] == "completed"
    assert scan(other, "JobsTable") == []
    assert scan(other, "LedgerTable") == []
    names = {bucket["Name"] for bucket in other.boto3("s3").list_buckets()["Buckets"]}
    assert stack.buckets["VideosBucket"] not in names

    theirs = httpx.Client(
        base_url=other.api_url, headers=other.bearer(ada.user_id), trust_env=False, timeout=60
    )
    with theirs:
        assert theirs.get(f"/v1/videos/{job_id}").status_code == 404
        assert theirs.get("/v1/credits").json() == {"available": 0, "held": 0}
        assert theirs.get("/v1/models/quick-t2v").status_code == 404


def test_a_token_of_one_stack_opens_no_door_of_the_other(
    stack: Stack, other: Stack, ada: Customer
) -> None:
    for api, token in [
        (other.api_url, stack.bearer(ada.user_id, admin=True)),
        (stack.api_url, other.bearer(ada.user_id, admin=True)),
    ]:
        answer = httpx.get(f"{api}/v1/credits", headers=token, trust_env=False, timeout=60)
        assert answer.status_code == 401


def test_a_grant_in_one_stack_is_none_in_the_other(other: Stack, ada: Customer) -> None:
    owner = Owner(other)
    assert owner.grant(ada.user_id, 7 * PRICE).json()["available"] == 7 * PRICE
    owner.close()
    assert ada.credits()["available"] == 10 * PRICE


def test_limits_and_keys_are_those_of_the_stack(stack: Stack, other: Stack, ada: Customer) -> None:
    if (left := 3600 - time.time() % 3600) < 30:
        time.sleep(left)  # the count starts anew with the clock's hour
    owner = Owner(other)
    owner.put_model(**MODELS[0])
    with Customer(other) as grace:
        owner.grant(grace.user_id, 10 * PRICE)
        # Nobody has set Runway's key there: its models are not offered, and no word is said of it.
        elsewhere = grace.post(model_id="gen4.5", settings={"duration": 2})
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "MODEL_UNAVAILABLE")
        offered = {model["model_id"] for model in grace.http.get("/v1/models").json()["models"]}
        assert "quick-t2v" in offered
        assert not offered & {"gen4.5", "gen4-turbo", "runware-veo-3.1"}
        for _ in range(2):
            grace.order()
        refused = grace.post()
        assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
        assert refused.headers["X-RateLimit-Limit"] == "2"
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["Retry-After"] == refused.headers["X-RateLimit-Reset"]
        assert 0 < int(refused.headers["Retry-After"]) <= 3600
        assert grace.kinds().count("hold") == 2
    owner.close()
    assert [ada.post().status_code for _ in range(3)] == [202] * 3
