"""Three providers behind one API: each makes what was asked for, and each failure is free."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import av
import httpx
import pytest

from local.running import RunningStack
from tests.support.backstage import (
    assert_counted,
    job_item,
    request_ids,
    submissions,
    until_execution_ended,
    until_tracked,
)
from tests.support.customer import Customer
from tests.support.progress import until

FIRST = "https://images.example.com/first.png"
LAST = "https://images.example.com/last.png"
UNWATCHED = {"model_id": "runware-unwatched", "preset": "draft"}
"""An order that only a webhook changes within the time of a test."""
BY_WEBHOOK = ["Submit", "Migrate", "NextStage", "Settle"]
WATCHED = ["Submit", "Track", "Migrate", "NextStage", "Settle"]
"""For a model that must be polled soon, whether or not a webhook arrives first."""


@dataclass(frozen=True)
class Wish:
    """An order, its price, the provider that is paid for it, and its result."""

    order: dict[str, Any]
    credits: int
    provider: str
    endpoint: str
    size: tuple[int, int]
    sound: bool = True


WISHES = {
    "gen4-turbo": Wish(
        {
            "model_id": "gen4-turbo",
            "image_url": FIRST,
            "settings": {"aspect_ratio": "832:1104", "duration": 3},
        },
        3,
        "runway",
        "image_to_video/gen4_turbo",
        (832, 1104),
        sound=False,
    ),
    "gen4.5-from-text": Wish(
        {"model_id": "gen4.5", "settings": {"aspect_ratio": "720:1280", "duration": 2}},
        4,
        "runway",
        "text_to_video/gen4.5",
        (720, 1280),
        sound=False,
    ),
    "runway-veo-between-two-frames": Wish(
        {
            "model_id": "runway-veo-3.1",
            "image_url": FIRST,
            "last_image_url": LAST,
            "settings": {"aspect_ratio": "1280:720", "duration": 4},
        },
        16,
        "runway",
        "image_to_video/veo3.1",
        (1280, 720),
    ),
    "runware-veo": Wish(
        {
            "model_id": "runware-veo-3.1",
            "settings": {"resolution": "720p", "aspect_ratio": "9:16", "duration": 4},
        },
        16,
        "runware",
        "google:3@2",
        (720, 1280),
    ),
    "runware-veo-fast-from-an-image": Wish(
        {
            "model_id": "runware-veo-3.1-fast",
            "image_url": FIRST,
            "settings": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
        },
        8,
        "runware",
        "google:3@3",
        (1280, 720),
    ),
}


@pytest.fixture
def ada(new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for a few short videos."""
    return new_customer(100)


@pytest.mark.parametrize("name", WISHES)
def test_each_provider_makes_what_was_asked_for_and_is_paid_once(
    stack: RunningStack, ada: Customer, name: str
) -> None:
    wish = WISHES[name]
    estimate = ada.http.post("/v1/videos/estimate", json=ada.body(**wish.order)).json()
    job_id = ada.order(**wish.order)
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("completed", None)
    assert estimate["credits"] == ended["credits_used"] == wish.credits
    assert ada.credits() == {"available": 100 - wish.credits, "held": 0}
    assert ada.kinds() == ["grant", "hold", "capture"]

    body = httpx.get(ended["video_url"], trust_env=False).content
    with av.open(io.BytesIO(body), mode="r") as file:
        track = file.streams.video[0].codec_context
        assert (track.name, track.width, track.height) == ("h264", *wish.size)
        assert bool(file.streams.audio) == wish.sound
        assert file.duration is not None
        seconds = wish.order["settings"]["duration"]
        assert file.duration / av.time_base == pytest.approx(seconds, abs=0.15)

    (paid,) = submissions(stack, job_id)
    assert paid["endpoint"] == wish.endpoint
    assert paid["request_id"] in request_ids(stack, wish.provider)
    until_execution_ended(stack, job_id)
    states = stack.transitions(job_id)
    # A provider without webhooks is polled; Track is then entered once per poll.
    assert [state for state, _ in groupby(states)] == WATCHED
    assert states.count("Track") > 1 or wish.provider != "runway"


def test_a_runware_webhook_reports_the_outcome_and_no_second_poll_is_needed(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = ada.order(**UNWATCHED)
    assert ada.until_ended(job_id)["status"] == "completed"
    assert_counted(stack, "WebhooksFunction", "WebhookAccepted", about=job_id, provider="runware")
    (paid,) = submissions(stack, job_id)
    assert [sent["status"] for sent in paid["deliveries"]] == [200]
    assert paid["calls"] == {"getResponse": 1}, "the hint was confirmed, nothing else was asked"
    until_execution_ended(stack, job_id)
    assert stack.transitions(job_id) == BY_WEBHOOK


@dataclass(frozen=True)
class Mishap:
    """A fault that a simulator plays on a model's job, and what the user is shown."""

    provider: str
    model_id: str
    kind: str
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


MISHAPS = [
    Mishap("runway", "gen4.5", "moderation", "CONTENT_POLICY"),
    Mishap("runway", "gen4.5", "failure", "INPUT_UNREADABLE", {"failure_code": "ASSET.INVALID"}),
    Mishap("runway", "gen4.5", "failure_without_code", "PROVIDER_ERROR"),
    Mishap("runware", "runware-veo-3.1", "moderation", "CONTENT_POLICY"),
    Mishap("runware", "runware-veo-3.1", "provider_timeout", "PROVIDER_TIMEOUT"),
    Mishap("runware", "runware-veo-3.1", "task_error", "PROVIDER_ERROR"),
]


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda one: f"{one.provider}-{one.kind}")
def test_what_a_provider_declines_or_fails_is_refunded(
    stack: RunningStack, ada: Customer, mishap: Mishap
) -> None:
    simulator = stack.simulators[mishap.provider]
    simulator.arm(mishap.kind, prompt_contains=ada.word, **mishap.params)
    job_id = ada.order(model_id=mishap.model_id, preset="draft")
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", mishap.code)
    assert ended["credits_used"] == 0
    assert ada.kinds() == ["grant", "hold", "release"]
    assert ada.credits() == {"available": 100, "held": 0}
    assert len(submissions(stack, job_id)) == 1


def test_a_stale_url_of_runways_is_asked_for_again(stack: RunningStack, ada: Customer) -> None:
    runway = stack.simulators["runway"]
    runway.arm("media_expired", prompt_contains=ada.word)
    job_id = ada.order(model_id="gen4.5", preset="draft")
    ended = ada.until_ended(job_id)
    assert (ended["status"], ended["credits_used"]) == ("completed", 4)
    gets = [[get["fault"] for get in file["gets"]] for file in runway.media()["files"]]
    assert [faults for faults in gets if "media_expired" in faults] == [["media_expired", None]]
    assert len(submissions(stack, job_id)) == 1, "a fresh URL is not a fresh video"


def test_runways_throttled_task_is_only_waiting(stack: RunningStack, ada: Customer) -> None:
    stack.simulators["runway"].arm("throttled", seconds=2, prompt_contains=ada.word)
    job_id = ada.order(model_id="gen4.5", preset="draft")
    assert ada.until_ended(job_id)["status"] == "completed"
    assert len(submissions(stack, job_id)) == 1


@pytest.mark.alone
@pytest.mark.parametrize(
    "settings",
    [
        {"success_status": False},
        {"errors_in_200": True, "failures_as": "errors"},
        {"webhook_form": "wrapped"},
    ],
    ids=["success without a status", "errors in a 200", "wrapped webhooks"],
)
def test_runware_is_understood_in_every_wording(
    stack: RunningStack, new_customer: Callable[[int], Customer], settings: dict[str, Any]
) -> None:
    runware, good, bad = stack.simulators["runware"], new_customer(16), new_customer(16)
    runware.arm("task_error", prompt_contains=bad.word)
    runware.arm("submit_503", prompt_contains=bad.word)
    runware.change(**settings)
    try:
        ends = [
            customer.finish(model_id="runware-veo-3.1", preset="draft") for customer in (good, bad)
        ]
    finally:
        runware.change(success_status=True, errors_in_200=False, webhook_form="flat")
    assert [end["status"] for end in ends] == ["completed", "failed"]
    assert ends[1]["error_code"] == "PROVIDER_ERROR"
    assert (good.credits()["available"], bad.credits()["available"]) == (0, 16)


def test_runwares_duplicate_webhook_charges_no_user_twice(
    stack: RunningStack, ada: Customer
) -> None:
    stack.simulators["runware"].arm("webhook_duplicate", copies=3, prompt_contains=ada.word)
    job_id = ada.order(**UNWATCHED)
    assert ada.until_ended(job_id)["status"] == "completed"

    def answered() -> bool:
        (paid,) = submissions(stack, job_id)
        return [sent["status"] for sent in paid["deliveries"]] == [200] * 3

    until(stack, job_id, answered)
    assert ada.kinds() == ["grant", "hold", "capture"]


def test_an_unverified_webhook_about_a_runware_task_changes_nothing(
    stack: RunningStack, ada: Customer
) -> None:
    runware = stack.simulators["runware"]
    runware.arm("slow_generation", seconds=10, prompt_contains=ada.word)
    job_id = ada.order(**UNWATCHED)
    before = until_tracked(stack, job_id)
    (paid,) = submissions(stack, job_id)
    forged = {
        "taskType": "videoInference",
        "taskUUID": paid["request_id"],
        "status": "success",
        "videoURL": f"{runware.about['media_url']}/mine.mp4",
    }
    path = paid["webhook_url"]
    # A sender that knows the secret URL is not believed either: Runware itself reports the task as
    # running.
    answer = httpx.post(path, json=forged, trust_env=False, timeout=60)
    assert (answer.status_code, answer.json()["result"]) == (200, "ignored")
    wrong = f"{path[:-4]}{'aaaa' if path[-4:] != 'aaaa' else 'bbbb'}"
    assert httpx.post(wrong, json=forged, trust_env=False, timeout=60).status_code == 404
    foreign = forged | {"taskUUID": "11111111-2222-4333-8444-555555555555"}
    assert httpx.post(path, json=foreign, trust_env=False, timeout=60).status_code == 401
    assert job_item(stack, job_id) == before
    assert ada.until_ended(job_id)["status"] == "completed"
    assert len(submissions(stack, job_id)) == 1
