"""Cancelling at fal: only what has not begun, and only when fal confirms it."""

from __future__ import annotations

import httpx
import pytest

from clipmint.jobs.job import Handle
from clipmint.providers.base import ProviderUnavailable
from tests.support.fal_wire import (
    BASE,
    REQUEST_ID,
    answer,
    fal,
    status_answer,
)

HANDLE = Handle(
    REQUEST_ID, {"status": f"{BASE}/status", "result": BASE, "cancel": f"{BASE}/cancel"}
)


def test_a_request_still_in_the_queue_is_cancelled() -> None:
    adapter, wire = fal(status_answer("IN_QUEUE"), answer(200, {"status": "OK"}))
    assert adapter.cancel(HANDLE) is True
    assert wire.calls == [f"GET {BASE}/status", f"PUT {BASE}/cancel"]


@pytest.mark.parametrize("status", ["IN_PROGRESS", "COMPLETED", "PAUSED"])
def test_a_request_that_has_begun_is_left_alone(status: str) -> None:
    adapter, wire = fal(status_answer(status))
    assert adapter.cancel(HANDLE) is False
    assert wire.calls == [f"GET {BASE}/status"], "no cancel that could leave a paid orphan"


@pytest.mark.parametrize(
    "reply",
    [
        answer(202, {"status": "CANCELLATION_REQUESTED"}),
        answer(400, {"status": "ALREADY_COMPLETED"}),
        answer(400, {"detail": f"Request {REQUEST_ID} is already completed."}),
        answer(200, {"success": False}),
        answer(200, {"status": "CANCELLATION_REQUESTED"}),
    ],
)
def test_a_request_that_began_between_question_and_cancel_is_not_called_cancelled(
    reply: httpx.Response,
) -> None:
    adapter, _ = fal(status_answer("IN_QUEUE"), reply)
    assert adapter.cancel(HANDLE) is False


@pytest.mark.parametrize(
    "reply",
    [
        answer(404, {"status": "NOT_FOUND"}),
        answer(401, {"detail": "no"}),
        answer(429, b""),
        answer(502, b"<html>nginx</html>"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
    ],
)
def test_a_cancel_without_an_answer_is_not_called_cancelled_either(
    reply: httpx.Response | Exception,
) -> None:
    adapter, _ = fal(status_answer("IN_QUEUE"), reply)
    with pytest.raises(ProviderUnavailable):
        adapter.cancel(HANDLE)
