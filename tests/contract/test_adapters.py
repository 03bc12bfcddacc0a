"""Our adapters against the simulated providers, over real sockets on loopback.

Adapter and simulator were written apart and share no code: where they agree, they agree about the
provider. What an adapter makes of each single answer is in `tests/unit/providers`.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from clipmint.catalog.known_endpoints import KNOWN
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Outcome, Running, Succeeded
from clipmint.providers.base import (
    Accepted,
    Busy,
    Provider,
    ProviderUnavailable,
    Rejected,
    Task,
    Unanswered,
    WebhookCall,
    WebhookRejected,
)
from clipmint.providers.fal import Fal, FalSettings
from clipmint.providers.runware import Runware, RunwareSettings
from clipmint.providers.runware.adapter import FILE_LIFE_SECONDS
from clipmint.providers.runway import Runway, RunwaySettings
from clipmint.providers.transport import Patience
from local.simulator.client import Simulator, start
from tests.support.inbox import PATIENCE_SECONDS, Call, Inbox
from tests.support.tasks import task_of

PATIENCE = Patience(connect=1, write=1, read=1, whole=2)
A, B = "https://i.example/a.png", "https://i.example/b.png"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def fal(simulator: Simulator, **changes: str) -> Fal:
    netloc = urlsplit(simulator.url).netloc
    given = {"key": simulator.key, "queue_url": changes.pop("url", simulator.url), **changes}
    jwks_url = simulator.about["jwks_url"]
    return Fal(FalSettings(jwks_url=jwks_url, media_hosts=(netloc,), **given), patience=PATIENCE)


def runway(simulator: Simulator, **changes: str) -> Runway:
    given = {"key": simulator.key, "url": simulator.url, **changes}
    netloc = urlsplit(simulator.url).netloc
    return Runway(RunwaySettings(media_hosts=(netloc,), **given), patience=PATIENCE)


def runware(simulator: Simulator, **changes: str) -> Runware:
    given = {"key": simulator.key, "url": simulator.url, **changes}
    netloc = urlsplit(simulator.url).netloc
    return Runware(RunwareSettings(media_hosts=(netloc,), **given), patience=PATIENCE)


@dataclass(frozen=True)
class Kind:
    """A provider: how to simulate it and talk to it, and its names for things.

    ``settings`` are the simulator's. ``waiting`` keeps a task in the queue, ``unfunded`` empties
    the owner's account.
    """

    name: str
    adapter: Callable[..., Provider]
    settings: Mapping[str, Any]
    task: Mapping[str, Any]
    waiting: Mapping[str, Any]
    unfunded: Mapping[str, Any]


SIZED = {"resolution": "720p", "aspect_ratio": "16:9", "duration_seconds": 4}
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "fal",
            fal,
            {
                "queue_seconds": 0.1,
                "generation_seconds": 0.1,
                "time_factor": 0.01,
                "frames_per_second": 2,
            },
            {"endpoint": "fal-ai/veo3.1/fast", **SIZED},
            {"queue_seconds": 60},
            {"locked": True},
        ),
        Kind(
            "runway",
            runway,
            {
                "pending_seconds": 0.1,
                "generation_seconds": 0.1,
                "concurrency": 3,
                "frames_per_second": 2,
            },
            {"endpoint": "gen4.5", "aspect_ratio": "1280:720", "duration_seconds": 2},
            {"pending_seconds": 60},
            {"credits": 0},
        ),
        Kind(
            "runware",
            runware,
            {
                "generation_seconds": 0.1,
                "image_seconds": 0.1,
                "time_factor": 0.01,
                "frames_per_second": 2,
            },
            {"endpoint": "google:veo@3.1-lite", **SIZED},
            {},
            {"out_of_credits": True},
        ),
    )
}
STILL = {"endpoint": "runware:101@1", "resolution": None, "duration_seconds": None}


class Bench:
    """One provider's simulator, and our adapter for it."""

    def __init__(self, kind: Kind, simulator: Simulator) -> None:
        self.kind = kind
        self.simulator = simulator
        self.adapter = kind.adapter(simulator)

    def task(self, **changes: Any) -> Task:
        """The shortest video there is, under an id of its own."""
        own = {"task_id": str(uuid.uuid4()), "prompt": "a lighthouse in the rain"}
        return task_of(self.adapter.name, **{**own, **self.kind.task, **changes})

    def accepted(self, **changes: Any) -> Handle:
        submitted = self.adapter.submit(self.task(**changes))
        assert isinstance(submitted, Accepted), submitted
        return submitted.handle

    def polled(self, handle: Handle, until: Callable[[Outcome], bool]) -> Outcome:
        """The first such outcome."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not until(outcome := self.adapter.poll(handle)):
            assert time.monotonic() < deadline, outcome
            time.sleep(0.02)
        return outcome

    def finished(self, handle: Handle) -> Finished:
        outcome = self.polled(handle, lambda outcome: not isinstance(outcome, Running))
        assert not isinstance(outcome, Running)
        return outcome

    def notice(self, call: Call) -> Any:
        """What the adapter reads in a webhook call."""
        return self.adapter.read_webhook(  # type: ignore[attr-defined]  # Runway has none
            WebhookCall(call.headers, call.body), self.kind.task["endpoint"]
        )


@pytest.fixture(scope="module")
def simulators() -> Iterator[Mapping[str, Simulator]]:
    with (
        start("local.fal", KINDS["fal"].settings) as one,
        start("local.runway", KINDS["runway"].settings) as two,
        start("local.runware", KINDS["runware"].settings) as three,
    ):
        yield {"fal": one, "runway": two, "runware": three}


@pytest.fixture
def bench(request: pytest.FixtureRequest, simulators: Mapping[str, Simulator]) -> Bench:
    """The provider that the test is parametrised with."""
    simulator = simulators[request.param]
    simulator.reset()
    return Bench(KINDS[request.param], simulator)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is bound and not listened to, so no other process gets it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield int(closed.getsockname()[1])


each = pytest.mark.parametrize("bench", KINDS, indirect=True)
only_fal = pytest.mark.parametrize("bench", ["fal"], indirect=True)
only_runway = pytest.mark.parametrize("bench", ["runway"], indirect=True)
only_runware = pytest.mark.parametrize("bench", ["runware"], indirect=True)
with_webhooks = pytest.mark.parametrize("bench", ["fal", "runware"], indirect=True)


# ── What is made ─────────────────────────────────────────────────────────────────────────────────


@each
def test_a_task_is_submitted_polled_and_its_video_fetched_without_our_key(bench: Bench) -> None:
    handle = bench.accepted()
    assert isinstance(bench.adapter.poll(handle), Running)
    outcome = bench.finished(handle)
    assert isinstance(outcome, Succeeded)
    video = httpx.get(outcome.media_url, trust_env=False)
    assert video.content[4:8] == b"ftyp"
    assert [paid["request_id"] for paid in bench.simulator.submissions()] == [handle.request_id]
    assert bench.simulator.media()["authorization_seen"] is False


@only_fal
@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "fal-ai/veo3.1"},
        {"endpoint": "fal-ai/veo3.1", "resolution": "1080p", "aspect_ratio": "9:16"},
        {"endpoint": "fal-ai/veo3.1/image-to-video", "image_url": A, "aspect_ratio": "auto"},
        {
            "endpoint": "fal-ai/veo3.1/first-last-frame-to-video",
            "image_url": A,
            "last_image_url": B,
        },
        {
            "endpoint": "fal-ai/sora-2/image-to-video",
            "image_url": A,
            "resolution": "auto",
            "aspect_ratio": "auto",
        },
    ],
)
def test_what_each_fal_model_is_sent_passes_its_own_validation(
    bench: Bench, changes: dict[str, Any]
) -> None:
    assert isinstance(bench.finished(bench.accepted(**changes)), Succeeded)
    (paid,) = bench.simulator.submissions()
    assert (paid["endpoint"], paid["billed"]) == (changes["endpoint"], True)


@only_runway
@pytest.mark.parametrize(
    "endpoint", [name for provider, name in KNOWN if provider == "runway" and "/" in name]
)
def test_what_each_runway_model_is_sent_passes_its_own_validation(
    bench: Bench, endpoint: str
) -> None:
    kind, _, model = endpoint.partition("/")
    bench.accepted(
        endpoint=endpoint,
        image_url=A if kind == "image_to_video" else None,
        last_image_url=B if endpoint.startswith("image_to_video/veo") else None,
        duration_seconds=None if kind == "text_to_image" else 4,
        reference_image_urls=(A, B) if model == "gen4_image_turbo" else (),
    )
    (paid,) = bench.simulator.submissions()
    assert paid["endpoint"] == endpoint


@only_runware
@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({"endpoint": "google:3@2", "duration_seconds": 8}, 3.2),
        ({"endpoint": "google:3@2", "image_url": A, "duration_seconds": 6}, 2.4),
        ({"endpoint": "google:3@3", "image_url": A, "last_image_url": B}, 0.6),
        ({"endpoint": "google:3@3", "resolution": "1080p"}, 0.6),
        ({"aspect_ratio": "9:16", "resolution": "1080p"}, 0.32),
        ({"image_url": A, "last_image_url": B, "aspect_ratio": "auto"}, 0.2),
        ({**STILL, "aspect_ratio": "1920:1080"}, 0.0038),
        ({**STILL, "aspect_ratio": "9:16"}, 0.0038),
    ],
)
def test_what_each_runware_model_is_sent_is_accepted_has_sound_and_is_kept_for_a_week(
    bench: Bench, changes: dict[str, Any], usd: float
) -> None:
    assert isinstance(bench.finished(bench.accepted(**changes)), Succeeded)
    (paid,) = bench.simulator.submissions()
    assert paid["cost"] == pytest.approx(usd), "the price with sound"
    assert paid["input"]["ttl"] == FILE_LIFE_SECONDS


@pytest.mark.parametrize(
    ("bench", "changes", "size"),
    [
        (
            "runway",
            {
                "endpoint": "text_to_image/gen4_image",
                "aspect_ratio": "720:720",
                "duration_seconds": None,
            },
            (720, 720),
        ),
        ("runware", {**STILL, "aspect_ratio": "1080:1920"}, (1088, 1920)),
    ],
    indirect=["bench"],
)
def test_an_image_model_makes_a_png_of_the_requested_shape(
    bench: Bench, changes: dict[str, Any], size: tuple[int, int]
) -> None:
    outcome = bench.finished(bench.accepted(**changes))
    assert isinstance(outcome, Succeeded)
    image = httpx.get(outcome.media_url, trust_env=False).content
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert tuple(int.from_bytes(image[at : at + 4]) for at in (16, 20)) == size


@pytest.mark.parametrize("bench", ["fal", "runway"], indirect=True)
def test_an_expired_file_has_a_fresh_url_when_asked_again(bench: Bench) -> None:
    handle = bench.accepted()
    bench.simulator.arm("media_expired")
    first = bench.finished(handle)
    assert isinstance(first, Succeeded)
    assert httpx.get(first.media_url, trust_env=False).is_client_error
    second = bench.adapter.poll(handle)
    assert isinstance(second, Succeeded)
    assert second.media_url != first.media_url
    assert httpx.get(second.media_url, trust_env=False).content[4:8] == b"ftyp"


# ── What fails ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("bench", "unfit", "code"),
    [
        ("runway", {"aspect_ratio": "16:9"}, FailureCode.INVALID_INPUT),
        ("runway", {"duration_seconds": 11}, FailureCode.INVALID_INPUT),
        ("runway", {"image_url": "https://203.0.113.7/a.png"}, FailureCode.INPUT_UNREADABLE),
        ("runware", {"duration_seconds": 5}, FailureCode.INVALID_INPUT),
        ("runware", {"resolution": "4k"}, FailureCode.INVALID_INPUT),
        ("runware", {"prompt": " "}, FailureCode.INVALID_INPUT),
    ],
    indirect=["bench"],
)
def test_an_input_that_is_refused_at_once_costs_nothing_and_gives_the_reason(
    bench: Bench, unfit: dict[str, Any], code: FailureCode
) -> None:
    submitted = bench.adapter.submit(bench.task(**unfit))
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code
    assert bench.simulator.submissions() == []


@only_fal
def test_fal_accepts_a_bad_setting_and_fails_when_it_runs(bench: Bench) -> None:
    outcome = bench.finished(bench.accepted(duration_seconds=5))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.INVALID_INPUT


@only_fal
def test_a_request_that_may_not_start_late_fails_instead(bench: Bench) -> None:
    bench.simulator.change(**bench.kind.waiting)
    outcome = bench.finished(bench.accepted(start_within_seconds=1))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_TIMEOUT


@only_runware
def test_an_image_that_cannot_be_fetched_is_an_unreadable_input(bench: Bench) -> None:
    with closed_port() as port:
        outcome = bench.finished(bench.accepted(image_url=f"http://127.0.0.1:{port}/a.png"))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.INPUT_UNREADABLE


FAILURES = [
    ("fal", "moderation", {}, FailureCode.CONTENT_POLICY),
    ("fal", "no_media_generated", {}, FailureCode.NO_OUTPUT),
    ("fal", "file_download_error", {}, FailureCode.INPUT_UNREADABLE),
    ("fal", "generation_timeout", {}, FailureCode.PROVIDER_TIMEOUT),
    ("fal", "model_error", {}, FailureCode.PROVIDER_ERROR),
    ("fal", "runner_error", {}, FailureCode.PROVIDER_ERROR),
    ("runway", "moderation", {}, FailureCode.CONTENT_POLICY),
    ("runway", "failure_without_code", {}, FailureCode.PROVIDER_ERROR),
    ("runway", "cancelled_elsewhere", {}, FailureCode.CANCELLED),
    ("runway", "failure", {"failure_code": "ASSET.INVALID"}, FailureCode.INPUT_UNREADABLE),
    (
        "runway",
        "failure",
        {"failure_code": "THIRD_PARTY.UNAVAILABLE"},
        FailureCode.PROVIDER_UNAVAILABLE,
    ),
    ("runway", "failure", {"failure_code": "SOMETHING.NEW"}, FailureCode.PROVIDER_ERROR),
    ("runware", "moderation", {}, FailureCode.CONTENT_POLICY),
    ("runware", "provider_timeout", {}, FailureCode.PROVIDER_TIMEOUT),
    ("runware", "task_error", {}, FailureCode.PROVIDER_ERROR),
    ("runware", "task_error", {"code": "noAvailableServer"}, FailureCode.PROVIDER_UNAVAILABLE),
]


@pytest.mark.parametrize(("bench", "fault", "params", "code"), FAILURES, indirect=["bench"])
def test_a_failed_run_gives_the_reason(
    bench: Bench, inbox: Inbox, fault: str, params: dict[str, Any], code: FailureCode
) -> None:
    bench.simulator.arm(fault, **params)
    handle = bench.accepted(webhook_url=None if bench.kind.name == "runway" else inbox.url)
    outcome = bench.finished(handle)
    assert isinstance(outcome, Failed)
    assert outcome.code is code
    if bench.kind.name == "fal":
        notice = bench.notice(inbox.wait_for(1)[0])
        assert notice.handle.request_id == handle.request_id
        assert isinstance(notice.outcome, Failed)
        assert notice.outcome.code is code, "webhook and poll agree"


@only_runware
@pytest.mark.parametrize(
    "changes", [{"failures_as": "item"}, {"failures_as": "errors"}, {"success_status": False}]
)
def test_runware_is_understood_wherever_it_reports_an_end(
    bench: Bench, changes: dict[str, Any]
) -> None:
    bench.simulator.change(**changes)
    assert isinstance(bench.finished(bench.accepted()), Succeeded)
    bench.simulator.arm("task_error")
    assert isinstance(bench.finished(bench.accepted()), Failed)


# ── A submission that was not accepted, or whose answer was lost ─────────────────────────────────


@pytest.mark.parametrize(
    ("bench", "fault", "params"),
    [
        ("fal", "submit_429", {}),
        ("fal", "submit_503", {}),
        ("runway", "submit_429", {}),
        ("runway", "submit_daily_quota", {}),
        ("runway", "submit_503", {}),
        ("runware", "submit_429", {}),
        ("runware", "submit_503", {}),
    ],
    indirect=["bench"],
)
def test_a_busy_provider_has_accepted_nothing(
    bench: Bench, fault: str, params: dict[str, Any]
) -> None:
    bench.simulator.arm(fault, **params)
    assert isinstance(bench.adapter.submit(bench.task()), Busy)
    assert bench.simulator.submissions() == []


@only_runware
def test_a_queue_at_capacity_means_busy(bench: Bench) -> None:
    bench.simulator.change(capacity=1, generation_seconds=60)
    bench.accepted()
    assert isinstance(bench.adapter.submit(bench.task()), Busy)


@each
def test_a_closed_port_means_busy(bench: Bench) -> None:
    with closed_port() as port:
        path = urlsplit(bench.simulator.url).path
        adapter = bench.kind.adapter(bench.simulator, url=f"http://127.0.0.1:{port}{path}")
        assert isinstance(adapter.submit(bench.task()), Busy)


@each
def test_a_failed_tls_handshake_means_busy(bench: Bench) -> None:
    url = bench.simulator.url.replace("http://", "https://")
    assert isinstance(bench.kind.adapter(bench.simulator, url=url).submit(bench.task()), Busy)
    assert bench.simulator.submissions() == []


@each
@pytest.mark.parametrize("wrong", ["key", "funds"])
def test_a_wrong_key_and_an_empty_account_are_the_owners_matter(bench: Bench, wrong: str) -> None:
    if wrong == "funds":
        bench.simulator.change(**bench.kind.unfunded)
    changes = {"key": "not:ours"} if wrong == "key" else {}
    submitted = bench.kind.adapter(bench.simulator, **changes).submit(bench.task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    assert bench.simulator.submissions() == []


@only_runware
@pytest.mark.parametrize(
    ("settings", "fault", "expected"),
    [({}, "submit_429", Busy), ({"out_of_credits": True}, None, Rejected)],
)
def test_an_error_of_runwares_counts_although_its_status_is_200(
    bench: Bench, settings: dict[str, Any], fault: str | None, expected: type
) -> None:
    bench.simulator.change(errors_in_200=True, **settings)
    if fault:
        bench.simulator.arm(fault)
    assert isinstance(bench.adapter.submit(bench.task()), expected)
    assert bench.simulator.submissions() == []


@each
@pytest.mark.parametrize("fault", ["submit_reset_after", "submit_timeout_after", "submit_garbled"])
def test_a_lost_answer_is_called_unanswered_and_paid_for_once(bench: Bench, fault: str) -> None:
    bench.simulator.arm(fault)
    assert isinstance(bench.adapter.submit(bench.task()), Unanswered)
    assert len(bench.simulator.submissions()) == 1


@each
@pytest.mark.parametrize("fault", ["submit_reset_before", "submit_502_html"])
def test_what_looks_like_a_lost_answer_is_not_called_refused(bench: Bench, fault: str) -> None:
    bench.simulator.arm(fault)
    assert isinstance(bench.adapter.submit(bench.task()), Unanswered)
    assert bench.simulator.submissions() == []


@with_webhooks
def test_a_submission_whose_answer_was_lost_is_found_by_its_webhook(
    bench: Bench, inbox: Inbox
) -> None:
    bench.simulator.arm("submit_reset_after")
    assert isinstance(bench.adapter.submit(bench.task(webhook_url=inbox.url)), Unanswered)
    notice = bench.notice(inbox.wait_for(1)[0])
    (paid,) = bench.simulator.submissions()
    assert notice.handle.request_id == paid["request_id"]
    assert isinstance(bench.finished(notice.handle), Succeeded)


@only_runware
@pytest.mark.parametrize("fault", ["submit_reset_after", "submit_504_after"])
def test_a_lost_answer_of_runwares_is_sent_again_and_paid_for_once(
    bench: Bench, fault: str
) -> None:
    bench.simulator.arm(fault)
    first = bench.task()
    again = dataclasses.replace(first, resent=True)
    assert isinstance(bench.adapter.submit(first), Unanswered)
    bench.simulator.change(out_of_credits=True)
    assert isinstance(bench.adapter.submit(again), Unanswered), "402 now; what was it then?"
    bench.simulator.change(out_of_credits=False)
    assert bench.adapter.submit(again) == Accepted(Handle(first.task_id))
    (paid,) = bench.simulator.submissions()
    assert paid["request_id"] == first.task_id
    assert isinstance(bench.finished(Handle(first.task_id)), Succeeded)


@only_runware
def test_what_never_reached_runware_is_accepted_when_sent_again(bench: Bench) -> None:
    bench.simulator.arm("submit_504")
    first = bench.task()
    assert isinstance(bench.adapter.submit(first), Unanswered)
    assert bench.simulator.submissions() == []
    assert isinstance(bench.adapter.submit(dataclasses.replace(first, resent=True)), Accepted)
    assert len(bench.simulator.submissions()) == 1


@only_runware
def test_a_task_id_that_runware_knows_already_is_a_doubt_on_a_first_attempt(bench: Bench) -> None:
    first = bench.task()
    assert isinstance(bench.adapter.submit(first), Accepted)
    assert isinstance(bench.adapter.submit(first), Unanswered)
    assert isinstance(bench.adapter.submit(dataclasses.replace(first, resent=True)), Accepted)
    assert len(bench.simulator.submissions()) == 1


# ── Polling and cancelling ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("bench", "fault", "params"),
    [
        ("fal", "poll_error", {"status": 502}),
        ("fal", "poll_error", {"status": 429}),
        ("fal", "poll_reset", {}),
        ("fal", "poll_gone", {}),
        ("runway", "poll_error", {}),
        ("runway", "poll_reset", {}),
        ("runway", "poll_garbled", {}),
        ("runway", "poll_gone", {}),
        ("runware", "poll_error", {"status": 401, "code": "invalidApiKey"}),
        ("runware", "poll_error", {"status": 402, "code": "insufficientCredits"}),
        ("runware", "poll_error", {"status": 200, "code": "internalServerError"}),
        ("runware", "poll_502_html", {}),
        ("runware", "poll_reset", {}),
        ("runware", "poll_garbled", {}),
    ],
    indirect=["bench"],
)
def test_a_poll_without_a_response_decides_nothing_about_the_task(
    bench: Bench, fault: str, params: dict[str, Any]
) -> None:
    handle = bench.accepted()
    bench.simulator.arm(fault, **params)
    with pytest.raises(ProviderUnavailable):
        bench.adapter.poll(handle)
    assert isinstance(bench.finished(handle), Succeeded)


@pytest.mark.parametrize(
    ("bench", "fault"),
    [
        ("fal", "poll_unknown_status"),
        ("runway", "poll_unknown_status"),
        ("runware", "poll_unknown_status"),
        ("runware", "poll_gone"),
    ],
    indirect=["bench"],
)
def test_an_unknown_status_is_not_final(bench: Bench, fault: str) -> None:
    handle = bench.accepted()
    bench.simulator.arm(fault)
    assert isinstance(bench.adapter.poll(handle), Running)
    assert isinstance(bench.finished(handle), Succeeded)


@only_fal
def test_a_queue_position_is_reported(bench: Bench) -> None:
    bench.simulator.change(queue_seconds=5, queue_ahead=3)
    outcome = bench.adapter.poll(bench.accepted())
    assert isinstance(outcome, Running)
    assert outcome.position in (2, 3)


@pytest.mark.parametrize("bench", ["fal", "runway"], indirect=True)
def test_a_queued_task_is_cancelled_and_not_billed(bench: Bench) -> None:
    bench.simulator.change(**bench.kind.waiting)
    handle = bench.accepted()
    assert bench.adapter.cancel(handle) is True
    (paid,) = bench.simulator.submissions()
    assert paid["billed"] is False
    if bench.kind.name == "runway":
        # Deleted there, and with that forgotten.
        assert bench.adapter.cancel(handle) is True
        with pytest.raises(ProviderUnavailable, match="404"):
            bench.adapter.poll(handle)
    else:
        outcome = bench.finished(handle)
        assert isinstance(outcome, Failed)
        assert outcome.code is FailureCode.CANCELLED


@only_runway
def test_a_throttled_task_is_running_to_us_and_can_be_cancelled(bench: Bench) -> None:
    bench.simulator.arm("throttled", seconds=60)
    handle = bench.accepted()
    assert bench.adapter.poll(handle) == Running()
    assert bench.simulator.submissions()[0]["state"] == "THROTTLED"
    assert bench.adapter.cancel(handle) is True


@each
def test_a_running_task_is_not_cancelled_and_comes_to_its_end(bench: Bench) -> None:
    bench.simulator.arm("slow_generation", seconds=1)
    handle = bench.accepted()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while bench.simulator.submissions()[0]["started_at"] is None:
        assert time.monotonic() < deadline, "never started"
        time.sleep(0.02)
    assert bench.adapter.cancel(handle) is False
    assert isinstance(bench.finished(handle), Succeeded)
    assert bench.adapter.cancel(handle) is False
    assert isinstance(bench.adapter.poll(handle), Succeeded), "its video is still there"


@only_runway
def test_a_task_is_found_again_once_the_key_is_right(bench: Bench) -> None:
    handle = bench.accepted()
    with pytest.raises(ProviderUnavailable, match="401"):
        bench.kind.adapter(bench.simulator, key="key_of_somebody_else").poll(handle)
    assert isinstance(bench.finished(handle), Succeeded)


@only_runware
def test_a_task_that_runware_does_not_know_looks_like_one_that_is_waiting(bench: Bench) -> None:
    assert bench.adapter.poll(Handle(UNKNOWN_ID)) == Running()


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────


@only_fal
def test_a_fal_webhook_is_verified_and_agrees_with_the_poll(bench: Bench, inbox: Inbox) -> None:
    handle = bench.accepted(webhook_url=inbox.url)
    notice = bench.notice(inbox.wait_for(1)[0])
    assert notice.handle.request_id == handle.request_id
    assert notice.outcome == bench.adapter.poll(handle)


@only_fal
@pytest.mark.parametrize(
    "how", ["bad_signature", "foreign_key", "stale_timestamp", "altered_body", "unsigned"]
)
def test_a_forged_webhook_is_rejected_and_the_genuine_one_after_it_believed(
    bench: Bench, inbox: Inbox, how: str
) -> None:
    lie = {"payload": {"video": {"url": "https://example.com/not-ours.mp4"}}}
    bench.simulator.arm("webhook_forged", how=how, members=lie, then_genuine=True)
    bench.accepted(webhook_url=inbox.url)
    forged, genuine = inbox.wait_for(2)
    assert json.loads(forged.body)["payload"] == lie["payload"]
    with pytest.raises(WebhookRejected):
        bench.notice(forged)
    assert isinstance(bench.notice(genuine).outcome, Succeeded)


@only_fal
def test_a_webhook_without_its_payload_is_a_hint_to_poll(bench: Bench, inbox: Inbox) -> None:
    bench.simulator.arm("webhook_payload_null")
    handle = bench.accepted(webhook_url=inbox.url)
    notice = bench.notice(inbox.wait_for(1)[0])
    assert (notice.handle.request_id, notice.outcome) == (handle.request_id, None)
    assert isinstance(bench.adapter.poll(handle), Succeeded)


@only_runware
@pytest.mark.parametrize("form", ["flat", "wrapped"])
@pytest.mark.parametrize("fault", [None, "moderation", "webhook_duplicate", "webhook_processing"])
def test_a_webhook_of_runwares_in_either_form_is_a_hint_to_poll(
    bench: Bench, inbox: Inbox, form: str, fault: str | None
) -> None:
    bench.simulator.change(webhook_form=form)
    if fault:
        bench.simulator.arm(fault)
    handle = bench.accepted(webhook_url=inbox.url)
    for call in inbox.wait_for(2 if fault in {"webhook_duplicate", "webhook_processing"} else 1):
        notice = bench.notice(call)
        assert (notice.handle, notice.outcome) == (handle, None)
    assert isinstance(bench.finished(handle), Failed if fault == "moderation" else Succeeded)


@only_runware
def test_a_forged_webhook_of_runwares_causes_a_poll_and_nothing_else(
    bench: Bench, inbox: Inbox
) -> None:
    evil = "https://evil.example/v.mp4"
    bench.simulator.arm("webhook_forged", members={"videoURL": evil, "cost": 0})
    handle = bench.accepted(webhook_url=inbox.url)
    (call,) = inbox.wait_for(1)
    assert json.loads(call.body)["videoURL"] == evil
    notice = bench.notice(call)
    assert (notice.handle, notice.outcome) == (handle, None)
    outcome = bench.finished(notice.handle)
    assert isinstance(outcome, Succeeded)
    assert outcome.media_url != evil
