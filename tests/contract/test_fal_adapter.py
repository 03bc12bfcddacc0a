"""Our own fal adapter against the simulated fal, on a real wire.

The adapter and the simulator were written apart and share no code: where they agree, they agree
about fal.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import (
    Accepted,
    Busy,
    ProviderUnavailable,
    Rejected,
    Task,
    Unanswered,
    WebhookCall,
    WebhookRejected,
)
from clipmint.providers.fal import Fal, FalSettings
from clipmint.providers.transport import Patience
from local.simulator.client import Simulator, start
from tests.support.inbox import Call, Inbox

FAST = {"queue_seconds": 0.1, "generation_seconds": 0.1, "time_factor": 0.01}
HURRIED = Patience(connect=2, write=2, read=2, whole=2)
A, B = "https://example.com/a.png", "https://example.com/b.png"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.fal", FAST) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def fal(simulator: Simulator) -> Fal:
    settings = FalSettings(
        key=simulator.key,
        queue_url=simulator.url,
        jwks_url=simulator.about["jwks_url"],
        media_hosts=(urlsplit(simulator.url).netloc,),
    )
    return Fal(settings, patience=HURRIED)


TASK = Task(
    task_id="5a3c1a9e-7a44-4c0e-9c1f-4b7c7f0d7f10",
    endpoint="fal-ai/veo3.1",
    prompt="a fox in the snow",
    resolution="720p",
    aspect_ratio="16:9",
    duration_seconds=4,
)


def accepted(fal: Fal, **changes: Any) -> Handle:
    answer = fal.submit(dataclasses.replace(TASK, **changes))
    assert isinstance(answer, Accepted), answer
    return answer.handle


def finished(fal: Fal, handle: Handle) -> Outcome:
    until = time.monotonic() + 10
    while isinstance(outcome := fal.poll(handle), Running):
        assert time.monotonic() < until, "never finished"
        time.sleep(0.05)
    return outcome


def as_webhook(call: Call) -> WebhookCall:
    return WebhookCall(call.headers, call.body)


@pytest.mark.parametrize(
    ("endpoint", "changes"),
    [
        ("fal-ai/veo3.1", {}),
        ("fal-ai/veo3.1", {"resolution": "1080p", "aspect_ratio": "9:16"}),
        ("fal-ai/veo3.1/image-to-video", {"image_url": A, "aspect_ratio": "auto"}),
        ("fal-ai/veo3.1/first-last-frame-to-video", {"image_url": A, "last_image_url": B}),
        ("fal-ai/sora-2/image-to-video", {"image_url": A}),
    ],
)
def test_what_it_sends_is_an_input_of_every_model_in_the_catalog(
    fal: Fal, simulator: Simulator, endpoint: str, changes: dict[str, str]
) -> None:
    outcome = finished(fal, accepted(fal, endpoint=endpoint, **changes))
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.media_url.endswith(".mp4")
    (paid,) = simulator.submissions()
    assert (paid["endpoint"], paid["billed"]) == (endpoint, True)


def test_a_place_in_the_queue_is_told(fal: Fal, simulator: Simulator) -> None:
    simulator.change(queue_seconds=5, queue_ahead=3)
    outcome = fal.poll(accepted(fal))
    assert isinstance(outcome, Running)
    assert outcome.position in (2, 3)


@pytest.mark.parametrize("kind", ["submit_429", "submit_503"])
def test_what_was_not_accepted_may_be_sent_again(fal: Fal, simulator: Simulator, kind: str) -> None:
    simulator.arm(kind)
    assert isinstance(fal.submit(TASK), Busy)
    assert simulator.submissions() == []


@pytest.mark.parametrize(
    "kind", ["submit_reset_after", "submit_timeout_after", "submit_garbled", "submit_reset_before"]
)
def test_a_lost_answer_is_never_answered_by_sending_again(
    fal: Fal, simulator: Simulator, kind: str
) -> None:
    simulator.arm(kind)
    assert isinstance(fal.submit(TASK), Unanswered)
    assert len(simulator.submissions()) == (0 if kind == "submit_reset_before" else 1)


def test_a_submission_whose_answer_was_lost_is_found_by_its_webhook(
    fal: Fal, simulator: Simulator, inbox: Inbox
) -> None:
    simulator.arm("submit_reset_after")
    task = dataclasses.replace(TASK, webhook_url=inbox.url)
    assert isinstance(fal.submit(task), Unanswered)
    notice = fal.read_webhook(as_webhook(inbox.wait_for(1)[0]), TASK.endpoint)
    assert isinstance(notice.outcome, Succeeded)
    assert finished(fal, notice.handle) == notice.outcome


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "moderation"}, FailureCode.CONTENT_POLICY),
        ({"kind": "no_media_generated"}, FailureCode.NO_OUTPUT),
        ({"kind": "file_download_error"}, FailureCode.INPUT_UNREADABLE),
        ({"kind": "generation_timeout"}, FailureCode.PROVIDER_TIMEOUT),
    ],
)
def test_webhook_and_poll_agree_on_why_it_failed(
    fal: Fal, simulator: Simulator, inbox: Inbox, fault: dict[str, Any], code: FailureCode
) -> None:
    simulator.arm(**fault)
    polled = finished(fal, accepted(fal, webhook_url=inbox.url))
    told = fal.read_webhook(as_webhook(inbox.wait_for(1)[0]), TASK.endpoint).outcome
    assert isinstance(polled, Failed)
    assert isinstance(told, Failed)
    assert (polled.code, told.code) == (code, code)


def test_an_account_without_funds_is_the_owners_business(fal: Fal, simulator: Simulator) -> None:
    simulator.change(locked=True)
    answer = fal.submit(TASK)
    assert isinstance(answer, Rejected)
    assert answer.failure.code is FailureCode.OWNER_ACCOUNT


def test_a_queued_request_can_be_cancelled_and_a_running_one_is_left_alone(
    fal: Fal, simulator: Simulator
) -> None:
    simulator.change(queue_seconds=5)
    queued = accepted(fal)
    assert fal.cancel(queued)
    assert isinstance(finished(fal, queued), Failed)
    simulator.reset()
    simulator.arm("stuck")
    running = accepted(fal)
    until = time.monotonic() + 5
    while fal.poll(running) != Running(None):
        assert time.monotonic() < until, "never started"
    assert not fal.cancel(running)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "poll_error", "status": 502},
        {"kind": "poll_error", "status": 429},
        {"kind": "poll_reset"},
        {"kind": "poll_gone"},
    ],
)
def test_a_question_without_an_answer_says_nothing_about_the_request(
    fal: Fal, simulator: Simulator, fault: dict[str, Any]
) -> None:
    handle = accepted(fal)
    simulator.arm(**fault)
    with pytest.raises(ProviderUnavailable):
        fal.poll(handle)
    assert isinstance(finished(fal, handle), Succeeded)


def test_a_status_nobody_knows_is_not_the_end(fal: Fal, simulator: Simulator) -> None:
    handle = accepted(fal)
    simulator.arm("poll_unknown_status")
    assert fal.poll(handle) == Running(None)


def test_an_expired_file_has_a_fresh_url_when_asked_again(fal: Fal, simulator: Simulator) -> None:
    handle = accepted(fal)
    simulator.arm("media_expired")
    first = finished(fal, handle)
    assert isinstance(first, Succeeded)
    assert httpx.get(first.media_url).status_code == 403
    second = fal.poll(handle)
    assert isinstance(second, Succeeded)
    assert second.media_url != first.media_url
    assert httpx.get(second.media_url).status_code == 200


@pytest.mark.parametrize(
    "how", ["bad_signature", "foreign_key", "stale_timestamp", "altered_body", "unsigned"]
)
def test_a_forged_webhook_is_rejected_and_the_genuine_one_after_it_believed(
    fal: Fal, simulator: Simulator, inbox: Inbox, how: str
) -> None:
    lie = {"payload": {"video": {"url": "https://example.com/not-ours.mp4"}}}
    simulator.arm("webhook_forged", how=how, members=lie, then_genuine=True)
    accepted(fal, webhook_url=inbox.url)
    forged, genuine = inbox.wait_for(2)
    assert json.loads(forged.body)["payload"] == lie["payload"]
    with pytest.raises(WebhookRejected):
        fal.read_webhook(as_webhook(forged), TASK.endpoint)
    assert isinstance(fal.read_webhook(as_webhook(genuine), TASK.endpoint).outcome, Succeeded)


def test_a_webhook_without_its_payload_is_a_hint_to_poll(
    fal: Fal, simulator: Simulator, inbox: Inbox
) -> None:
    simulator.arm("webhook_payload_null")
    handle = accepted(fal, webhook_url=inbox.url)
    notice = fal.read_webhook(as_webhook(inbox.wait_for(1)[0]), TASK.endpoint)
    assert (notice.handle.request_id, notice.outcome) == (handle.request_id, None)
    assert isinstance(fal.poll(handle), Succeeded)
