"""Migrate: copy the provider's file into the owner's bucket, and prove that it plays.

Every attempt writes under keys of its own, and the job learns of the asset last and once: a crash
anywhere, or two attempts at a time, cost a second copy and nothing else. An attempt whose file does
not play, or that finds that it came second, removes what it wrote; what an attempt that died left
goes with the job, when that is deleted.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import download, jobs, media, storage, transfer
from clipmint.domain.jobs import Asset, Job, Stage
from clipmint.domain.media import MediaInvalid, SourceExpired, StoredObject
from clipmint.domain.outcomes import Succeeded
from clipmint.jobs import JobFinished, JobMoved
from clipmint.providers import registry
from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import count, logger

if TYPE_CHECKING:
    import httpx
    from mypy_boto3_s3 import S3Client

SPARE_SECONDS = 180
"""Kept back from the function's own timeout: parts on their way up are waited for, two minutes at
worst, and the probe, the thumbnail and the record need a few seconds."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = jobs.get(event["job_id"])
    stage = job.stage(event["stage"]) if job else None
    if job is None or stage is None or job.is_terminal:
        raise JobFinished(f"job {event['job_id']} has nothing to migrate")
    logger.append_keys(job_id=job.job_id, stage=stage.name)
    if stage.asset is None:
        job = _store(job, stage, context)
    return {"more": job.current_stage is not None}


def _store(job: Job, stage: Stage, context: LambdaContext) -> Job:
    bucket, attempt = os.environ["VIDEOS_BUCKET"], context.aws_request_id
    video = storage.video_key(job.user_id, job.job_id, attempt)
    thumbnail = storage.thumbnail_key(job.user_id, job.job_id, attempt)
    try:
        seconds = context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
        stored = _copy(job, stage, bucket, video, seconds)
        asset = _asset(stored, thumbnail)
        return jobs.record_asset(job.job_id, stage.name, asset)
    except (JobMoved, JobFinished, MediaInvalid) as refused:
        # Refused may be our own write, repeated because its answer was lost: then these keys are
        # the job's. Otherwise nobody will ever ask for them.
        if not _is_recorded(job.job_id, stage.name, video):
            storage.delete(_s3(), bucket, video, thumbnail)
        if isinstance(refused, JobMoved):
            return refused.job
        raise


def _is_recorded(job_id: str, stage_name: str, key: str) -> bool:
    job = jobs.get(job_id)
    stage = job.stage(stage_name) if job else None
    return bool(stage and stage.asset and stage.asset.key == key)


def _copy(job: Job, stage: Stage, bucket: str, key: str, seconds: float) -> StoredObject:
    if not isinstance(stage.outcome, Succeeded):
        raise JobFinished(f"stage {stage.name} of job {job.job_id} has no file")
    copy = functools.partial(
        transfer.copy_from_url,
        allowed_hosts=registry.media_hosts(stage.provider),
        bucket=bucket,
        key=key,
        http=_http(),
        s3=_s3(),
        deadline_seconds=seconds,
    )
    try:
        return copy(stage.outcome.media_url)
    except SourceExpired:
        count("MediaUrlExpired", provider=stage.provider)
        handle = registry.handle_of(stage)
        try:
            fresh = registry.provider(stage.provider).poll(handle) if handle else None
        except (ProviderUnavailable, ProviderNotConfigured):
            fresh = None
        if not isinstance(fresh, Succeeded):
            raise
        logger.info("the URL had expired; fetching from a fresh one")
        return copy(fresh.media_url)


def _asset(stored: StoredObject, thumbnail_key: str) -> Asset:
    with storage.open_range(_s3(), stored.bucket, stored.key) as file:
        facts = media.probe(file)
        picture = media.thumbnail(file)
    _s3().put_object(
        Bucket=stored.bucket,
        Key=thumbnail_key,
        Body=picture,
        ContentType="image/jpeg",
        ChecksumAlgorithm="SHA256",
    )
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


@functools.cache
def _s3() -> S3Client:
    return storage.s3_client()


@functools.cache
def _http() -> httpx.Client:
    return download.media_client()
