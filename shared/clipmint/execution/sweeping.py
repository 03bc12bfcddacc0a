"""The rules of the sweep: end jobs that no execution will end, and start those that have none.

A job is settled through the ledger, like by its execution, so a sweep that is slower than the
execution changes nothing. What a provider still has of the job is withdrawn first.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from clipmint import clock
from clipmint.credits import holds
from clipmint.execution import withdrawal, workflow
from clipmint.execution.workflow import Started
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.job_lists import OpenJob, Unreadable
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
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


Action = Literal["settled", "started", "waiting", "storing"]
"""What a sweep did with a job, or why it was left open: it waits for a provider, or its file is
being stored."""


@dataclass(slots=True)
class Holds:
    """The jobs that a sweep leaves open: how many, the oldest's time of creation, and the earliest
    deadline of those that wait for a provider."""

    jobs: int = 0
    oldest: datetime | None = None
    deadline: int | None = None

    def add(self, found: OpenJob, *, storing: bool) -> None:
        self.jobs += 1
        self.oldest = min(self.oldest or found.created_at, found.created_at)
        if not storing:
            self.deadline = min(self.deadline or found.deadline, found.deadline)


@dataclass(slots=True)
class Swept:
    """What a sweep has done: how many jobs were ``settled``, ``started`` and ``failed`` to be
    swept; what it leaves open; the ids of the jobs that failed, or failed before and were not
    reached; and the providers that gave no answer.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: {"settled": 0, "started": 0, "failed": 0}
    )
    holds: Holds = field(default_factory=Holds)
    failed: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)

    def one(self, found: OpenJob | Unreadable) -> None:
        """Sweep a job, and count it."""
        action = _sweep_safely(found, self.unanswered)
        if action in self.counts:
            self.counts[action] += 1
        if isinstance(found, OpenJob) and action != "settled":
            self.left(found, action)

    def left(self, found: OpenJob, action: str) -> None:
        """Count a job that stays open."""
        self.holds.add(found, storing=action == "storing")
        if action == "failed":
            self.failed.add(found.job_id)


def sweep_all(has_time: Callable[[], bool], failed_before: Set[str] = frozenset()) -> Swept:
    """Sweep open jobs, those with the earliest deadline first, while there is time. The next sweep
    finds the others.

    Parameters
    ----------
    has_time
        Whether there is time for another job.
    failed_before
        Ids of jobs that the sweep before failed on. They come last, so that they take no time from
        the others.
    """
    swept, last = Swept(), list[OpenJob]()
    for found in job_lists.unfinished():
        if not has_time():
            break
        if isinstance(found, OpenJob) and found.job_id in failed_before:
            last.append(found)
        else:
            swept.one(found)
    for found in last:
        if has_time():
            swept.one(found)
        else:
            swept.left(found, "failed")
    if any(swept.counts.values()):
        logger.warning("swept", extra=swept.counts)
    return swept


def _sweep_safely(found: OpenJob | Unreadable, unanswered: set[str]) -> str:
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


def sweep(found: OpenJob, unanswered: set[str], *, look: bool = False) -> Action:
    """Do what an open job needs.

    Parameters
    ----------
    unanswered
        Providers that gave no answer in this sweep. They are not asked again.
    look
        Check now that the job has its execution, and not only from time to time. A job for which
        nothing was sent counts as started.
    """
    now = clock.now()
    left: Action = "waiting"
    if found.deadline < clock.epoch(now - DEADLINE_GRACE):
        if settle(found.job_id, "DeadlineExceeded", unanswered, late_only=True):
            return "settled"
        left = "storing"  # it is past its deadline and not overdue
    age = now - found.created_at
    unstarted = (look or age > START_GRACE) and _is_unstarted(found)
    due = age >= LOOK_EVERY and age % LOOK_EVERY < SWEEP_EVERY
    if not (unstarted or due or look):
        return left
    # Starting is idempotent: a job in progress, or one that waits for a busy provider, goes on.
    if workflow.start(found.job_id) is Started.ENDED:
        return "settled" if settle(found.job_id, "ExecutionEnded", unanswered) else left
    if unstarted:
        count(EXECUTION_ENSURED)
        return "started"
    return left


def sweep_now(job: Job) -> Action:
    """Do what a job needs that has not ended, without waiting until its time comes."""
    stage = job.current_stage
    if stage is None:
        # All its files are stored. Its execution finds that at its next attempt, maybe much later.
        settle(job.job_id, "ExecutionEnded", set())
        return "settled"
    found = OpenJob(job.job_id, job.status, job.deadline, job.created_at)
    action = sweep(found, set(), look=True)
    stores = action == "waiting" and isinstance(stage.outcome, Succeeded)
    return "storing" if stores else action


def _is_unstarted(found: OpenJob) -> bool:
    """Whether nothing was ever sent for the job. The index does not show it."""
    job = job_store.get(found.job_id) if found.status is JobStatus.PENDING else None
    return job is not None and job.status is JobStatus.PENDING


def settle(job_id: str, error: str, unanswered: set[str], *, late_only: bool = False) -> bool:
    """End a job, and the execution that may still wait for it.

    Parameters
    ----------
    error
        Why its execution did not end it.
    unanswered
        As in `sweep`.
    late_only
        Only if the job is overdue.

    Returns
    -------
    bool
        Whether the job has ended, now or before.
    """
    by_us = False

    def decide(job: Job) -> Verdict | None:
        nonlocal by_us
        # The index has neither the outcome nor what was written just now.
        by_us = not late_only or job.overdue_at < clock.epoch(clock.now())
        return verdict(job, error) if by_us else None

    _give_up(job_id, decide, unanswered)
    job = holds.settle(job_id, decide)
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
