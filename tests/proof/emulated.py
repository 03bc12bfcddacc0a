"""An AWS account of the emulator's, without the stack: tables and buckets for real handlers that
take turns in this process.

DynamoDB and S3 are the emulator's. Every call of them, and of Step Functions, which is played here,
is a turn (`tests.proof.turns`). DynamoDB can be set to answer with a transaction conflict, as it
does when two callers write an item at the same moment. The index of open jobs lags now and then, as
global indexes do.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import botocore.client
import pytest
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError
from PIL import Image

from clipmint import aws
from clipmint.catalog import model_store, seeding
from clipmint.jobs.job_items import OPEN
from clipmint.media import download, storage, transfer, video_file
from clipmint.media.files import StoredObject
from clipmint.providers import registry
from clipmint.telemetry import logger
from functions.admin.app import app as admin
from functions.cancel.app import app as cancel
from functions.generate.app import app as generate
from functions.projects.app import app as projects
from local.deploy import ROOT
from local.processes import Child
from local.stack import EMULATOR_PYTHON
from tests.proof.turns import Turns
from tests.support import moto_aws
from tests.support.clock import Clock, start, virtual_time
from tests.support.executions import STATE_MACHINE
from tests.support.invariants import Snapshot
from tests.support.moto_aws import BUCKET, IMAGES_BUCKET, KEYS, TABLES

REGION = "us-east-1"
CONFLICTING = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
IN_TRANSACTIONS = frozenset({"LedgerTable", "JobsTable", "ProjectsTable"})
"""Tables whose items transactions write: only there can a transaction conflict occur."""

LAG = 0.3
"""The probability that the index of open jobs answers with an earlier state of the round."""

ROUTERS = (admin, cancel, generate, projects)

VIDEO = b"the bytes of a video"

_reader = TypeDeserializer()
_make_call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001


@dataclass
class Executions:
    """Step Functions: which executions were started, which wait for a token, and how the tokens
    were answered.
    """

    started: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    sleeping: set[str] = field(default_factory=set)
    responses: dict[str, str] = field(default_factory=dict)
    """By token: the name of the error, or None."""

    def answer(self, client: Any, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if operation == "StartExecution":
            name = params["name"]
            if name in self.ended:
                raise _error(client.exceptions.ExecutionAlreadyExists, operation)
            self.started.add(name)
            return {}
        if params["taskToken"] not in self.sleeping:
            raise _error(client.exceptions.TaskTimedOut, operation)
        self.sleeping.discard(params["taskToken"])
        self.responses[params["taskToken"]] = params.get("error", "")
        return {}


def _error(kind: Any, operation: str) -> ClientError:
    error: ClientError = kind({"Error": {"Code": kind.__name__, "Message": ""}}, operation)
    return error


@dataclass
class Emulated:
    """The account. ``turns`` and ``conflicts`` (the probability of each) belong to the round."""

    hands: Clock
    dynamodb: Any
    s3: Any
    executions: Executions = field(default_factory=Executions)
    provider: Any = field(default_factory=object)
    """The provider of all routes; rounds that call it set it. Never None: without an adapter a
    provider counts as not configured, and no order is accepted."""

    turns: Turns | None = None
    conflicts: float = 0.0
    injected: int = 0
    earlier: list[Any] = field(default_factory=list)
    """What the index of open jobs answered before each of the round's writes to a job."""

    def begin_round(self, seed: str, *, conflicts: float = 0.0) -> Turns:
        moto_aws.forget_answers()
        self.hands.move_to(start())
        self.turns = Turns(seed, ROUTERS)
        self.executions = Executions()
        self.earlier = []
        self.conflicts = conflicts
        return self.turns

    def call(self, client: Any, operation: str, params: dict[str, Any]) -> Any:
        """One call of an AWS API, as the turn of one actor."""
        if self.turns is not None and client is not self.dynamodb and client is not self.s3:
            self.turns.pause()
            self.turns.note(operation)
            if self._in_the_way(operation, params):
                self.injected += 1
                self.turns.note("… meets another transaction")
                raise _conflict(operation, params, self.turns)
            if _writes_jobs(operation, params):
                self.earlier.append(self._open_jobs())
            if params.get("IndexName") == "by_deadline" and self._lags():
                self.turns.note("… answers what it did earlier")
                return self.turns.random.choice(self.earlier)
        if client.meta.service_model.service_id == "SFN":
            return self.executions.answer(client, operation, params)
        return _make_call(client, operation, params)

    def _in_the_way(self, operation: str, params: dict[str, Any]) -> bool:
        assert self.turns is not None
        single = operation in CONFLICTING and params["TableName"] in IN_TRANSACTIONS
        if not self.conflicts or not (single or operation.startswith("Transact")):
            return False
        return self.turns.random.random() < self.conflicts

    def _lags(self) -> bool:
        assert self.turns is not None
        return bool(self.earlier) and self.turns.random.random() < LAG

    def _open_jobs(self) -> Any:
        return self.dynamodb.query(
            TableName="JobsTable",
            IndexName="by_deadline",
            KeyConditionExpression="#open = :open",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": OPEN}},
        )

    def items(self, table: str, user_id: str) -> list[dict[str, Any]]:
        """A user's items in the ledger or among the projects."""
        found = self.dynamodb.query(
            TableName=table,
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ConsistentRead=True,
        )
        return [_plain(item) for item in found["Items"]]

    def jobs(self, user_id: str) -> list[dict[str, Any]]:
        """A user's jobs, also the deleted ones."""
        found = self.dynamodb.query(
            TableName="JobsTable",
            IndexName="by_user",
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
        )
        return [self._job(item["job_id"]) for item in found["Items"]]

    def _job(self, job_id: dict[str, str]) -> dict[str, Any]:
        read = self.dynamodb.get_item(
            TableName="JobsTable", Key={"job_id": job_id}, ConsistentRead=True
        )
        return _plain(read["Item"])

    def snapshot(self, user_id: str, paid: dict[tuple[str, str], int] | None) -> Snapshot:
        """Everything stored about a user, read without our code."""
        ledger = self.items("LedgerTable", user_id)
        own = self.jobs(user_id)
        ids = {job["job_id"] for job in own}
        return Snapshot(
            user_id=user_id,
            account=next((item for item in ledger if item["sk"] == "ACCOUNT"), None),
            entries=[item for item in ledger if item["sk"].startswith("ENTRY#")],
            jobs=own,
            objects={} if paid is None else self._objects(ids),
            paid=None if paid is None else {k: n for k, n in paid.items() if k[0] in ids},
        )

    def _objects(self, job_ids: set[str]) -> dict[tuple[str, str], str]:
        found = {}
        for bucket in (BUCKET, IMAGES_BUCKET):
            for item in self.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                if job_ids & set(item["Key"].split("/")):
                    body = self.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                    found[bucket, item["Key"]] = hashlib.sha256(body).hexdigest()
        return found

    def clear_files(self) -> None:
        """Remove all files, so that listing the files of a round stays fast."""
        for bucket in (BUCKET, IMAGES_BUCKET):
            for item in self.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                self.s3.delete_object(Bucket=bucket, Key=item["Key"])


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: _reader.deserialize(value) for name, value in item.items()}


def _writes_jobs(operation: str, params: dict[str, Any]) -> bool:
    if operation != "TransactWriteItems":
        return operation in CONFLICTING and params["TableName"] == "JobsTable"
    requests = (request for item in params["TransactItems"] for request in item.values())
    return any(request["TableName"] == "JobsTable" for request in requests)


def _conflict(operation: str, params: dict[str, Any], turns: Turns) -> ClientError:
    code, response = "TransactionConflictException", dict[str, Any]()
    if operation not in CONFLICTING:
        code = "TransactionCanceledException"
        reasons = [{"Code": "None"} for _ in params["TransactItems"]]
        reasons[turns.random.randrange(len(reasons))]["Code"] = "TransactionConflict"
        response["CancellationReasons"] = reasons
    response["Error"] = {"Code": code, "Message": "Transaction is ongoing for the item"}
    return ClientError(cast("Any", response), operation)


@contextmanager
def emulated() -> Iterator[Emulated]:
    """An emulator with our tables and buckets, and this process as its functions."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="races-")))
        endpoint = stack.enter_context(_emulator(folder))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        for name in [*os.environ]:
            if name.startswith(("AWS_", "FAL_", "RUNWA", "POWERTOOLS_")):
                patch.delenv(name)
        for name, value in _variables(endpoint).items():
            patch.setenv(name, value)
        aws.forget()
        moto_aws.forget_answers()
        stack.callback(moto_aws.forget_answers)
        stack.callback(aws.forget)
        hands = stack.enter_context(virtual_time())
        account = Emulated(hands, boto3.client("dynamodb"), boto3.client("s3"))
        _play_the_rest(patch, account)
        known = registry.Registry(lambda *_: account.provider, lambda: KEYS)
        stack.enter_context(registry.use(known))
        for logical_id in TABLES:
            account.dynamodb.create_table(
                TableName=logical_id, **moto_aws.definition_of(logical_id)
            )
        for bucket in (BUCKET, IMAGES_BUCKET):
            account.s3.create_bucket(Bucket=bucket)
        seeding.seed(first_deployment=True)
        # As the first sweep does. Otherwise that of the first round would make one write more.
        model_store.record_providers(registry.configured())
        model_store.forget()
        stack.callback(logger.setLevel, logger.log_level)
        logger.setLevel("CRITICAL")
        yield account


def _play_the_rest(patch: pytest.MonkeyPatch, account: Emulated) -> None:
    """What is not AWS: time, and the media, which do not take part in the races."""

    def sleep(seconds: float, really: Any = time.sleep) -> None:
        if account.turns is None or not hasattr(account.turns._local, "actor"):  # noqa: SLF001
            really(seconds)
        else:
            account.turns.pause()

    patch.setattr(
        botocore.client.BaseClient,
        "_make_api_call",
        lambda *call: account.call(*call),  # noqa: PLW0108  (the class binds only functions)
    )
    patch.setattr(time, "sleep", sleep)
    patch.setattr(transfer, "copy_from_url", _copy)
    patch.setattr(download, "read_all", lambda *_, **__: _image())
    patch.setattr(storage, "open_range", lambda *_: contextlib.nullcontext())
    facts = SimpleNamespace(width=1280, height=720, duration_seconds=4.0)
    patch.setattr(video_file, "probe", lambda _: facts)
    patch.setattr(video_file, "thumbnail", lambda _: b"a thumbnail")


@functools.cache
def _image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (720, 1280)).save(buffer, "PNG")
    return buffer.getvalue()


def _copy(_: str, *, bucket: str, key: str, s3: Any, **__: Any) -> StoredObject:
    s3.put_object(Bucket=bucket, Key=key, Body=VIDEO, ContentType="video/mp4")
    sha256 = hashlib.sha256(VIDEO).hexdigest()
    return StoredObject(bucket, key, len(VIDEO), sha256, "etag", None, "video/mp4")


def _variables(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "POWERTOOLS_SERVICE_NAME": "clipmint",
        "POWERTOOLS_METRICS_NAMESPACE": "Clipmint",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "VIDEOS_BUCKET": BUCKET,
        "IMAGES_BUCKET": IMAGES_BUCKET,
        "IMAGES_BASE_URL": moto_aws.IMAGES_URL,
        "STATE_MACHINE_ARN": STATE_MACHINE,
        "WEBHOOK_BASE_URL": moto_aws.WEBHOOKS,
        "PROVIDER_KEYS_ARN": "unused",
        "MAX_OPEN_JOBS": "1000",
        "MAX_JOBS_PER_HOUR": "100000",
        "MAX_OPEN_CLIPS": "1000",
        **{variable: logical_id for logical_id, variable in TABLES.items()},
    }


@contextmanager
def _emulator(folder: Path) -> Iterator[str]:
    with ExitStack() as ours:
        listeners = [ours.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [listener.getsockname()[1] for listener in listeners]
        descriptors = [listener.fileno() for listener in listeners]
        child = Child(
            [str(EMULATOR_PYTHON), "-m", "local.emulator"],
            log=folder / "emulator.log",
            environment={"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(folder)},
            cwd=ROOT,
            pass_fds=descriptors,
        )
    try:
        names = ("port", "api_port", "cdn_port")
        settings = dict(zip(names, ports, strict=True))
        child.send_line(
            json.dumps(
                {**settings, "descriptors": descriptors, "state": str(folder), "handler_python": ""}
            )
        )
        child.wait_until_ready(60)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        child.stop()
