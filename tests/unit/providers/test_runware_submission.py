"""Submitting to Runware: what is sent, and what each response, or none, proves."""

from __future__ import annotations

import json

import httpx
import pytest

from clipmint.catalog.templates import Unfit, side
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import (
    Accepted,
    Busy,
    Provider,
    Rejected,
    Unanswered,
    WebhookCall,
    WebhookSender,
)
from clipmint.providers.runware import Runware, RunwareSettings
from clipmint.providers.transport import MAX_RESPONSE_BYTES
from tests.support.runware_wire import (
    ACK,
    HANDLE,
    KEY,
    OTHER_ID,
    TASK_ID,
    URL,
    answer,
    error,
    errors,
    item,
    runware,
    sent,
    task,
)

A, B = "https://i.example/a.png", "https://i.example/b.png"


def test_the_adapter_is_a_provider_that_calls_us_and_sends_again_after_a_lost_answer() -> None:
    adapter: Provider = Runware(RunwareSettings(key=KEY))
    assert (adapter.name, adapter.after_unanswered) == ("runware", "resubmit")
    assert adapter.media_hosts == ("vm.runware.ai", "im.runware.ai")
    sender: WebhookSender = Runware(RunwareSettings())
    assert (
        sender.read_webhook(WebhookCall({}, json.dumps(ACK["data"][0]).encode()), "").outcome
        is None
    )


def test_an_accepted_task_is_known_by_the_uuid_we_chose() -> None:
    adapter, wire = runware(answer(200, ACK))
    assert adapter.submit(task()) == Accepted(Handle(TASK_ID))
    assert wire.calls == [f"POST {URL}"]
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert sent(wire)["taskUUID"] == TASK_ID


def test_a_uuid_in_capitals_is_the_same_uuid() -> None:
    adapter, wire = runware(answer(200, ACK))
    assert adapter.submit(task(task_id=TASK_ID.upper())) == Accepted(HANDLE)
    assert sent(wire)["taskUUID"] == TASK_ID


@pytest.mark.parametrize(
    "task_id",
    ["", "job-1", "1a2b3c4d-0000-5000-8000-000000000001", f"{{{TASK_ID}}}", TASK_ID + "\n"],
)
def test_an_id_that_is_no_uuid_of_version_4_is_never_sent(task_id: str) -> None:
    adapter, wire = runware()
    submitted = adapter.submit(task(task_id=task_id))
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.INTERNAL
    assert wire.requests == []


def test_a_clip_from_text_is_sent_its_size_in_pixels_and_its_sound() -> None:
    adapter, wire = runware(answer(200, ACK))
    adapter.submit(task(webhook_url="https://api.example.com/hook"))
    assert sent(wire) == {
        "taskType": "videoInference",
        "taskUUID": TASK_ID,
        "model": "google:3@2",
        "positivePrompt": "a lighthouse in the rain",
        "width": 1280,
        "height": 720,
        "duration": 8,
        "numberResults": 1,
        "outputType": "URL",
        "outputFormat": "MP4",
        "deliveryMethod": "async",
        "includeCost": True,
        "ttl": 604_800,
        "webhookURL": "https://api.example.com/hook",
        "providerSettings": {"google": {"generateAudio": True}},
    }


def test_without_a_webhook_url_none_is_mentioned() -> None:
    adapter, wire = runware(answer(200, ACK))
    adapter.submit(task())
    assert "webhookURL" not in sent(wire)


@pytest.mark.parametrize(
    ("resolution", "aspect_ratio", "size"),
    [
        ("720p", "9:16", (720, 1280)),
        ("1080p", "16:9", (1920, 1080)),
        ("1080p", "9:16", (1080, 1920)),
        ("4k", "16:9", (3840, 2160)),
        ("4k", "9:16", (2160, 3840)),
    ],
)
def test_every_size_of_a_clip_is_one_runware_has(
    resolution: str, aspect_ratio: str, size: tuple[int, int]
) -> None:
    adapter, wire = runware(answer(200, ACK))
    adapter.submit(task(resolution=resolution, aspect_ratio=aspect_ratio))
    body = sent(wire)
    assert (body["width"], body["height"]) == size
    assert "resolution" not in body


@pytest.mark.parametrize("aspect_ratio", ["16:9", "auto", None])
@pytest.mark.parametrize(
    ("images", "frames"),
    [
        ({"image_url": A}, [{"image": A, "frame": "first"}]),
        (
            {"image_url": A, "last_image_url": B},
            [{"image": A, "frame": "first"}, {"image": B, "frame": "last"}],
        ),
    ],
)
def test_a_clip_with_frames_is_sent_a_resolution_and_takes_its_shape_from_them(
    images: dict[str, object], frames: list[dict[str, str]], aspect_ratio: str | None
) -> None:
    adapter, wire = runware(answer(200, ACK))
    adapter.submit(task(resolution="4k", aspect_ratio=aspect_ratio, **images))
    body = sent(wire)
    assert body["resolution"] == "4K"
    assert body["inputs"] == {"frameImages": frames}
    assert not {"width", "height"} & set(body)


def test_a_still_is_drawn_lossless_in_steps_of_64_pixels() -> None:
    adapter, wire = runware(answer(200, ACK))
    adapter.submit(
        task(
            endpoint="runware:101@1",
            aspect_ratio="1920:1080",
            resolution=None,
            duration_seconds=None,
        )
    )
    body = sent(wire)
    assert body["taskType"] == "imageInference"
    assert (body["width"], body["height"], body["outputFormat"]) == (1920, 1088, "PNG")
    assert body["deliveryMethod"] == "async"
    assert not {"duration", "providerSettings"} & set(body)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("16:9", (1344, 768)),
        ("9:16", (768, 1344)),
        ("1:1", (1024, 1024)),
        ("4:3", (1152, 896)),
        ("21:9", (1536, 640)),
        ("1024:1024", (1024, 1024)),
        ("1080:1920", (1088, 1920)),
        ("1168:880", (1152, 896)),
        ("1080:1440", (1088, 1472)),
    ],
)
def test_a_ratio_is_a_size_or_the_shape_of_a_megapixel(ratio: str, size: tuple[int, int]) -> None:
    assert (side(ratio, "width"), side(ratio, "height")) == size


@pytest.mark.parametrize(
    "ratio", ["", "auto", "16:0", "0:9", "16x9", "-1:1", "1:99999", "4096:2160", "99999:99999"]
)
def test_a_size_that_cannot_be_drawn_is_not_asked_for(ratio: str) -> None:
    with pytest.raises(Unfit) as unfit:
        side(ratio, "width")
    assert not unfit.value.by_user


STILL = {"endpoint": "runware:101@1", "duration_seconds": None, "resolution": None}


@pytest.mark.parametrize(
    ("unfit", "code"),
    [
        ({"endpoint": "google:9@9"}, FailureCode.INTERNAL),
        ({"duration_seconds": None}, FailureCode.INTERNAL),
        ({"resolution": None}, FailureCode.INTERNAL),
        ({"resolution": "480p"}, FailureCode.INTERNAL),
        ({"aspect_ratio": None}, FailureCode.INTERNAL),
        ({"aspect_ratio": "1:1"}, FailureCode.INTERNAL),
        ({"aspect_ratio": "auto"}, FailureCode.INTERNAL),
        ({"last_image_url": B}, FailureCode.INVALID_INPUT),
        ({"reference_image_urls": (A,)}, FailureCode.INVALID_INPUT),
        ({**STILL, "aspect_ratio": None}, FailureCode.INTERNAL),
        ({**STILL, "image_url": A}, FailureCode.INVALID_INPUT),
        ({**STILL, "reference_image_urls": (A,)}, FailureCode.INVALID_INPUT),
    ],
)
def test_a_task_that_does_not_fit_its_model_is_never_sent(
    unfit: dict[str, object], code: FailureCode
) -> None:
    adapter, wire = runware()
    submitted = adapter.submit(task(**unfit))
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code
    assert wire.requests == []


@pytest.mark.parametrize("status", [200, 400, 409])
def test_a_known_uuid_means_accepted_when_it_was_sent_before(status: int) -> None:
    adapter, _ = runware(answer(status, errors("conflictTaskUUID")))
    assert adapter.submit(task(resent=True)) == Accepted(HANDLE)


@pytest.mark.parametrize("status", [200, 400])
def test_a_known_uuid_on_a_first_attempt_may_be_our_own_request_delivered_twice(
    status: int,
) -> None:
    adapter, _ = runware(answer(status, errors("conflictTaskUUID")))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Unanswered)
    assert "known already" in submitted.detail


@pytest.mark.parametrize("code", ["duplicateTaskUUID", "taskUUIDConflict", "taskAlreadyExists"])
def test_other_spellings_of_a_known_uuid_settle_a_doubt_too(code: str) -> None:
    adapter, _ = runware(answer(400, errors(code)))
    assert adapter.submit(task(resent=True)) == Accepted(HANDLE)


@pytest.mark.parametrize("status", [400, 404, 405, 413])
def test_in_doubt_a_refusal_without_our_task_settles_nothing(status: int) -> None:
    adapter, _ = runware(answer(status, "<html>no</html>"))
    assert isinstance(adapter.submit(task(resent=True)), Unanswered)


def test_a_conflict_of_another_task_decides_nothing_about_ours() -> None:
    adapter, _ = runware(answer(400, errors("conflictTaskUUID", taskUUID=OTHER_ID)))
    assert not isinstance(adapter.submit(task(resent=True)), Accepted)


@pytest.mark.parametrize(
    "broken",
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout],
    ids=lambda e: e.__name__,
)
def test_a_connection_that_breaks_before_a_byte_is_sent_means_busy(
    broken: type[httpx.TransportError],
) -> None:
    adapter, wire = runware(broken("refused"))
    assert isinstance(adapter.submit(task()), Busy)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [httpx.WriteTimeout, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError],
    ids=lambda e: e.__name__,
)
def test_a_connection_that_breaks_after_a_byte_may_be_sent_leaves_a_doubt(
    broken: type[httpx.TransportError],
) -> None:
    adapter, wire = runware(broken("broken"))
    assert isinstance(adapter.submit(task()), Unanswered)
    assert len(wire.requests) == 1, "the adapter itself sends once"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, errors("tooManyRequests")),
        (429, b""),
        (503, errors("noAvailableServer")),
        (503, b"<html>nginx</html>"),
        (400, errors("noAvailableServer")),
        (200, errors("noAvailableServers")),
        (200, errors("modelNotReady")),
        (200, errors("accountRateLimitExceeded")),
    ],
)
def test_no_capacity_means_busy_with_any_status(status: int, body: object) -> None:
    adapter, _ = runware(answer(status, body))
    assert isinstance(adapter.submit(task()), Busy)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>ok</html>"),
        (200, b'{"data": [{"taskUUID": "1a2b'),
        (200, b"[" * 100_000),
        (200, b"\xff\xfe"),
        (200, ["not", "an", "object"]),
        (200, {}),
        (200, {"data": []}),
        (200, {"data": "text", "errors": 7}),
        (200, {"data": [None, 7, {}], "errors": [None]}),
        (200, {"data": [{"taskType": "videoInference", "taskUUID": OTHER_ID}]}),
        (200, errors("unsupportedParameter", taskUUID=OTHER_ID)),
        (200, errors("timeoutProvider")),
        (400, errors("requestTimeout")),
        (200, errors("internalServerError")),
        (204, b""),
        (302, b""),
        (408, b""),
        (499, b""),
        (500, errors("internalServerError")),
        (502, b"<html>nginx</html>"),
        (504, errors("timeoutProvider")),
        (599, b""),
    ],
)
def test_an_inconclusive_response_counts_as_no_response(status: int, body: object) -> None:
    adapter, wire = runware(answer(status, body))
    assert isinstance(adapter.submit(task()), Unanswered)
    assert len(wire.requests) == 1, "no redirect is followed and nothing sent again"


def test_an_answer_without_end_is_no_answer() -> None:
    adapter, _ = runware(answer(200, ACK | {"padding": "x" * MAX_RESPONSE_BYTES}))
    assert isinstance(adapter.submit(task()), Unanswered)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            401,
            errors("invalidApiKey", taskType="authentication", taskUUID=None),
            FailureCode.OWNER_ACCOUNT,
        ),
        (402, errors("insufficientCredits"), FailureCode.OWNER_ACCOUNT),
        (402, errors("whateverThisIsCalledNow"), FailureCode.OWNER_ACCOUNT),
        (200, errors("quotaExceeded"), FailureCode.OWNER_ACCOUNT),
        (403, b"forbidden", FailureCode.OWNER_ACCOUNT),
        (403, errors("contentPolicyViolation"), FailureCode.CONTENT_POLICY),
        (404, errors("modelNotFound"), FailureCode.INTERNAL),
        (404, b"not found", FailureCode.INTERNAL),
        (400, errors("unsupportedParameter", parameter="fps"), FailureCode.INVALID_INPUT),
        (200, errors("unsupportedParameter", parameter="fps"), FailureCode.INVALID_INPUT),
        (400, errors("invalidPositivePrompt", taskUUID=None), FailureCode.INVALID_INPUT),
        (400, b"", FailureCode.INVALID_INPUT),
        (400, errors("imageBlocked"), FailureCode.CONTENT_POLICY),
        (418, errors("teapot"), FailureCode.PROVIDER_ERROR),
        (
            200,
            {"data": [item(status="error", error={"code": "promptBlocked", "message": "no"})]},
            FailureCode.CONTENT_POLICY,
        ),
    ],
)
def test_any_other_error_is_a_final_rejection(status: int, body: object, code: FailureCode) -> None:
    adapter, _ = runware(answer(status, body))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is code


def test_a_refusal_names_the_problem_in_one_line() -> None:
    wrong = errors("invalidSize", parameter=["width", "height"], message="too\nlarge")
    adapter, _ = runware(answer(400, wrong))
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.detail == "HTTP 400 invalidSize (width, height) too large"


def test_our_task_in_the_data_is_accepted_with_any_result_of_another() -> None:
    body = ACK | {"errors": [error("unsupportedParameter", taskUUID=OTHER_ID)]}
    adapter, _ = runware(answer(200, body))
    assert adapter.submit(task()) == Accepted(HANDLE)


# ── An earlier attempt may have been accepted ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "reply",
    [
        httpx.ConnectError("refused"),
        answer(429, b""),
        answer(503, errors("noAvailableServer")),
        answer(401, errors("invalidApiKey")),
        answer(402, errors("insufficientCredits")),
        answer(200, errors("inferenceError")),
    ],
    ids=["refused", "429", "503", "key", "credits", "passing"],
)
def test_what_stops_a_second_attempt_decides_nothing_about_the_first(
    reply: httpx.Response | Exception,
) -> None:
    adapter, _ = runware(reply)
    assert isinstance(adapter.submit(task(resent=True)), Unanswered)


def test_a_revoked_key_leaves_the_first_attempt_in_doubt() -> None:
    adapter, wire = runware(key="")
    assert isinstance(adapter.submit(task(resent=True)), Unanswered)
    assert wire.requests == []


@pytest.mark.parametrize("code", ["unsupportedParameter", "promptBlocked", "modelNotFound"])
def test_what_would_have_been_refused_the_first_time_is_refused(code: str) -> None:
    adapter, _ = runware(answer(400, errors(code)))
    assert isinstance(adapter.submit(task(resent=True)), Rejected)


def test_a_second_attempt_may_be_the_one_that_is_accepted() -> None:
    adapter, _ = runware(answer(200, ACK))
    assert adapter.submit(task(resent=True)) == Accepted(HANDLE)
