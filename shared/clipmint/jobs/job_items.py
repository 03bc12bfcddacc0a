"""Jobs as items of the Jobs table, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from clipmint import clock
from clipmint.catalog.model import Route, Settings
from clipmint.jobs.job import (
    Asset,
    Earlier,
    Job,
    JobStatus,
    Orphan,
    PictureOrder,
    Refusal,
    Stage,
    Submission,
    SubmissionState,
)
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Succeeded
from clipmint.tables import (
    OPEN,
    STAGE_NAMES,
    AssetMap,
    EarlierMap,
    JobItem,
    OrphanMap,
    OutcomeMap,
    StageMap,
)


def to_item(job: Job) -> JobItem:
    """A new job as an item of the Jobs table; only what a job has when it starts."""
    item = JobItem(
        job_id=job.job_id,
        user_id=job.user_id,
        project_id=job.project_id,
        scene_id=job.scene_id,
        status=job.status.value,
        open=OPEN,
        deadline=job.deadline,
        revision=job.revision,
        model_id=job.model_id,
        model_name=job.model_name,
        prompt=job.prompt,
        image_url=job.image_url,
        last_image_url=job.last_image_url,
        settings=job.settings.model_dump(exclude_none=True),
        preset=job.preset,
        fingerprint=job.fingerprint,
        balance_after=job.balance_after,
        batch_id=job.batch_id,
        created_at=clock.iso(job.created_at),
        updated_at=clock.iso(job.updated_at),
    )
    for stage in job.stages:
        stage_map = StageMap(
            routes=[route.model_dump() for route in stage.routes],
            refusals=[],
            earlier=[],
            provider=stage.provider,
            endpoint=stage.endpoint,
            credits=stage.credits,
            poll_seconds=list(stage.poll_seconds),
            deadline_seconds=stage.deadline_seconds,
            picture=asdict(stage.picture) if stage.picture else None,
        )
        setattr(item, stage.name, stage_map)
    return item


def to_job(item: JobItem) -> Job:
    """The value of an item."""
    stages = ((name, getattr(item, name)) for name in STAGE_NAMES)
    return Job(
        job_id=item.job_id,
        user_id=item.user_id,
        project_id=item.project_id,
        scene_id=item.scene_id,
        status=JobStatus(item.status),
        model_id=item.model_id,
        model_name=item.model_name,
        prompt=item.prompt,
        settings=Settings.model_validate(item.settings),
        fingerprint=item.fingerprint,
        stages=tuple(_to_stage(name, stage) for name, stage in stages if stage is not None),
        deadline=int(item.deadline),
        created_at=clock.from_iso(item.created_at),
        updated_at=clock.from_iso(item.updated_at),
        revision=int(item.revision),
        balance_after=int(item.balance_after),
        preset=item.preset,
        batch_id=item.batch_id,
        image_url=item.image_url,
        last_image_url=item.last_image_url,
        completed_at=clock.from_iso(item.completed_at) if item.completed_at else None,
        failure=FailureCode(item.failure) if item.failure else None,
        deleted=bool(item.deleted),
        orphans=tuple(
            Orphan(
                stage=orphan.stage,
                provider=orphan.provider,
                endpoint=orphan.endpoint,
                request_id=orphan.request_id,
                credits=int(orphan.credits),
                found_at=clock.from_iso(orphan.found_at),
            )
            for orphan in item.orphans or ()
        ),
    )


def _to_stage(name: str, stage: StageMap) -> Stage:
    submission, outcome, asset, picture = (
        stage.submission,
        stage.outcome,
        stage.asset,
        cast("dict[str, Any] | None", stage.picture),
    )
    return Stage(
        name=name,
        routes=tuple(Route.model_validate(route) for route in stage.routes),
        refusals=tuple(
            Refusal(refusal.provider, refusal.reason, clock.from_iso(refusal.at))
            for refusal in stage.refusals
        ),
        provider=stage.provider,
        endpoint=stage.endpoint,
        credits=int(stage.credits),
        poll_seconds=tuple(map(int, cast("list[float]", stage.poll_seconds))),
        deadline_seconds=int(stage.deadline_seconds),
        picture=PictureOrder(
            **picture | {"reference_image_urls": tuple(picture["reference_image_urls"])}
        )
        if picture is not None
        else None,
        earlier=tuple(
            Earlier(
                provider=one.provider,
                task_id=one.task_id,
                request_id=one.request_id,
                outcome=_to_outcome(one.outcome) if one.outcome is not None else None,
                asset=_to_asset(one.asset) if one.asset is not None else None,
            )
            for one in stage.earlier
        ),
        submission=Submission(
            state=SubmissionState(submission.state),
            webhook_token=submission.webhook_token,
            task_id=submission.task_id,
            request_id=submission.request_id,
            urls=submission.urls or {},
        )
        if submission is not None
        else None,
        outcome=_to_outcome(outcome) if outcome is not None else None,
        asset=_to_asset(asset) if asset is not None else None,
        task_token=stage.task_token,
    )


def outcome_map(outcome: Finished) -> OutcomeMap:
    """An outcome as a stage records it."""
    if isinstance(outcome, Succeeded):
        return OutcomeMap(media_url=outcome.media_url)
    # A provider's words can be long; the item cannot.
    return OutcomeMap(code=outcome.code.value, detail=outcome.detail[:1_000])


def _to_outcome(outcome: OutcomeMap) -> Finished:
    recorded = outcome.attribute_values
    if "media_url" in recorded:
        return Succeeded(recorded["media_url"])
    return Failed(FailureCode(recorded["code"]), recorded.get("detail", ""))


def earlier_map(stage: Stage) -> EarlierMap:
    """A stage's try so far, put aside for another."""
    submission, outcome, asset = stage.submission, stage.outcome, stage.asset
    return EarlierMap(
        provider=stage.provider,
        task_id=submission.task_id if submission else "",
        request_id=submission.request_id if submission else None,
        outcome=outcome_map(outcome) if outcome else None,
        asset=asset_map(asset) if asset else None,
    )


def orphan_map(orphan: Orphan) -> OrphanMap:
    """An orphan as its job records it."""
    return OrphanMap(
        stage=orphan.stage,
        provider=orphan.provider,
        endpoint=orphan.endpoint,
        request_id=orphan.request_id,
        credits=orphan.credits,
        found_at=clock.iso(orphan.found_at),
    )


def asset_map(asset: Asset) -> AssetMap:
    """An asset as a stage records it."""
    return AssetMap(
        bucket=asset.bucket,
        key=asset.key,
        content_type=asset.content_type,
        size_bytes=asset.size_bytes,
        sha256=asset.sha256,
        width=asset.width,
        height=asset.height,
        duration_seconds=asset.duration_seconds,
        thumbnail_key=asset.thumbnail_key,
    )


def _to_asset(asset: AssetMap) -> Asset:
    return Asset(
        bucket=asset.bucket,
        key=asset.key,
        content_type=asset.content_type,
        size_bytes=int(asset.size_bytes),
        sha256=asset.sha256,
        width=int(asset.width),
        height=int(asset.height),
        duration_seconds=float(asset.duration_seconds),
        thumbnail_key=asset.thumbnail_key,
    )
