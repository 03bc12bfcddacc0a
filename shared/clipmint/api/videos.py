"""Videos for the HTTP functions: a user's own job, and URLs of its files."""

from __future__ import annotations

from clipmint import aws
from clipmint.errors import JobNotFound
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job
from clipmint.media import storage
from clipmint.path_ids import path_id

URL_SECONDS = 3_600
"""How long a video's URL is valid; the documents this system comes from promise an hour."""


def find(user_id: str, job_id: str, *, deleted_too: bool = False) -> Job:
    """The user's job with the id from a path.

    Raises
    ------
    JobNotFound
        There is no such job, or it belongs to another user: the response is the same, so that an
        id reveals nothing.
    """
    job = job_store.get(path_id(job_id, _not_found()))
    if job is None or job.user_id != user_id or (job.deleted and not deleted_too):
        raise _not_found()
    return job


def urls_of(video: Asset | None) -> tuple[str | None, str | None]:
    """URLs of a video and of its thumbnail; None for a missing file."""
    if video is None:
        return None, None
    return _url(video, video.key), _url(video, video.thumbnail_key)


def _url(video: Asset, key: str | None) -> str | None:
    if key is None:
        return None
    return storage.presigned_url(aws.s3(), video.bucket, key, expires_in=URL_SECONDS)


def _not_found() -> JobNotFound:
    return JobNotFound("There is no such video")
