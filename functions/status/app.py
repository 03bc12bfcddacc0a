"""A user's jobs, the models and the credits. This function writes nothing and calls no provider."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock, cursors
from clipmint.api import http_api, videos
from clipmint.api.catalog_responses import Catalog, CatalogDefaults, CatalogEntry
from clipmint.api.credit_responses import Credits, Journal, JournalEntry, OfferedPack, PackList
from clipmint.api.video_responses import Video, VideoPage
from clipmint.catalog import model_store
from clipmint.credits import ledger
from clipmint.errors import (
    InvalidRequest,
    JobNotFound,
    MethodNotAllowed,
    ModelNotFound,
    TemporarilyUnavailable,
)
from clipmint.jobs import job_lists
from clipmint.jobs.job import JobStatus
from clipmint.orders import offers
from clipmint.orders.order_settings import DefaultModels
from clipmint.purchases import pack_store

app = http_api.resolver()

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=512, description="From the page before")]


@app.get(
    "/v1/videos/<job_id>",
    summary="One job",
    description=(
        "Poll it until `status` is `completed`, `failed` or `cancelled`. The URLs are valid for an"
        " hour."
    ),
    responses=http_api.answers(Video, JobNotFound),
)
def get_video(job_id: Annotated[str, Path()]) -> Response[Video]:
    job = videos.find(http_api.user_of(app), job_id)
    headers: Mapping[str, str] = {}
    if not job.is_terminal:
        age = (clock.now() - job.created_at).total_seconds()
        headers = http_api.poll_later(job.expected_seconds, age)
    return http_api.json_response(HTTPStatus.OK, videos.answer(job), headers)


@app.get("/v1/videos/estimate", include_in_schema=False)
def get_estimate() -> None:
    """Not an id of a job, although the gateway's route of one job matches."""
    raise MethodNotAllowed("An estimate is a POST request", headers={"Allow": "POST"})


@app.get(
    "/v1/videos",
    summary="Your jobs, newest first",
    description="In pages; the filters can be combined.",
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
    return VideoPage(videos=[videos.answer(job) for job in page.jobs], cursor=page.cursor)


@app.get(
    "/v1/models",
    summary="What can be generated, and for how much",
    description="The models that can be ordered now, and the default models of scenes and clips.",
    responses={**http_api.answers(Catalog), 304: {"description": "As your If-None-Match says"}},
)
def list_models(
    if_none_match: Annotated[http_api.HeaderText | None, Header()] = None,
) -> Response[Catalog | None]:
    answer = Catalog(
        models=[
            CatalogEntry.of(model, offers.expected_seconds(model)) for model in offers.offered()
        ],
        defaults=CatalogDefaults.model_validate(DefaultModels.read().model_dump()),
    )
    return http_api.cacheable_response(answer, 60, if_none_match)


@app.get(
    "/v1/models/<model_id>",
    summary="One model",
    description="Its settings, presets and price.",
    responses=http_api.answers(CatalogEntry, ModelNotFound),
)
def get_model(model_id: Annotated[str, Path()]) -> CatalogEntry:
    model = model_store.find(model_id)
    if not offers.is_offered(model):
        raise model_store.no_model(model_id)
    return CatalogEntry.of(model, offers.expected_seconds(model))


@app.get(
    "/v1/packs",
    summary="What can be bought",
    description="Packs of credits. The price is that of the store.",
    responses=http_api.answers(PackList, TemporarilyUnavailable),
)
def list_packs() -> PackList:
    return PackList(
        packs=[
            OfferedPack(product_id=product_id, **pack.model_dump())
            for product_id, pack in pack_store.all_packs().items()
        ]
    )


@app.get(
    "/v1/credits",
    summary="Your credits",
    description=(
        "Available credits can be spent; held ones belong to jobs that have not ended. `lots` are"
        " the available credits in the order in which they are spent. With a `debt` no job starts:"
        " credits of a refunded purchase had been spent, and later credits repay them."
    ),
)
def get_credits() -> Credits:
    return Credits.of(ledger.balance_of(http_api.user_of(app)))


@app.get(
    "/v1/credits/entries",
    summary="Your journal, newest first",
    description=(
        "Each grant, hold, capture, release, expiry, clawback and adjustment, with the balance"
        " after it."
    ),
    responses=http_api.answers(Journal, InvalidRequest),
)
def list_entries(limit: Limit = 50, cursor: Cursor = None) -> Journal:
    before = cursors.sequence_in(cursor) if cursor else None
    page = ledger.entries_of(http_api.user_of(app), limit=limit, before=before)
    return Journal(
        entries=[JournalEntry.of(entry) for entry in page.entries],
        cursor=cursors.before_sequence(page.before) if page.before else None,
    )


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
