"""Migrate: copy the provider's file into the owner's bucket, and prove that it plays, or shows."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.execution import migration
from clipmint.jobs import job_store
from clipmint.jobs.job_store import JobFinished
from clipmint.telemetry import logger

SPARE_SECONDS = 180
"""Kept back from the function's own timeout. Parts that are being uploaded take up to two minutes;
the probe, the thumbnail and the record need a few seconds."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = job_store.get(event["job_id"])
    stage = job.stage(event["stage"]) if job else None
    if job is None or stage is None or job.is_terminal:
        raise JobFinished(f"job {event['job_id']} has nothing to migrate")
    logger.append_keys(job_id=job.job_id, stage=stage.name)
    if stage.asset is None:
        seconds = context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS
        job = migration.store(job, stage, context.aws_request_id, seconds)
    return {"more": job.current_stage is not None}
