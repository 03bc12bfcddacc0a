"""The owner breaks the secret with the provider keys while jobs run: every hold is released."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from local.running import RunningStack, wait_for
from tests.support.backstage import (
    close_circuits,
    job_item,
    pass_the_deadline,
    sweep,
    until_execution_ended,
    until_tracked,
)
from tests.support.catalog import PRICE
from tests.support.customer import Customer

READERS = ("CancelFunction", "WebhooksFunction", "SubmitFunction", "TrackFunction", "SweepFunction")
"""The functions that read the secret."""


@contextmanager
def broken_secret(stack: RunningStack, text: str) -> Iterator[None]:
    """The secret has this text, and every function that reads it has to read it again."""
    secrets, arn = stack.boto3("secretsmanager"), stack.description["provider_keys_arn"]
    before = secrets.get_secret_value(SecretId=arn)["SecretString"]
    secrets.put_secret_value(SecretId=arn, SecretString=text)
    try:
        restart(stack)
        yield
    finally:
        secrets.put_secret_value(SecretId=arn, SecretString=before)
        restart(stack)
        close_circuits(stack)
        sweep(stack)


def restart(stack: RunningStack) -> None:
    """New processes know no keys."""
    killed = {pid for function in READERS for pid in stack.workers(function)}
    for function in READERS:
        stack.kill_workers(function)
    wait_for(lambda: not killed.intersection(stack.workers()), 120)


@pytest.mark.alone
@pytest.mark.parametrize("text", ["not json", "[]", '{"FAL_KEY": "id:sec'])
def test_jobs_past_their_deadline_end_and_their_credits_are_released(
    stack: RunningStack, new_customer: Callable[[int], Customer], text: str
) -> None:
    ada = new_customer(4 * PRICE)
    for simulator in stack.simulators.values():
        simulator.arm("stuck", times=None, prompt_contains=ada.word)
    models = ada.http.get("/v1/models").json()
    jobs = [ada.order(model_id="patient-t2v") for _ in range(2)]
    for job_id in jobs:
        until_tracked(stack, job_id)
    with broken_secret(stack, text):
        # Nothing answers 500: reads and orders go on, and what needs a key is to be tried again.
        assert ada.http.get("/v1/models").json() == models
        refused = ada.cancel(jobs[0])
        assert (refused.status_code, refused.json()["code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert int(refused.headers["Retry-After"]) > 0
        unsent = ada.order(model_id="patient-t2v")
        for job_id in (*jobs, unsent):
            pass_the_deadline(stack, job_id)
        swept = sweep(stack)
        assert (swept["settled"], swept["failed"]) == (3, 0)
        for job_id in (*jobs, unsent):
            ended = ada.until_ended(job_id)
            assert (ended["status"], ended["credits_used"]) == ("failed", 0)
        assert ada.credits() == {"available": 4 * PRICE, "held": 0}
    for job_id in (*jobs, unsent):
        until_execution_ended(stack, job_id)


@pytest.mark.alone
def test_a_signed_webhook_is_processed_without_a_key(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    ada = new_customer(PRICE)
    stack.fal.arm("slow_generation", seconds=10, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    until_tracked(stack, job_id)
    with broken_secret(stack, json.dumps([])):
        assert not job_item(stack, job_id)["video"].get("outcome"), "the webhook came too early"
        assert ada.until_ended(job_id)["status"] == "completed"
