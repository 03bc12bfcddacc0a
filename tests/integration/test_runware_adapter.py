"""The Runware adapter against the simulated Runware, over real sockets on loopback.

The adapter and the simulator were written apart and share no code: where they agree, they agree
about Runware.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Running, Succeeded
from clipmint.providers.base import (
    Accepted,
    Busy,
    ProviderUnavailable,
    Rejected,
    Task,
    Unanswered,
    WebhookCall,
)
from clipmint.providers.runware import Runware, RunwareSettings
from clipmint.providers.runware.models import FILE_LIFE_SECONDS
from clipmint.providers.transport import Patience
from local.simulator.client import Simulator, start

QUICK = {"generation_seconds": 0.1, "image_seconds": 0.1, "time_factor": 0.01}
A, B = "https://i.example/a.png", "https://i.example/b.png"
STILL = {"endpoint": "runware:101@1", "resolution": None, "duration_seconds": None}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.runware", QUICK) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def runware(simulator: Simulator) -> Runware:
    return adapter(simulator)


@pytest.fixture
def inbox() -> Iterator[tuple[str, Queue[WebhookCall]]]:
    calls: Queue[WebhookCall] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.put(WebhookCall({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks/runware/job/video/t?a=1&b=2", calls
        server.shutdown()
        thread.join()


def adapter(simulator: Simulator, **settings: Any) -> Runware:
    given = {
        "key": simulator.key,
        "url": simulator.url,
        "media_hosts": (urlsplit(simulator.url).netloc,),
    }
    return Runware(
        RunwareSettings(**(given | settings)),
        patience=Patience(connect=1, write=1, read=1, whole=2),
    )


def task(**changes: Any) -> Task:
    """A task of its own: every submission chooses a fresh UUID."""
    made = Task(
        task_id=str(uuid.uuid4()),
        endpoint="google:veo@3.1-lite",
        prompt="a lighthouse in the rain",
        resolution="720p",
        aspect_ratio="16:9",
        duration_seconds=4,
    )
    return dataclasses.replace(made, **changes)


def accepted(runware: Runware, **changes: Any) -> Handle:
    submitted = runware.submit(task(**changes))
    assert isinstance(submitted, Accepted), submitted
    return submitted.handle


def finished(runware: Runware, handle: Handle) -> Finished:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        outcome = runware.poll(handle)
        if not isinstance(outcome, Running):
            return outcome
        time.sleep(0.05)
    pytest.fail("still running after 20 s")


def test_a_task_is_submitted_polled_and_its_video_fetched_without_our_key(
    simulator: Simulator, runware: Runware
) -> None:
    handle = accepted(runware)
    assert runware.poll(handle) == Running()
    outcome = finished(runware, handle)
    assert isinstance(outcome, Succeeded)
    video = httpx.get(outcome.media_url, trust_env=False)
    assert video.content[4:8] == b"ftyp"
    assert [paid["request_id"] for paid in simulator.submissions()] == [handle.request_id]
    assert simulator.media()["authorization_seen"] is False


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({"endpoint": "google:3@2", "duration_seconds": 8}, 3.2),
        ({"endpoint": "google:3@2", "resolution": "4k", "aspect_ratio": "9:16"}, 2.4),
        ({"endpoint": "google:3@2", "image_url": A, "duration_seconds": 6}, 2.4),
        ({"endpoint": "google:3@3", "image_url": A, "last_image_url": B}, 0.6),
        ({"endpoint": "google:3@3", "resolution": "1080p"}, 0.6),
        ({"aspect_ratio": "9:16", "resolution": "1080p"}, 0.32),
        ({"image_url": A, "last_image_url": B, "aspect_ratio": "auto"}, 0.2),
        ({**STILL, "aspect_ratio": "1920:1080"}, 0.0038),
        ({**STILL, "aspect_ratio": "9:16"}, 0.0038),
    ],
)
def test_what_each_model_is_sent_is_taken_sounds_and_is_kept_for_a_week(
    simulator: Simulator, runware: Runware, changes: dict[str, Any], usd: float
) -> None:
    outcome = finished(runware, accepted(runware, **changes))
    assert isinstance(outcome, Succeeded)
    [paid] = simulator.submissions()
    assert paid["cost"] == pytest.approx(usd), "the price with sound"
    assert paid["input"]["ttl"] == FILE_LIFE_SECONDS


def test_a_still_is_a_picture_of_the_asked_shape(simulator: Simulator, runware: Runware) -> None:
    outcome = finished(runware, accepted(runware, **STILL, aspect_ratio="1080:1920"))
    assert isinstance(outcome, Succeeded)
    picture = httpx.get(outcome.media_url, trust_env=False).content
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(picture[at : at + 4]) for at in (16, 20))
    assert (width, height) == (1088, 1920)


def test_a_success_without_its_status_is_seen_by_its_file(
    simulator: Simulator, runware: Runware
) -> None:
    simulator.change(success_status=False)
    assert isinstance(finished(runware, accepted(runware)), Succeeded)


@pytest.mark.parametrize("failures_as", ["errors", "item"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "moderation"}, FailureCode.CONTENT_POLICY),
        ({"kind": "moderation", "code": "contentPolicyViolation"}, FailureCode.CONTENT_POLICY),
        ({"kind": "provider_timeout"}, FailureCode.PROVIDER_TIMEOUT),
        ({"kind": "task_error"}, FailureCode.PROVIDER_ERROR),
        ({"kind": "task_error", "code": "noAvailableServer"}, FailureCode.PROVIDER_UNAVAILABLE),
        ({"kind": "task_error", "code": "neverHeardOf"}, FailureCode.PROVIDER_ERROR),
    ],
)
def test_a_run_that_failed_says_why_in_either_place(
    simulator: Simulator,
    runware: Runware,
    fault: dict[str, Any],
    code: FailureCode,
    failures_as: str,
) -> None:
    simulator.change(failures_as=failures_as)
    simulator.arm(**fault)
    outcome = finished(runware, accepted(runware))
    assert isinstance(outcome, Failed)
    assert outcome.code is code


def test_a_picture_that_cannot_be_fetched_is_the_users_to_mend(runware: Runware) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.png"
        outcome = finished(runware, accepted(runware, image_url=url))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.INPUT_UNREADABLE


@pytest.mark.parametrize("errors_in_200", [False, True])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"duration_seconds": 5}, FailureCode.INVALID_INPUT),
        ({"resolution": "4k"}, FailureCode.INVALID_INPUT),
        ({"prompt": " "}, FailureCode.INVALID_INPUT),
    ],
)
def test_a_bad_setting_is_refused_at_once_in_any_status(
    simulator: Simulator,
    runware: Runware,
    changes: dict[str, Any],
    code: FailureCode,
    *,
    errors_in_200: bool,
) -> None:
    simulator.change(errors_in_200=errors_in_200)
    submitted = runware.submit(task(**changes))
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code
    assert simulator.submissions() == []


@pytest.mark.parametrize("errors_in_200", [False, True])
@pytest.mark.parametrize("wrong", ["key", "funds"])
def test_a_wrong_key_or_an_empty_purse_is_the_owners_matter(
    simulator: Simulator, wrong: str, *, errors_in_200: bool
) -> None:
    simulator.change(out_of_credits=wrong == "funds", errors_in_200=errors_in_200)
    key = "not-ours" if wrong == "key" else simulator.key
    submitted = adapter(simulator, key=key).submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    assert simulator.submissions() == []


@pytest.mark.parametrize("errors_in_200", [False, True])
@pytest.mark.parametrize("fault", ["submit_429", "submit_503"])
def test_a_busy_runware_has_accepted_nothing(
    simulator: Simulator, runware: Runware, fault: str, *, errors_in_200: bool
) -> None:
    simulator.change(errors_in_200=errors_in_200)
    simulator.arm(fault)
    assert isinstance(runware.submit(task()), Busy)
    assert simulator.submissions() == []


def test_a_queue_at_capacity_means_busy(simulator: Simulator, runware: Runware) -> None:
    simulator.change(capacity=1, generation_seconds=60)
    accepted(runware)
    assert isinstance(runware.submit(task()), Busy)


def test_a_port_nobody_listens_on_means_busy(simulator: Simulator) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        assert isinstance(adapter(simulator, url=url).submit(task()), Busy)


def test_a_failed_tls_handshake_means_busy(simulator: Simulator) -> None:
    url = simulator.url.replace("http://", "https://")
    assert isinstance(adapter(simulator, url=url).submit(task()), Busy)
    assert simulator.submissions() == []


# ── A submission whose answer was lost ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("errors_in_200", [False, True])
@pytest.mark.parametrize(
    "fault", ["submit_reset_after", "submit_timeout_after", "submit_504_after", "submit_garbled"]
)
def test_a_lost_answer_is_sent_again_and_paid_for_once(
    simulator: Simulator, runware: Runware, fault: str, *, errors_in_200: bool
) -> None:
    simulator.change(errors_in_200=errors_in_200)
    simulator.arm(fault)
    first = task()
    assert isinstance(runware.submit(first), Unanswered)
    assert runware.submit(dataclasses.replace(first, resent=True)) == Accepted(
        Handle(first.task_id)
    )
    [paid] = simulator.submissions()
    assert (paid["request_id"], paid["calls"]["conflict"]) == (first.task_id, 1)
    assert isinstance(finished(runware, Handle(first.task_id)), Succeeded)


@pytest.mark.parametrize("fault", ["submit_reset_before", "submit_502_html", "submit_504"])
def test_what_only_looked_accepted_is_accepted_when_sent_again(
    simulator: Simulator, runware: Runware, fault: str
) -> None:
    simulator.arm(fault)
    first = task()
    assert isinstance(runware.submit(first), Unanswered)
    assert simulator.submissions() == []
    assert isinstance(runware.submit(dataclasses.replace(first, resent=True)), Accepted)
    assert len(simulator.submissions()) == 1


def test_a_purse_emptied_by_the_task_itself_does_not_make_it_refused(
    simulator: Simulator, runware: Runware
) -> None:
    simulator.arm("submit_reset_after")
    first = task()
    assert isinstance(runware.submit(first), Unanswered)
    simulator.change(out_of_credits=True)
    again = dataclasses.replace(first, resent=True)
    assert isinstance(runware.submit(again), Unanswered), "402 now; what was it then?"
    simulator.change(out_of_credits=False)
    assert isinstance(runware.submit(again), Accepted)
    assert len(simulator.submissions()) == 1


def test_a_uuid_already_taken_on_a_first_attempt_is_a_doubt_that_settles_itself(
    simulator: Simulator, runware: Runware
) -> None:
    first = task()
    assert isinstance(runware.submit(first), Accepted)
    assert isinstance(runware.submit(first), Unanswered)
    assert runware.submit(dataclasses.replace(first, resent=True)) == Accepted(
        Handle(first.task_id)
    )
    assert len(simulator.submissions()) == 1


# ── Questions that go wrong ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("poll_error", {}),
        ("poll_error", {"status": 401, "code": "invalidApiKey"}),
        ("poll_error", {"status": 402, "code": "insufficientCredits"}),
        ("poll_error", {"status": 200, "code": "internalServerError"}),
        ("poll_502_html", {}),
        ("poll_reset", {}),
        ("poll_garbled", {}),
    ],
)
def test_a_question_that_goes_wrong_is_asked_again_with_success(
    simulator: Simulator, runware: Runware, fault: str, params: dict[str, Any]
) -> None:
    handle = accepted(runware)
    simulator.arm(fault, **params)
    with pytest.raises(ProviderUnavailable):
        runware.poll(handle)
    assert isinstance(finished(runware, handle), Succeeded)


@pytest.mark.parametrize("fault", ["poll_gone", "poll_unknown_status"])
def test_a_task_that_seems_forgotten_is_waited_for(
    simulator: Simulator, runware: Runware, fault: str
) -> None:
    handle = accepted(runware)
    simulator.arm(fault)
    assert runware.poll(handle) == Running()
    assert isinstance(finished(runware, handle), Succeeded)


def test_a_task_runware_never_heard_of_looks_like_one_that_is_waiting(runware: Runware) -> None:
    assert runware.poll(Handle(str(uuid.uuid4()))) == Running()


def test_nothing_is_asked_when_a_task_cannot_be_taken_back(
    simulator: Simulator, runware: Runware
) -> None:
    simulator.change(generation_seconds=0.5)
    handle = accepted(runware)
    assert runware.cancel(handle) is False
    assert isinstance(finished(runware, handle), Succeeded)
    [paid] = simulator.submissions()
    assert set(paid["calls"]) == {"getResponse"}


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["flat", "wrapped"])
@pytest.mark.parametrize("fault", [None, "moderation"])
def test_a_webhook_in_either_form_is_a_hint_and_the_poll_tells(
    simulator: Simulator,
    runware: Runware,
    inbox: tuple[str, Queue[WebhookCall]],
    form: str,
    fault: str | None,
) -> None:
    url, calls = inbox
    simulator.change(webhook_form=form)
    if fault:
        simulator.arm(fault)
    handle = accepted(runware, webhook_url=url)
    notice = runware.read_webhook(calls.get(timeout=10), "google:veo@3.1-lite")
    assert (notice.handle, notice.outcome) == (handle, None)
    outcome = runware.poll(notice.handle)
    assert isinstance(outcome, Failed if fault else Succeeded)


def test_a_lost_submission_is_found_by_its_webhook(
    simulator: Simulator, runware: Runware, inbox: tuple[str, Queue[WebhookCall]]
) -> None:
    url, calls = inbox
    simulator.arm("submit_reset_after")
    assert isinstance(runware.submit(task(webhook_url=url)), Unanswered)
    notice = runware.read_webhook(calls.get(timeout=10), "google:veo@3.1-lite")
    assert isinstance(runware.poll(notice.handle), Succeeded)


def test_a_forged_webhook_moves_nothing_but_a_question(
    simulator: Simulator, runware: Runware, inbox: tuple[str, Queue[WebhookCall]]
) -> None:
    url, calls = inbox
    evil = "https://evil.example/v.mp4"
    simulator.arm("webhook_forged", members={"videoURL": evil, "cost": 0})
    handle = accepted(runware, webhook_url=url)
    call = calls.get(timeout=10)
    assert json.loads(call.body)["videoURL"] == evil
    notice = runware.read_webhook(call, "google:veo@3.1-lite")
    assert notice.outcome is None
    outcome = finished(runware, notice.handle)
    assert notice.handle == handle
    assert isinstance(outcome, Succeeded)
    assert outcome.media_url != evil


def test_a_webhook_that_says_processing_is_answered_by_a_poll_that_says_so_too(
    simulator: Simulator, runware: Runware, inbox: tuple[str, Queue[WebhookCall]]
) -> None:
    url, calls = inbox
    simulator.arm("webhook_processing")
    handle = accepted(runware, webhook_url=url)
    notices = [runware.read_webhook(calls.get(timeout=10), "x") for _ in range(2)]
    assert [(notice.handle, notice.outcome) for notice in notices] == [(handle, None)] * 2


def test_a_webhook_delivered_twice_is_the_same_hint_twice(
    simulator: Simulator, runware: Runware, inbox: tuple[str, Queue[WebhookCall]]
) -> None:
    url, calls = inbox
    simulator.arm("webhook_duplicate")
    accepted(runware, webhook_url=url)
    first, second = (runware.read_webhook(calls.get(timeout=10), "x") for _ in range(2))
    assert first == second
