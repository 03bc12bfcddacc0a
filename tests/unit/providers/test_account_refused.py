"""An invalid key or an empty account is distinguished from a call that merely got no response."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clipmint.providers.base import AccountRefused, Provider, ProviderUnavailable, Unanswered
from tests.support import fal_wire, runware_wire, runway_wire

Adapter = Callable[..., tuple[Provider, Any]]

CASES: dict[str, tuple[Adapter, Any, Any]] = {
    "fal": (fal_wire.fal, fal_wire.answer, fal_wire.HANDLE),
    "runway": (runway_wire.runway, runway_wire.answer, runway_wire.HANDLE),
    "runware": (runware_wire.runware, runware_wire.answer, runware_wire.HANDLE),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("body", [{"detail": "no"}, b"<html>no</html>", {}])
def test_a_poll_refused_for_the_account_is_reported_as_such(
    name: str, status: int, body: Any
) -> None:
    make, answer, handle = CASES[name]
    adapter, _ = make(answer(status, body))
    with pytest.raises(AccountRefused):
        adapter.poll(handle)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_call_without_a_usable_response_is_not_blamed_on_the_account(
    name: str, status: int
) -> None:
    make, answer, handle = CASES[name]
    adapter, _ = make(answer(status, b"busy"))
    with pytest.raises(ProviderUnavailable) as error:
        adapter.poll(handle)
    assert not isinstance(error.value, AccountRefused)


@pytest.mark.parametrize("name", ["fal", "runway"])
@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_cancellation_refused_for_the_account_is_reported_as_such(name: str, status: int) -> None:
    make, answer, handle = CASES[name]
    adapter, _ = make(answer(status, {"detail": "no"}))
    with pytest.raises(AccountRefused):
        adapter.cancel(handle)


def test_a_fal_result_refused_for_the_account_is_reported_as_such() -> None:
    adapter, _ = fal_wire.fal(
        fal_wire.status_answer("COMPLETED"), fal_wire.answer(403, {"detail": "User is locked."})
    )
    with pytest.raises(AccountRefused):
        adapter.poll(fal_wire.HANDLE)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, runware_wire.errors("insufficientCredits")),
        (200, runware_wire.errors("insufficientCredits")),
        (200, {"errors": [{"code": "insufficientCredits"}]}),
        (401, {"errors": [{"code": "invalidApiKey"}]}),
        (403, b"forbidden"),
    ],
)
def test_a_doubt_that_lasts_because_of_the_account_is_reported_as_such(
    status: int, body: Any
) -> None:
    adapter, _ = runware_wire.runware(runware_wire.answer(status, body))
    answer = adapter.submit(runware_wire.task(resent=True))
    assert isinstance(answer, Unanswered)
    assert answer.account_refused


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, runware_wire.errors("rateLimitExceeded")),
        (503, b"busy"),
        (500, b"oops"),
        (400, {"errors": [{"code": "whateverThisIs"}]}),
    ],
)
def test_any_other_doubt_does_not_alarm_the_owner(status: int, body: Any) -> None:
    adapter, _ = runware_wire.runware(runware_wire.answer(status, body))
    answer = adapter.submit(runware_wire.task(resent=True))
    assert isinstance(answer, Unanswered)
    assert not answer.account_refused
