"""Cancelling at Runway: only what has not begun, since nothing else is refunded."""

from __future__ import annotations

import httpx
import pytest

from clipmint.providers.base import ProviderUnavailable
from tests.support.runway_wire import (
    HANDLE,
    NOT_FOUND,
    TASK_URL,
    VIDEO,
    answer,
    runway,
    task_answer,
)


@pytest.mark.parametrize("status", ["PENDING", "THROTTLED"])
def test_a_waiting_task_is_cancelled(status: str) -> None:
    adapter, wire = runway(task_answer(status), answer(204, b""))
    assert adapter.cancel(HANDLE) is True
    assert wire.calls == [f"GET {TASK_URL}", f"DELETE {TASK_URL}"]
    assert wire.requests[1].headers["x-runway-version"] == "2024-11-06"


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "PAUSED"])
def test_a_task_that_has_begun_or_ended_is_not_deleted(status: str) -> None:
    adapter, wire = runway(task_answer(status, output=[VIDEO]))
    assert adapter.cancel(HANDLE) is False
    assert wire.calls == [f"GET {TASK_URL}"], "deleted, its video would be paid for and lost"


def test_a_task_cancelled_elsewhere_is_cancelled() -> None:
    adapter, wire = runway(task_answer("CANCELLED"))
    assert adapter.cancel(HANDLE) is True
    assert wire.calls == [f"GET {TASK_URL}"]


def test_polling_again_after_a_lost_response_reports_that_the_task_is_gone() -> None:
    adapter, _ = runway(task_answer("PENDING"), httpx.ReadTimeout("slow"), answer(404, NOT_FOUND))
    with pytest.raises(ProviderUnavailable):
        adapter.cancel(HANDLE)
    assert adapter.cancel(HANDLE) is True


def test_a_task_that_went_between_question_and_deletion_is_gone() -> None:
    adapter, _ = runway(task_answer("PENDING"), answer(404, NOT_FOUND))
    assert adapter.cancel(HANDLE) is True


@pytest.mark.parametrize(
    "reply",
    [
        answer(401, {"error": "Unauthorized"}),
        answer(405, b""),
        answer(429, b""),
        answer(500, b""),
        answer(502, b"<html>nginx</html>"),
        answer(302, b""),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
    ],
)
@pytest.mark.parametrize("at", ["question", "deletion"])
def test_a_cancel_without_a_usable_answer_decides_nothing(
    reply: httpx.Response | Exception, at: str
) -> None:
    adapter, _ = runway(*([reply] if at == "question" else [task_answer("THROTTLED"), reply]))
    with pytest.raises(ProviderUnavailable):
        adapter.cancel(HANDLE)
