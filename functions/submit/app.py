"""Submit: send a job's next stage to a provider, at most once, and say how to wait for it.

A generation that failed comes through here once more, because a video that was declined for its
content may pass with another picture: then both stages are made anew, once.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.execution import submission
from clipmint.execution.submission import SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, Stage
from clipmint.jobs.job_store import JobFinished
from clipmint.telemetry import IMAGE_MADE_AGAIN, count, logger

CALL_MS = 60_000
"""What one call to a provider may take at worst, with room to note down its answer."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > CALL_MS

    job, stage = _next_stage(event["job_id"])
    if stage.name != "image":
        # Declined as it was sent: the next look finds the picture to be made again, if it may be.
        with suppress(SubmissionRejected):
            submission.ensure_sent(job, stage, has_time)
            return _waiting_for(job, stage)
        job, stage = _next_stage(event["job_id"])
    submission.ensure_sent(job, stage, has_time)
    return _waiting_for(job, stage)


def _next_stage(job_id: str) -> tuple[Job, Stage]:
    """The stage to be sent, made ready to be sent again if it may be."""
    job = job_store.get(job_id)
    if job is None or job.is_terminal:
        raise JobFinished(f"job {job_id} has nothing to submit")
    if job.may_make_image_again:
        count(IMAGE_MADE_AGAIN)
        job = job_store.make_image_again(job)
    stage = job.current_stage
    if stage is None:
        raise JobFinished(f"job {job_id} has nothing to submit")
    logger.append_keys(job_id=job.job_id, stage=stage.name)
    return job, stage


def _waiting_for(job: Job, stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "poll_seconds": list(stage.poll_seconds),
        "deadline": job.deadline,
    }
