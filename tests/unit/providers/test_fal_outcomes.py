"""Polling and cancelling at fal: completed is not success, and a doubt is no outcome."""

from __future__ import annotations

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.providers.base import ProviderUnavailable
from tests.support.fal_wire import (
    BASE,
    KEY,
    QUEUE,
    REQUEST_ID,
    VIDEO,
    answer,
    fal,
    status_answer,
)

HANDLE = Handle(
    REQUEST_ID, {"status": f"{BASE}/status", "result": BASE, "cancel": f"{BASE}/cancel"}
)


def model_error(kind: str, msg: str = "words of fal's") -> dict[str, object]:
    return {"detail": [{"loc": ["body"], "msg": msg, "type": kind, "input": {"prompt": "private"}}]}


def outcome_of(*result: object, **members: object) -> object:
    """What a completed request becomes when its result is answered so."""
    adapter, _ = fal(status_answer("COMPLETED", **members), answer(*result))  # type: ignore[arg-type]
    return adapter.poll(HANDLE)


def test_a_queued_request_is_running_and_has_a_place_in_the_queue() -> None:
    adapter, wire = fal(status_answer("IN_QUEUE", queue_position=3))
    assert adapter.poll(HANDLE) == Running(3)
    assert wire.calls == [f"GET {BASE}/status"]
    assert wire.requests[0].headers["authorization"] == f"Key {KEY}"


@pytest.mark.parametrize("position", [None, -1, "3", 3.5, True, [3]])
def test_a_position_that_is_no_number_is_no_position(position: object) -> None:
    adapter, _ = fal(status_answer("IN_QUEUE", queue_position=position))
    assert adapter.poll(HANDLE) == Running(None)


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PAUSED", "FAILED", "", "completed"])
def test_any_status_but_completed_is_running_until_the_deadline(status: str) -> None:
    adapter, _ = fal(status_answer(status, logs=None))
    assert adapter.poll(HANDLE) == Running()


def test_a_completed_request_with_a_video_has_succeeded() -> None:
    adapter, wire = fal(
        status_answer("COMPLETED", metrics={"inference_time": 74.3}),
        answer(200, {"video": {"url": VIDEO, "content_type": "video/mp4"}}),
    )
    assert adapter.poll(HANDLE) == Succeeded(VIDEO)
    assert wire.calls == [f"GET {BASE}/status", f"GET {BASE}"]


def test_a_video_counts_even_where_the_status_speaks_of_an_error() -> None:
    assert outcome_of(200, {"video": {"url": VIDEO}}, error="hm") == Succeeded(VIDEO)


def test_a_simulated_host_on_loopback_may_serve_plain_http() -> None:
    url = "http://127.0.0.1:8123/files/a.mp4"
    assert outcome_of(200, {"video": {"url": url}}) == Succeeded(url)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "output.mp4",
        "http://v3.fal.media/a.mp4",
        "ftp://v3.fal.media/a.mp4",
        "file:///etc/passwd",
        "https://",
        "https:///a.mp4",
        "https://user:pw@v3.fal.media/a.mp4",
        "https://v3.fal.media\\@evil.example/a.mp4",
        "https://v3.fal.media/a b.mp4",
        "https://v3.fal.media/\n",
        "https://[v3.fal.media/a.mp4",
        "https://v3.fal.media:port/a.mp4",
        "https://v3.fal.media/" + "a" * 5000,
    ],
)
def test_a_result_without_a_sensible_video_url_is_the_providers_failure(url: object) -> None:
    outcome = outcome_of(200, {"video": {"url": url}})
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_ERROR


@pytest.mark.parametrize("body", [{}, {"video": None}, {"video": []}, {"videos": [{"url": VIDEO}]}])
def test_a_result_of_another_shape_is_the_providers_failure(body: object) -> None:
    outcome = outcome_of(200, body)
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_ERROR


@pytest.mark.parametrize(
    ("status", "detail"), [(400, "Request is still in progress"), (202, "not yet")]
)
def test_a_result_that_is_not_there_yet_is_still_running(status: int, detail: str) -> None:
    assert outcome_of(status, {"detail": detail}) == Running()


@pytest.mark.parametrize("status", [404, 410])
def test_a_result_that_can_no_longer_be_fetched_is_unavailable_media(status: int) -> None:
    outcome = outcome_of(status, {"detail": "gone"})
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.MEDIA_UNAVAILABLE


def test_a_model_that_fal_no_longer_has_is_the_providers_failure() -> None:
    outcome = outcome_of(404, {"detail": "Path /x not found"}, {"x-fal-billable-units": "0"})
    assert outcome == Failed(FailureCode.PROVIDER_ERROR, "HTTP 404: Path /x not found")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b'{"video": {"url": "https://v3', {}),
        (301, b"", {"location": "https://evil.example/"}),
        (408, b"", {}),
        (429, {"detail": "slow down"}, {}),
        (429, model_error("concurrent_requests_limit"), {}),
        (502, b"<html>nginx</html>", {}),
        (503, b"<html>nginx</html>", {}),
        (504, b"", {}),
        (500, b'{"detail": "Internal Server Error"}', {}),
        # The video has been made and paid for; it is our key or funds that are refused now.
        (401, {"detail": "No user found for Key ID and Secret"}, {}),
        (402, {"detail": "Payment required"}, {}),
        (403, {"detail": "User is locked. Reason: TOP_UP."}, {}),
        (403, {}, {}),
    ],
)
def test_an_error_of_the_poll_is_no_outcome(
    status: int, body: object, headers: dict[str, str]
) -> None:
    with pytest.raises(ProviderUnavailable):
        outcome_of(status, body, headers)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_that_was_billed_is_the_models_own(status: int) -> None:
    outcome = outcome_of(status, {"detail": "no"}, {"x-fal-billable-units": "0"})
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.OWNER_ACCOUNT


def test_a_refusal_with_a_type_of_the_models_is_an_outcome() -> None:
    outcome = outcome_of(403, model_error("content_policy_violation"))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.CONTENT_POLICY


def test_once_the_account_is_repaired_the_video_is_there() -> None:
    completed, refused = status_answer("COMPLETED"), answer(403, {"detail": "User is locked."})
    adapter, _ = fal(completed, refused, completed, answer(200, {"video": {"url": VIDEO}}))
    with pytest.raises(ProviderUnavailable):
        adapter.poll(HANDLE)
    assert adapter.poll(HANDLE) == Succeeded(VIDEO)


def test_a_server_error_that_comes_from_fal_itself_is_an_outcome() -> None:
    outcome = outcome_of(500, {"detail": "Internal Server Error"})
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.transient) == (FailureCode.PROVIDER_ERROR, True)
    assert outcome.detail == "HTTP 500: Internal Server Error"


def test_an_ingress_page_cannot_hide_what_the_status_already_reported() -> None:
    outcome = outcome_of(502, b"<html>nginx</html>", error="x", error_type="startup_timeout")
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_TIMEOUT


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (422, model_error("content_policy_violation"), FailureCode.CONTENT_POLICY),
        (422, model_error("no_media_generated"), FailureCode.NO_OUTPUT),
        (422, model_error("image_load_error"), FailureCode.INPUT_UNREADABLE),
        (422, model_error("file_download_error"), FailureCode.INPUT_UNREADABLE),
        (422, model_error("less_than_equal"), FailureCode.INVALID_INPUT),
        (422, model_error("a_pydantic_type_of_tomorrow"), FailureCode.INVALID_INPUT),
        (500, model_error("internal_server_error"), FailureCode.PROVIDER_ERROR),
        (504, model_error("generation_timeout"), FailureCode.PROVIDER_TIMEOUT),
        (400, model_error("downstream_service_error"), FailureCode.PROVIDER_ERROR),
        (503, {"detail": "x", "error_type": "runner_disconnected"}, FailureCode.PROVIDER_ERROR),
        (504, {"detail": "x", "error_type": "request_timeout"}, FailureCode.PROVIDER_TIMEOUT),
        (499, {"detail": "x", "error_type": "client_cancelled"}, FailureCode.CANCELLED),
        (404, model_error("file_download_error"), FailureCode.INPUT_UNREADABLE),
        (451, {"detail": "x"}, FailureCode.PROVIDER_ERROR),
    ],
)
def test_completed_may_be_a_failure(status: int, body: object, code: FailureCode) -> None:
    outcome = outcome_of(status, body)
    assert isinstance(outcome, Failed)
    assert outcome.code is code


def test_the_type_may_come_in_a_header_and_the_models_type_goes_before_it() -> None:
    headers = {"x-fal-error-type": "startup_timeout"}
    by_header = outcome_of(418, {"detail": "x"}, headers)
    by_model = outcome_of(422, model_error("content_policy_violation"), headers)
    assert isinstance(by_header, Failed)
    assert isinstance(by_model, Failed)
    assert by_header.code is FailureCode.PROVIDER_TIMEOUT
    assert by_model.code is FailureCode.CONTENT_POLICY


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [None, 7, "x", {}, {"type": None}, {"type": ["one_of"]}]},
        {"detail": {"type": "one_of"}},
        {"detail": None, "error_type": {"a": 1}},
        [1, 2],
        "text",
        None,
    ],
)
def test_an_error_body_of_no_known_shape_is_judged_by_its_status(body: object) -> None:
    outcome = outcome_of(422, body)
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.INVALID_INPUT


def test_the_detail_is_one_short_line_without_the_users_input() -> None:
    outcome = outcome_of(422, model_error("value_error", "first\nsecond\u2028" + "x" * 5000))
    assert isinstance(outcome, Failed)
    assert outcome.detail.startswith("HTTP 422: value_error: first second xxx")
    assert len(outcome.detail) < 400
    assert "private" not in outcome.detail


@pytest.mark.parametrize(
    "reply",
    [
        answer(401, {"detail": "No user found for Key ID and Secret"}),
        answer(404, {"detail": "unknown"}),
        answer(405, {"detail": "Method Not Allowed"}),
        answer(429, b""),
        answer(500, {"detail": "x", "error_type": "internal_error"}),
        answer(502, b"<html>nginx</html>"),
        answer(302, b"", {"location": "https://evil.example/"}),
        answer(200, b'{"status": "COMPL'),
        answer(200, {"request_id": REQUEST_ID}),
        answer(200, {"status": 3}),
        answer(200, ["COMPLETED"]),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("closed"),
    ],
)
def test_a_status_question_without_an_answer_may_be_asked_again(
    reply: httpx.Response | Exception,
) -> None:
    adapter, wire = fal(reply)
    with pytest.raises(ProviderUnavailable):
        adapter.poll(HANDLE)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "url", ["https://evil.example/requests/x/status", "", f"{QUEUE}/a/b/requests/other/status"]
)
def test_a_stored_url_is_checked_again_before_our_key_goes_with_it(url: str) -> None:
    adapter, wire = fal()
    with pytest.raises(ProviderUnavailable):
        adapter.poll(Handle(REQUEST_ID, {"status": url}))
    with pytest.raises(ProviderUnavailable):
        adapter.poll(Handle(REQUEST_ID))
    assert wire.requests == []
