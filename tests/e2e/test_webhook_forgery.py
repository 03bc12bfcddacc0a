"""Forged webhooks are believed only if verified, so they change nothing."""

from __future__ import annotations

import base64
import uuid
from functools import partial
from typing import Any

import httpx

from local.running import RunningStack
from tests.support.backstage import (
    assert_counted,
    counted,
    job_item,
    pass_the_deadline,
    submissions,
    sweep,
    until_tracked,
)
from tests.support.customer import Customer
from tests.support.progress import until

FORGERIES = ["bad_signature", "foreign_key", "stale_timestamp", "altered_body", "unsigned"]


def give_up(stack: RunningStack, customer: Customer, *job_ids: str) -> None:
    """End jobs that no provider will report an outcome for: at their deadline, for free."""
    for job_id in job_ids:
        pass_the_deadline(stack, job_id)
    sweep(stack)
    for job_id in job_ids:
        assert customer.until_ended(job_id)["error_code"] == "DEADLINE_EXCEEDED"


def genuine_call(stack: RunningStack, job_id: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the provider's own call about a job, as they arrived."""

    def arrived() -> list[Any]:
        return [
            run.event
            for run in stack.invocations(function="WebhooksFunction", about=job_id)
            if run.ended
        ]

    event = until(stack, job_id, arrived)[0]
    body = event["body"].encode()
    if event["isBase64Encoded"]:
        body = base64.b64decode(body)
    kept = {
        name: value
        for name, value in event["headers"].items()
        if name.lower().startswith("x-fal-") or name.lower() == "content-type"
    }
    return body, kept


def answers(stack: RunningStack, job_id: str) -> list[int]:
    """Our responses to the provider's webhooks about a job."""
    (paid,) = submissions(stack, job_id)
    return [sent["status"] for sent in paid["deliveries"] if sent["status"] is not None]


def webhook_url(stack: RunningStack, job_id: str) -> str:
    (paid,) = submissions(stack, job_id)
    return str(paid["webhook_url"])


def test_a_forged_webhook_changes_nothing(stack: RunningStack, ada: Customer) -> None:
    jobs: dict[str, str] = {}
    # Slow enough that all are tracked before the first of them is forged.
    stack.fal.arm("slow_generation", seconds=4, times=None, prompt_contains=ada.word)
    for how in FORGERIES:
        stack.fal.arm(
            "webhook_forged",
            how=how,
            # What an attacker would send: done, and here is my file.
            members={
                "status": "OK",
                "payload": {"video": {"url": f"{stack.fal.url}/files/b/mine/mine.mp4"}},
            }
            if how != "unsigned"
            else {},
            prompt_contains=f"{how} {ada.word}",
        )
        jobs[how] = ada.order(model_id="patient-t2v", about=how)
    before = {how: until_tracked(stack, job_id) for how, job_id in jobs.items()}

    for how, job_id in jobs.items():
        assert until(stack, job_id, partial(answers, stack, job_id)) == [401], how
        assert_counted(
            stack,
            "WebhooksFunction",
            "WebhookRejected",
            about=job_id,
            provider="fal",
            reason="WEBHOOK_NOT_PROVEN",
        )
    for how, job_id in jobs.items():
        assert job_item(stack, job_id) == before[how], how
    give_up(stack, ada, *jobs.values())


def test_a_forged_webhook_does_not_keep_the_genuine_one_out(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("webhook_forged", then_genuine=True, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    (paid,) = submissions(stack, job_id)
    assert [sent["status"] for sent in paid["deliveries"]] == [401, 200]


def test_a_genuine_webhook_proves_nothing_at_another_jobs_url(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("webhook_lost", prompt_contains=f"victim {ada.word}")
    done = ada.order(about="decoy")
    ada.until_ended(done)
    body, headers = genuine_call(stack, done)
    victim = ada.order(model_id="patient-t2v", about="victim")
    before = until_tracked(stack, victim)

    answer = httpx.post(
        webhook_url(stack, victim), content=body, headers=headers, trust_env=False, timeout=60
    )
    assert_counted(
        stack, "WebhooksFunction", "WebhookRejected", about=victim, reason="WEBHOOK_NOT_PROVEN"
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "WEBHOOK_NOT_PROVEN")
    assert job_item(stack, victim) == before
    give_up(stack, ada, victim)


def test_a_genuine_webhook_changes_nothing_at_another_url(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = ada.order()
    ada.until_ended(job_id)
    body, headers = genuine_call(stack, job_id)
    base, provider, _, stage, token = webhook_url(stack, job_id).rsplit("/", 4)
    before = job_item(stack, job_id)
    wrong = {
        "another token": f"{base}/{provider}/{job_id}/{stage}/{'x' * len(token)}",
        "a part of the token": f"{base}/{provider}/{job_id}/{stage}/{token[:-1]}",
        "no such stage": f"{base}/{provider}/{job_id}/image/{token}",
        "another provider": f"{base}/runway/{job_id}/{stage}/{token}",
        "no such job": f"{base}/{provider}/{uuid.uuid4()}/{stage}/{token}",
        "no job id at all": f"{base}/{provider}/job/{stage}/{token}",
    }
    for what, url in wrong.items():
        answer = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), what
    (paid,) = submissions(stack, job_id)
    assert_counted(
        stack,
        "WebhooksFunction",
        "WebhookRejected",
        len(wrong),
        about=paid["request_id"],
        reason="NOT_FOUND",
    )
    assert job_item(stack, job_id) == before


def test_a_genuine_webhook_played_again_changes_nothing(stack: RunningStack, ada: Customer) -> None:
    job_id = ada.order()
    ada.until_ended(job_id)
    body, headers = genuine_call(stack, job_id)
    before = job_item(stack, job_id)
    with counted(stack, "WebhooksFunction", "WebhookDuplicate", about=job_id):
        answer = httpx.post(
            webhook_url(stack, job_id), content=body, headers=headers, trust_env=False, timeout=60
        )
    assert (answer.status_code, answer.json()) == (200, {"result": "duplicate"})
    assert job_item(stack, job_id) == before
    assert ada.kinds() == ["grant", "hold", "capture"]


def test_a_body_with_a_byte_changed_is_refused(stack: RunningStack, ada: Customer) -> None:
    job_id = ada.order()
    ada.until_ended(job_id)
    body, headers = genuine_call(stack, job_id)
    before = job_item(stack, job_id)
    for altered in (body + b" ", body.replace(b'"OK"', b'"ERROR"'), b"", b"{}"):
        assert altered != body
        answer = httpx.post(
            webhook_url(stack, job_id),
            content=altered,
            headers=headers,
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 401
    assert job_item(stack, job_id) == before
