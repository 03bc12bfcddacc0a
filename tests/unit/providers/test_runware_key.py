"""Our Runware key: where it is sent, and where it must never appear."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from pathlib import Path

import httpx
import pytest

import clipmint
from clipmint.jobs.outcomes import FailureCode
from clipmint.providers.base import ProviderUnavailable, Rejected
from clipmint.providers.runware import RunwareSettings
from tests.support.runware_wire import HANDLE, KEY, answer, errors, runware, task

WEBHOOK = "https://api.example.com/webhooks/runware/job-1/video/s3cret"


@pytest.mark.parametrize("key", ["", "two words", "sec\nret", "sécret", "a:b", "="])
def test_without_a_usable_key_nothing_is_sent_and_the_failure_is_the_owners(key: str) -> None:
    adapter, wire = runware(key=key)
    submitted = adapter.submit(task())
    assert isinstance(submitted, Rejected)
    assert submitted.failure.code is FailureCode.OWNER_ACCOUNT
    with pytest.raises(ProviderUnavailable):
        adapter.poll(HANDLE)
    assert wire.requests == []


@pytest.mark.parametrize("padding", ["", "x" * 290])
def test_neither_key_nor_webhook_token_reaches_a_log_or_a_message(
    caplog: pytest.LogCaptureFixture, padding: str
) -> None:
    caplog.set_level(logging.DEBUG)
    quoting = errors(f"invalid{KEY}", message=f"{padding}{KEY} and {WEBHOOK}", parameter=[KEY])
    adapter, _ = runware(
        answer(400, quoting),
        answer(429, quoting),
        answer(500, quoting),
        httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'"),
        answer(200, quoting),
    )
    answers = [repr(adapter.submit(task(webhook_url=WEBHOOK))) for _ in range(4)]
    answers.append(repr(adapter.poll(HANDLE)))
    everything = caplog.text + "".join(answers) + repr(RunwareSettings(key=KEY)) + repr(adapter)
    assert KEY[:12] not in everything
    assert "s3cret" not in "".join(answers[:4])


def test_a_failed_poll_has_no_key_in_its_traceback() -> None:
    quoting = errors("invalidApiKey", message=f"no such key: {KEY}", taskType="authentication")
    broken = httpx.LocalProtocolError(f"Illegal header value b'Bearer {KEY}'")
    adapter, _ = runware(broken, answer(401, quoting))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable) as caught:
            adapter.poll(HANDLE)
        assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.runware.ai/v1",
        "https://user:password@api.runware.ai/v1",
        "ftp://api.runware.ai",
        "https://",
        "https://api.runware.ai/v1?x=1",
        "http://127.0.0.1.evil.example",
    ],
)
def test_our_key_is_only_ever_configured_to_go_over_tls_or_stay_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        RunwareSettings(key=KEY, url=url)


def test_a_key_pasted_with_a_newline_works() -> None:
    assert RunwareSettings(key=f"  {KEY}\n").key == KEY


def test_importing_the_adapter_does_not_import_httpx() -> None:
    code = (
        "import sys; from clipmint.providers.runware import Runware, RunwareSettings; "
        "Runware(RunwareSettings()); print(sorted({'httpx', 'httpcore'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(clipmint.__file__).parents[1])},
    )
    assert done.stdout.strip() == "[]"
