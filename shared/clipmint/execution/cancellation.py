"""Cancel a job for its user, while that is free."""

from __future__ import annotations

from contextlib import suppress

from clipmint.credits import ledger
from clipmint.errors import CancelTooLate, TemporarilyUnavailable, try_again
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, SubmissionState, Verdict
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome
from clipmint.providers import health, registry
from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.registry import ProviderNotConfigured

_CANCELLED = Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED)


def cancel(job: Job) -> Job:
    if not job.is_terminal:
        asked = _withdraw(job)
        job = ledger.settle(job.job_id, _verdict)
        if not asked and _is_sent(job):
            raise _not_known(seconds=1)
    if job.status is not JobStatus.CANCELLED:
        raise CancelTooLate(
            "It is too late to cancel this video",
            details="The provider has begun, or the job has ended",
        )
    for stage in job.stages:
        workflow.wake(stage)
    return job


def _withdraw(job: Job) -> bool:
    """Take a submission back from its provider, if it was sent and not begun.

    One that was taken back before, by a call that runs beside this one or died before it wrote that
    down, is taken back all the same.

    Returns
    -------
    bool
        Whether the provider was asked.
    """
    stage = job.current_stage
    handle = stage.handle if stage else None
    if stage is None or handle is None or stage.outcome is not None:
        return False
    try:
        provider = registry.provider(stage.provider)
        withdrawn = provider.cancel(handle) or _is_withdrawn(provider.poll(handle))
    except (ProviderUnavailable, ProviderNotConfigured) as error:
        health.silent(stage.provider, error)
        raise _not_known(seconds=5) from None
    if withdrawn:
        with suppress(job_store.JobFinished, job_store.JobMoved):
            job_store.record_outcome(
                job.job_id,
                stage.name,
                Failed(FailureCode.CANCELLED),
                task_id=stage.task_id,
            )
    return True


def _verdict(job: Job) -> Verdict | None:
    """Cancelled if nothing was sent, or what was sent has been withdrawn; else leave it be."""
    stage = job.current_stage
    if stage is None:
        return None
    unsent = stage.submission_state in {None, SubmissionState.REFUSED}
    return _CANCELLED if unsent or _is_withdrawn(stage.outcome) else None


def _is_withdrawn(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Failed) and outcome.code is FailureCode.CANCELLED


def _is_sent(job: Job) -> bool:
    """Whether a provider has a submission, or is about to: a second later it can be asked."""
    stage = None if job.is_terminal else job.current_stage
    return bool(
        stage
        and stage.outcome is None
        and stage.submission_state in {SubmissionState.SENDING, SubmissionState.SENT}
    )


def _not_known(seconds: int) -> TemporarilyUnavailable:
    return try_again("It is not known whether this can be cancelled; ask again", seconds=seconds)
