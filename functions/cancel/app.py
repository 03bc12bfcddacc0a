"""End a job early, while that is free; remove the media of one that has ended."""

from __future__ import annotations

import os
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import aws
from clipmint.api import http_api
from clipmint.api.responses import Cancelled
from clipmint.credits import ledger
from clipmint.errors import (
    CancelTooLate,
    JobNotFound,
    JobRunning,
    TemporarilyUnavailable,
    try_again,
)
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus, SubmissionState, Verdict
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome
from clipmint.media import storage
from clipmint.providers import health, registry
from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.registry import ProviderNotConfigured

app = http_api.resolver()

_CANCELLED = Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED)


@app.post(
    "/v1/videos/<job_id>/cancel",
    summary="Cancel a job its provider has not begun",
    responses=http_api.answers(Cancelled, JobNotFound, CancelTooLate, TemporarilyUnavailable),
)
def cancel_video(job_id: Annotated[str, Path()]) -> Cancelled:
    job = _owned(job_id)
    if not job.is_terminal:
        asked = _withdraw(job)
        job = ledger.settle(job.job_id, _verdict)
        if not asked and _is_sent(job):
            raise _not_known(seconds=1)
    if job.status is not JobStatus.CANCELLED:
        raise CancelTooLate(
            "It is too late to cancel this video",
            details="The provider has begun, or the job has ended",
        )
    for stage in job.stages:
        workflow.wake(stage)
    return Cancelled(
        job_id=job.job_id,
        status=job.status,
        credits_released=job.credits - job.credits_used,
    )


@app.delete(
    "/v1/videos/<job_id>",
    summary="Remove an ended job's media, and hide the job",
    status_code=HTTPStatus.NO_CONTENT,
    responses=http_api.answers(
        None, JobNotFound, JobRunning, TemporarilyUnavailable, status=HTTPStatus.NO_CONTENT
    ),
)
def delete_video(job_id: Annotated[str, Path()]) -> Response[None]:
    job = _owned(job_id, deleted_too=True)
    # Hidden first: a crash before the media are gone leaves a job that this call still finds.
    if job_store.hide(job.job_id) is None:
        raise JobRunning("A running video cannot be deleted", details="Cancel it first")
    # All under the job's own prefix, also what an attempt that was killed left there.
    s3, videos = aws.s3(), storage.job_prefix(job.user_id, job.job_id)
    storage.delete_all(s3, os.environ["VIDEOS_BUCKET"], videos)
    if job.stage("image"):
        pictures = storage.generated_prefix(job.user_id, job.job_id)
        storage.delete_all(s3, os.environ["IMAGES_BUCKET"], pictures)
    return Response(HTTPStatus.NO_CONTENT)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)


def _withdraw(job: Job) -> bool:
    """Take a submission back from its provider, if it was sent and not begun.

    One that was taken back before, by a call that runs beside this one or died before it wrote that
    down, is taken back all the same.

    Returns
    -------
    bool
        Whether the provider was asked.
    """
    stage = job.current_stage
    handle = stage.handle if stage else None
    if stage is None or handle is None or stage.outcome is not None:
        return False
    try:
        provider = registry.provider(stage.provider)
        withdrawn = provider.cancel(handle) or _is_withdrawn(provider.poll(handle))
    except (ProviderUnavailable, ProviderNotConfigured) as error:
        health.silent(stage.provider, error)
        raise _not_known(seconds=5) from None
    if withdrawn:
        with suppress(job_store.JobFinished, job_store.JobMoved):
            job_store.record_outcome(
                job.job_id,
                stage.name,
                Failed(FailureCode.CANCELLED),
                task_id=stage.task_id,
            )
    return True


def _verdict(job: Job) -> Verdict | None:
    """Cancelled if nothing was sent, or what was sent has been withdrawn; else leave it be."""
    stage = job.current_stage
    if stage is None:
        return None
    unsent = stage.submission_state in {None, SubmissionState.REFUSED}
    return _CANCELLED if unsent or _is_withdrawn(stage.outcome) else None


def _is_withdrawn(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Failed) and outcome.code is FailureCode.CANCELLED


def _is_sent(job: Job) -> bool:
    """Whether a provider has a submission, or is about to: a second later it can be asked."""
    stage = None if job.is_terminal else job.current_stage
    return bool(
        stage
        and stage.outcome is None
        and stage.submission_state in {SubmissionState.SENDING, SubmissionState.SENT}
    )


def _not_known(seconds: int) -> TemporarilyUnavailable:
    return try_again("It is not known whether this can be cancelled; ask again", seconds=seconds)


def _owned(job_id: str, *, deleted_too: bool = False) -> Job:
    try:
        job = job_store.get(str(UUID(job_id)))
    except ValueError:
        job = None
    if job is None or job.user_id != http_api.user_of(app) or (job.deleted and not deleted_too):
        raise JobNotFound("There is no such video")
    return job
