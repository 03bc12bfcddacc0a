"""End or restart jobs whose execution does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from clipmint import clock
from clipmint.credits import ledger
from clipmint.execution import orphans, workflow
from clipmint.execution.workflow import Started
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, Verdict, given_up, verdict
from clipmint.jobs.job_store import JobFinished, JobMoved, OpenJob
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.telemetry import EXECUTION_ENSURED, JOB_SWEPT, count

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


def sweep(found: OpenJob, silent: set[str]) -> str | None:
    """What was done about an open job. ``silent``: providers that did not answer in this sweep."""
    now = clock.now()
    if found.deadline < clock.epoch(now - DEADLINE_GRACE):
        settled = settle(found.job_id, "DeadlineExceeded", silent, late_only=True)
        return "settled" if settled else None
    age = now - found.created_at
    unstarted = found.status is JobStatus.PENDING and age > START_GRACE
    if not unstarted and (age < LOOK_EVERY or age % LOOK_EVERY >= SWEEP_EVERY):
        return None
    # Starting is idempotent: a job that is under way, or waits for a busy provider, is left alone.
    if workflow.start(found.job_id) is Started.ENDED:
        return "settled" if settle(found.job_id, "ExecutionEnded", silent) else None
    if unstarted:
        count(EXECUTION_ENSURED)
        return "started"
    return None


def settle(job_id: str, error: str, silent: set[str], *, late_only: bool = False) -> bool:
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
