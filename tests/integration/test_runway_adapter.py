"""The Runway adapter against the simulated Runway, over real sockets on loopback.

The adapter and the simulator were written apart and share no code: where they agree, they agree
about Runway.
"""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Outcome, Running, Succeeded
from clipmint.providers.base import Accepted, Busy, ProviderUnavailable, Rejected, Task, Unanswered
from clipmint.providers.runway import Runway, RunwaySettings
from clipmint.providers.runway.models import ENDPOINTS
from clipmint.providers.transport import Patience
from local.simulator.client import Simulator, start

QUICK = {"pending_seconds": 0.1, "generation_seconds": 0.1, "concurrency": 3}
A, B = "https://i.example/a.png", "https://i.example/b.png"
TASK = Task(
    task_id="1a2b3c4d-0000-4000-8000-000000000001",
    endpoint="gen4.5",
    prompt="a lighthouse in the rain",
    aspect_ratio="1280:720",
    duration_seconds=2,
)


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runway", QUICK) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def runway(simulator: Simulator) -> Runway:
    return adapter(simulator)


def adapter(simulator: Simulator, **settings: Any) -> Runway:
    given = {
        "key": simulator.key,
        "url": simulator.url,
        "media_hosts": (urlsplit(simulator.url).netloc,),
    }
    return Runway(
        RunwaySettings(**(given | settings)), patience=Patience(connect=1, write=1, read=1, whole=2)
    )


def accepted(runway: Runway, **changes: Any) -> Handle:
    submitted = runway.submit(dataclasses.replace(TASK, **changes))
    assert isinstance(submitted, Accepted), submitted
    return submitted.handle


def waited(runway: Runway, handle: Handle, until: Callable[[Outcome], bool]) -> Outcome:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        outcome = runway.poll(handle)
        if until(outcome):
            return outcome
        time.sleep(0.05)
    pytest.fail("nothing of the kind within 20 s")


def finished(runway: Runway, handle: Handle) -> Finished:
    outcome = waited(runway, handle, lambda outcome: not isinstance(outcome, Running))
    assert not isinstance(outcome, Running)
    return outcome


def seen_from_outside(simulator: Simulator, path: str) -> httpx.Response:
    """What the simulator says past our adapter."""
    headers = {"authorization": f"Bearer {simulator.key}", "x-runway-version": "2024-11-06"}
    return httpx.get(f"{simulator.url}/v1/{path}", headers=headers, trust_env=False)


def state(simulator: Simulator, handle: Handle) -> str:
    answer = seen_from_outside(simulator, f"tasks/{handle.request_id}")
    return str(answer.json().get("status", answer.status_code))


def credits_left(simulator: Simulator) -> int:
    return int(seen_from_outside(simulator, "organization").json()["creditBalance"])


def test_a_task_is_submitted_polled_and_its_video_fetched_without_our_key(
    simulator: Simulator, runway: Runway
) -> None:
    handle = accepted(runway)
    assert runway.poll(handle) == Running()
    outcome = finished(runway, handle)
    assert isinstance(outcome, Succeeded)
    video = httpx.get(outcome.media_url, trust_env=False)
    assert video.content[4:8] == b"ftyp"
    assert [paid["request_id"] for paid in simulator.submissions()] == [handle.request_id]
    assert simulator.media()["authorization_seen"] is False


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_what_each_model_is_sent_passes_its_own_strict_validation(
    simulator: Simulator, runway: Runway, endpoint: str
) -> None:
    kind, _, model = endpoint.partition("/")
    accepted(
        runway,
        endpoint=endpoint,
        image_url=A if kind == "image_to_video" else None,
        last_image_url=B if endpoint.startswith("image_to_video/veo") else None,
        duration_seconds=None if kind == "text_to_image" else 4,
        reference_image_urls=(A, B) if model == "gen4_image_turbo" else (),
    )
    [paid] = simulator.submissions()
    assert paid["endpoint"] == endpoint


def test_a_picture_comes_out_of_a_picture_model(runway: Runway) -> None:
    handle = accepted(
        runway,
        endpoint="text_to_image/gen4_image",
        aspect_ratio="720:720",
        duration_seconds=None,
    )
    outcome = finished(runway, handle)
    assert isinstance(outcome, Succeeded)
    picture = httpx.get(outcome.media_url, trust_env=False)
    assert picture.content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("unfit", "code"),
    [
        ({"aspect_ratio": "16:9"}, FailureCode.INVALID_INPUT),
        ({"duration_seconds": 11}, FailureCode.INVALID_INPUT),
        ({"image_url": "https://203.0.113.7/a.png"}, FailureCode.INPUT_UNREADABLE),
    ],
)
def test_a_body_that_is_refused_costs_nothing_and_says_why(
    simulator: Simulator, runway: Runway, unfit: dict[str, Any], code: FailureCode
) -> None:
    submitted = runway.submit(dataclasses.replace(TASK, **unfit))
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code
    assert simulator.submissions() == []


@pytest.mark.parametrize(
    ("failure_code", "code", "transient"),
    [
        ("SAFETY.INPUT.IMAGE", FailureCode.CONTENT_POLICY, False),
        ("SAFETY.OUTPUT.VIDEO", FailureCode.CONTENT_POLICY, False),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", FailureCode.CONTENT_POLICY, False),
        ("INPUT_PREPROCESSING.INTERNAL", FailureCode.PROVIDER_ERROR, True),
        ("ASSET.INVALID", FailureCode.INPUT_UNREADABLE, False),
        ("INTERNAL.BAD_OUTPUT.CODE01", FailureCode.PROVIDER_ERROR, True),
        ("THIRD_PARTY.UNAVAILABLE", FailureCode.PROVIDER_UNAVAILABLE, True),
        ("SOMETHING.NEW", FailureCode.PROVIDER_ERROR, False),
    ],
)
def test_why_a_task_failed_is_told_by_the_family_of_its_code(
    simulator: Simulator, runway: Runway, failure_code: str, code: FailureCode, transient: bool
) -> None:
    simulator.arm("failure", failure_code=failure_code)
    outcome = finished(runway, accepted(runway))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.transient) == (code, transient)
    assert failure_code in outcome.detail


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("moderation", FailureCode.CONTENT_POLICY),
        ("failure_without_code", FailureCode.PROVIDER_ERROR),
        ("cancelled_elsewhere", FailureCode.CANCELLED),
    ],
)
def test_other_ways_for_a_task_to_end_badly(
    simulator: Simulator, runway: Runway, fault: str, code: FailureCode
) -> None:
    simulator.arm(fault)
    outcome = finished(runway, accepted(runway))
    assert isinstance(outcome, Failed)
    assert outcome.code is code


@pytest.mark.parametrize("fault", ["submit_reset_after", "submit_timeout_after", "submit_garbled"])
def test_a_lost_answer_is_paid_for_once_and_called_unanswered(
    simulator: Simulator, runway: Runway, fault: str
) -> None:
    simulator.arm(fault)
    assert isinstance(runway.submit(TASK), Unanswered)
    assert len(simulator.submissions()) == 1


@pytest.mark.parametrize("fault", ["submit_429", "submit_daily_quota", "submit_503"])
def test_a_busy_runway_has_accepted_nothing(
    simulator: Simulator, runway: Runway, fault: str
) -> None:
    simulator.arm(fault)
    assert isinstance(runway.submit(TASK), Busy)
    assert simulator.submissions() == []


@pytest.mark.parametrize("fault", ["submit_reset_before", "submit_502_html"])
def test_what_looks_like_a_lost_answer_is_not_called_refused(
    simulator: Simulator, runway: Runway, fault: str
) -> None:
    simulator.arm(fault)
    assert isinstance(runway.submit(TASK), Unanswered)


def test_an_answer_with_an_id_alone_is_an_acceptance(simulator: Simulator, runway: Runway) -> None:
    simulator.arm("submit_bare")
    handle = accepted(runway)
    assert [paid["request_id"] for paid in simulator.submissions()] == [handle.request_id]


def test_a_port_nobody_listens_on_means_busy(simulator: Simulator) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        runway = adapter(simulator, url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert isinstance(runway.submit(TASK), Busy)


def test_a_failed_tls_handshake_means_busy(simulator: Simulator) -> None:
    runway = adapter(simulator, url=simulator.url.replace("http://", "https://"))
    assert isinstance(runway.submit(TASK), Busy)
    assert simulator.submissions() == []


@pytest.mark.parametrize("wrong", ["key", "credits"])
def test_a_wrong_key_or_an_empty_purse_is_the_owners_matter(
    simulator: Simulator, wrong: str
) -> None:
    if wrong == "credits":
        simulator.change(credits=0)
    settings = {"key": "key_of_somebody_else"} if wrong == "key" else {}
    submitted = adapter(simulator, **settings).submit(TASK)
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    assert simulator.submissions() == []


def test_a_throttled_task_runs_as_far_as_we_know_and_is_taken_back(
    simulator: Simulator, runway: Runway
) -> None:
    simulator.arm("throttled", seconds=60)
    handle = accepted(runway)
    assert runway.poll(handle) == Running()
    assert state(simulator, handle) == "THROTTLED"
    assert runway.cancel(handle) is True
    assert state(simulator, handle) == "404"
    assert runway.cancel(handle) is True, "asked again, it is still gone"
    with pytest.raises(ProviderUnavailable, match="404"):
        runway.poll(handle)


def test_a_pending_task_is_taken_back_and_refunded(simulator: Simulator, runway: Runway) -> None:
    simulator.change(pending_seconds=60)
    handle = accepted(runway)
    assert state(simulator, handle) == "PENDING"
    before = credits_left(simulator)
    assert runway.cancel(handle) is True
    assert credits_left(simulator) > before


def test_a_running_task_is_left_alone_and_comes_to_its_end(
    simulator: Simulator, runway: Runway
) -> None:
    simulator.change(pending_seconds=0)
    simulator.arm("slow_generation", seconds=1)
    handle = accepted(runway)
    deadline = time.monotonic() + 10
    while state(simulator, handle) != "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert runway.cancel(handle) is False
    assert isinstance(finished(runway, handle), Succeeded)
    assert runway.cancel(handle) is False
    assert isinstance(runway.poll(handle), Succeeded), "its video is still there"


def test_an_expired_url_is_replaced_by_asking_again(simulator: Simulator, runway: Runway) -> None:
    simulator.change(url_seconds=1)
    handle = accepted(runway)
    first = finished(runway, handle)
    assert isinstance(first, Succeeded)
    deadline = time.monotonic() + 10
    while httpx.get(first.media_url, trust_env=False).is_success and time.monotonic() < deadline:
        time.sleep(0.1)
    assert httpx.get(first.media_url, trust_env=False).is_client_error
    fresh = runway.poll(handle)
    assert isinstance(fresh, Succeeded)
    assert fresh.media_url != first.media_url
    assert httpx.get(fresh.media_url, trust_env=False).content[4:8] == b"ftyp"


@pytest.mark.parametrize("fault", ["poll_error", "poll_reset", "poll_garbled", "poll_gone"])
def test_a_question_that_goes_wrong_is_asked_again_with_success(
    simulator: Simulator, runway: Runway, fault: str
) -> None:
    handle = accepted(runway)
    simulator.arm(fault)
    with pytest.raises(ProviderUnavailable):
        runway.poll(handle)
    assert isinstance(finished(runway, handle), Succeeded)


def test_an_unheard_of_status_is_waited_out(simulator: Simulator, runway: Runway) -> None:
    handle = accepted(runway)
    simulator.arm("poll_unknown_status")
    assert runway.poll(handle) == Running()
    assert isinstance(finished(runway, handle), Succeeded)


def test_a_key_mended_in_time_finds_the_task_a_wrong_one_could_not(
    simulator: Simulator, runway: Runway
) -> None:
    handle = accepted(runway)
    with pytest.raises(ProviderUnavailable, match="401"):
        adapter(simulator, key="key_of_somebody_else").poll(handle)
    assert isinstance(finished(runway, handle), Succeeded)
