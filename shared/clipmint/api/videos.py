"""Videos for the HTTP functions: a user's own job, and URLs of its files."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from clipmint import aws, clock
from clipmint.api.video_responses import Video
from clipmint.errors import JobNotFound, JobRunning
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.media import signed_urls, storage
from clipmint.settings import VideoSettings
from clipmint.telemetry import logger

URL_SECONDS = 3_600
"""How long a video's URL is valid; the documents this system comes from promise an hour."""

_NOT_FOUND = "There is no such video"


def find(user_id: str, job_id: str, *, deleted_too: bool = False) -> Job:
    """The user's job with the id from a path.

    Raises
    ------
    JobNotFound
        There is no such job, or it belongs to another user: the response is the same, so that an
        id reveals nothing.
    """
    job = job_store.find(job_id, _NOT_FOUND)
    if job.user_id != user_id or (job.deleted and not deleted_too):
        raise JobNotFound(_NOT_FOUND)
    return job


def answer(job: Job) -> Video:
    """The response about a job."""
    return Video.of(job, *urls_of(job), expiry_of(job))


def remove(job: Job) -> None:
    """Hide a job that has ended, and delete its media. May be repeated.

    A file that an identical job refers to stays until the last of them is deleted: each hides its
    job first, and the last one to do so finds all of them hidden.

    Raises `JobRunning`, and `TemporarilyUnavailable` if DynamoDB did not write it.
    """
    # Hide the job first. If we crash before its media are removed, a retry still finds the job.
    # Imported here: most users of this module delete nothing.
    from clipmint.execution import identical  # noqa: PLC0415

    hidden = job_store.hide(job.job_id)
    if hidden is None:
        raise JobRunning("A running video cannot be deleted", details="Cancel it first")
    if not identical.is_shared(hidden):
        _delete_media(hidden)
    remove_source(hidden)


def remove_source(job: Job) -> None:
    """Delete the media of a deleted job that answered this one, which has ended or is hidden, if no
    other job shows them. May be repeated."""
    if job.source_job_id is None:
        return
    from clipmint.execution import identical  # noqa: PLC0415  (as in `remove`)

    source = job_store.get(job.source_job_id)
    if source is not None and source.deleted and not identical.is_shared(source):
        _delete_media(source)


def _delete_media(job: Job) -> None:
    # Everything with the job's prefix, which includes what a killed attempt left there.
    s3 = aws.s3()
    storage.delete_all(s3, os.environ["VIDEOS_BUCKET"], storage.job_prefix(job.user_id, job.job_id))
    if any(stage.kind.bucket == "images" for stage in job.stages):
        storage.delete_all(
            s3, os.environ["IMAGES_BUCKET"], storage.generated_prefix(job.user_id, job.job_id)
        )


def urls_of(job: Job | None) -> tuple[str | None, str | None]:
    """URLs of a job's video and of its thumbnail; None for a missing file."""
    video = job.stages[-1].asset if job and job.status is JobStatus.COMPLETED else None
    if job is None or video is None:
        return None, None
    expires_at = expiry_of(job)
    if expires_at is not None and clock.now() >= expires_at:
        return None, None
    return _url(video, video.key), _url(video, video.thumbnail_key)


def expiry_of(job: Job) -> datetime | None:
    """When a job's video is deleted, at the earliest; None if it is kept, or if there is none.

    S3 counts the days from the moment at which the file was stored, which is after the order.
    """
    if job.status is not JobStatus.COMPLETED:
        return None
    days = VideoSettings.read().video_retention_days
    stored_after = job.source_created_at or job.created_at
    return stored_after + timedelta(days=days) if days else None


def _url(video: Asset, key: str | None) -> str | None:
    if key is None:
        return None
    settings = VideoSettings.read()
    if settings.videos_base_url:
        expires_at = clock.now() + timedelta(seconds=URL_SECONDS)
        secret = settings.videos_signing_key_arn
        try:
            return signed_urls.signed_url(settings.videos_base_url, key, secret, expires_at)
        except signed_urls.SigningKeyUnreadable:
            # The video can still be read from the bucket.
            logger.exception("a URL of the distribution cannot be signed")
    return storage.presigned_url(aws.s3(), video.bucket, key, expires_in=URL_SECONDS)
