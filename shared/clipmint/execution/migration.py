"""Migration: copy the provider's file into the owner's bucket, and check that it plays.

Every attempt writes under keys of its own, and the job records the asset last, and once. So a crash
anywhere, or two attempts at the same time, cost a second copy and nothing else. An attempt that
finds another one's asset, or whose file does not play, removes what it wrote. What a killed attempt
left is removed when its job is deleted.

A video that plays and is not as ordered raises the owner's alarm. Whether it is delivered all the
same is decided by the model's tolerance, as it was when the job was ordered, and recorded once.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from clipmint import aws, clock
from clipmint.jobs import as_ordered, job_store
from clipmint.jobs.job import Asset, Job, Stage
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.media import (
    download,
    image_file,
    pinned_requests,
    storage,
    transfer,
    uploads,
    video_file,
)
from clipmint.media.files import (
    MAX_IMAGE_BYTES,
    HostNotListed,
    ImageFileInvalid,
    MediaInvalid,
    SourceExpired,
    StoredObject,
)
from clipmint.providers import asking, registry
from clipmint.telemetry import (
    MEDIA_HOST_NOT_LISTED,
    MEDIA_URL_EXPIRED,
    NOT_AS_ORDERED,
    count,
    logger,
)

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

CACHE_CONTROL = "public, max-age=300"
"""For public images: an image that its user deletes is gone from the CDN in five minutes."""


def store(job: Job, stage: Stage, attempt: str, seconds: float) -> Job:
    """Copy a stage's file into its bucket and record the asset.

    Parameters
    ----------
    attempt
        Part of the keys. Must be new for every call.
    seconds
        How long fetching the file may take.

    Returns
    -------
    Job
        As it stands, with the asset of this or of a faster attempt.

    Raises
    ------
    MediaInvalid
        The file does not play, or is not an image.
    SourceExpired, SourceUnavailable, SourceNotAllowed
        The file cannot be fetched.
    JobFinished
        The job has ended, or the stage has no file, or one that is not as ordered.
    """
    if stage.kind.bucket == "images":
        return _store_image(job, stage, attempt, seconds)
    return _store_video(job, stage, attempt, seconds)


def _store_video(job: Job, stage: Stage, attempt: str, seconds: float) -> Job:
    bucket = os.environ["VIDEOS_BUCKET"]
    video = storage.video_key(job.user_id, job.job_id, attempt)
    thumbnail = storage.thumbnail_key(job.user_id, job.job_id, attempt)
    copy = functools.partial(
        transfer.copy_from_url,
        allowed_hosts=registry.media_hosts(stage.provider),
        bucket=bucket,
        key=video,
        http=_http(),
        s3=aws.s3(),
        deadline_seconds=seconds,
    )
    try:
        asset = _video_asset(job, stage, _from_provider(job, stage, copy), thumbnail)
        if asset.differences:
            _report(job, stage, asset.differences)
            if stage.tolerance and stage.tolerance.otherwise == "fail":
                raise _rejected(job, stage, asset.differences)
        return job_store.record_asset(job.job_id, stage.name, asset, task_id=stage.task_id)
    except (JobMoved, JobFinished, MediaInvalid) as error:
        return _remove(error, job, stage, bucket, video, thumbnail)


def _store_image(job: Job, stage: Stage, attempt: str, seconds: float) -> Job:
    read = functools.partial(
        download.read_all,
        allowed_hosts=registry.media_hosts(stage.provider),
        http=_http(),
        max_bytes=MAX_IMAGE_BYTES,
        deadline_seconds=seconds,
    )
    content = _from_provider(job, stage, read)
    try:
        # Checked before it is stored, because everyone can read what is in the bucket.
        image = image_file.check(content)
    except ImageFileInvalid as error:
        raise MediaInvalid(str(error)) from None  # the name that the state machine knows
    bucket = os.environ["IMAGES_BUCKET"]
    key = storage.generated_key(job.user_id, job.job_id, attempt, image.content_type)
    asset = Asset(
        bucket=bucket,
        key=key,
        content_type=image.content_type,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        width=image.width,
        height=image.height,
        duration_seconds=0.0,
    )
    try:
        _put(bucket, key, content, image.content_type, CACHE_CONTROL)
        return job_store.record_asset(
            job.job_id,
            stage.name,
            asset,
            task_id=stage.task_id,
            image_url=uploads.public_url(key),
            next_deadline=_next_deadline(job, stage),
        )
    except (JobMoved, JobFinished) as error:
        return _remove(error, job, stage, bucket, key)


def _remove(error: Exception, job: Job, stage: Stage, bucket: str, *keys: str) -> Job:
    """Remove the files of an attempt that was not recorded. Raises the error that prevented it,
    unless another attempt was faster: then returns the job as that one left it."""
    # The error may come from our own write, sent twice because the first answer was lost. Then the
    # job names these keys.
    if not _is_recorded(job.job_id, stage.name, keys[0]):
        storage.delete(aws.s3(), bucket, *keys)
    if isinstance(error, JobMoved):
        return error.job
    raise error


def _is_recorded(job_id: str, stage_name: str, key: str) -> bool:
    job = job_store.get(job_id)
    stage = job.stage(stage_name) if job else None
    if stage is None:
        return False
    assets = [stage.asset, *(one.asset for one in stage.earlier)]
    return any(asset is not None and asset.key == key for asset in assets)


def _next_deadline(job: Job, stage: Stage) -> int | None:
    later = job.stages[job.stages.index(stage) + 1 :]
    if not later:
        return None
    return clock.epoch(clock.now()) + later[0].deadline_seconds


def _from_provider(job: Job, stage: Stage, fetch: Callable[[str], T]) -> T:
    """Fetch the stage's file. If its URL has expired, poll the provider for a fresh one."""
    if not isinstance(stage.outcome, Succeeded):
        raise JobFinished(f"stage {stage.name} of job {job.job_id} has no file")
    try:
        return fetch(stage.outcome.media_url)
    except HostNotListed as error:
        # The file is paid for. Migrate retries for a day: the owner may allow the host meanwhile.
        count(MEDIA_HOST_NOT_LISTED)
        provider = {"provider": stage.provider, "detail": str(error)}
        logger.error("media host not listed", extra=provider)
        raise
    except SourceExpired:
        count(MEDIA_URL_EXPIRED, provider=stage.provider)
        fresh = asking.poll(stage)
        if not isinstance(fresh, Succeeded):
            raise
        logger.info("the URL had expired; fetching from a fresh one")
        return fetch(fresh.media_url)


def _report(job: Job, stage: Stage, differences: tuple[str, ...]) -> None:
    """Raise the owner's alarm: what the provider delivered is not what was ordered."""
    # Before the record: after a crash in between, the next attempt emits it again. In the other
    # order it could be lost.
    count(NOT_AS_ORDERED)
    logger.error(
        "not as ordered",
        extra={
            "provider": stage.provider,
            "endpoint": stage.endpoint,
            "model_id": job.model_id,
            "detail": "; ".join(differences),
        },
    )


def _rejected(job: Job, stage: Stage, differences: tuple[str, ...]) -> JobFinished:
    """Record that the file is not used, as the model's tolerance asks. Returns the error to raise:
    there is nothing more to migrate. Raises `JobFinished`, `JobMoved`."""
    cost = stage.outcome.cost if stage.outcome else None
    failure = Failed(FailureCode.NOT_AS_ORDERED, "; ".join(differences), cost=cost)
    job_store.record_rejection(job.job_id, stage.name, failure, task_id=stage.task_id)
    return JobFinished(f"stage {stage.name} of job {job.job_id} is not as ordered")


def _video_asset(job: Job, stage: Stage, stored: StoredObject, thumbnail_key: str) -> Asset:
    with storage.open_range(aws.s3(), stored.bucket, stored.key) as file:
        facts = video_file.probe(file)
        thumbnail = video_file.thumbnail(file)
    _put(stored.bucket, thumbnail_key, thumbnail, "image/jpeg")
    return Asset(
        bucket=stored.bucket,
        key=stored.key,
        content_type=stored.content_type,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        width=facts.width,
        height=facts.height,
        duration_seconds=facts.duration_seconds,
        thumbnail_key=thumbnail_key,
        differences=as_ordered.differences(job, stage, facts) or None,
    )


def _put(
    bucket: str, key: str, content: bytes, content_type: str, cache_control: str = "private"
) -> None:
    aws.s3().put_object(
        Bucket=bucket,
        Key=key,
        Body=content,
        ContentType=content_type,
        CacheControl=cache_control,
        ChecksumAlgorithm="SHA256",
    )


@aws.once
def _http() -> httpx.Client:
    return pinned_requests.new_client()
