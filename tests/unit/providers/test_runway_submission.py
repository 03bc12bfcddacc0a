"""Submitting to Runway: where a task is sent, its content, and what a response proves."""

from __future__ import annotations

import json

import httpx
import pytest

from clipmint.catalog.known_endpoints import KNOWN
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import FailureCode
from clipmint.media.files import HostNotListed
from clipmint.media.hosts import AllowedHosts
from clipmint.providers.base import Accepted, Busy, Provider, Rejected, Unanswered, WebhookSender
from clipmint.providers.runway import Runway, RunwaySettings
from clipmint.providers.transport import MAX_RESPONSE_BYTES
from tests.support.runway_wire import (
    API,
    KEY,
    NO_CREDITS,
    TASK_ID,
    A,
    B,
    accepted,
    answer,
    refusal,
    runway,
    task,
)

ENDPOINTS = [name for provider, name in KNOWN if provider == "runway" and "/" in name]


def sent(**changes: object) -> tuple[str, dict[str, object]]:
    """The path and the body of an accepted submission."""
    adapter, wire = runway(accepted())
    assert adapter.submit(task(**changes)) == Accepted(Handle(TASK_ID))
    [request] = wire.requests
    assert request.method == "POST"
    return request.url.path, json.loads(request.content)


def test_the_adapter_is_a_provider_that_never_calls_and_gives_up_after_a_lost_answer() -> None:
    adapter: Provider = Runway(RunwaySettings(key=KEY))
    assert (adapter.name, adapter.after_unanswered) == ("runway", "fail")
    assert not isinstance(adapter, WebhookSender)
    assert adapter.media_hosts == ("dnznrvs05pmza.cloudfront.net",)


def test_an_accepted_task_is_known_by_its_id_alone() -> None:
    adapter, wire = runway(answer(200, {"id": TASK_ID}))  # older servers send no cost
    assert adapter.submit(task()) == Accepted(Handle(TASK_ID))
    assert wire.calls == [f"POST {API}/text_to_video"]


def test_the_request_names_who_pays_and_the_api_version() -> None:
    adapter, wire = runway(accepted())
    adapter.submit(task(webhook_url="https://api.example.com/webhooks/x", start_within_seconds=60))
    headers = wire.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-runway-version"] == "2024-11-06"
    assert headers["content-type"] == "application/json"
    assert b"webhook" not in wire.requests[0].content, "there is no such field"


@pytest.mark.parametrize("given", [{}, {"image_url": A}], ids=["text", "image"])
def test_a_bare_model_makes_a_video_of_the_image_if_there_is_one(given: dict[str, object]) -> None:
    path, body = sent(endpoint="gen4.5", **given)
    assert path == ("/v1/image_to_video" if given else "/v1/text_to_video")
    assert ("promptImage" in body) is bool(given)
    assert body["model"] == "gen4.5"


@pytest.mark.parametrize("model", ["gen4_turbo", "gen4.5"])
def test_runways_own_models_take_a_first_frame_as_a_plain_url_and_know_no_sound(model: str) -> None:
    assert sent(endpoint=f"image_to_video/{model}", image_url=A) == (
        "/v1/image_to_video",
        {
            "model": model,
            "promptText": "a lighthouse in the rain",
            "promptImage": A,
            "ratio": "1280:720",
            "duration": 5,
        },
    )


@pytest.mark.parametrize("model", ["veo3.1", "veo3.1_fast"])
def test_veo_takes_two_frames_with_their_places_and_is_asked_for_sound(model: str) -> None:
    assert sent(
        endpoint=f"image_to_video/{model}", image_url=A, last_image_url=B, duration_seconds=8
    ) == (
        "/v1/image_to_video",
        {
            "model": model,
            "promptText": "a lighthouse in the rain",
            "promptImage": [{"uri": A, "position": "first"}, {"uri": B, "position": "last"}],
            "ratio": "1280:720",
            "duration": 8,
            "audio": True,
        },
    )


def test_veo_takes_one_frame_as_a_plain_url() -> None:
    _, body = sent(endpoint="image_to_video/veo3.1", image_url=A)
    assert body["promptImage"] == A


def test_an_image_is_ordered_with_its_references_and_without_a_duration() -> None:
    assert sent(
        endpoint="text_to_image/gen4_image",
        aspect_ratio="1920:1080",
        duration_seconds=None,
        reference_image_urls=(A, B),
    ) == (
        "/v1/text_to_image",
        {
            "model": "gen4_image",
            "promptText": "a lighthouse in the rain",
            "ratio": "1920:1080",
            "referenceImages": [{"uri": A}, {"uri": B}],
        },
    )


def test_an_image_without_references_sends_none() -> None:
    _, body = sent(endpoint="text_to_image/gen4_image", duration_seconds=None)
    assert "referenceImages" not in body


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_body_ever_holds_a_null(endpoint: str) -> None:
    kind, _, model = endpoint.partition("/")
    _, body = sent(
        endpoint=endpoint,
        image_url=A if kind == "image_to_video" else None,
        duration_seconds=None if kind == "text_to_image" else 4,
        reference_image_urls=(A,) if model == "gen4_image_turbo" else (),
    )
    assert None not in body.values()


@pytest.mark.parametrize("text", ["x" * 1000, "é" * 1000, "😀" * 500])
def test_a_prompt_of_1000_utf16_units_is_sent_whole(text: str) -> None:
    _, body = sent(prompt=text)
    assert body["promptText"] == text


@pytest.mark.parametrize(
    ("unfit", "code"),
    [
        ({"endpoint": "image_to_video/gen3a_turbo", "image_url": A}, FailureCode.INTERNAL),
        ({"endpoint": "text_to_video/gen4_turbo"}, FailureCode.INTERNAL),
        ({"endpoint": "text2video/gen4.5"}, FailureCode.INTERNAL),
        ({"endpoint": "../organization"}, FailureCode.INTERNAL),
        ({"endpoint": "gen4_turbo"}, FailureCode.INTERNAL),
        ({"duration_seconds": None}, FailureCode.INTERNAL),
        ({"aspect_ratio": None}, FailureCode.INTERNAL),
        ({"resolution": "720p"}, FailureCode.INTERNAL),
        ({"image_url": A}, FailureCode.INVALID_INPUT),
        ({"last_image_url": B}, FailureCode.INVALID_INPUT),
        ({"endpoint": "gen4.5", "last_image_url": B}, FailureCode.INVALID_INPUT),
        ({"reference_image_urls": (A,)}, FailureCode.INVALID_INPUT),
        ({"endpoint": "image_to_video/gen4_turbo"}, FailureCode.INVALID_INPUT),
        (
            {"endpoint": "image_to_video/gen4.5", "image_url": A, "last_image_url": B},
            FailureCode.INVALID_INPUT,
        ),
        ({"endpoint": "image_to_video/veo3.1", "last_image_url": B}, FailureCode.INVALID_INPUT),
        (
            {"endpoint": "text_to_image/gen4_image_turbo", "duration_seconds": None},
            FailureCode.INVALID_INPUT,
        ),
        (
            {
                "endpoint": "text_to_image/gen4_image",
                "duration_seconds": None,
                "reference_image_urls": (A,) * 4,
            },
            FailureCode.INVALID_INPUT,
        ),
        (
            {
                "endpoint": "text_to_image/gen4_image",
                "duration_seconds": None,
                "image_url": A,
            },
            FailureCode.INVALID_INPUT,
        ),
        ({"endpoint": "text_to_image/gen4_image"}, FailureCode.INTERNAL),
    ],
)
def test_a_task_that_does_not_fit_its_endpoint_is_never_sent(
    unfit: dict[str, object], code: FailureCode
) -> None:
    adapter, wire = runway()
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
    adapter, wire = runway(broken("[Errno 111] Connection refused"))
    assert isinstance(adapter.submit(task()), Busy)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [httpx.WriteTimeout, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError],
    ids=lambda e: e.__name__,
)
def test_a_task_is_not_sent_again_after_a_byte_of_it_may_be_sent(
    broken: type[httpx.RequestError],
) -> None:
    adapter, wire = runway(broken("broken"))
    assert isinstance(adapter.submit(task()), Unanswered)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "described"),
    [
        (429, {"message": "Too Many Requests"}, "Too Many Requests"),
        (
            429,
            {"error": "You have reached your daily limit."},
            "You have reached your daily limit.",
        ),
        (503, b"<html>Service Unavailable</html>", ""),
    ],
)
def test_a_quota_or_shed_load_means_busy(status: int, body: object, described: str) -> None:
    adapter, _ = runway(answer(status, body))
    assert adapter.submit(task()) == Busy(f"HTTP {status}: {described}")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>ok</html>"),
        (200, b'{"id": "17f2'),
        (200, {}),
        (200, {"id": None}),
        (200, {"id": 7}),
        (200, {"id": "../organization"}),
        (200, {"id": ""}),
        (200, [TASK_ID]),
        (200, {"id": TASK_ID, "padding": "x" * MAX_RESPONSE_BYTES}),
        (204, b""),
        (301, b""),
        (307, b""),
        (408, b""),
        (499, b""),
        (500, {"error": "Internal server error"}),
        (502, b"<html>nginx</html>"),
        (504, {"message": "Endpoint request timed out"}),
    ],
)
def test_an_inconclusive_response_counts_as_no_response(status: int, body: object) -> None:
    adapter, wire = runway(answer(status, body))
    assert isinstance(adapter.submit(task()), Unanswered)
    assert len(wire.requests) == 1, "no redirect is followed and nothing sent again"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, NO_CREDITS, FailureCode.OWNER_ACCOUNT),
        (401, {"error": "Unauthorized"}, FailureCode.OWNER_ACCOUNT),
        (401, b"", FailureCode.OWNER_ACCOUNT),
        (403, {"error": "Forbidden"}, FailureCode.OWNER_ACCOUNT),
        (404, {"error": "Not found"}, FailureCode.INTERNAL),
        (405, b"", FailureCode.INTERNAL),
        (400, {"error": "Invalid parameter 'promptText'"}, FailureCode.INVALID_INPUT),
        (400, b"Bad Request", FailureCode.INVALID_INPUT),
        (418, b"", FailureCode.PROVIDER_ERROR),
    ],
)
def test_any_other_4xx_is_a_final_rejection(status: int, body: object, code: FailureCode) -> None:
    adapter, wire = runway(answer(status, body))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code
    assert not submitted.failure.transient
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("issue", "code"),
    [
        ({"path": ["promptText"], "code": "too_big", "message": "x"}, FailureCode.INVALID_INPUT),
        ({"path": ["ratio"], "message": "Invalid option"}, FailureCode.INVALID_INPUT),
        ({"path": ["promptImage"], "message": "no HEAD"}, FailureCode.INPUT_UNREADABLE),
        ({"path": ["promptImage", 0, "uri"], "message": "x"}, FailureCode.INPUT_UNREADABLE),
        ({"path": ["referenceImages", 1], "message": "x"}, FailureCode.INPUT_UNREADABLE),
        ({"path": ["model"], "message": "Invalid discriminator value"}, FailureCode.INTERNAL),
        ({"path": [], "code": "unrecognized_keys", "keys": ["audio"]}, FailureCode.INTERNAL),
        ({"path": "promptImage"}, FailureCode.INVALID_INPUT),
        ({"path": ["promptText"], "message": "not enough credits"}, FailureCode.INVALID_INPUT),
    ],
)
def test_a_400_that_lists_what_is_wrong_is_read_by_field(
    issue: dict[str, object], code: FailureCode
) -> None:
    adapter, _ = runway(answer(400, refusal(issue)))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code


def test_what_was_wrong_with_a_body_is_logged_for_the_operator_in_one_line() -> None:
    issue: dict[str, object] = {"path": ["ratio"], "message": "Invalid option:\nexpected '1:1'"}
    adapter, _ = runway(answer(400, refusal(issue)))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.detail == (
        "HTTP 400: Validation of body failed; ratio: Invalid option: expected '1:1'"
    )


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("dnznrvs05pmza.cloudfront.net", True),
        ("d111111abcdef8.cloudfront.net", False),
        ("x.dnznrvs05pmza.cloudfront.net", False),
        ("dnznrvs05pmza.cloudfront.net.example.com", False),
    ],
)
def test_only_runways_own_distribution_serves_its_files(host: str, allowed: bool) -> None:
    hosts = AllowedHosts.parse(RunwaySettings().media_hosts)
    url = httpx.URL(f"https://{host}/17f2.mp4?_jwt=eyJh.eyJl.c2ln")
    if allowed:
        assert hosts.addresses(url, lambda *_: ["93.184.216.34"]) == ["93.184.216.34"]
    else:
        with pytest.raises(HostNotListed):
            hosts.addresses(url, lambda *_: ["93.184.216.34"])
