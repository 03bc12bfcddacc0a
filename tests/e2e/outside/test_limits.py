"""The limits of a user's account, over HTTP and all at once: exactly as many as allowed.

A stack of its own, because its limits are small. What the owner may change for all users is tested
here, too: it would change the models of other tests.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest

from clipmint.catalog.defaults import DEFAULT_CATALOG
from local.stack import Stack
from tests.e2e.outside.schemathesis_run import run
from tests.e2e.outside.test_openapi import (
    EXAMPLES,
    Client,
    deliver_again,
    flawless,
    operations_below,
)
from tests.e2e.test_races import at_once, patiently
from tests.e2e.test_webhook_forgery import give_up
from tests.support.audit import Auditor
from tests.support.backstage import Owner
from tests.support.catalog import MODELS
from tests.support.customer import Customer
from tests.support.shared_stack import FAL

OWNERS = "^/v1/admin/"
"""What the owner's own systems call."""
FOR_A_JOB = frozenset(
    {
        "GET /v1/admin/jobs/{job_id}",
        *(f"POST /v1/admin/jobs/{{job_id}}/{one}" for one in ("cancel", "settle", "refetch")),
    }
)
"""They succeed for a job: tests/e2e/test_operator.py."""

FOR_A_WAITING_PURCHASE = frozenset(
    {
        "GET /v1/admin/purchases/{purchase_id}",
        "POST /v1/admin/purchases/{purchase_id}/apply",
        "POST /v1/admin/purchases/{purchase_id}/dismiss",
    }
)
"""A store's call makes one: tests/integration/functions/test_purchases_handler.py."""

ELSEWHERE = {"gen4.5", "gen4-turbo", "runware-veo-3.1"}
"""Models without a route to fal."""

OPEN, HOURLY, CLIPS = 4, 7, 5
FRAMES = {"first_frame": "https://example.com/a.png", "last_frame": "https://example.com/b.png"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    parameters = {
        "MaxOpenJobs": str(OPEN),
        "MaxJobsPerHour": str(HOURLY),
        "MaxOpenClips": str(CLIPS),
    }
    with Stack(enforce_iam=True, parameters=parameters, settings={"fal": FAL}) as running:
        owner = Owner(running)
        put_models(owner)
        owner.close()
        yield running


def put_models(owner: Owner) -> None:
    """The models that the tests of this file order, as they are in a new installation."""
    for model in MODELS:
        owner.put_model(**model)
    for entry in DEFAULT_CATALOG:
        if entry.model_id in ELSEWHERE:
            owner.put_model(**entry.model_dump(mode="json"))


@pytest.fixture(scope="module")
def auditor(stack: Stack) -> Iterator[Auditor]:
    auditor = Auditor(stack)
    yield auditor
    auditor.check_all()
    auditor.check_all_logs()


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Iterator[Owner]:
    owner = Owner(stack)
    yield owner
    owner.close()


@pytest.fixture
def eager(stack: Stack, new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for everything. Their jobs end when they are cancelled, not
    before.
    """
    customer = new_customer(100_000)
    stack.fal.arm("webhook_lost", times=None, prompt_contains=customer.word)
    stack.fal.arm("slow_generation", seconds=900, times=None, prompt_contains=customer.word)
    return customer


def begin_where_the_hour_has_room() -> None:
    """Wait for the next hour if this one, which is counted in, ends within minutes."""
    left = 3_600 - time.time() % 3_600
    if left < 240:
        time.sleep(left + 1)


def ordered(customer: Customer) -> Callable[[], httpx.Response]:
    key = uuid.uuid4().hex
    return partial(patiently, partial(customer.post, key, model_id="patient-t2v"))


def refused_for(answer: httpx.Response, limit: int, left: int) -> None:
    """The response contains the limit, what is left of it, and when to retry."""
    assert answer.json()["code"] == "RATE_LIMITED"
    assert answer.headers["X-RateLimit-Limit"] == str(limit)
    assert answer.headers["X-RateLimit-Remaining"] == str(left)
    assert 0 < int(answer.headers["X-RateLimit-Reset"]) <= 3_600
    assert answer.headers["Retry-After"] == answer.headers["X-RateLimit-Reset"]


def thirty(customer: Customer, limit: int, expected: int) -> list[str]:
    """The jobs that were started of thirty ordered at once: as many as expected, no others."""
    answers = at_once([ordered(customer) for _ in range(30)])
    counted = Counter(answer.status_code for answer in answers)
    assert counted == {202: expected, 429: 30 - expected}
    for answer in answers:
        if answer.status_code == 429:
            refused_for(answer, limit, 0)
    return [str(answer.json()["job_id"]) for answer in answers if answer.status_code == 202]


def test_of_thirty_requests_as_many_start_as_may_be_open_and_then_as_the_hour_has_left(
    stack: Stack, eager: Customer
) -> None:
    begin_where_the_hour_has_room()
    give_up(stack, eager, *thirty(eager, OPEN, OPEN))
    # A failed job is free, but counts: otherwise failing jobs would allow requests without a limit.
    give_up(stack, eager, *thirty(eager, HOURLY, HOURLY - OPEN))
    assert eager.kinds().count("hold") == eager.kinds().count("release") == HOURLY
    assert eager.credits() == {"available": 100_000, "held": 0}


def test_of_two_batches_that_do_not_fit_together_one_starts(stack: Stack, eager: Customer) -> None:
    scenes = [{"visual_prompt": eager.body()["prompt"], **FRAMES}] * 3
    made = [
        eager.http.post("/v1/projects", json={"resolution": "1280:720", "scenes": scenes}).json()
        for _ in range(2)
    ]

    def batch(project_id: str) -> Callable[[], httpx.Response]:
        key = uuid.uuid4().hex
        asked = partial(eager.post_clips, project_id, key, model_id="veo-3.1-transition")
        return partial(patiently, asked)

    answers = at_once([batch(project["project_id"]) for project in made])
    assert Counter(answer.status_code for answer in answers) == {202: 1, 429: 1}
    (refused,) = (answer for answer in answers if answer.status_code == 429)
    (started,) = (answer for answer in answers if answer.status_code == 202)
    refused_for(refused, CLIPS, CLIPS - 3)
    # A clip does not count as a video: videos may be open in addition.
    job = ordered(eager)()
    assert job.status_code == 202, job.text
    clips = [clip["job_id"] for clip in started.json()["clips"]]
    assert len(clips) == 3
    give_up(stack, eager, *clips, job.json()["job_id"])


def test_models_whose_providers_have_no_key_are_not_offered(eager: Customer) -> None:
    # Of this stack only fal's key is set.
    elsewhere = eager.post(model_id="gen4.5", settings={"duration": 2})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "MODEL_UNAVAILABLE")
    offered = {model["model_id"] for model in eager.http.get("/v1/models").json()["models"]}
    assert "patient-t2v" in offered
    assert not offered & ELSEWHERE


@pytest.mark.slow
def test_the_owners_part_of_the_api_behaves_as_documented(
    stack: Stack, owner: Owner, tmp_path: Path
) -> None:
    went = run(
        stack.api_url,
        {"back-office": stack.token("back-office", admin=True)},
        tmp_path,
        examples=EXAMPLES,
        phases=("examples", "coverage", "fuzzing"),
        only=OWNERS,
    )
    put_models(owner)  # it changes and deletes any model of the list
    with closing(Client(stack, "back-office", admin=True)) as client:
        deliver_again(client)
    went.answers.update(client.answers)
    flawless(went, at_the_right_moment=FOR_A_WAITING_PURCHASE | FOR_A_JOB)
    assert went.operations == operations_below(OWNERS)
