"""Submit: send a job's next stage to a provider, at most once, and say how to wait for it."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import jobs, submission
from clipmint.jobs import JobFinished
from clipmint.telemetry import logger

CALL_MS = 60_000
"""What one call to a provider may take at worst, with room to note down its answer."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job = jobs.get(event["job_id"])
    stage = job.current_stage if job else None
    if job is None or job.is_terminal or stage is None:
        raise JobFinished(f"job {event['job_id']} has nothing to submit")
    logger.append_keys(job_id=job.job_id, stage=stage.name)
    submission.ensure_sent(job, stage, lambda: context.get_remaining_time_in_millis() > CALL_MS)
    return {
        "stage": stage.name,
        "poll_seconds": list(job.poll_seconds),
        "deadline": job.deadline,
    }
