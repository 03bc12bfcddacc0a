"""The rules of the sweep: end jobs that no execution will end, and start those that have none.

A job is settled through the ledger, like by its execution, so a sweep that is slower than the
execution changes nothing. What a provider still has of the job is withdrawn first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from clipmint import clock
from clipmint.credits import ledger
from clipmint.execution import withdrawal, workflow
from clipmint.execution.workflow import Started
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.job_lists import OpenJob, Unreadable
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.jobs.verdict import Verdict, given_up, verdict
from clipmint.telemetry import EXECUTION_ENSURED, JOB_SWEPT, SWEEP_FAILED, count, logger

SWEEP_EVERY = timedelta(minutes=1)
"""As the template schedules it."""

START_GRACE = timedelta(minutes=2)
"""How long generate may take to start an execution before the sweep does."""

LOOK_EVERY = timedelta(minutes=10)
"""How often the sweep checks that a job in progress has its execution: the event of an execution's
end may be lost, and a finished video has a day to be stored."""

DEADLINE_GRACE = timedelta(minutes=2)
"""How long Track may take to end a job at its deadline before the sweep does. Track polls the
provider once more; the sweep only gives up."""


@dataclass(slots=True)
class Holds:
    """The jobs that a sweep leaves open: how many, the oldest's time of creation, and the earliest
    deadline."""

    jobs: int = 0
    oldest: datetime | None = None
    deadline: int | None = None

    def add(self, found: OpenJob) -> None:
        self.jobs += 1
        self.oldest = min(self.oldest or found.created_at, found.created_at)
        self.deadline = min(self.deadline or found.deadline, found.deadline)


def sweep_all(has_time: Callable[[], bool]) -> tuple[dict[str, int], Holds]:
    """Sweep open jobs, those with the earliest deadline first, while there is time.

    Returns
    -------
    tuple
        How many jobs were ``settled``, ``started`` and ``failed`` to be swept, and what is left
        open.
    """
    swept, holds = {"settled": 0, "started": 0, "failed": 0}, Holds()
    unanswered = set[str]()
    for found in job_lists.unfinished():
        if not has_time():
            break
        action = _sweep_safely(found, unanswered)
        if action:
            swept[action] += 1
        if action != "settled" and isinstance(found, OpenJob):
            holds.add(found)
    if any(swept.values()):
        logger.warning("swept", extra=swept)
    return swept, holds


def _sweep_safely(found: OpenJob | Unreadable, unanswered: set[str]) -> str | None:
    if isinstance(found, Unreadable):
        logger.error("open job could not be read", extra={"reason": found.reason})
        count(SWEEP_FAILED)
        return "failed"
    try:
        return sweep(found, unanswered)
    except Exception:  # noqa: BLE001  (one broken job must not delay the others)
        logger.exception("job could not be swept", extra={"job_id": found.job_id})
        count(SWEEP_FAILED)
        return "failed"


def sweep(found: OpenJob, unanswered: set[str]) -> Literal["settled", "started"] | None:
    """Do what an open job needs. Returns what was done.

    ``unanswered``: providers that gave no answer in this sweep. They are not asked again.
    """
    now = clock.now()
    if found.deadline < clock.epoch(now - DEADLINE_GRACE):
        settled = settle(found.job_id, "DeadlineExceeded", unanswered, late_only=True)
        return "settled" if settled else None
    age = now - found.created_at
    unstarted = found.status is JobStatus.PENDING and age > START_GRACE
    if not unstarted and (age < LOOK_EVERY or age % LOOK_EVERY >= SWEEP_EVERY):
        return None
    # Starting is idempotent: a job in progress, or one that waits for a busy provider, goes on.
    if workflow.start(found.job_id) is Started.ENDED:
        return "settled" if settle(found.job_id, "ExecutionEnded", unanswered) else None
    if unstarted:
        count(EXECUTION_ENSURED)
        return "started"
    return None


def settle(job_id: str, error: str, unanswered: set[str], *, late_only: bool = False) -> bool:
    """End a job, and the execution that may still wait for it.

    Parameters
    ----------
    error
        Why its execution did not end it.
    unanswered
        As in `sweep`.
    late_only
        Only if the job's deadline has passed.

    Returns
    -------
    bool
        Whether the job has ended, now or before.
    """
    by_us = False

    def decide(job: Job) -> Verdict | None:
        nonlocal by_us
        # The index lags: a success that was recorded meanwhile has moved the deadline.
        by_us = not late_only or job.deadline < clock.epoch(clock.now())
        return verdict(job, error) if by_us else None

    _give_up(job_id, decide, unanswered)
    job = ledger.settle(job_id, decide)
    if not job.is_terminal:
        return False
    if by_us:
        count(JOB_SWEPT, status=job.status.value)
    for stage in job.stages:
        if stage.task_token and stage.asset is None:
            workflow.fail_waiting(stage.task_token, Failed(job.failure or FailureCode.INTERNAL))
    return True


def _give_up(job_id: str, decide: Callable[[Job], Verdict | None], unanswered: set[str]) -> None:
    """Withdraw what a provider has of a job that is about to end.

    Before the job ends, because no later sweep finds an ended job. And with the stage's outcome
    recorded before the provider is asked, because otherwise its answer would become the outcome.
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
            withdrawal.cancel_or_record(job, stage, unanswered=unanswered)
    except (JobFinished, JobMoved):
        return  # the webhook was faster, and what it recorded counts
