"""The fal adapter against the simulated fal, over real sockets on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Running, Succeeded
from clipmint.providers.base import (
    Accepted,
    Busy,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Task,
    Unanswered,
    WebhookCall,
    WebhookRejected,
)
from clipmint.providers.fal import Fal, FalSettings, addresses
from clipmint.providers.transport import Patience
from local.simulator.client import Simulator, start

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
TASK = Task(
    task_id="1a2b3c4d-0000-4000-8000-000000000001",
    endpoint="fal-ai/veo3.1/fast",
    prompt="a lighthouse in the rain",
    resolution="720p",
    aspect_ratio="16:9",
    duration_seconds=4,
)
QUICK = {"queue_seconds": 0.1, "generation_seconds": 0.1, "time_factor": 0.01}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with start("local.fal", QUICK) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def fal(simulator: Simulator) -> Fal:
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
        yield f"http://127.0.0.1:{server.server_port}/webhooks/fal/job/video/t?a=1&b=2", calls
        server.shutdown()
        thread.join()


def adapter(simulator: Simulator, key: str | None = None, queue_url: str | None = None) -> Fal:
    settings = FalSettings(
        key=simulator.key if key is None else key,
        queue_url=queue_url or simulator.url,
        jwks_url=simulator.about["jwks_url"],
        media_hosts=(simulator.url.removeprefix("http://"),),
    )
    return Fal(settings, patience=Patience(connect=1, write=1, read=1, whole=2))


def task(**changes: object) -> Task:
    return Task(**{**{name: getattr(TASK, name) for name in TASK.__slots__}, **changes})


def accepted(submitted: Submitted) -> Handle:
    assert isinstance(submitted, Accepted), submitted
    return submitted.handle


def finished(fal: Fal, handle: Handle) -> Finished:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        outcome = fal.poll(handle)
        if not isinstance(outcome, Running):
            return outcome
        time.sleep(0.05)
    pytest.fail("still running after 20 s")


def test_a_task_is_submitted_polled_and_its_video_fetched_without_our_key(
    simulator: Simulator, fal: Fal
) -> None:
    handle = accepted(fal.submit(TASK))
    assert isinstance(fal.poll(handle), Running)
    outcome = finished(fal, handle)
    assert isinstance(outcome, Succeeded)
    video = httpx.get(outcome.media_url, trust_env=False)
    assert video.content[4:8] == b"ftyp"
    assert [paid["request_id"] for paid in simulator.submissions()] == [handle.request_id]
    assert simulator.media()["authorization_seen"] is False


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "fal-ai/veo3.1"},
        {"endpoint": "fal-ai/veo3.1/image-to-video", "image_url": "https://i.example/a.png"},
        {
            "endpoint": "fal-ai/veo3.1/first-last-frame-to-video",
            "image_url": "https://i.example/a.png",
            "last_image_url": "https://i.example/b.png",
        },
        {
            "endpoint": "fal-ai/sora-2/image-to-video",
            "image_url": "https://i.example/a.png",
            "resolution": "auto",
            "aspect_ratio": "auto",
        },
    ],
)
def test_what_each_family_is_sent_passes_the_models_own_validation(
    fal: Fal, changes: dict[str, object]
) -> None:
    outcome = finished(fal, accepted(fal.submit(task(**changes))))
    assert isinstance(outcome, Succeeded)


def test_a_bad_setting_is_accepted_at_first_and_fails_when_it_runs(fal: Fal) -> None:
    outcome = finished(fal, accepted(fal.submit(task(duration_seconds=5))))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.INVALID_INPUT


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("moderation", FailureCode.CONTENT_POLICY),
        ("no_media_generated", FailureCode.NO_OUTPUT),
        ("file_download_error", FailureCode.INPUT_UNREADABLE),
        ("generation_timeout", FailureCode.PROVIDER_TIMEOUT),
        ("model_error", FailureCode.PROVIDER_ERROR),
        ("runner_error", FailureCode.PROVIDER_ERROR),
    ],
)
def test_webhook_and_poll_agree_on_why_a_run_failed(
    simulator: Simulator,
    fal: Fal,
    inbox: tuple[str, Queue[WebhookCall]],
    fault: str,
    code: FailureCode,
) -> None:
    url, calls = inbox
    simulator.arm(fault)
    handle = accepted(fal.submit(task(webhook_url=url)))
    notice = fal.read_webhook(calls.get(timeout=10), TASK.endpoint)
    polled = finished(fal, handle)
    assert notice.handle.request_id == handle.request_id
    assert isinstance(notice.outcome, Failed)
    assert isinstance(polled, Failed)
    assert notice.outcome.code is polled.code is code


def test_a_webhook_is_proven_and_says_what_the_poll_says(
    fal: Fal, inbox: tuple[str, Queue[WebhookCall]]
) -> None:
    url, calls = inbox
    handle = accepted(fal.submit(task(webhook_url=url)))
    notice = fal.read_webhook(calls.get(timeout=10), TASK.endpoint)
    assert notice.handle.request_id == handle.request_id
    assert notice.outcome == fal.poll(handle)


@pytest.mark.parametrize(
    "how", ["bad_signature", "foreign_key", "stale_timestamp", "altered_body", "unsigned"]
)
def test_a_forged_webhook_is_refused_and_the_genuine_one_after_it_believed(
    simulator: Simulator, fal: Fal, inbox: tuple[str, Queue[WebhookCall]], how: str
) -> None:
    url, calls = inbox
    simulator.arm("webhook_forged", how=how, then_genuine=True)
    fal.submit(task(webhook_url=url))
    with pytest.raises(WebhookRejected):
        fal.read_webhook(calls.get(timeout=10), TASK.endpoint)
    assert isinstance(fal.read_webhook(calls.get(timeout=10), TASK.endpoint).outcome, Succeeded)


def test_a_webhook_without_payload_only_hints_and_the_poll_has_the_video(
    simulator: Simulator, fal: Fal, inbox: tuple[str, Queue[WebhookCall]]
) -> None:
    url, calls = inbox
    simulator.arm("webhook_payload_null")
    handle = accepted(fal.submit(task(webhook_url=url)))
    assert fal.read_webhook(calls.get(timeout=10), TASK.endpoint).outcome is None
    assert isinstance(fal.poll(handle), Succeeded)


@pytest.mark.parametrize("fault", ["submit_reset_after", "submit_timeout_after", "submit_garbled"])
def test_a_lost_answer_is_paid_for_once_and_found_by_its_webhook(
    simulator: Simulator, fal: Fal, inbox: tuple[str, Queue[WebhookCall]], fault: str
) -> None:
    url, calls = inbox
    simulator.arm(fault)
    assert isinstance(fal.submit(task(webhook_url=url)), Unanswered)
    notice = fal.read_webhook(calls.get(timeout=10), TASK.endpoint)
    [paid] = simulator.submissions()
    assert notice.handle.request_id == paid["request_id"]
    handle = notice.handle
    assert fal.poll(handle) == notice.outcome


@pytest.mark.parametrize("fault", ["submit_429", "submit_503"])
def test_a_busy_fal_has_accepted_nothing(simulator: Simulator, fal: Fal, fault: str) -> None:
    simulator.arm(fault)
    assert isinstance(fal.submit(TASK), Busy)
    assert simulator.submissions() == []


@pytest.mark.parametrize("fault", ["submit_reset_before", "submit_502_html"])
def test_what_looks_like_a_lost_answer_is_not_called_refused(
    simulator: Simulator, fal: Fal, fault: str
) -> None:
    simulator.arm(fault)
    assert isinstance(fal.submit(TASK), Unanswered)


def test_a_port_nobody_listens_on_means_busy(simulator: Simulator) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        fal = adapter(simulator, queue_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert isinstance(fal.submit(TASK), Busy)


def test_a_failed_tls_handshake_means_busy(simulator: Simulator) -> None:
    fal = adapter(simulator, queue_url=simulator.url.replace("http://", "https://"))
    assert isinstance(fal.submit(TASK), Busy)
    assert simulator.submissions() == []


@pytest.mark.parametrize("wrong", ["key", "funds"])
def test_a_wrong_key_or_an_empty_purse_is_the_owners_matter(
    simulator: Simulator, wrong: str
) -> None:
    if wrong == "funds":
        simulator.change(locked=True)
    submitted = adapter(simulator, key="not:ours" if wrong == "key" else None).submit(TASK)
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    assert simulator.submissions() == []


def test_a_queued_request_is_cancelled_and_then_known_as_cancelled(
    simulator: Simulator, fal: Fal
) -> None:
    simulator.change(queue_seconds=60)
    handle = accepted(fal.submit(TASK))
    assert fal.cancel(handle) is True
    outcome = finished(fal, handle)
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.CANCELLED


def test_a_running_request_is_not_cancelled_and_comes_to_its_end(
    simulator: Simulator, fal: Fal
) -> None:
    simulator.change(queue_seconds=0, generation_seconds=1)
    handle = accepted(fal.submit(TASK))
    until = time.monotonic() + 10
    while fal.poll(handle) != Running(None) and time.monotonic() < until:
        time.sleep(0.02)
    assert fal.cancel(handle) is False
    assert isinstance(finished(fal, handle), Succeeded)
    assert fal.cancel(handle) is False


def test_a_request_that_may_not_start_late_fails_instead(simulator: Simulator, fal: Fal) -> None:
    simulator.change(queue_seconds=60)
    outcome = finished(fal, accepted(fal.submit(task(start_within_seconds=1))))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_TIMEOUT


@pytest.mark.parametrize("fault", ["poll_error", "poll_reset", "poll_gone"])
def test_a_question_that_goes_wrong_is_asked_again_with_success(
    simulator: Simulator, fal: Fal, fault: str
) -> None:
    handle = accepted(fal.submit(TASK))
    simulator.arm(fault)
    with pytest.raises(ProviderUnavailable):
        fal.poll(handle)
    assert isinstance(finished(fal, handle), Succeeded)


def test_an_unheard_of_status_is_waited_out(simulator: Simulator, fal: Fal) -> None:
    handle = accepted(fal.submit(TASK))
    simulator.arm("poll_unknown_status")
    assert fal.poll(handle) == Running()
    assert isinstance(finished(fal, handle), Succeeded)


def test_a_handle_of_an_unknown_request_has_no_outcome(simulator: Simulator, fal: Fal) -> None:
    with pytest.raises(ProviderUnavailable, match="404"):
        fal.poll(addresses.handle(simulator.url, TASK.endpoint, UNKNOWN_ID, {}))
