"""Jobs that are answered with the file of an identical job, their *source*.

Such a job has no provider. It waits until its source has ended, and then refers to the same object.
The source first records that its file is shared, and nothing is shared once it is deleted; so the
file is there for as long as one of them shows it, or until the bucket's retention deletes it.
"""

from __future__ import annotations

from http import HTTPStatus

from botocore.exceptions import ClientError

from clipmint import aws, clock
from clipmint.execution.sending import DeadlineExceeded
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus, Stage
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
    DeadlineExceeded
        The source still runs, and the job's deadline has passed.
    JobFinished
        The job has ended.
    """
    source = job_store.get(source_id)
    if source is None:
        raise SourceFailed(source_id)
    # An earlier attempt shared the file and ended before the job's own record: the file is kept for
    # this job, even if the source was deleted since.
    shared = job.job_id in source.shared_with
    if source.deleted and not shared:
        raise SourceFailed(source_id)
    if not source.is_terminal:
        if clock.epoch(clock.now()) >= job.deadline:
            raise DeadlineExceeded(job.job_id)
        raise SourceRunning(source_id)
    asset = source.stages[-1].asset
    if source.status is not JobStatus.COMPLETED or asset is None or not _exists(asset):
        raise SourceFailed(source_id)
    # First on the source. After a crash in between, the source's file is kept for a job that has
    # not ended; `is_shared` looks at how it ended.
    if not shared and not job_store.share(source_id, job.job_id):
        raise SourceFailed(source_id)
    try:
        job_store.record_asset(job.job_id, stage.name, asset)
    except JobMoved:
        return  # an overlapping attempt was faster, with the same file


def _exists(asset: Asset) -> bool:
    try:
        aws.s3().head_object(Bucket=asset.bucket, Key=asset.key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


def is_shared(source: Job) -> bool:
    """Whether another job shows the file of this one, or may show it soon."""
    others = job_store.get_many(source.shared_with).values()
    return any(
        not job.deleted and (not job.is_terminal or job.stages[-1].asset is not None)
        for job in others
    )
