"""Sweep: what nobody else will finish any more.

On a schedule: jobs past their deadline, and jobs whose execution was never started. At once, by an
event: jobs whose execution failed, timed out or was aborted. All of it settles through the ledger
like everybody else, so coming second to a running execution changes nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import execution, jobs, ledger
from clipmint.domain import clock
from clipmint.domain.jobs import Job, JobStatus, Verdict, verdict
from clipmint.domain.outcomes import Failed, FailureCode
from clipmint.execution import Started
from clipmint.jobs import OpenJob
from clipmint.telemetry import count, logger

START_GRACE = timedelta(minutes=2)
"""How long generate may take to start an execution before the sweep does."""

DEADLINE_GRACE = timedelta(minutes=2)
"""How long Track may take to end a job at its deadline, before the sweep does. Track asks the
provider once more; the sweep only gives up."""


class SweepIncomplete(Exception):
    """Some jobs could not be swept; the others were."""


RESERVE_MS = 10_000
"""Stop with this much of the function's own time left; the next sweep goes on."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    if event.get("source") == "aws.states":
        return {"settled": int(_execution_died(event["detail"]))}
    swept = {"settled": 0, "started": 0, "failed": 0}
    for found in jobs.open_jobs():
        if context.get_remaining_time_in_millis() < RESERVE_MS:
            break
        action = _sweep_safely(found)
        if action:
            swept[action] += 1
    if any(swept.values()):
        logger.warning("swept", extra=swept)
    if swept["failed"]:
        raise SweepIncomplete(f"{swept['failed']} jobs")
    return swept


def _sweep_safely(found: OpenJob) -> str | None:
    try:
        return _sweep(found)
    except Exception:  # noqa: BLE001  (one broken job must not keep the others waiting)
        logger.exception("job could not be swept", extra={"job_id": found.job_id})
        count("SweepFailed")
        return "failed"


def _execution_died(detail: dict[str, Any]) -> bool:
    logger.append_keys(job_id=detail["name"])
    logger.error("execution died", extra={"status": detail["status"]})
    count("ExecutionDied", status=detail["status"])
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
            count("ExecutionEnsured")
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
    count("JobSwept", status=job.status.value)
    for stage in job.stages:
        if stage.task_token and stage.asset is None:
            execution.release(stage.task_token, Failed(job.failure or FailureCode.INTERNAL))
    return True
