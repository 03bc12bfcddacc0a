"""Placing an order once: one key of one user is one job and one hold.

The sequence makes it safe. First one transaction holds the credits and records the job; then the
job's execution is started, with the job's id as its name. After a crash before the transaction
nothing exists. After a crash after it, the retry finds the job by its id and starts the execution
again, which does nothing if it was started. If the client does not retry, the sweep starts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import aws
from clipmint.credits import holds
from clipmint.errors import ClipmintError, IdempotencyKeyReused, try_again
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job
from clipmint.orders.idempotency_keys import Order
from clipmint.telemetry import logger

STARTS_AT_ONCE = 8
"""Executions that one call starts in parallel."""

ATTEMPTS = 5
"""Attempts at one order while other calls change what it depends on."""

T = TypeVar("T")


def place_once(order: Order, open_job: Callable[[], Job]) -> tuple[Job, bool]:
    """Open the order's job unless it exists, and start its execution.

    Parameters
    ----------
    open_job
        Holds the credits and records the job, and raises `holds.JobExists` if it exists.

    Returns
    -------
    tuple
        The job, and whether it existed.

    Raises
    ------
    IdempotencyKeyReused
        The job exists, but its order was another one.
    ClipmintError
        What ``open_job`` raised. Nothing was held.
    """
    try:
        job, replayed = open_job(), False
    except holds.JobExists as found:
        job, replayed = found.job, True
    except ClipmintError:
        # An earlier attempt may have opened the job and crashed. Its hold may be the reason why
        # the credits are not enough now, and the catalog may have changed since.
        existing = job_store.get(order.job_id)
        if existing is None:
            raise
        job, replayed = existing, True
    if replayed and job.fingerprint != order.fingerprint:
        raise key_reused()
    if not job.is_terminal:
        start_executions([job.job_id])
    return job, replayed


def key_reused() -> IdempotencyKeyReused:
    """The error for a key that was used for another request."""
    return IdempotencyKeyReused(
        "This Idempotency-Key was used for another request",
        details="Send a fresh key for a new generation",
    )


def start_executions(job_ids: Sequence[str]) -> None:
    """Start the executions of recorded jobs. One that was started before is not started again."""
    if not job_ids:
        return
    _start_execution(job_ids[0])  # creates the client, which the threads share
    if job_ids[1:]:
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            list(pool.map(_start_execution, job_ids[1:]))


def _start_execution(job_id: str) -> None:
    try:
        workflow.start(job_id)
    except (ClientError, BotoCoreError):
        # The job is recorded and its credits are held, so the order is accepted. The sweep starts
        # the execution within minutes.
        logger.exception("execution not started; the sweep will", extra={"job_id": job_id})


def retry_on_change(attempt: Callable[[], T], message: str = "The project is being changed") -> T:
    """Call ``attempt``, which reads what the order depends on, again while other calls change it.

    Raises `TemporarilyUnavailable` with this message after `ATTEMPTS` attempts.
    """
    return aws.retry_on_conflict(
        attempt,
        attempts=ATTEMPTS,
        conflict=lambda error: isinstance(error, holds.AlsoWriteRefused),
        otherwise=try_again(message, details="Nothing was charged; send the same request again"),
    )
