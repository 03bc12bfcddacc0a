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
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock
from clipmint.credits import audit
from clipmint.execution import sweeping
from clipmint.jobs import job_store
from clipmint.jobs.job_store import OpenJob, Unreadable
from clipmint.telemetry import (
    ACCOUNTS_AUDITED,
    EXECUTION_DIED,
    LEDGER_DRIFT,
    OLDEST_OPEN_HOLD_SECONDS,
    OPEN_JOBS,
    OVERDUE_SECONDS,
    SWEEP_FAILED,
    count,
    emit,
    logger,
)


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
        return sweeping.sweep(found, silent)
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
        return sweeping.settle(detail["name"], detail["status"], set())
