"""Cancelling a job for its user: possible until its provider has begun, and free until then.

The provider decides. A job that was not sent is cancelled by the transaction that ends it: the
transaction and an attempt to send the stage exclude each other.
"""

from __future__ import annotations

from contextlib import suppress

from clipmint.credits import holds
from clipmint.errors import CancelTooLate, TemporarilyUnavailable, try_again
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, SubmissionState
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.providers import registry
from clipmint.providers.asking import NoAnswer, asking, cancel_or_poll, is_cancelled

_CANCELLED = Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED)


def cancel(job: Job) -> Job:
    """Cancel a job, release its holds and end its execution. May be repeated.

    Returns
    -------
    Job
        As it stands: cancelled, now or before.

    Raises
    ------
    CancelTooLate
        The provider has begun, or the job has ended otherwise.
    TemporarilyUnavailable
        The provider gave no usable answer, or the job is being sent at this moment. Nothing was
        cancelled.
    """
    if not job.is_terminal:
        asked = _withdraw(job)
        job = holds.settle(job.job_id, _verdict)
        if not asked and _is_being_sent(job):
            raise _not_known(seconds=1)
    if job.status is not JobStatus.CANCELLED:
        raise CancelTooLate(
            "It is too late to cancel this video",
            details="The provider has begun, or the job has ended",
        )
    for stage in job.stages:
        workflow.resume(stage)
    return job


def _withdraw(job: Job) -> bool:
    """Cancel the current stage at its provider, and record that outcome.

    A task that an earlier call cancelled counts as cancelled now: that call runs at the same time,
    or crashed before it recorded the outcome.

    Returns
    -------
    bool
        Whether the provider was asked. False if it has no task that we could name.
    """
    stage = job.current_stage
    handle = stage.handle if stage else None
    if stage is None or handle is None or stage.outcome is not None:
        return False
    try:
        with asking(stage.provider):
            outcome = cancel_or_poll(registry.provider(stage.provider), handle)
    except NoAnswer:
        raise _not_known(seconds=5) from None
    if isinstance(outcome, Failed) and is_cancelled(outcome):
        cancelled = Failed(FailureCode.CANCELLED, cost=outcome.cost)
        with suppress(JobFinished, JobMoved):
            job_store.record_outcome(job.job_id, stage.name, cancelled, task_id=stage.task_id)
    return True


def _verdict(job: Job) -> Verdict | None:
    """Cancelled if the current stage was not sent, or was cancelled; else the job goes on."""
    stage = job.current_stage
    if stage is None:
        return None
    unsent = stage.submission_state in {None, SubmissionState.REFUSED}
    return _CANCELLED if unsent or is_cancelled(stage.outcome) else None


def _is_being_sent(job: Job) -> bool:
    """Whether a provider got the current stage since the job was read, or is about to get it: a
    second later it can be asked."""
    stage = None if job.is_terminal else job.current_stage
    return bool(
        stage
        and stage.outcome is None
        and stage.submission_state in {SubmissionState.SENDING, SubmissionState.SENT}
    )


def _not_known(seconds: int) -> TemporarilyUnavailable:
    return try_again("It is not known whether this can be cancelled; ask again", seconds=seconds)
