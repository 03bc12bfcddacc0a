"""Our fal key: where it is sent, and where it must never appear."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest

from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import (
    ProviderUnavailable,
    Rejected,
)
from clipmint.providers.fal import FalSettings
from tests.support.fal_wire import (
    HANDLE,
    KEY,
    answer,
    fal,
    submission_answer,
    task,
)

WEBHOOK = "https://api.example.com/webhooks/fal/job-1/video/s3cret?x=1&y=ü"


@pytest.mark.parametrize("key", ["", "no-colon", "two words:secret", "id:sec\nret", "id:sécret"])
def test_without_a_usable_key_nothing_is_sent_and_the_failure_is_the_owners(key: str) -> None:
    adapter, wire = fal(key=key)
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    assert wire.requests == []


def test_neither_key_nor_webhook_token_reaches_a_log_or_a_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    adapter, _ = fal(
        answer(200, submission_answer()),
        httpx.LocalProtocolError(f"Illegal header value b'Key {KEY}'"),
        httpx.ReadTimeout("timed out"),
    )
    answers = [repr(adapter.submit(task(webhook_url=WEBHOOK))) for _ in range(3)]
    everything = caplog.text + "".join(answers) + repr(FalSettings(key=KEY))
    assert "key-secret" not in everything
    assert "s3cret" not in everything


def test_a_poll_that_fails_has_no_key_in_its_traceback() -> None:
    adapter, _ = fal(httpx.LocalProtocolError(f"Illegal header value b'Key {KEY}'"))
    with pytest.raises(ProviderUnavailable) as caught:
        adapter.poll(HANDLE)
    assert "key-secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "http://queue.fal.run",
        "https://user:password@queue.fal.run",
        "ftp://queue.fal.run",
        "https://",
        "https://queue.fal.run?x=1",
        "http://127.0.0.1.evil.example",
    ],
)
def test_our_key_is_only_ever_configured_to_go_over_tls_or_stay_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        FalSettings(key=KEY, queue_url=url)


def test_a_key_pasted_with_a_newline_works() -> None:
    assert FalSettings(key=f"  {KEY}\n").key == KEY
