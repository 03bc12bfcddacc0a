"""Cancel a job while that is free; remove the media of a job that has ended."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import aws
from clipmint.api import http_api, videos
from clipmint.api.responses import Cancelled
from clipmint.errors import CancelTooLate, JobNotFound, JobRunning, TemporarilyUnavailable
from clipmint.execution import cancellation
from clipmint.jobs import job_store
from clipmint.media import storage

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
    return Cancelled(
        job_id=job.job_id,
        status=job.status,
        credits_released=job.credits - job.credits_used,
    )


@app.delete(
    "/v1/videos/<job_id>",
    summary="Remove an ended job's media, and hide the job",
    description="The journal keeps the job's entries. A running job must be cancelled first.",
    status_code=HTTPStatus.NO_CONTENT,
    responses=http_api.answers(
        None, JobNotFound, JobRunning, TemporarilyUnavailable, status=HTTPStatus.NO_CONTENT
    ),
)
def delete_video(job_id: Annotated[str, Path()]) -> Response[None]:
    job = videos.find(http_api.user_of(app), job_id, deleted_too=True)
    # Hide the job first. If we crash before its media are removed, a retry still finds the job.
    if job_store.hide(job.job_id) is None:
        raise JobRunning("A running video cannot be deleted", details="Cancel it first")
    # Everything with the job's prefix, which includes what a killed attempt left there.
    s3 = aws.s3()
    storage.delete_all(s3, os.environ["VIDEOS_BUCKET"], storage.job_prefix(job.user_id, job.job_id))
    if any(stage.kind.bucket == "images" for stage in job.stages):
        storage.delete_all(
            s3, os.environ["IMAGES_BUCKET"], storage.generated_prefix(job.user_id, job.job_id)
        )
    return Response(HTTPStatus.NO_CONTENT)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
