"""Everything a user reads: jobs, models, credits. Nothing here writes or asks a provider."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import aws, clock
from clipmint.api import http_api
from clipmint.api.responses import (
    Catalog,
    CatalogEntry,
    Credits,
    Journal,
    JournalEntry,
    Video,
    VideoPage,
)
from clipmint.catalog import model_store
from clipmint.credits import ledger
from clipmint.errors import InvalidRequest, JobNotFound, ModelNotFound
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.media import storage
from clipmint.orders import offers

app = http_api.resolver()

URL_SECONDS = 3_600
"""How long a video's URL is valid; the documents this system comes from promise an hour."""

POLL_SECONDS = "2"
"""How often an app may ask for a running job; one ask is one read."""

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=512, description="From the page before")]


@app.get("/v1/videos/<job_id>", summary="One job", responses=http_api.answers(Video, JobNotFound))
def get_video(job_id: Annotated[str, Path()]) -> Response[Video]:
    job = job_store.get(_valid_id(job_id))
    # Somebody else's job and no job are the same answer: an id tells nothing.
    if job is None or job.deleted or job.user_id != http_api.user_of(app):
        raise JobNotFound("There is no such video")
    headers = {} if job.is_terminal else {"Retry-After": POLL_SECONDS}
    return http_api.json_response(HTTPStatus.OK, _video(job), headers)


@app.get(
    "/v1/videos",
    summary="Your jobs, newest first",
    responses=http_api.answers(VideoPage, InvalidRequest),
)
def list_videos(
    limit: Limit = 20,
    cursor: Cursor = None,
    status: Annotated[JobStatus | None, Query()] = None,
    project_id: Annotated[str | None, Query(max_length=64)] = None,
    scene_id: Annotated[str | None, Query(max_length=64)] = None,
) -> VideoPage:
    page = job_lists.list_for_user(
        http_api.user_of(app),
        status=status,
        project_id=project_id,
        scene_id=scene_id,
        limit=limit,
        cursor=cursor,
    )
    return VideoPage(videos=[_video(job) for job in page.jobs], cursor=page.cursor)


@app.get(
    "/v1/models",
    summary="What can be generated, and for how much",
    responses={**http_api.answers(Catalog), 304: {"description": "As your If-None-Match says"}},
)
def list_models(
    if_none_match: Annotated[http_api.HeaderText | None, Header()] = None,
) -> Response[Catalog | None]:
    answer = Catalog(models=[CatalogEntry.of(model) for model in offers.offered()])
    etag = f'"{hashlib.sha256(answer.model_dump_json().encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=60"}
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if etag in known or "*" in known:
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return http_api.json_response(HTTPStatus.OK, answer, headers)


@app.get(
    "/v1/models/<model_id>",
    summary="One model",
    responses=http_api.answers(CatalogEntry, ModelNotFound),
)
def get_model(model_id: Annotated[str, Path()]) -> CatalogEntry:
    model = model_store.find(model_id)
    if not offers.is_offered(model):
        raise ModelNotFound(f"There is no model {model_id!r}")
    return CatalogEntry.of(model)


@app.get("/v1/credits", summary="Your credits")
def get_credits() -> Credits:
    account = ledger.account_of(http_api.user_of(app))
    return Credits(available=account.available, held=account.held)


@app.get(
    "/v1/credits/entries",
    summary="Your journal, newest first",
    responses=http_api.answers(Journal, InvalidRequest),
)
def list_entries(limit: Limit = 50, cursor: Cursor = None) -> Journal:
    before = _sequence_of(cursor) if cursor else None
    page = ledger.entries_of(http_api.user_of(app), limit=limit, before=before)
    return Journal(
        entries=[
            JournalEntry(
                sequence=entry.sequence,
                kind=entry.kind,
                credits=entry.credits,
                balance_after=entry.balance_after,
                held_after=entry.held_after,
                job_id=entry.job_id,
                stage=entry.stage,
                reference=entry.reference,
                created_at=clock.iso(entry.created_at),
            )
            for entry in page.entries
        ],
        cursor=_cursor_of(page.before) if page.before else None,
    )


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)


def _video(job: Job) -> Video:
    asset = job.stages[-1].asset
    if job.status is not JobStatus.COMPLETED or asset is None:
        return Video.of(job, None, None)
    sign = functools.partial(storage.presigned_url, aws.s3(), asset.bucket, expires_in=URL_SECONDS)
    return Video.of(
        job, sign(asset.key), sign(asset.thumbnail_key) if asset.thumbnail_key else None
    )


def _valid_id(job_id: str) -> str:
    try:
        return str(UUID(job_id))
    except ValueError:
        raise JobNotFound("There is no such video") from None


def _cursor_of(sequence: int) -> str:
    return base64.urlsafe_b64encode(str(sequence).encode()).decode().rstrip("=")


def _sequence_of(cursor: str) -> int:
    try:
        sequence = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        sequence = 0
    if not 0 < sequence < 10**18:
        raise InvalidRequest("The cursor is not valid", details="cursor: not one of ours")
    return sequence
