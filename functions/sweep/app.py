"""Sweep: what nobody else will finish any more.

On a schedule: jobs past their deadline, and jobs whose execution was never started. At once, by an
event: jobs whose execution failed, timed out or was aborted. All of it settles through the ledger
like everybody else, so coming second to a running execution changes nothing.

Each scheduled sweep also says how long the oldest hold has been open, and audits a slice of the
ledger. ``{"audit": "<user id>"}`` audits one account now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import audit, execution, jobs, ledger
from clipmint.domain import clock
from clipmint.domain.jobs import Job, JobStatus, Verdict, verdict
from clipmint.domain.outcomes import Failed, FailureCode
from clipmint.execution import Started
from clipmint.jobs import OpenJob, Unreadable
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

START_GRACE = timedelta(minutes=2)
"""How long generate may take to start an execution before the sweep does."""

DEADLINE_GRACE = timedelta(minutes=2)
"""How long Track may take to end a job at its deadline, before the sweep does. Track asks the
provider once more; the sweep only gives up."""


class SweepIncomplete(Exception):
    """Some jobs could not be swept, or a slice not audited; the others were."""


RESERVE_MS = 10_000
"""Stop with this much of the function's own time left; the next sweep goes on."""


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
        return {"drift": audit.look_again(event["audit"])}

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() >= RESERVE_MS

    swept, holds = _sweep_all(has_time)
    audited = _audit_safely(has_time)
    _report(holds, audited or audit.Audit(0, 0))
    if swept["failed"] or audited is None:
        also = "" if audited else ", and the audit"
        raise SweepIncomplete(f"{swept['failed']} jobs{also}")
    return swept


def _sweep_all(has_time: Callable[[], bool]) -> tuple[dict[str, int], Holds]:
    """What was done, and what was left open."""
    swept, holds = {"settled": 0, "started": 0, "failed": 0}, Holds()
    for found in jobs.open_jobs():
        if not has_time():
            break
        action = _sweep_safely(found)
        if action:
            swept[action] += 1
        if action != "settled" and isinstance(found, OpenJob):
            holds.add(found)
    if any(swept.values()):
        logger.warning("swept", extra=swept)
    return swept, holds


def _sweep_safely(found: OpenJob | Unreadable) -> str | None:
    if isinstance(found, Unreadable):
        logger.error("open job could not be read", extra={"reason": found.reason})
        count(SWEEP_FAILED)
        return "failed"
    try:
        return _sweep(found)
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
    logger.append_keys(job_id=detail["name"])
    logger.error("execution died", extra={"status": detail["status"]})
    count(EXECUTION_DIED, status=detail["status"])
    if jobs.get(detail["name"]) is None:
        return False  # an execution somebody started by hand
    return _settle(detail["name"], detail["status"])


def _sweep(found: OpenJob) -> str | None:
    now = clock.now()
    if found.deadline < clock.epoch(now - DEADLINE_GRACE):
        return "settled" if _settle(found.job_id, "DeadlineExceeded", late_only=True) else None
    if found.status is JobStatus.PENDING and found.created_at + START_GRACE < now:
        # Starting is idempotent: a job that is merely waiting for a busy provider is left alone.
        if execution.start(found.job_id) is Started.RUNNING:
            count(EXECUTION_ENSURED)
            return "started"
        return "settled" if _settle(found.job_id, "ExecutionEnded") else None
    return None


def _settle(job_id: str, error: str, *, late_only: bool = False) -> bool:
    def decide(job: Job) -> Verdict | None:
        # The index lags: a success recorded meanwhile has moved the deadline.
        if late_only and job.deadline >= clock.epoch(clock.now()):
            return None
        return verdict(job, error)

    job = ledger.settle(job_id, decide)
    if not job.is_terminal:
        return False
    count(JOB_SWEPT, status=job.status.value)
    for stage in job.stages:
        if stage.task_token and stage.asset is None:
            execution.release(stage.task_token, Failed(job.failure or FailureCode.INTERNAL))
    return True
