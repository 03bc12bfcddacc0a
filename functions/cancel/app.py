"""Cancel a job while that is free; remove the media of a job that has ended."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import http_api, videos
from clipmint.api.order_responses import Cancelled
from clipmint.errors import CancelTooLate, JobNotFound, JobRunning, TemporarilyUnavailable
from clipmint.execution import cancellation

app = http_api.resolver()


@app.post(
    "/v1/videos/<job_id>/cancel",
    summary="Cancel a job its provider has not begun",
    description=(
        "The job ends as `cancelled` and its hold is released. It is too late once the provider "
        "has begun."
    ),
    responses=http_api.answers(Cancelled, JobNotFound, CancelTooLate, TemporarilyUnavailable),
)
def cancel_video(job_id: Annotated[str, Path()]) -> Cancelled:
    job = cancellation.cancel(videos.find(http_api.user_of(app), job_id))
    videos.remove_source(job)
    return Cancelled(
        job_id=job.job_id,
        status=job.status,
        credits_released=job.credits - job.credits_used,
    )


@app.delete(
    "/v1/videos/<job_id>",
    summary="Remove an ended job's media, and hide the job",
    description="The journal keeps the job's entries. A running job must be cancelled first.",
    **http_api.no_content(JobNotFound, JobRunning, TemporarilyUnavailable),
)
def delete_video(job_id: Annotated[str, Path()]) -> Response[None]:
    videos.remove(videos.find(http_api.user_of(app), job_id, deleted_too=True))
    return Response(HTTPStatus.NO_CONTENT)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
