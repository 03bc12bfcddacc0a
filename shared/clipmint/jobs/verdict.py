"""How a job ends: a pure function of what is recorded and of the error that ended its execution."""

from __future__ import annotations

from collections.abc import Mapping

from clipmint.jobs.job import Job, JobStatus, Stage, SubmissionState
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.values import frozen


@frozen
class Verdict:
    """How a job ends: its terminal status, and the failure if it is not ``completed``."""

    status: JobStatus
    failure: FailureCode | None = None


_GIVEN_UP = frozenset(
    {
        FailureCode.DEADLINE_EXCEEDED,
        FailureCode.SUBMIT_UNKNOWN,
        FailureCode.CANCELLED,
        FailureCode.INTERNAL,
    }
)


def given_up(job: Job, stage: Stage) -> bool:
    """Whether we stopped waiting for a stage that the provider may still finish and bill."""
    if stage.outcome is None:
        return job.is_terminal
    return isinstance(stage.outcome, Failed) and stage.outcome.code in _GIVEN_UP


# The failure for an execution's error, if the job has no recorded failure.
_FAILURE_BY_ERROR: Mapping[str, FailureCode] = {
    "ProviderBusy": FailureCode.PROVIDER_UNAVAILABLE,
    "SubmissionInDoubt": FailureCode.SUBMIT_UNKNOWN,
    "ImageExpired": FailureCode.INPUT_UNREADABLE,
    "MediaInvalid": FailureCode.MEDIA_INVALID,
    "SourceExpired": FailureCode.MEDIA_UNAVAILABLE,
    "SourceUnavailable": FailureCode.MEDIA_UNAVAILABLE,
    "DeadlineExceeded": FailureCode.DEADLINE_EXCEEDED,
    "ProviderNotConfigured": FailureCode.OWNER_ACCOUNT,
    "SourceFailed": FailureCode.PROVIDER_ERROR,
    "SourceRunning": FailureCode.DEADLINE_EXCEEDED,
}


def verdict(job: Job, error: str | None) -> Verdict:
    """How this job ends if it ends now.

    Parameters
    ----------
    error
        Name of the error that ended the job's execution, or None.
    """
    stage = job.current_stage
    if stage is None:
        return Verdict(JobStatus.COMPLETED)
    if isinstance(stage.outcome, Failed):
        code = stage.outcome.code
    elif isinstance(stage.outcome, Succeeded):
        # The file exists but was not stored. That is the failure, even if the deadline has passed.
        code = _FAILURE_BY_ERROR.get(error or "", FailureCode.MEDIA_UNAVAILABLE)
        if code is FailureCode.DEADLINE_EXCEEDED:
            code = FailureCode.MEDIA_UNAVAILABLE
    elif stage.submission_state is SubmissionState.UNKNOWN:
        code = FailureCode.SUBMIT_UNKNOWN
    else:
        code = _FAILURE_BY_ERROR.get(error or "", FailureCode.INTERNAL)
    status = JobStatus.CANCELLED if code is FailureCode.CANCELLED else JobStatus.FAILED
    return Verdict(status, code)
