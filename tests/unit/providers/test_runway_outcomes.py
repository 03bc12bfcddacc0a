"""The outcome of a Runway task, from its responses to our polls."""

from __future__ import annotations

import httpx
import pytest

from clipmint.catalog.costs import Cost
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.providers.base import ProviderUnavailable
from tests.support.runway_wire import (
    HANDLE,
    KEY,
    NOT_FOUND,
    TASK_URL,
    VIDEO,
    answer,
    runway,
    task_answer,
)


@pytest.mark.parametrize(
    "status", ["PENDING", "THROTTLED", "RUNNING", "PAUSED", "succeeded", "CANCELED", ""]
)
def test_everything_not_known_to_be_over_is_running(status: str) -> None:
    adapter, wire = runway(task_answer(status, progress=0.42))
    assert adapter.poll(HANDLE) == Running()
    assert wire.calls == [f"GET {TASK_URL}"]
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert wire.requests[0].headers["x-runway-version"] == "2024-11-06"


def test_a_task_that_succeeded_has_its_file_at_the_first_url() -> None:
    adapter, _ = runway(task_answer("SUCCEEDED", output=[VIDEO, VIDEO + "2"]))
    assert adapter.poll(HANDLE) == Succeeded(VIDEO)


def test_every_poll_of_a_finished_task_has_its_url_afresh() -> None:
    adapter, _ = runway(
        task_answer("SUCCEEDED", output=[f"{VIDEO}.1"]),
        task_answer("SUCCEEDED", output=[f"{VIDEO}.2"]),
    )
    assert [adapter.poll(HANDLE), adapter.poll(HANDLE)] == [
        Succeeded(f"{VIDEO}.1"),
        Succeeded(f"{VIDEO}.2"),
    ]


def test_an_image_succeeds_as_a_video_does() -> None:
    url = VIDEO.replace(".mp4", ".png")
    adapter, _ = runway(task_answer("SUCCEEDED", output=[url]))
    assert adapter.poll(HANDLE) == Succeeded(url)


@pytest.mark.parametrize(
    "output",
    [
        None,
        [],
        VIDEO,
        {"url": VIDEO},
        [None],
        [7],
        [""],
        ["ftp://d1.cloudfront.net/x.mp4"],
        ["http://d1.cloudfront.net/x.mp4"],
        ["https://user:password@d1.cloudfront.net/x.mp4"],
        ["https:///x.mp4"],
    ],
)
def test_a_success_without_a_usable_url_is_the_providers_fault(output: object) -> None:
    adapter, _ = runway(task_answer("SUCCEEDED", output=output))
    outcome = adapter.poll(HANDLE)
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.PROVIDER_ERROR


def test_a_cancelled_task_is_a_cancelled_job_not_a_wait_until_the_deadline() -> None:
    adapter, _ = runway(task_answer("CANCELLED", cost={"credits": 0}))
    outcome = adapter.poll(HANDLE)
    assert isinstance(outcome, Failed)
    assert outcome.code is FailureCode.CANCELLED


def test_a_failed_task_shows_its_code_to_the_operator_and_not_to_the_user() -> None:
    adapter, _ = runway(
        task_answer("FAILED", failure="flagged\nby us", failureCode="SAFETY.INPUT.TEXT")
    )
    assert adapter.poll(HANDLE) == Failed(
        FailureCode.CONTENT_POLICY, "SAFETY.INPUT.TEXT: flagged by us"
    )


@pytest.mark.parametrize("members", [{}, {"failureCode": None}, {"failureCode": 7, "failure": 7}])
def test_a_failure_without_a_code_may_succeed_another_time(members: dict[str, object]) -> None:
    adapter, _ = runway(task_answer("FAILED", **members))
    assert adapter.poll(HANDLE) == Failed(FailureCode.PROVIDER_ERROR, transient=True)


@pytest.mark.parametrize(
    "reply",
    [
        answer(404, NOT_FOUND),
        answer(401, {"error": "Unauthorized"}),
        answer(403, {"error": "Forbidden"}),
        answer(400, {"error": "Bad version"}),
        answer(429, {"message": "Too Many Requests"}),
        answer(500, b""),
        answer(502, b"<html>nginx</html>"),
        answer(302, b""),
        answer(200, b'{"id": "17f2'),
        answer(200, {"id": "17f2"}),
        answer(200, {"status": None}),
        answer(200, ["SUCCEEDED"]),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("cut"),
    ],
)
def test_a_poll_without_a_usable_response_has_no_outcome(
    reply: httpx.Response | Exception,
) -> None:
    adapter, wire = runway(reply)
    with pytest.raises(ProviderUnavailable):
        adapter.poll(HANDLE)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("task_id", ["", "../organization", "a/b", "a?b", "x" * 129, "ü"])
def test_an_id_that_cannot_be_runways_is_never_asked_for(task_id: str) -> None:
    adapter, wire = runway()
    with pytest.raises(ProviderUnavailable):
        adapter.poll(Handle(task_id))
    with pytest.raises(ProviderUnavailable):
        adapter.cancel(Handle(task_id))
    assert wire.requests == []


def credits_(amount: int) -> Cost:
    return Cost(amount * 1_000_000, "provider_credit", "reported", amount * 10_000)


def test_the_cost_of_a_task_is_reported_with_its_end() -> None:
    adapter, _ = runway(
        task_answer("SUCCEEDED", output=[VIDEO], cost={"credits": 60}),
        task_answer("FAILED", failureCode="SAFETY.INPUT.TEXT", cost={"credits": 48}),
        task_answer("FAILED", failureCode="INTERNAL", cost={"credits": 0}),
        task_answer("CANCELLED", cost={"credits": 20}),
        task_answer("SUCCEEDED", output=[], cost={"credits": 5}),
    )
    ends = [adapter.poll(HANDLE) for _ in range(5)]
    costs = [None if isinstance(end, Running) else end.cost for end in ends]
    assert costs == [credits_(60), credits_(48), credits_(0), credits_(20), credits_(5)]


@pytest.mark.parametrize("cost", [None, 48, [], {}, {"credits": "48"}, {"credits": -1}])
def test_an_unreadable_cost_is_none_and_no_error(cost: object) -> None:
    adapter, _ = runway(task_answer("SUCCEEDED", output=[VIDEO], cost=cost))
    assert adapter.poll(HANDLE) == Succeeded(VIDEO)
