"""Runware's webhooks: unsigned, so never believed, only a hint to poll."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.jobs.job import Handle
from clipmint.providers.base import Notice, WebhookCall, WebhookRejected
from clipmint.providers.runware.webhooks import MAX_BODY_BYTES
from tests.support.runware_wire import OTHER_ID, TASK_ID, VIDEO, error, item, runware

HINT = Notice(handle=Handle(TASK_ID), outcome=None)
RESULT = item(videoUUID="v", videoURL=VIDEO, cost=1.6, seed=42)


def read(body: object) -> Notice:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    adapter, wire = runware(key="")
    notice = adapter.read_webhook(WebhookCall({}, raw), "google:3@2")
    assert wire.requests == [], "reading asks nobody, and needs no key"
    return notice


@pytest.mark.parametrize(
    "body",
    [
        RESULT,
        {"data": [RESULT]},
        {"data": [RESULT, RESULT]},
        {"data": [RESULT], "errors": []},
        {"errors": [error("inferenceError")]},
        {"data": [], "errors": [error("timeoutProvider")]},
        item(status="error", code="timeoutProvider", message="m"),
        item(status="error", error={"code": "promptBlocked"}),
        item(status="processing", progress=25),
        item(taskUUID=TASK_ID.upper()),
        RESULT | {"data": "text", "errors": 7},
        {"data": [None, 7, {"progress": 1}, RESULT]},
    ],
    ids=[
        *("flat", "data", "repeated", "both", "errors", "errors-beside", "flat-error"),
        *("flat-nested-error", "processing", "capitals", "odd-members", "odd-entries"),
    ],
)
def test_every_form_of_a_webhook_is_a_hint_and_never_an_outcome(body: object) -> None:
    assert read(body) == HINT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"taskUUID": ' + b"9" * 5000 + b"}",
        {},
        {"data": []},
        {"data": {"taskUUID": TASK_ID}},
        {"taskUUID": None},
        {"taskUUID": 7},
        {"taskUUID": ""},
        {"taskUUID": "../../x"},
        {"taskUUID": TASK_ID + "\n"},
        {"taskUUID": [TASK_ID]},
        [RESULT],
    ],
)
def test_nonsense_is_refused(body: object) -> None:
    with pytest.raises(WebhookRejected):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [RESULT, item(taskUUID=OTHER_ID)]},
        RESULT | {"errors": [error("inferenceError", taskUUID=OTHER_ID)]},
        {"data": [RESULT, {"taskUUID": "no uuid"}]},
    ],
)
def test_a_webhook_about_several_tasks_is_about_none(body: object) -> None:
    with pytest.raises(WebhookRejected, match="one task"):
        read(body)


def test_a_huge_body_is_refused_unread() -> None:
    with pytest.raises(WebhookRejected, match="too large"):
        read(json.dumps(RESULT).encode() + b" " * MAX_BODY_BYTES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
uuids = st.just(TASK_ID) | st.uuids().map(str) | json_values
entries = st.lists(
    st.fixed_dictionaries({}, optional={"taskUUID": uuids, "status": json_values}) | json_values,
    max_size=3,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "taskUUID": uuids,
            "data": entries | json_values,
            "errors": entries | json_values,
            "videoURL": json_values,
        },
    )
)
def test_any_json_is_a_hint_about_a_task_it_names_or_refused(
    body: dict[str, object],
) -> None:
    text = json.dumps(body)
    try:
        notice = read(text.encode())
    except WebhookRejected:
        return
    assert notice.outcome is None
    assert notice.handle.request_id in text.lower()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_webhook_are_refused_and_never_a_crash(body: bytes) -> None:
    with pytest.raises(WebhookRejected):
        read(body)
