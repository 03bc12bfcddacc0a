"""Our Runway key: where it is sent, and where it must never appear."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import ProviderUnavailable, Rejected
from clipmint.providers.runway import RunwaySettings
from tests.support.runway_wire import HANDLE, KEY, accepted, answer, runway, task


@pytest.mark.parametrize("key", ["", "two words", "key_\nx", "key_é", "key_\x00"])
def test_without_a_usable_key_nothing_is_sent_and_the_failure_is_the_owners(key: str) -> None:
    adapter, wire = runway(key=key)
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    with pytest.raises(ProviderUnavailable):
        adapter.poll(HANDLE)
    assert wire.requests == []


def test_the_key_reaches_neither_a_log_nor_a_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    adapter, _ = runway(
        accepted(),
        httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"),
        httpx.ReadTimeout("timed out"),
        answer(401, {"error": f"The key {KEY} is not valid"}),
        answer(503, {"error": f"{KEY} has to wait"}),
    )
    answers = [repr(adapter.submit(task())) for _ in range(5)]
    assert "[key]" in answers[3]
    assert KEY not in caplog.text + "".join(answers) + repr(RunwaySettings(key=KEY))


@pytest.mark.parametrize(
    "reply",
    [
        httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"),
        answer(401, {"error": f"The key {KEY} is not valid"}),
    ],
)
def test_a_poll_that_fails_has_no_key_in_its_traceback(
    reply: httpx.Response | Exception,
) -> None:
    adapter, _ = runway(reply)
    with pytest.raises(ProviderUnavailable) as caught:
        adapter.poll(HANDLE)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.dev.runwayml.com",
        "https://user:password@api.dev.runwayml.com",
        "ftp://api.dev.runwayml.com",
        "https://",
        "https://api.dev.runwayml.com?x=1",
        "http://127.0.0.1.evil.example",
    ],
)
def test_our_key_is_only_ever_configured_to_go_over_tls_or_stay_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        RunwaySettings(key=KEY, url=url)


def test_a_key_pasted_with_a_newline_and_a_url_with_a_slash_work() -> None:
    settings = RunwaySettings(key=f"  {KEY}\n", url="http://127.0.0.1:8080/")
    assert (settings.key, settings.url) == (KEY, "http://127.0.0.1:8080")
