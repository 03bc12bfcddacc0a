"""Two hundred requests at once, over HTTP, against the whole stack with its roles enforced."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from local.stack import Stack
from tests.support.audit import Auditor
from tests.support.backstage import Owner, scan, submissions, until_execution_ended
from tests.support.catalog import MODELS, PRICE
from tests.support.customer import Customer

Crowd = tuple[str, Counter[str], list[str]]

AFFORDABLE = 7
PATIENCE_SECONDS = 120
FAL = {
    "frames_per_second": 2,
    "queue_seconds": 0.05,
    "generation_seconds": 0.1,
    "concurrency": 40,
}
LIMITS = {"MaxOpenJobs": "300", "MaxJobsPerHour": "10000"}


def crowds(requests: int) -> list[Crowd]:
    """Both races, each with that many requests: name, responses, and violations."""
    with Stack(enforce_iam=True, parameters=LIMITS, settings={"fal": FAL}) as stack:
        owner = Owner(stack)
        for model in MODELS:
            owner.put_model(**model)
        played = [
            (f"{requests} requests, one key", *_one_key(stack, owner, requests)),
            (f"{requests} keys, credits for {AFFORDABLE}", *_short(stack, owner, requests)),
        ]
        owner.close()
    return played


def _at_once(calls: Sequence[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [begun.result() for begun in [threads.submit(call) for call in calls]]


def _patiently(call: Callable[[], httpx.Response], seen: Counter[str]) -> httpx.Response:
    """The first response that is neither "retry" (503) nor "a request with this key is in
    progress".

    A call without any response is repeated as well, as an app does.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = call()
        except httpx.TimeoutException:
            seen["no answer in time"] += 1
            continue
        seen[str(answer.status_code)] += 1
        twin = answer.status_code == 409 and answer.json()["code"] == "REQUEST_IN_PROGRESS"
        if (answer.status_code != 503 and not twin) or time.monotonic() > until:
            return answer
        time.sleep(float(answer.headers["Retry-After"]))


def _one_key(stack: Stack, owner: Owner, requests: int) -> tuple[Counter[str], list[str]]:
    seen, found = Counter[str](), []
    with Customer(stack) as ada:
        owner.grant(ada.user_id, 100 * PRICE)
        order = partial(ada.post, "pressed two hundred times", model_id="patient-t2v")
        answers = _at_once([partial(_patiently, order, seen)] * requests)
        found += _others(answers, {202})
        ids = {answer.json()["job_id"] for answer in answers if answer.status_code == 202}
        if len(ids) != 1:
            return seen, [*found, f"{len(ids)} jobs were named"]
        [job_id] = ids
        first = [
            a for a in answers if a.status_code == 202 and "X-Idempotent-Replay" not in a.headers
        ]
        if len(first) > 1:
            found.append(f"{len(first)} answers were not called replays")
        seen[ada.until_ended(job_id)["status"]] += 1
        own = [job["job_id"] for job in scan(stack, "JobsTable") if job["user_id"] == ada.user_id]
        started = [s for s in stack.transitions(job_id) if s == "Submit"]
        for what, is_, must in (
            ("jobs", own, [job_id]),
            ("entries", ada.kinds(), ["grant", "hold", "capture"]),
            ("times begun", started, ["Submit"]),
            ("submissions", len(submissions(stack, job_id)), 1),
        ):
            if is_ != must:
                found.append(f"{what}: {is_}, not {must}")
        until_execution_ended(stack, job_id)
        return seen, [*found, *_audited(stack, ada)]


def _short(stack: Stack, owner: Owner, requests: int) -> tuple[Counter[str], list[str]]:
    seen, found = Counter[str](), []
    with Customer(stack) as bea:
        owner.grant(bea.user_id, AFFORDABLE * PRICE)
        orders = [
            partial(bea.post, uuid.uuid4().hex, model_id="patient-t2v") for _ in range(requests)
        ]
        answers = _at_once([partial(_patiently, order, seen) for order in orders])
        found += _others(answers, {202, 402})
        accepted = [a.json()["job_id"] for a in answers if a.status_code == 202]
        if len(set(accepted)) != AFFORDABLE or len(accepted) != AFFORDABLE:
            found.append(f"{len(accepted)} were accepted, not {AFFORDABLE}")
        for job_id in accepted:
            seen[bea.until_ended(job_id)["status"]] += 1
            until_execution_ended(stack, job_id)
        if bea.credits() != {"available": 0, "held": 0}:
            found.append(f"left: {bea.credits()}")
        return seen, [*found, *_audited(stack, bea)]


def _others(answers: Sequence[httpx.Response], expected: set[int]) -> list[str]:
    return [
        f"answered {answer.status_code}: {answer.text}"
        for answer in answers
        if answer.status_code not in expected
    ]


def _audited(stack: Stack, customer: Customer) -> list[str]:
    try:
        Auditor(stack).check(customer.user_id)
    except AssertionError as error:
        return str(error).splitlines()
    return []
