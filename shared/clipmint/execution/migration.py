"""Migrate: copy the provider's file into the owner's bucket, and prove that it plays, or shows.

Every attempt writes under keys of its own, and the job learns of the asset last and once: a crash
anywhere, or two attempts at a time, cost a second copy and nothing else. An attempt whose file does
not play, or that finds that it came second, removes what it wrote; what an attempt that died left
goes with the job, when that is deleted.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from clipmint import aws, clock
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, Stage
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Succeeded
from clipmint.media import download, image_file, storage, transfer, uploads, video_file
from clipmint.media.files import (
    MAX_IMAGE_BYTES,
    ImageFileInvalid,
    MediaInvalid,
    SourceExpired,
    StoredObject,
)
from clipmint.providers import health, registry
from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import MEDIA_URL_EXPIRED, count, logger

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

CACHE_CONTROL = "public, max-age=300"
"""Of a public picture: one that its user deletes is gone from the CDN in five minutes."""


def store(job: Job, stage: Stage, attempt: str, seconds: float) -> Job:
    put = _store_picture if stage.name == "image" else _store_video
    return put(job, stage, attempt, seconds)


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
    with _removing(job, stage, bucket, video, thumbnail) as kept:
        asset = _video_asset(_from_provider(job, stage, copy), thumbnail)
        kept.job = job_store.record_asset(job.job_id, stage.name, asset, task_id=stage.task_id)
    return kept.job


def _store_picture(job: Job, stage: Stage, attempt: str, seconds: float) -> Job:
    read = functools.partial(
        download.read_all,
        allowed_hosts=registry.media_hosts(stage.provider),
        http=_http(),
        max_bytes=MAX_IMAGE_BYTES,
        deadline_seconds=seconds,
    )
    content = _from_provider(job, stage, read)
    try:
        picture = image_file.check(content)
    except ImageFileInvalid as error:
        raise MediaInvalid(str(error)) from None  # the name the state machine knows
    bucket = os.environ["IMAGES_BUCKET"]
    key = storage.generated_key(job.user_id, job.job_id, attempt, picture.content_type)
    with _removing(job, stage, bucket, key) as kept:
        # Looked at before it is stored: everybody can read what lies there.
        _put(bucket, key, content, picture.content_type, CACHE_CONTROL)
        asset = Asset(
            bucket=bucket,
            key=key,
            content_type=picture.content_type,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            width=picture.width,
            height=picture.height,
            duration_seconds=0.0,
        )
        kept.job = job_store.record_asset(
            job.job_id,
            stage.name,
            asset,
            task_id=stage.task_id,
            image_url=uploads.public_url(key),
            next_deadline=_next_deadline(job, stage),
        )
    return kept.job


def _next_deadline(job: Job, stage: Stage) -> int | None:
    later = job.stages[job.stages.index(stage) + 1 :]
    if not later:
        return None
    return clock.epoch(clock.now()) + later[0].deadline_seconds


@dataclass
class _Kept:
    """The job that names what an attempt stored, or what came before it."""

    job: Job


@contextmanager
def _removing(job: Job, stage: Stage, bucket: str, *keys: str) -> Iterator[_Kept]:
    """Remove what an attempt stored for nothing: it does not play, or the attempt came second."""
    kept = _Kept(job)
    try:
        yield kept
    except (JobMoved, JobFinished, MediaInvalid) as refused:
        # Refused may be our own write, repeated because its answer was lost: then these keys are
        # the job's. Otherwise nobody will ever ask for them.
        if not _is_recorded(job.job_id, stage.name, keys[0]):
            storage.delete(aws.s3(), bucket, *keys)
        if not isinstance(refused, JobMoved):
            raise
        kept.job = refused.job


def _is_recorded(job_id: str, stage_name: str, key: str) -> bool:
    job = job_store.get(job_id)
    stage = job.stage(stage_name) if job else None
    if stage is None:
        return False
    assets = [stage.asset, *(one.asset for one in stage.earlier)]
    return any(asset is not None and asset.key == key for asset in assets)


def _from_provider(job: Job, stage: Stage, fetch: Callable[[str], T]) -> T:
    """Fetch the stage's file, from a fresh URL if the one we know has died."""
    if not isinstance(stage.outcome, Succeeded):
        raise JobFinished(f"stage {stage.name} of job {job.job_id} has no file")
    try:
        return fetch(stage.outcome.media_url)
    except SourceExpired:
        count(MEDIA_URL_EXPIRED, provider=stage.provider)
        handle = stage.handle
        try:
            fresh = registry.provider(stage.provider).poll(handle) if handle else None
        except (ProviderUnavailable, ProviderNotConfigured) as error:
            health.silent(stage.provider, error)
            fresh = None
        if not isinstance(fresh, Succeeded):
            raise
        logger.info("the URL had expired; fetching from a fresh one")
        return fetch(fresh.media_url)


def _video_asset(stored: StoredObject, thumbnail_key: str) -> Asset:
    with storage.open_range(aws.s3(), stored.bucket, stored.key) as file:
        facts = video_file.probe(file)
        picture = video_file.thumbnail(file)
    _put(stored.bucket, thumbnail_key, picture, "image/jpeg")
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
    return download.media_client()
