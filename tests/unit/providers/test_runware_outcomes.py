"""Polling Runware: what ends a task, and what is only an error of the poll."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.catalog.costs import Cost
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import ProviderUnavailable
from tests.support.runware_wire import (
    HANDLE,
    IMAGE,
    KEY,
    OTHER_ID,
    TASK_ID,
    URL,
    VIDEO,
    answer,
    error,
    errors,
    item,
    runware,
    sent,
)
from tests.support.wire import Reply


def polled(status: int, body: object) -> Outcome:
    return runware(answer(status, body))[0].poll(HANDLE)


def test_a_result_is_asked_for_by_the_tasks_uuid() -> None:
    adapter, wire = runware(answer(200, {"data": []}))
    adapter.poll(HANDLE)
    assert wire.calls == [f"POST {URL}"]
    assert sent(wire) == {"taskType": "getResponse", "taskUUID": TASK_ID}
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "members",
    [
        {"status": "success", "videoUUID": "v", "videoURL": VIDEO, "cost": 0, "seed": 42},
        {"videoUUID": "v", "videoURL": VIDEO},
        {"status": "something-new", "videoURL": VIDEO},
        {"status": "success", "videoURL": VIDEO, "NSFWContent": False},
        {"status": "success", "videoURL": VIDEO, "NSFWContent": None},
        {"taskUUID": TASK_ID.upper(), "videoURL": VIDEO},
        {"taskUUID": None, "videoURL": VIDEO},
    ],
)
def test_a_file_is_a_success_with_any_status(members: dict[str, object]) -> None:
    assert polled(200, {"data": [item(**members)]}) == Succeeded(VIDEO)


def test_an_image_is_a_success_too() -> None:
    still = item(taskType="imageInference", imageUUID="i", imageURL=IMAGE)
    assert polled(200, {"data": [still]}) == Succeeded(IMAGE)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [item(videoUUID="v", videoURL=VIDEO)] * 2},
        {"data": [item(status="processing"), item(videoUUID="v", videoURL=VIDEO)]},
        {"data": [item(videoURL=VIDEO), item(videoURL=VIDEO + "?again")]},
        {"data": [item(taskUUID=OTHER_ID, videoURL=VIDEO + "?else"), item(videoURL=VIDEO)]},
        {"data": [item(videoURL=VIDEO + "?marked", NSFWContent=True), item(videoURL=VIDEO)]},
        {"data": [item(status="error", code="inferenceError"), item(videoURL=VIDEO)]},
        {"data": [item(videoURL=VIDEO)], "errors": [error("inferenceError")]},
    ],
    ids=["repeated", "progress", "several", "another's", "marked", "broken", "with-errors"],
)
def test_of_several_results_the_first_file_of_ours_is_the_one(body: object) -> None:
    assert polled(200, body) == Succeeded(VIDEO)


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": [item(status="processing", progress=25)]},
        {"data": [item()]},
        {"data": [item(status="queued")]},
        {"data": [item(status="something-new")]},
        {"data": [item(taskUUID=OTHER_ID, videoURL=VIDEO)]},
        {"data": [], "errors": []},
        {"data": [], "errors": [error("inferenceError", taskUUID=OTHER_ID)]},
        {"data": [], "errors": [error("taskNotFound")]},
        {"errors": [error("taskFailedOrNotFound", taskType="getResponse")]},
    ],
)
def test_what_is_not_finished_is_running_until_the_jobs_deadline(body: object) -> None:
    assert polled(200, body) == Running()


def test_an_unknown_task_is_not_final_with_any_http_status() -> None:
    assert polled(404, errors("taskNotFound", taskType="getResponse")) == Running()


@pytest.mark.parametrize(
    "url", [7, "javascript:alert(1)", "http://vm.runware.ai/v.mp4", "x" * 5000]
)
def test_a_finished_task_without_a_usable_file_has_failed(url: object) -> None:
    outcome = polled(200, {"data": [item(status="success", videoURL=url)]})
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_ERROR
    assert polled(200, {"data": [item(status="success")]}) == Failed(
        FailureCode.PROVIDER_ERROR, "the result has no usable URL: status, taskType, taskUUID"
    )


def test_a_result_marked_as_nsfw_is_never_delivered() -> None:
    outcome = polled(200, {"data": [item(status="success", videoURL=VIDEO, NSFWContent=True)]})
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.CONTENT_POLICY


@pytest.mark.parametrize(
    ("code", "meant", "transient"),
    [
        ("timeoutProvider", FailureCode.PROVIDER_TIMEOUT, True),
        ("contentPolicyViolation", FailureCode.CONTENT_POLICY, False),
        ("invalidProviderContent", FailureCode.CONTENT_POLICY, False),
        ("inferenceError", FailureCode.PROVIDER_ERROR, True),
        ("providerUnauthorized", FailureCode.PROVIDER_ERROR, True),
        ("noAvailableServer", FailureCode.PROVIDER_UNAVAILABLE, True),
        ("insufficientCredits", FailureCode.OWNER_ACCOUNT, False),
        ("internalServerError", FailureCode.PROVIDER_ERROR, True),
        ("taskCancelled", FailureCode.CANCELLED, False),
        ("resultExpired", FailureCode.MEDIA_UNAVAILABLE, False),
        ("invalidDuration", FailureCode.INVALID_INPUT, False),
        ("invalidFrameImages", FailureCode.INPUT_UNREADABLE, False),
        ("neverHeardOf", FailureCode.PROVIDER_ERROR, False),
    ],
)
@pytest.mark.parametrize("shape", ["errors", "item", "flat item", "no task type"])
def test_an_error_that_is_the_tasks_ends_it_in_every_shape(
    code: str, meant: FailureCode, shape: str, *, transient: bool
) -> None:
    body = {
        "errors": errors(code),
        "item": {"data": [item(status="error", error={"code": code, "message": "m"})]},
        "flat item": {"data": [item(status="error", code=code, message="m")]},
        "no task type": {
            "data": [],
            "errors": [{"code": code, "status": "error", "message": "m", "taskUUID": TASK_ID}],
        },
    }[shape]
    outcome = polled(200, body)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.transient) == (meant, transient)
    assert code in outcome.detail


@pytest.mark.parametrize("status", [400, 403, 504])
def test_a_tasks_error_may_come_in_an_error_status(status: int) -> None:
    for code in ("timeoutProvider", "contentPolicyViolation"):
        assert isinstance(polled(status, errors(code)), Failed)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, errors("invalidApiKey", taskType="authentication", taskUUID=None)),
        (200, errors("invalidApiKey", taskType="authentication", taskUUID=None)),
        (200, errors("invalidApiKey", taskType="getResponse")),
        (401, errors("invalidApiKey")),
        (402, errors("insufficientCredits")),
        (403, errors("accountSuspended")),
        (429, errors("rateLimitExceeded")),
        (429, b""),
        (500, errors("internalServerError")),
        (500, errors("neverHeardOf")),
        (502, b"<html>nginx</html>"),
        (503, errors("serviceUnavailable")),
        (200, errors("internalServerError", taskType="getResponse")),
        (200, errors("inferenceError", taskUUID=None)),
        (200, errors("timeoutProvider", taskType="getResponse")),
        (400, errors("invalidTaskUUID", taskType="getResponse")),
        (400, {"errors": [{"code": "invalidTaskUUID", "taskUUID": TASK_ID}]}),
        (400, b""),
        (404, b"not found"),
        (404, {"data": []}),
        (200, b'{"data": [{"taskUUID"'),
        (200, b"[]"),
        (200, b"null"),
        (200, {}),
        (200, {"data": None}),
        (302, b""),
    ],
)
def test_an_error_of_the_poll_alone_is_polled_again(status: int, body: object) -> None:
    with pytest.raises(ProviderUnavailable):
        polled(status, body)


@pytest.mark.parametrize(
    "broken", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
def test_a_poll_that_fails_decides_nothing(broken: type[httpx.TransportError]) -> None:
    adapter, wire = runware(broken("broken"))
    with pytest.raises(ProviderUnavailable):
        adapter.poll(HANDLE)
    assert len(wire.requests) == 1


def test_a_content_error_is_about_the_task_with_any_type() -> None:
    outcome = polled(200, errors("contentPolicyViolation", taskType="getResponse"))
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.CONTENT_POLICY


@pytest.mark.parametrize("handle", [Handle(""), Handle("../x"), Handle("1a2b3c4d")])
def test_a_handle_that_is_none_of_runwares_is_not_asked_about(handle: Handle) -> None:
    adapter, wire = runware()
    with pytest.raises(ProviderUnavailable):
        adapter.poll(handle)
    assert wire.requests == []


def test_there_is_no_cancellation_and_so_no_call() -> None:
    adapter, wire = runware()
    assert adapter.cancel(HANDLE) is False
    assert wire.requests == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just(TASK_ID),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
entries = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "taskUUID": json_values | st.sampled_from([TASK_ID, OTHER_ID]),
            "taskType": json_values | st.sampled_from(["videoInference", "getResponse"]),
            "status": json_values | st.sampled_from(["success", "error", "processing"]),
            "code": json_values | st.sampled_from(["inferenceError", "taskNotFound"]),
            "error": json_values,
            "parameter": json_values,
            "message": json_values,
            "videoURL": json_values | st.just(VIDEO),
        },
    )
    | json_values,
    max_size=3,
)


@given(
    st.sampled_from([200, 400, 401, 404, 429, 500]),
    st.fixed_dictionaries(
        {}, optional={"data": entries | json_values, "errors": entries | json_values}
    ),
)
def test_every_runware_response_is_an_outcome_or_polled_again(
    status: int, body: dict[str, object]
) -> None:
    reply: Reply = answer(status, json.dumps(body).encode())
    try:
        outcome = runware(reply)[0].poll(HANDLE)
    except ProviderUnavailable:
        return
    assert isinstance(outcome, Running | Succeeded | Failed)
    if isinstance(outcome, Succeeded):
        assert outcome.media_url == VIDEO


@pytest.mark.parametrize(
    ("status", "code"),
    [(504, "timeout"), (503, "noAvailableServer"), (502, "providerUnavailable"), (404, "gone")],
)
def test_an_http_error_status_is_an_error_of_the_poll(status: int, code: str) -> None:
    with pytest.raises(ProviderUnavailable):
        polled(status, {"errors": [{"code": code, "message": "words", "taskUUID": TASK_ID}]})


def usd(micros: int) -> Cost:
    return Cost(micros, "USD", "reported", micros)


def test_the_cost_of_a_result_is_reported_in_usd() -> None:
    assert polled(200, {"data": [item(videoURL=VIDEO, cost=1.6)]}) == Succeeded(
        VIDEO, usd(1_600_000)
    )
    marked = polled(200, {"data": [item(videoURL=VIDEO, cost=0.4, NSFWContent=True)]})
    failed = polled(200, {"data": [item(status="error", code="inferenceError", cost=0.2)]})
    assert isinstance(marked, Failed)
    assert isinstance(failed, Failed)
    assert (marked.cost, failed.cost) == (usd(400_000), usd(200_000))
