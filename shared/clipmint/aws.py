"""AWS clients, each made once per process and with stated limits; and retries after conflicts.

A client is made when it is first used, so that importing this module needs no AWS and a function
that never uses a service never loads it. `forget` drops all of them.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config
from botocore.session import Session, get_session
from pynamodb.connection import TableConnection
from pynamodb.exceptions import (
    PynamoDBException,
    TransactGetError,
    TransactWriteError,
    UpdateError,
)
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from clipmint.values import frozen

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

T = TypeVar("T")


# ── Limits ───────────────────────────────────────────────────────────────────────────────────────


@frozen
class Limits:
    """How long one attempt may take to connect and to answer, and how many attempts are made."""

    connect_seconds: float
    read_seconds: float
    attempts: int


# The APIs below answer in milliseconds. A lost packet must leave time for another attempt within
# the function's own timeout. Every write carries a token, a name or a condition, so that a second
# attempt does nothing twice.
TABLES = Limits(connect_seconds=2, read_seconds=5, attempts=4)
POWERTOOLS = Limits(connect_seconds=2, read_seconds=5, attempts=3)
"""DynamoDB for Powertools: idempotency records and the state of circuits."""
STEP_FUNCTIONS = Limits(connect_seconds=2, read_seconds=5, attempts=4)
SECRETS = Limits(connect_seconds=2, read_seconds=5, attempts=3)
EVENTS = Limits(connect_seconds=2, read_seconds=5, attempts=3)
"""EventBridge and SQS. Who receives an event or a message twice recognises it by its ids."""

# An account may make nine such calls a second, and the owner's own tools make some of them. All
# attempts for two pages, 200 alarms with the same beginning of their names, end within the
# function's timeout.
ALARMS = Limits(connect_seconds=2, read_seconds=2, attempts=2)

FUNCTIONS = Limits(connect_seconds=2, read_seconds=5, attempts=2)
"""Lambda. A function that is started twice must do nothing twice."""

# S3 transfers whole files: it may need longer for each part.
FILES = Limits(connect_seconds=5, read_seconds=30, attempts=4)
# Reads of uploads happen while the user waits, in a function with a short timeout.
UPLOADS = Limits(connect_seconds=5, read_seconds=3, attempts=2)


def _config(limits: Limits, **more: Any) -> Config:
    return Config(
        connect_timeout=limits.connect_seconds,
        read_timeout=limits.read_seconds,
        retries={"mode": "standard", "total_max_attempts": limits.attempts},
        **more,
    )


# ── Clients ──────────────────────────────────────────────────────────────────────────────────────

_kept: list[Callable[[], None]] = []
"""Empties what each function decorated with `once` keeps."""


def once(make: Callable[[], T]) -> functools._lru_cache_wrapper[T]:
    """Decorate a function that makes a client: it is made on first use and kept until `forget`."""
    kept = functools.cache(make)
    _kept.append(kept.cache_clear)
    return kept


def forget() -> None:
    """Drop all clients and connections. The next use makes them again, for the environment of that
    moment."""
    for clear in _kept:
        clear()
    for model in Model.__subclasses__():
        model._connection = None  # noqa: SLF001  (PynamoDB keeps one per model and has no way to close it)


@once
def _session() -> Session:
    # Not boto3: its client is botocore's, and importing boto3 takes a tenth of a cold start.
    return get_session()


def _client(service: str, config: Config) -> Any:
    return _session().create_client(service, config=config)


@once
def dynamodb() -> DynamoDBClient:
    """For Powertools. Our own tables are read and written through `table` and PynamoDB's models."""
    client: DynamoDBClient = _client("dynamodb", _config(POWERTOOLS))
    return client


@once
def step_functions() -> SFNClient:
    client: SFNClient = _client("stepfunctions", _config(STEP_FUNCTIONS))
    return client


@once
def secrets() -> SecretsManagerClient:
    client: SecretsManagerClient = _client("secretsmanager", _config(SECRETS))
    return client


@once
def event_bridge() -> EventBridgeClient:
    client: EventBridgeClient = _client("events", _config(EVENTS))
    return client


@once
def sqs() -> SQSClient:
    client: SQSClient = _client("sqs", _config(EVENTS))
    return client


@once
def cloudwatch() -> Any:
    """CloudWatch, to read alarms."""
    return _client("cloudwatch", _config(ALARMS))


@once
def functions() -> Any:
    """Lambda, to start another function."""
    return _client("lambda", _config(FUNCTIONS))


@once
def s3() -> S3Client:
    """For videos and images: transfers that end in time, presigned URLs for every region."""
    return new_s3(FILES)


@once
def s3_for_uploads() -> S3Client:
    """For images that users upload, which are read while the user waits."""
    return new_s3(UPLOADS)


def new_s3(limits: Limits = FILES) -> S3Client:
    """A client of its own; `s3` and `s3_for_uploads` are shared."""
    # Virtual addressing makes botocore sign for the regional host; at an endpoint that is an IP
    # address (an emulator) it uses paths by itself.
    client: S3Client = _client(
        "s3",
        _config(
            limits,
            signature_version="s3v4",
            s3={
                "addressing_style": "virtual",
                "us_east_1_regional_endpoint": "regional",
                # Every upload carries a SHA-256 checksum header, which the signature covers and
                # S3 verifies: hashing the body again for the signature would add nothing.
                "payload_signing_enabled": False,
            },
        ),
    )
    return client


# ── DynamoDB through PynamoDB ────────────────────────────────────────────────────────────────────


def table(model: type[Model]) -> TableConnection:
    """A model's connection to its table, for calls that are about items of several models or that
    PynamoDB's models cannot make. It is PynamoDB's own, which it does not publish: a connection of
    ours would be one more client to make in a cold start."""
    return model._get_connection()  # noqa: SLF001


def write_transaction(model: type[Model]) -> TransactWrite:
    """A transaction over items of any table, sent through this model's connection."""
    return TransactWrite(connection=table(model).connection)


def read_transaction(model: type[Model]) -> TransactGet:
    """Reads of items of any table, as of one moment, sent through this model's connection."""
    return TransactGet(connection=table(model).connection)


# ── Conflicts ────────────────────────────────────────────────────────────────────────────────────

_TRANSACTION_CONFLICTS = frozenset(
    {
        "None",
        "ConditionalCheckFailed",
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    }
)
_CONDITION_FAILED = "ConditionalCheckFailedException"
_UPDATE_CONFLICTS = frozenset({_CONDITION_FAILED, "TransactionConflictException"})


def is_conflict(error: Exception) -> bool:
    """Whether DynamoDB refused a call for a reason that another attempt may not meet again."""
    if isinstance(error, TransactWriteError | TransactGetError):
        reasons = {reason.code for reason in error.cancellation_reasons if reason}
        return bool(reasons) and reasons <= _TRANSACTION_CONFLICTS
    return isinstance(error, UpdateError) and _code(error) in _UPDATE_CONFLICTS


def condition_failed(error: PynamoDBException) -> bool:
    """Whether DynamoDB refused a write because its condition was false."""
    return _code(error) == _CONDITION_FAILED


def _code(error: PynamoDBException) -> str | None:
    """The code of DynamoDB's error; None if it gave no answer.

    PynamoDB's `cause_response_code` raises AttributeError after a time-out: botocore's error then
    has a response that is None.
    """
    response = getattr(error.cause, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code


def growing_pause(attempt: int) -> float:
    """The longest pause after an attempt, counted from 0: doubled each time, up to half a second.
    Eight attempts take two seconds at most."""
    return float(min(0.02 * 2**attempt, 0.5))


def short_pause(attempt: int) -> float:  # noqa: ARG001
    """The longest pause while another transaction holds an item: some milliseconds."""
    return 0.05


def retry_on_conflict(
    attempt: Callable[[], T],
    *,
    attempts: int,
    otherwise: Exception,
    conflict: Callable[[Exception], bool] = is_conflict,
    longest_pause: Callable[[int], float] = short_pause,
) -> T:
    """Call ``attempt`` again, after a random pause, while it fails because of a conflict.

    Parameters
    ----------
    attempt
        Reads what it needs afresh, so that each call goes by what others have written meanwhile.
    attempts
        How often it is called at most.
    otherwise
        Raised when all attempts have met a conflict.
    conflict
        Whether an error is a conflict. Any other error is raised as it is.
    longest_pause
        Seconds, by the number of the attempt, counted from 0. The pause is random, so that writers
        who met once do not meet again.
    """
    for number in range(attempts):
        if number:
            time.sleep(random.uniform(0, longest_pause(number - 1)))  # noqa: S311
        try:
            return attempt()
        except Exception as error:
            if not conflict(error):
                raise
    raise otherwise
