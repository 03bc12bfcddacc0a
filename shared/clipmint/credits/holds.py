"""The credits of jobs: held when they start, captured or released when they end.

`hold_and_record` and `settle` are one transaction each (`clipmint.credits.ledger`). A retry finds
the job (same id) or its end (no longer open) and returns that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.update import Action

from clipmint import clock
from clipmint.credits import account_changes, ledger
from clipmint.credits.account import Entry, Limits
from clipmint.jobs import job_items, job_store
from clipmint.jobs.job import Job
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.verdict import Verdict
from clipmint.telemetry import (
    CREDITS_CAPTURED,
    CREDITS_HELD,
    CREDITS_RELEASED,
    JOB_ENDED,
    JOB_FAILED,
    JOB_SECONDS,
    JOB_STARTED,
    count,
    emit,
    logger,
)
from clipmint.values import frozen


class JobExists(Exception):
    """One of the jobs exists already: ``job``."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.job_id)
        self.job = job


class AlsoWriteRefused(Exception):
    """A condition of `AlsoWrite` does not hold. The caller must read again before it retries."""


@frozen
class AlsoWrite:
    """Further items that a transaction writes together with new jobs, all or nothing."""

    puts: tuple[ledger.Put, ...] = ()
    updates: tuple[ledger.Update, ...] = ()


NOTHING_ELSE = AlsoWrite()

AlsoWriteFor = Callable[[int], AlsoWrite]
"""Makes the further items, if they contain the credits that remain available."""


def hold_and_record(
    new: Sequence[Job],
    limits: Limits,
    also_write: AlsoWrite | AlsoWriteFor = NOTHING_ELSE,
    *,
    clips: bool = False,
) -> list[Job]:
    """Hold the price of one user's new jobs and record them, in one transaction.

    Parameters
    ----------
    new
        At least one. A transaction takes 100 items: the account, those of ``also_write``, one entry
        for what expires, and for each job the job itself and one entry per stage.
    also_write
        Further items for the same transaction.
    clips
        Whether they are clips of a project, which have a limit of their own.

    Returns
    -------
    list
        The jobs as recorded, with ``balance_after``: the credits that remain available, and with
        the lots that each hold came from.

    Raises
    ------
    JobExists
        A job with one of these ids exists; nothing was held.
    AlsoWriteRefused
        A condition of ``also_write`` does not hold; nothing was held.
    InsufficientCredits, LimitReached
        Nothing was held.
    TemporarilyUnavailable
        Too many changes to this account at once; nothing was held.
    """
    prices = {job.job_id: job.prices for job in new}

    def attempt() -> list[Job]:
        before = ledger.account_of(new[0].user_id)
        after, entries = account_changes.hold(
            before, prices, limits, new[0].created_at, clips=clips
        )
        opened = [_with_lots(replace(job, balance_after=after.available), entries) for job in new]
        is_new = JobItem.job_id.does_not_exist()
        jobs: list[ledger.Put] = [(job_items.to_item(job), is_new) for job in opened]
        also = also_write if isinstance(also_write, AlsoWrite) else also_write(after.available)
        try:
            ledger.write((before, after, entries), [*jobs, *also.puts], also.updates)
        except TransactWriteError as error:
            _raise_refusal(error, len(new), also)
            raise
        return opened

    opened = ledger.retrying(attempt)
    emit({JOB_STARTED: len(opened), CREDITS_HELD: sum(job.credits for job in opened)})
    return opened


def _with_lots(job: Job, entries: Sequence[Entry]) -> Job:
    """The job with the part of its holds that came from lots. The settlement reads it here, so it
    need not read the journal."""
    held = {(entry.job_id, entry.stage): entry.lots for entry in entries if entry.kind == "hold"}
    stages = tuple(
        replace(stage, from_lots=held[job.job_id, stage.name] or None) for stage in job.stages
    )
    return replace(job, stages=stages)


def _raise_refusal(error: TransactWriteError, jobs_: int, also: AlsoWrite) -> None:
    """Raise `JobExists` or `AlsoWriteRefused` if that is why DynamoDB cancelled the transaction.

    DynamoDB returns a reason per item, in the order of the request (`ledger.write`).
    """
    refused = [
        reason if reason and reason.code == "ConditionalCheckFailed" else None
        for reason in error.cancellation_reasons
    ]
    for reason in refused[:jobs_]:
        if reason is not None:
            if reason.raw_item is None:
                raise TypeError("DynamoDB did not return the item that exists")
            raise JobExists(job_store.from_raw(reason.raw_item)) from None
    puts = refused[jobs_ : jobs_ + len(also.puts)]
    updates = refused[len(refused) - len(also.updates) :]
    if any(puts) or any(updates):
        raise AlsoWriteRefused from None


def settle(job_id: str, decide: Callable[[Job], Verdict | None]) -> Job:
    """End a job: capture the stages that succeeded, release the others, in one transaction.

    Parameters
    ----------
    decide
        Returns how the job ends, or None to leave it open. Called again if the job has changed
        meanwhile.

    Returns
    -------
    Job
        The job after the transaction, or unchanged if it had ended before.

    Raises
    ------
    LookupError
        There is no such job.
    TemporarilyUnavailable
        Too many changes to this account or job at once; nothing was written.
    """

    def attempt() -> tuple[Job, bool]:
        job = job_store.get(job_id)
        if job is None:
            raise LookupError(f"no job {job_id}")
        verdict = None if job.is_terminal else decide(job)
        if verdict is None:
            return job, False
        now = clock.now()
        before = ledger.account_of(job.user_id)
        after, entries = account_changes.resolve(
            before,
            job.job_id,
            job.prices,
            job.captured_stages,
            now,
            clip=job.batch_id is not None,
            from_lots={stage.name: stage.from_lots or () for stage in job.stages},
        )
        ended = replace(
            job,
            status=verdict.status,
            failure=verdict.failure,
            updated_at=now,
            completed_at=now,
            revision=job.revision + 1,
        )
        actions: list[Action] = [
            JobItem.status.set(ended.status.value),
            JobItem.open.remove(),
            JobItem.updated_at.set(clock.iso(now)),
            JobItem.completed_at.set(clock.iso(now)),
            JobItem.revision.set(ended.revision),
        ]
        if verdict.failure is not None:
            actions.append(JobItem.failure.set(verdict.failure.value))
        # The verdict is about this revision. If an asset or an outcome was recorded since, decide
        # again.
        unchanged = JobItem.open.exists() & (JobItem.revision == job.revision)
        ledger.write((before, after, entries), updates=[(JobItem(job_id), actions, unchanged)])
        return ended, True

    job, ended_now = ledger.retrying(attempt)
    if ended_now:
        _count_end(job)
    return job


def _count_end(job: Job) -> None:
    """Log a job's end and emit its metrics. Only the call that ended the job does this, so each job
    is counted once."""
    stage = job.current_stage or job.stages[-1]
    # So the owner finds failed jobs without reading the whole table: "Find a job" in the runbook.
    logger.info(
        "job ended",
        extra={
            "job_id": job.job_id,
            "status": job.status.value,
            "failure": job.failure.value if job.failure else "none",
            "provider": stage.provider,
            "model_id": job.model_id,
        },
    )
    seconds = (job.updated_at - job.created_at).total_seconds()
    emit({JOB_ENDED: 1, JOB_SECONDS: seconds}, outcome=job.status.value, provider=stage.provider)
    used = job.credits_used
    emit({CREDITS_CAPTURED: used, CREDITS_RELEASED: job.credits - used})
    if job.failure is not None:
        count(JOB_FAILED, reason=job.failure.value)
