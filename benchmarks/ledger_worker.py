"""A worker of the ledger's benchmark, in a separate process: by the ledger and bare.

`benchmarks.ledger` describes the comparison. A worker calls `settle_in`, then `record` once, and
then `by_the_ledger` or `bare` repeatedly. Handlers of botocore's events record the requests and
the refusals.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import botocore.handlers
from botocore.config import Config
from botocore.exceptions import ClientError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "shared"))

from clipmint import clock  # noqa: E402
from clipmint.catalog.model import Settings  # noqa: E402
from clipmint.catalog.route import Route  # noqa: E402
from clipmint.credits import holds  # noqa: E402
from clipmint.credits.account import Limits  # noqa: E402
from clipmint.errors import TemporarilyUnavailable  # noqa: E402
from clipmint.jobs.job import Job, JobStatus, Stage  # noqa: E402
from clipmint.jobs.outcomes import FailureCode  # noqa: E402
from clipmint.jobs.verdict import Verdict  # noqa: E402

PRICE = 32
UNLIMITED = Limits(open_jobs=1_000_000, jobs_per_hour=1_000_000)
RELEASED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)


@dataclass(frozen=True)
class Transactions:
    """The ledger's requests as JSON: the items of a hold and of its settlement."""

    user_id: str
    job_id: str
    hold: str
    settlement: str

    def of(self, template: str, user_id: str, job_id: str, sequence: int) -> list[dict[str, Any]]:
        """The same for another user's job, for an account with this sequence number."""
        text = template.replace(self.user_id, user_id).replace(self.job_id, job_id)
        items: list[dict[str, Any]] = json.loads(text)
        for put in (item["Put"] for item in items if "Put" in item):
            if put["Item"].get("sk") == {"S": "ACCOUNT"}:
                put["Item"]["last_sequence"] = {"N": str(sequence + 1)}
                put["ExpressionAttributeValues"] = {":0": {"N": str(sequence)}}
        return items


@dataclass
class Shift:
    """The work of one worker between two times (epoch seconds). ``refused`` counts the cancelled
    transactions by reason, ``told_to_ask_again`` the calls that gave up."""

    began: float
    ended: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    asked_to_retry: int = 0


_sent: list[str] = []
_refused: Counter[str] = Counter()


def settle_in(environment: Mapping[str, str]) -> None:
    """Set the tables, and register with botocore's events before the first client is created."""
    os.environ.update(environment)
    # Printing metrics is part of the measured work, but the output is not needed.
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until this process ends
    botocore.handlers.BUILTIN_HANDLERS += [
        ("provide-client-params.dynamodb.TransactWriteItems", _on_sent),
        ("after-call.dynamodb.TransactWriteItems", _on_answer),
    ]


def _on_sent(params: dict[str, Any], **_: Any) -> None:
    _sent.append(json.dumps(params["TransactItems"]))


def _on_answer(parsed: dict[str, Any], **_: Any) -> None:
    reasons = {reason["Code"] for reason in parsed.get("CancellationReasons", ())} - {"None"}
    if reasons:
        _refused["+".join(sorted(reasons))] += 1
    elif "Error" in parsed:
        _refused[parsed["Error"]["Code"]] += 1


def record(user_id: str) -> Transactions:
    """Make one job with the ledger and record its requests. This also creates the clients."""
    _sent.clear()
    job_id = str(uuid.uuid4())
    holds.hold_and_record([_job(user_id, job_id)], UNLIMITED)
    holds.settle(job_id, lambda _: RELEASED)
    hold, settlement = _sent
    return Transactions(user_id, job_id, hold, settlement)


def by_the_ledger(start_at: float, users: Sequence[str]) -> Shift:
    """Make one job for each of these users. A user may be listed several times."""
    shift = _begin(start_at)
    for user_id in users:
        job = _job(user_id, str(uuid.uuid4()))
        _until_accepted(shift, partial(holds.hold_and_record, [job], UNLIMITED))
        _until_accepted(shift, partial(holds.settle, job.job_id, lambda _: RELEASED))
    return _end(shift)


def _until_accepted(shift: Shift, call: Callable[[], object]) -> None:
    while True:
        with contextlib.suppress(TemporarilyUnavailable):
            call()
            return
        shift.asked_to_retry += 1


def bare(start_at: float, users: Sequence[str], sent: Transactions) -> Shift:
    """Make the same calls without the ledger."""
    dynamodb = boto3.client("dynamodb", config=Config(retries={"max_attempts": 3}))
    ledger_table, jobs_table = os.environ["LEDGER_TABLE"], os.environ["JOBS_TABLE"]

    def read(table: str, **key: str) -> dict[str, Any]:
        typed = {name: {"S": value} for name, value in key.items()}
        answer = dynamodb.get_item(
            TableName=table, Key=typed, ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
        )
        return dict(answer["Item"])

    def change(user_id: str, job_id: str, template: str) -> None:
        while True:
            if template is sent.settlement:
                read(jobs_table, job_id=job_id)
            account = read(ledger_table, user_id=user_id, sk="ACCOUNT")
            items: Any = sent.of(template, user_id, job_id, int(account["last_sequence"]["N"]))
            try:
                dynamodb.transact_write_items(TransactItems=items, ReturnConsumedCapacity="TOTAL")
            except ClientError as error:
                if error.response["Error"]["Code"] != "TransactionCanceledException":
                    raise
            else:
                return

    read(
        ledger_table, user_id=users[0], sk="ACCOUNT"
    )  # open the connection, as the ledger's is open
    shift = _begin(start_at)
    for user_id in users:
        job_id = str(uuid.uuid4())
        change(user_id, job_id, sent.hold)
        change(user_id, job_id, sent.settlement)
    return _end(shift)


def _begin(start_at: float) -> Shift:
    time.sleep(max(0.0, start_at - time.time()))
    _sent.clear()
    _refused.clear()
    return Shift(began=time.time())


def _end(shift: Shift) -> Shift:
    shift.ended = time.time()
    shift.refused.update(_refused)
    return shift


def _job(user_id: str, job_id: str) -> Job:
    now = clock.now()
    route = Route(provider="fal", endpoint="fal-ai/veo3.1")
    stage = Stage(
        "video",
        (route,),
        route.provider,
        route.endpoint,
        PRICE,
        poll_seconds=(90, 30, 30, 60),
        deadline_seconds=1_800,
    )
    return Job(
        job_id=job_id,
        user_id=user_id,
        status=JobStatus.PENDING,
        model_id="veo-3.1",
        model_name="Veo 3.1",
        prompt="A paper boat crosses a still lake at dawn",
        settings=Settings(resolution="720p", aspect_ratio="16:9", duration=8),
        fingerprint="f" * 64,
        stages=(stage,),
        deadline=clock.epoch(now + timedelta(seconds=1_800)),
        created_at=now,
        updated_at=now,
    )
