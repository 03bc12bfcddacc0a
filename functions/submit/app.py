"""Submit: send a job's next stage to a provider, at most once, and return how to wait for it.

After a failed generation the execution returns here: if the video was declined for its content,
both stages may be made again, once.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.execution import submission

CALL_MS = 60_000
"""What one call to a provider may take at worst, with room to record its answer."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    job, stage = submission.send_next_stage(
        event["job_id"], lambda: context.get_remaining_time_in_millis() > CALL_MS
    )
    return {
        "stage": stage.name,
        "poll_seconds": list(stage.poll_seconds),
        "deadline": job.deadline,
    }
