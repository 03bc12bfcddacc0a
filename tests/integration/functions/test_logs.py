"""No credential is logged, not even at the most verbose level.

Lambda sets the root logger to the level the owner asked for and prints everything that reaches it.
This test does the same, and checks every attribute of every record, and everything printed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from clipmint import telemetry
from clipmint.credits import grants
from clipmint.execution.sending import ProviderBusy
from clipmint.jobs import job_store
from clipmint.jobs.job import JobStatus
from clipmint.providers import registry
from functions.generate.app import handler as generate
from functions.settle.app import handler as settle
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.support.fal_on_loopback import FalOnLoopback
from tests.support.fal_wire import REQUEST_ID, VIDEO
from tests.support.gateway import Caller, Context
from tests.support.moto_aws import Aws, override, write_keys

FAL_KEY = "key-id-4711:key-secret-0815"
PROMPT = "a fox that nobody else may know of"
TASK_TOKEN = "task-token-that-opens-a-door"
LIBRARIES = ("boto3", "botocore", "httpcore", "httpx", "pynamodb", "urllib3")


class Everything(logging.Handler):
    """Keeps the whole content of each record, as one text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("moto"):
            return  # the account's own log, not the function's
        formatted = logging.Formatter().format(record)  # with its traceback
        self.lines.append(f"{record.name}: {formatted} {vars(record)!r}")


@pytest.fixture
def log() -> Iterator[Everything]:
    """The log of a function with the level DEBUG."""
    everything, root = Everything(), logging.getLogger()
    levels = root.level, telemetry.logger.log_level
    root.addHandler(everything)
    root.setLevel(logging.DEBUG)
    telemetry.logger.setLevel(logging.DEBUG)
    yield everything
    telemetry.logger.setLevel(levels[1])
    root.setLevel(levels[0])
    root.removeHandler(everything)


def one_generation(aws: Aws, fal: FalOnLoopback, name: str) -> list[str]:
    """From the request to the webhook and the end; returns what must stay secret."""
    body = {"model_id": "veo-3.1", "prompt": PROMPT}
    answer = Caller(generate)("POST", "/v1/videos", body=body, headers={"Idempotency-Key": name})
    assert answer.status == 202
    job_id = answer.body["job_id"]
    submit({"job_id": job_id}, Context())
    path = urlsplit(fal.webhooks[-1]).path
    aws.executions.sleeping.add(TASK_TOKEN)
    event = {"job_id": job_id, "stage": "video", "turn": 0, "task_token": TASK_TOKEN}
    assert track(event, Context()) == {"woken": False}
    deliver = Caller(webhooks, user=None)
    video = {"request_id": REQUEST_ID, "status": "OK", "payload": {"video": {"url": VIDEO}}}
    call = fal.signer.call(video, timestamp=int(time.time()))
    assert deliver("POST", path, body="forged", headers=call.headers).status == 401
    assert deliver("POST", f"{path}x", body="lost", headers=call.headers).status == 404
    answer = deliver("POST", path, body=call.body.decode(), headers=call.headers)
    assert (answer.status, answer.body) == (200, {"result": "accepted"})
    assert [token for token, _ in aws.executions.responses] == [TASK_TOKEN]
    aws.executions.responses.clear()
    settle({"job_id": job_id, "error": "MediaInvalid"}, Context())
    job = job_store.get(job_id)
    assert job
    assert job.status is JobStatus.FAILED
    token = path.rsplit("/", 1)[-1]
    assert job.stages[0].submission
    assert job.stages[0].submission.webhook_token == token
    return [*FAL_KEY.split(":"), PROMPT, TASK_TOKEN, token]


def test_at_debug_no_line_has_a_key_a_token_or_a_prompt(
    aws: Aws, fal: FalOnLoopback, log: Everything, capfd: pytest.CaptureFixture[str]
) -> None:
    write_keys({"FAL_KEY": FAL_KEY})
    grants.grant("user-1", 100, "purchase-1")
    secrets = one_generation(aws, fal, "key-1")
    logging.getLogger("some.module").debug("is logged")
    printed = capfd.readouterr()
    everything = "\n".join([*log.lines, printed.out, printed.err])
    for logged in ("some.module: is logged", "webhook rejected", "job ended", "SubmissionAccepted"):
        assert logged in everything
    assert [secret for secret in secrets if secret in everything] == []


def test_a_failure_between_is_logged_without_them_too(
    aws: Aws,
    fal: FalOnLoopback,
    log: Everything,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_keys({"FAL_KEY": FAL_KEY})
    grants.grant("user-1", 100, "purchase-1")
    aws.executions.broken = 10
    aws.before_each_transaction(*[lambda: "ValidationError"])
    call = Caller(generate)
    body = {"model_id": "veo-3.1", "prompt": PROMPT}
    for status in (500, 202):
        answer = call("POST", "/v1/videos", body=body, headers={"Idempotency-Key": "key-1"})
        assert answer.status == status
    # Nothing listens there: the submission cannot be delivered.
    override(monkeypatch, fal={"queue_url": "http://127.0.0.1:9"})
    registry.forget()
    with pytest.raises(ProviderBusy):
        submit({"job_id": answer.body["job_id"]}, Context())
    printed = capfd.readouterr()
    everything = "\n".join([*log.lines, printed.out, printed.err])
    assert "unexpected error" in everything
    assert "execution not started" in everything
    assert "submission not accepted" in everything
    job = job_store.get(answer.body["job_id"])
    assert job
    assert job.stages[0].submission
    secrets = [*FAL_KEY.split(":"), PROMPT, job.stages[0].submission.webhook_token]
    assert [secret for secret in secrets if secret in everything] == []


@pytest.fixture
def talkative() -> Iterator[None]:
    """Undoes the settings that silence the libraries."""
    before = {name: logging.getLogger(name).level for name in LIBRARIES}
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("talkative")
def test_the_libraries_would_log_secrets_if_they_were_allowed(
    aws: Aws, fal: FalOnLoopback, log: Everything
) -> None:
    # This shows that the silence above is that of the libraries, not of a test that records
    # nothing.
    write_keys({"FAL_KEY": FAL_KEY})
    grants.grant("user-1", 100, "purchase-1")
    secrets = one_generation(aws, fal, "key-1")
    everything = "\n".join(log.lines)
    assert [secret for secret in secrets if secret not in everything] == []
