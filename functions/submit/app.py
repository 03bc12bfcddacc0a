"""Submit: send a job's next stage to a provider, at most once, and wait for the webhook.

The state Submit invokes this function with a task token and lasts until the token is used. If the
provider must be polled soon, the state ends immediately and Track begins. Without a task token the
function returns what Track needs. The state StartPolling does so, which follows if no webhook came
during the wait, and so did the state Submit of earlier versions, whose executions may still run.

After a failed generation the execution returns here: if the video was declined for its content,
both stages may be made again, once.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.execution import submission, waiting, workflow
from clipmint.execution.identical import SourceRunning

CALL_MS = 60_000
"""What one call to a provider may take at worst, with room to record its answer."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    task_token = event.get("task_token")
    try:
        job, stage, stored = submission.send_next_stage(
            event["job_id"], lambda: context.get_remaining_time_in_millis() > CALL_MS, task_token
        )
    except SourceRunning:
        if task_token is None:
            raise
        workflow.retry_later(task_token)
        return {}
    if task_token is not None and job.source_job_id is not None:
        workflow.finish(task_token, stage)  # the file of an identical job is its own now
    elif task_token is not None:
        waiting.wait(job, stage, task_token, stored=stored)
    return waiting.plan(job, stage)
