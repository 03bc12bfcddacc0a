"""Sweep: what nobody else will finish any more.

On a schedule: jobs past their deadline, jobs whose execution was never started, and those whose
execution has ended without anybody hearing of it. At once, by an event: jobs whose execution
failed, timed out or was aborted. All of it settles through the ledger like everybody else, so
coming second to a running execution changes nothing. What a provider still has of such a job is
taken back, or told to the owner.

Each scheduled sweep also says how long the oldest hold has been open, and audits a slice of the
ledger. ``{"audit": "<user id>"}`` audits one account now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock
from clipmint.credits import audit, ledger
from clipmint.execution import orphans, workflow
from clipmint.execution.workflow import Started
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, Verdict, given_up, verdict
from clipmint.jobs.job_store import JobFinished, JobMoved, OpenJob, Unreadable
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.telemetry import (
    ACCOUNTS_AUDITED,
    EXECUTION_DIED,
    EXECUTION_ENSURED,
    JOB_SWEPT,
    LEDGER_DRIFT,
    OLDEST_OPEN_HOLD_SECONDS,
    OPEN_JOBS,
    OVERDUE_SECONDS,
    SWEEP_FAILED,
    count,
    emit,
    logger,
)

SWEEP_EVERY = timedelta(minutes=1)
"""As the template schedules it."""

START_GRACE = timedelta(minutes=2)
"""How long generate may take to start an execution before the sweep does."""

LOOK_EVERY = timedelta(minutes=10)
"""How often the sweep makes sure that a job in progress has its execution: the event of an
execution's end may be lost, and a finished video has a day to arrive."""

DEADLINE_GRACE = timedelta(minutes=2)
"""How long Track may take to end a job at its deadline, before the sweep does. Track asks the
provider once more; the sweep only gives up."""


class SweepIncomplete(Exception):
    """Some jobs could not be swept, or a slice not audited; the others were."""


RESERVE_MS = 20_000
"""Begin no job with less than this of the function's own time left; the next sweep goes on. It
covers a provider that does not answer: about the same sweep's other jobs it is not asked."""

AUDIT_RESERVE_MS = 10_000
"""The same for the accounts of the audit."""


@dataclass(slots=True)
class Holds:
    """The jobs a sweep leaves open: how many, since when, and until when at the latest."""

    jobs: int = 0
    oldest: datetime | None = None
    deadline: int | None = None

    def add(self, found: OpenJob) -> None:
        self.jobs += 1
        self.oldest = min(self.oldest or found.created_at, found.created_at)
        self.deadline = min(self.deadline or found.deadline, found.deadline)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    if event.get("source") == "aws.states":
        return {"settled": int(_execution_died(event["detail"]))}
    if "audit" in event:
        return {"drift": audit.confirmed_drift(event["audit"])}

    swept, holds = _sweep_all(lambda: context.get_remaining_time_in_millis() >= RESERVE_MS)
    audited = _audit_safely(lambda: context.get_remaining_time_in_millis() >= AUDIT_RESERVE_MS)
    _report(holds, audited or audit.Audit(0, 0))
    if swept["failed"] or audited is None:
        also = "" if audited else ", and the audit"
        raise SweepIncomplete(f"{swept['failed']} jobs{also}")
    return swept


def _sweep_all(has_time: Callable[[], bool]) -> tuple[dict[str, int], Holds]:
    """What was done, and what was left open."""
    swept, holds = {"settled": 0, "started": 0, "failed": 0}, Holds()
    silent = set[str]()
    for found in job_store.open_jobs():
        if not has_time():
            break
        action = _sweep_safely(found, silent)
        if action:
            swept[action] += 1
        if action != "settled" and isinstance(found, OpenJob):
            holds.add(found)
    if any(swept.values()):
        logger.warning("swept", extra=swept)
    return swept, holds


def _sweep_safely(found: OpenJob | Unreadable, silent: set[str]) -> str | None:
    if isinstance(found, Unreadable):
        logger.error("open job could not be read", extra={"reason": found.reason})
        count(SWEEP_FAILED)
        return "failed"
    try:
        return _sweep(found, silent)
    except Exception:  # noqa: BLE001  (one broken job must not keep the others waiting)
        logger.exception("job could not be swept", extra={"job_id": found.job_id})
        count(SWEEP_FAILED)
        return "failed"


def _audit_safely(has_time: Callable[[], bool]) -> audit.Audit | None:
    try:
        return audit.audit(audit.slice_at(clock.now()), audit.SLICES, has_time)
    except Exception:  # noqa: BLE001  (jobs are swept and reported whether or not books can be read)
        logger.exception("accounts could not be audited")
        count(SWEEP_FAILED)
        return None


def _report(holds: Holds, audited: audit.Audit) -> None:
    """All of it also when it is zero: that nothing is said means that no sweep runs."""
    now = clock.now()
    age = (now - holds.oldest).total_seconds() if holds.oldest else 0
    overdue = clock.epoch(now) - holds.deadline if holds.deadline else 0
    emit(
        {
            OPEN_JOBS: holds.jobs,
            OLDEST_OPEN_HOLD_SECONDS: age,
            OVERDUE_SECONDS: max(0, overdue),
            ACCOUNTS_AUDITED: audited.accounts,
            LEDGER_DRIFT: audited.drift,
        }
    )


def _execution_died(detail: dict[str, Any]) -> bool:
    # For this event alone: the next run of this process may be a scheduled sweep.
    with logger.append_context_keys(job_id=detail["name"]):
        logger.error("execution died", extra={"status": detail["status"]})
        count(EXECUTION_DIED, status=detail["status"])
        if job_store.get(detail["name"]) is None:
            return False  # an execution somebody started by hand
        return _settle(detail["name"], detail["status"], set())


def _sweep(found: OpenJob, silent: set[str]) -> str | None:
    """What was done about an open job. ``silent``: providers that did not answer in this sweep."""
    now = clock.now()
    if found.deadline < clock.epoch(now - DEADLINE_GRACE):
        settled = _settle(found.job_id, "DeadlineExceeded", silent, late_only=True)
        return "settled" if settled else None
    age = now - found.created_at
    unstarted = found.status is JobStatus.PENDING and age > START_GRACE
    if not unstarted and (age < LOOK_EVERY or age % LOOK_EVERY >= SWEEP_EVERY):
        return None
    # Starting is idempotent: a job that is under way, or waits for a busy provider, is left alone.
    if workflow.start(found.job_id) is Started.ENDED:
        return "settled" if _settle(found.job_id, "ExecutionEnded", silent) else None
    if unstarted:
        count(EXECUTION_ENSURED)
        return "started"
    return None


def _settle(job_id: str, error: str, silent: set[str], *, late_only: bool = False) -> bool:
    by_us = False

    def decide(job: Job) -> Verdict | None:
        nonlocal by_us
        # The index lags: a success recorded meanwhile has moved the deadline.
        by_us = not late_only or job.deadline < clock.epoch(clock.now())
        return verdict(job, error) if by_us else None

    _give_up(job_id, decide, silent)
    job = ledger.settle(job_id, decide)
    if not job.is_terminal:
        return False
    if by_us:
        count(JOB_SWEPT, status=job.status.value)
    for stage in job.stages:
        if stage.task_token and stage.asset is None:
            workflow.release(stage.task_token, Failed(job.failure or FailureCode.INTERNAL))
    return True


def _give_up(job_id: str, decide: Callable[[Job], Verdict | None], silent: set[str]) -> None:
    """Take back what a provider has of a job that is about to end, or tell the owner.

    Before it ends, because no later sweep would look at it again; and with the stage's outcome on
    record before the provider is asked, because its word of it would count instead.
    """
    job = job_store.get(job_id)
    judged = None if job is None or job.is_terminal else decide(job)
    stage = job.current_stage if job else None
    if job is None or judged is None or stage is None or stage.handle is None:
        return
    try:
        if stage.outcome is None:
            outcome = Failed(judged.failure or FailureCode.INTERNAL)
            job = job_store.record_outcome(job_id, stage.name, outcome, task_id=stage.task_id)
            stage = job.stage(stage.name) or stage
        if given_up(job, stage):
            orphans.leave(job, stage, silent=silent)
    except (JobFinished, JobMoved):
        return  # its webhook was quicker; what that recorded counts
