"""Jobs that are answered with the file of an identical job, their *source*.

Such a job has no provider. It waits until its source has ended, and then refers to the same object.
The source first records that its file is shared, and nothing is shared once it is deleted; so the
file is there for as long as one of them shows it.
"""

from __future__ import annotations

from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, Stage
from clipmint.jobs.job_store import JobMoved


class SourceRunning(Exception):
    """The source has not ended. The state machine retries."""


class SourceFailed(Exception):
    """The source has no file: it failed, was cancelled, or was deleted."""


def take(job: Job, stage: Stage, source_id: str) -> None:
    """Record the source's file as that of the job. May be repeated.

    Raises
    ------
    SourceRunning, SourceFailed
    JobFinished
        The job has ended.
    """
    source = job_store.get(source_id)
    if source is None or source.deleted:
        raise SourceFailed(source_id)
    if not source.is_terminal:
        raise SourceRunning(source_id)
    asset = source.stages[-1].asset
    if source.status is not JobStatus.COMPLETED or asset is None:
        raise SourceFailed(source_id)
    # First on the source. After a crash in between, the source's file is kept for a job that has
    # not ended; `is_shared` looks at how it ended.
    if not job_store.share(source_id, job.job_id):
        raise SourceFailed(source_id)
    try:
        job_store.record_asset(job.job_id, stage.name, asset)
    except JobMoved:
        return  # an overlapping attempt was faster, with the same file


def is_shared(source: Job) -> bool:
    """Whether another job shows the file of this one, or may show it soon."""
    for job_id in dict.fromkeys(source.shared_with):
        job = job_store.get(job_id)
        if job and not job.deleted and (not job.is_terminal or job.stages[-1].asset):
            return True
    return False
