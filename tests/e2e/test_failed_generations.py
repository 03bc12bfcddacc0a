"""Generations without a result are free, and the user reads our message, not the provider's."""

from __future__ import annotations

import pytest

from local.running import RunningStack
from tests.support.backstage import submissions
from tests.support.catalog import PRICE
from tests.support.customer import Customer

FAILURES: dict[str, tuple[str, str]] = {
    "moderation": (
        "CONTENT_POLICY",
        "The prompt or image was declined by the content policy. Change it and try again.",
    ),
    "no_media_generated": (
        "NO_OUTPUT",
        "The model made no video from this prompt. Rephrase it and try again.",
    ),
    "file_download_error": (
        "INPUT_UNREADABLE",
        "The image could not be read. Check that its URL is public and that it is a valid image.",
    ),
    "generation_timeout": (
        "PROVIDER_TIMEOUT",
        "Video generation took too long. Please try again.",
    ),
    "runner_error": ("PROVIDER_ERROR", "Video generation failed. Please try again."),
}
PROVIDERS_WORDS = ("content checker", "did not generate", "download the file", "runner", "detail")


def assert_free_failure(
    stack: RunningStack, customer: Customer, job_id: str, code: str, message: str
) -> None:
    ended = customer.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", code)
    assert ended["error_message"] == message
    assert not any(words in str(ended).lower() for words in PROVIDERS_WORDS)
    assert ended["video_url"] is None
    assert ended["credits_used"] == 0
    assert customer.kinds() == ["grant", "hold", "release"]
    assert customer.credits() == {"available": 10 * PRICE, "held": 0}
    assert len(submissions(stack, job_id)) == 1


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_reported_by_webhook_is_free(
    stack: RunningStack, ada: Customer, kind: str
) -> None:
    code, message = FAILURES[kind]
    stack.fal.arm(kind, prompt_contains=ada.word)
    job_id = ada.order(model_id="patient-t2v")
    assert_free_failure(stack, ada, job_id, code, message)


@pytest.mark.parametrize("kind", ["moderation", "runner_error"])
def test_a_failure_found_by_a_poll_is_free(stack: RunningStack, ada: Customer, kind: str) -> None:
    code, message = FAILURES[kind]
    stack.fal.arm(kind, prompt_contains=ada.word)
    stack.fal.arm("webhook_lost", prompt_contains=ada.word)
    job_id = ada.order()
    assert_free_failure(stack, ada, job_id, code, message)


def test_a_failed_job_can_be_tried_again_under_a_new_key(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("runner_error", prompt_contains=ada.word)
    assert ada.finish(key="first")["status"] == "failed"
    assert ada.post("first").headers["X-Idempotent-Replay"] == "true"
    assert ada.finish(key="second")["status"] == "completed"
    assert ada.kinds() == ["grant", "hold", "release", "hold", "capture"]
