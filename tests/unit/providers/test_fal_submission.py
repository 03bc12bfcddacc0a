"""Submitting to fal: what is sent, and what each kind of failed call proves."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import FailureCode
from clipmint.providers import transport
from clipmint.providers.base import (
    Accepted,
    Busy,
    Provider,
    Rejected,
    Unanswered,
)
from clipmint.providers.fal import Fal, FalSettings, addresses
from clipmint.providers.transport import MAX_RESPONSE_BYTES
from tests.support.fal_wire import (
    BASE,
    KEY,
    QUEUE,
    REQUEST_ID,
    answer,
    fal,
    submission_answer,
    task,
)

NAMES = ("status", "result", "cancel")
WEBHOOK = "https://api.example.com/webhooks/fal/job-1/video/s3cret?x=1&y=ü"


def test_an_accepted_task_is_known_by_its_id_and_the_urls_fal_returned() -> None:
    adapter, wire = fal(answer(200, submission_answer(response_url=f"{BASE}/response")))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Accepted)
    assert submitted.handle.request_id == REQUEST_ID
    assert {name: addresses.url_of(submitted.handle, name) for name in NAMES} == {
        "status": f"{BASE}/status",
        "result": f"{BASE}/response",
        "cancel": f"{BASE}/cancel",
    }
    assert wire.calls == [f"POST {QUEUE}/fal-ai/veo3.1"]


def test_the_adapter_is_a_provider_that_waits_after_a_lost_answer() -> None:
    adapter: Provider = Fal(FalSettings(key=KEY))
    assert (adapter.name, adapter.after_unanswered) == ("fal", "wait")
    assert adapter.media_hosts == (".fal.media",)


def test_a_202_or_a_runner_so_fast_that_there_is_no_position_is_accepted_too() -> None:
    bare = {"status": "IN_PROGRESS", "request_id": REQUEST_ID}
    adapter, _ = fal(answer(202, bare))
    assert isinstance(adapter.submit(task()), Accepted)


def test_the_request_has_the_owners_key_and_the_headers_against_double_payment() -> None:
    adapter, wire = fal(answer(200, submission_answer()))
    adapter.submit(task(start_within_seconds=900, webhook_url=WEBHOOK))
    [request] = wire.requests
    assert request.headers["authorization"] == f"Key {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-fal-no-retry"] == "1"
    assert request.headers["x-fal-request-timeout"] == "900"
    assert json.loads(request.headers["x-fal-object-lifecycle-preference"]) == {
        "expiration_duration_seconds": 604800
    }
    assert parse_qs(request.url.query.decode()) == {"fal_webhook": [WEBHOOK]}


def test_without_a_webhook_url_or_a_latest_start_neither_is_mentioned() -> None:
    adapter, wire = fal(answer(200, submission_answer()))
    adapter.submit(task())
    assert wire.requests[0].url.query == b""
    assert "x-fal-request-timeout" not in wire.requests[0].headers


@pytest.mark.parametrize("variant", ["", "/fast", "/lite"])
def test_veo_from_text_states_everything_that_moves_the_price(variant: str) -> None:
    adapter, wire = fal(answer(200, submission_answer()))
    adapter.submit(task(endpoint=f"fal-ai/veo3.1{variant}"))
    assert json.loads(wire.requests[0].content) == {
        "prompt": "a lighthouse in the rain",
        "duration": "8s",
        "resolution": "720p",
        "aspect_ratio": "16:9",
        "generate_audio": True,
        "safety_tolerance": "4",
        "auto_fix": True,
    }


def test_veo_from_an_image_names_it_image_url() -> None:
    adapter, wire = fal(answer(200, submission_answer()))
    adapter.submit(
        task(endpoint="fal-ai/veo3.1/image-to-video", image_url="https://i.example/a.png")
    )
    body = json.loads(wire.requests[0].content)
    assert body["image_url"] == "https://i.example/a.png"
    assert "auto_fix" not in body


def test_veo_between_frames_names_the_first_and_the_last() -> None:
    adapter, wire = fal(answer(200, submission_answer()))
    adapter.submit(
        task(
            endpoint="fal-ai/veo3.1/first-last-frame-to-video",
            image_url="https://i.example/a.png",
            last_image_url="https://i.example/b.png",
            duration_seconds=4,
        )
    )
    body = json.loads(wire.requests[0].content)
    assert body["first_frame_url"] == "https://i.example/a.png"
    assert body["last_frame_url"] == "https://i.example/b.png"
    assert body["duration"] == "4s"
    assert "image_url" not in body


def test_sora_takes_its_duration_as_a_number() -> None:
    adapter, wire = fal(answer(200, submission_answer()))
    adapter.submit(
        task(
            endpoint="fal-ai/sora-2/image-to-video",
            image_url="https://i.example/a.png",
            resolution="auto",
            aspect_ratio="auto",
            duration_seconds=12,
        )
    )
    assert json.loads(wire.requests[0].content) == {
        "prompt": "a lighthouse in the rain",
        "image_url": "https://i.example/a.png",
        "resolution": "auto",
        "aspect_ratio": "auto",
        "duration": 12,
        "delete_video": True,
    }


@pytest.mark.parametrize(
    ("unfit", "code"),
    [
        ({"endpoint": "fal-ai/unheard-of"}, FailureCode.INTERNAL),
        ({"endpoint": "fal-ai/veo3.1/../../evil"}, FailureCode.INTERNAL),
        ({"duration_seconds": None}, FailureCode.INTERNAL),
        ({"resolution": None}, FailureCode.INTERNAL),
        ({"image_url": "https://i.example/a.png"}, FailureCode.INVALID_INPUT),
        ({"endpoint": "fal-ai/veo3.1/image-to-video"}, FailureCode.INVALID_INPUT),
        (
            {
                "endpoint": "fal-ai/veo3.1/image-to-video",
                "last_image_url": "https://i.example/b.png",
            },
            FailureCode.INVALID_INPUT,
        ),
        (
            {
                "endpoint": "fal-ai/veo3.1/first-last-frame-to-video",
                "image_url": "https://i.example/a.png",
            },
            FailureCode.INVALID_INPUT,
        ),
    ],
)
def test_a_task_that_does_not_fit_its_endpoint_is_never_sent(
    unfit: dict[str, object], code: FailureCode
) -> None:
    adapter, wire = fal()
    submitted = adapter.submit(task(**unfit))
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code
    assert wire.requests == []


@pytest.mark.parametrize(
    "broken",
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout],
    ids=lambda e: e.__name__,
)
def test_a_connection_that_breaks_before_a_byte_is_sent_means_busy(
    broken: type[httpx.TransportError],
) -> None:
    adapter, wire = fal(broken("[Errno 111] Connection refused"))
    assert isinstance(adapter.submit(task()), Busy)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [
        httpx.WriteTimeout,
        httpx.WriteError,
        httpx.ReadTimeout,
        httpx.ReadError,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.CloseError,
        httpx.ProxyError,
        httpx.DecodingError,
        httpx.TooManyRedirects,
    ],
    ids=lambda e: e.__name__,
)
def test_a_connection_that_breaks_after_a_byte_may_be_sent_leaves_a_doubt(
    broken: type[httpx.RequestError],
) -> None:
    adapter, wire = fal(broken("broken"))
    assert isinstance(adapter.submit(task()), Unanswered)
    assert len(wire.requests) == 1, "a submission is sent once"


def test_every_error_of_httpx_is_classified() -> None:
    def leaves(kind: type[Exception]) -> set[str]:
        # Its own: other libraries, loaded by other tests, add to the tree.
        own = [child for child in kind.__subclasses__() if child.__module__ == "httpx"]
        below = [name for child in own for name in leaves(child)]
        return set(below) or {kind.__name__}

    doc = transport.__doc__ or ""
    assert [name for name in sorted(leaves(httpx.RequestError)) if name not in doc] == []


@pytest.mark.parametrize("broken", [httpx.UnsupportedProtocol, httpx.InvalidURL])
def test_a_request_that_can_never_be_sent_is_our_own_fault(broken: type[Exception]) -> None:
    adapter, _ = fal(broken("no such scheme"))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.INTERNAL


@pytest.mark.parametrize("status", [429, 503])
def test_too_many_requests_and_unavailable_mean_busy(status: int) -> None:
    adapter, _ = fal(answer(status, {"detail": "later"}))
    assert adapter.submit(task()) == Busy(f"HTTP {status}: later")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>ok</html>"),
        (200, b'{"request_id": "764c'),
        (200, b"[" * 100_000),
        (200, b"\xff\xfe"),
        (200, {"status": "IN_QUEUE"}),
        (200, {"request_id": 7}),
        (200, {"request_id": "../../../etc"}),
        (200, ["not", "an", "object"]),
        (204, b""),
        (302, b""),
        (307, b""),
        (408, b""),
        (499, {"detail": "client closed"}),
        (500, {"detail": "Internal Server Error"}),
        (502, b"<html>nginx</html>"),
        (504, {"detail": "x", "error_type": "request_timeout"}),
        (599, b""),
    ],
)
def test_an_inconclusive_response_counts_as_no_response(status: int, body: object) -> None:
    adapter, wire = fal(answer(status, body, {"location": f"{QUEUE}/elsewhere"}))
    assert isinstance(adapter.submit(task()), Unanswered)
    assert len(wire.requests) == 1, "no redirect is followed and nothing sent again"


def test_an_answer_without_end_is_no_answer() -> None:
    adapter, _ = fal(answer(200, submission_answer(padding="x" * MAX_RESPONSE_BYTES)))
    assert isinstance(adapter.submit(task()), Unanswered)


LOCKED = (
    "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"detail": "No user found for Key ID and Secret"}, FailureCode.OWNER_ACCOUNT),
        (403, {"detail": LOCKED}, FailureCode.OWNER_ACCOUNT),
        (403, b"forbidden", FailureCode.OWNER_ACCOUNT),
        (404, {"detail": "Path /x not found"}, FailureCode.INTERNAL),
        (405, {"detail": "Method Not Allowed"}, FailureCode.INTERNAL),
        (400, {"detail": "no", "error_type": "bad_request"}, FailureCode.INVALID_INPUT),
        (418, b"", FailureCode.PROVIDER_ERROR),
        (
            422,
            {"detail": [{"type": "content_policy_violation", "msg": "flagged", "input": {}}]},
            FailureCode.CONTENT_POLICY,
        ),
    ],
)
def test_any_other_4xx_is_a_final_rejection(status: int, body: object, code: FailureCode) -> None:
    adapter, _ = fal(answer(status, body))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/fal-ai/veo3.1/requests/{id}/status",
        "http://queue.fal.run/fal-ai/veo3.1/requests/{id}/status",
        "https://queue.fal.run.evil.example/fal-ai/veo3.1/requests/{id}/status",
        "https://queue.fal.run@evil.example/fal-ai/veo3.1/requests/{id}/status",
        "https://queue.fal.run:8443/fal-ai/veo3.1/requests/{id}/status",
        "https://queue.fal.run\\@evil.example/requests/{id}/status",
        "https://queue.fal.run/../requests/{id}/status",
        "/fal-ai/veo3.1/fast/requests/{id}/status",
        "https://queue.fal.run/fal-ai/veo3.1/requests/somebody-elses/status",
        "https://queue.fal.run/fal-ai/veo3.1/requests/{id}x/status",
        "https://queue.fal.run/fal-ai/veo3.1/requests/{id}/status?next=https://evil.example",
        "",
        None,
        7,
    ],
)
def test_a_url_elsewhere_is_dropped_and_built_under_two_segments(elsewhere: object) -> None:
    given = elsewhere.format(id=REQUEST_ID) if isinstance(elsewhere, str) else elsewhere
    adapter, _ = fal(answer(200, submission_answer(status_url=given)))
    submitted = adapter.submit(task(endpoint="fal-ai/veo3.1/fast"))
    assert isinstance(submitted, Accepted)
    assert addresses.url_of(submitted.handle, "status") == f"{BASE}/status"


def test_a_request_id_alone_makes_a_usable_handle() -> None:
    sora = addresses.handle(QUEUE, "fal-ai/sora-2/image-to-video", REQUEST_ID, {})
    assert addresses.url_of(sora, "result") == f"{QUEUE}/fal-ai/sora-2/requests/{REQUEST_ID}"
    comfy = addresses.handle(QUEUE, "comfy/some/flow/x", "r1", {})
    assert addresses.url_of(comfy, "status") == f"{QUEUE}/comfy/some/flow/requests/r1/status"


def test_a_handle_holds_no_url_that_follows_from_another() -> None:
    adapter, _ = fal(answer(200, submission_answer()))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Accepted)
    assert submitted.handle.urls == {"result": BASE}
    assert {name: addresses.url_of(submitted.handle, name) for name in NAMES} == {
        "status": f"{BASE}/status",
        "result": BASE,
        "cancel": f"{BASE}/cancel",
    }


def test_a_handle_of_an_earlier_version_is_used_as_it_is() -> None:
    urls = {"status": f"{BASE}/s", "result": f"{BASE}/r", "cancel": f"{BASE}/c"}
    found = {name: addresses.url_of(Handle(REQUEST_ID, urls), name) for name in NAMES}
    assert found == urls
    assert addresses.url_of(Handle(REQUEST_ID), "status") == ""
