"""The owner's actions on a job. Each is a transition that exists without the owner, too: none of
them moves credits in a way of its own, and each may be repeated."""

from __future__ import annotations

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import audit_trail, http_api
from clipmint.api.action_bodies import ActionDone, ActionRequest
from clipmint.errors import (
    CancelTooLate,
    InvalidRequest,
    JobNotFound,
    NothingToFetch,
    ScopeRequired,
    TemporarilyUnavailable,
)
from clipmint.execution import cancellation, fetching, sweeping
from clipmint.jobs import job_store

app = http_api.resolver(admin_only=True)
app.use([audit_trail.record])

JobPath = Annotated[str, Path()]


@app.post(
    "/v1/admin/jobs/<job_id>/cancel",
    summary="Cancel a user's job",
    description=(
        "As its user could: free while its provider has not begun, and too late afterwards. The"
        " reason is kept in the audit trail, which the user does not see."
    ),
    responses=http_api.answers(
        ActionDone,
        InvalidRequest,
        ScopeRequired,
        JobNotFound,
        CancelTooLate,
        TemporarilyUnavailable,
    ),
)
def cancel_job(job_id: JobPath, request: ActionRequest) -> ActionDone:  # noqa: ARG001
    job = cancellation.cancel(job_store.find(job_id))
    return ActionDone(job_id=job.job_id, action="cancel", result="cancelled", status=job.status)


@app.post(
    "/v1/admin/jobs/<job_id>/settle",
    summary="Do now what a running job needs",
    description=(
        "What the sweep does for it from time to time: starts its execution if it has none, and"
        " ends the job if its files are stored, its execution has ended or it is overdue."
        " `result`: `settled`, `started` (nothing was sent yet), `waiting` (for its provider),"
        " `storing` (its file) or `ended` (before)."
    ),
    responses=http_api.answers(
        ActionDone, InvalidRequest, ScopeRequired, JobNotFound, TemporarilyUnavailable
    ),
)
def settle_job(job_id: JobPath, request: ActionRequest) -> ActionDone:  # noqa: ARG001
    job = job_store.find(job_id)
    result = "ended"
    if not job.is_terminal:
        result = sweeping.sweep_now(job)
        job = job_store.find(job_id)
    return ActionDone(job_id=job.job_id, action="settle", result=result, status=job.status)


@app.post(
    "/v1/admin/jobs/<job_id>/refetch",
    summary="Fetch a finished file again",
    description=(
        "Starts another attempt to copy the file of a job whose provider has finished and whose"
        " file is not stored, such as after its host was allowed. Otherwise the job waits for the"
        " next attempt of its own, as it does for the image of a video. `result`: `started`, or"
        " `stored` if the file is there; `settle` ends the job then."
    ),
    responses=http_api.answers(
        ActionDone,
        InvalidRequest,
        ScopeRequired,
        JobNotFound,
        NothingToFetch,
        TemporarilyUnavailable,
    ),
)
def refetch_job(job_id: JobPath, request: ActionRequest) -> ActionDone:  # noqa: ARG001
    job = job_store.find(job_id)
    result = fetching.fetch_again(job)
    return ActionDone(job_id=job.job_id, action="refetch", result=result, status=job.status)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
