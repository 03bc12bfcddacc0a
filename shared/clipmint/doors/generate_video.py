"""Protocol ``generate-video``: an app's edge functions for videos, models and credits.

====================  ==========================================
their                 ours
====================  ==========================================
generate-video        an order of a video
get-video-status      the job
get-video-jobs        the user's jobs
delete-video-job      the deletion of an ended job and its media
get-models            the models on offer
get-user-credits      the account
====================  ==========================================

The Idempotency-Key is required. The header ``apikey`` is ignored.
"""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from pydantic import ConfigDict, Field, JsonValue, model_validator

from clipmint.api import http_api, videos
from clipmint.api.catalog_responses import CatalogEntry
from clipmint.api.timestamps import Timestamp
from clipmint.api.video_responses import Video
from clipmint.catalog import model_store
from clipmint.catalog.model import Model, Prompt, Settings
from clipmint.credits import ledger
from clipmint.doors.door import Body, check_user, new_router, place, replay_header
from clipmint.errors import (
    IdempotencyKeyRequired,
    InvalidRequest,
    JobNotFound,
    JobRunning,
    TemporarilyUnavailable,
    UserMismatch,
)
from clipmint.jobs import job_lists
from clipmint.jobs.job import Job, JobStatus
from clipmint.media.image_urls import ImageUrl
from clipmint.orders import offers, refusals, video_orders
from clipmint.orders.idempotency_keys import Order, parse_idempotency_key
from clipmint.orders.order_requests import GenerationRequest, ModelName
from clipmint.orders.order_settings import LimitSettings
from clipmint.schemas import Schema

router = new_router()

NOT_STATED = "auto"
MAX_JOBS = 1_000
"""How far ``offset`` and ``limit`` reach: our lists have cursors, so the jobs before are read."""

UserId = Annotated[str | None, Query(max_length=1_024, description="The caller's own")]
JobId = Annotated[str, Query(max_length=64)]


_EXAMPLE: dict[str, JsonValue] = {
    "model_id": "veo-3.1",
    "prompt": "A glowing cityscape at night",
    "settings": {"resolution": "auto", "aspect_ratio": "auto", "duration": 4},
}


class GenerateVideo(Body):
    """The model is named by its id in the catalog or by an alias, also as ``theme_id``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    user_id: str | None = Field(None, description="If sent, must be the caller's own")
    model_id: ModelName | None = None
    theme_id: ModelName | None = None
    prompt: Prompt
    image_url: ImageUrl | None = None
    settings: Settings | None = Field(
        None, description='"auto" is the default of a model that has no "auto"'
    )

    @model_validator(mode="after")
    def _one_model(self) -> "GenerateVideo":
        if (self.model_id is None) == (self.theme_id is None):
            raise ValueError("either model_id or theme_id is required")
        return self

    def order(self) -> GenerationRequest:
        """The same order, with names as they were sent."""
        return GenerationRequest(
            model_id=self.model_id or self.theme_id or "",
            prompt=self.prompt,
            image_url=self.image_url,
            settings=self.settings,
        )


class Started(Schema):
    job_id: str
    status: str
    credits_used: int
    credits_remaining: int


class JobState(Schema):
    """``status`` is pending, processing, completed or failed: a cancelled job has failed."""

    job_id: str
    status: str
    video_url: str | None
    thumbnail_url: str | None
    error_message: str | None
    created_at: Timestamp
    completed_at: Timestamp | None

    @staticmethod
    def values(job: Job) -> dict[str, Any]:
        video = videos.answer(job)
        return video.model_dump(include=set(JobState.model_fields)) | {"status": status_of(video)}


class ListedJob(JobState):
    model_id: str
    model_name: str
    prompt: str
    settings: Settings
    credits_used: int

    @classmethod
    def of(cls, job: Job) -> "ListedJob":
        video = videos.answer(job).model_dump(include=set(cls.model_fields))
        return cls(**video | JobState.values(job))


class Jobs(Schema):
    jobs: list[ListedJob]


class DeleteJob(Body):
    job_id: Annotated[str, Field(max_length=64)]
    user_id: str | None = Field(None, description="If sent, must be the caller's own")


class Deleted(Schema):
    success: bool
    job_id: str


class AppModel(CatalogEntry):
    """``id`` is the model's first alias, or its id in the catalog. ``cost_per_generation`` is the
    price with the default settings."""

    id: str
    cost_per_generation: int

    @classmethod
    def of(cls, model: Model, expected_seconds: int | None = None) -> "AppModel":
        return cls(
            **CatalogEntry.of(model, expected_seconds).model_dump(),
            id=next(iter(model.aliases), model.model_id),
            cost_per_generation=model.credits(model.default_settings()),
        )


class Models(Schema):
    models: list[AppModel]


class UserCredits(Schema):
    credits_remaining: int


@router.post(
    "/functions/v1/generate-video",
    summary="Start a video",
    responses=http_api.answers(Started, IdempotencyKeyRequired, *refusals.STARTING),
)
def generate_video(
    request: GenerateVideo,
    idempotency_key: Annotated[
        http_api.HeaderText | None,
        Header(description="Fresh per generation, the same on a retry; required"),
    ] = None,
) -> Response[Started]:
    check_user(router, request.user_id)
    parse_idempotency_key(idempotency_key)
    # As sent: what the names mean may change between a request and its retry.
    fingerprint = request.order().fingerprint()

    def start(order: Order) -> tuple[Job, bool]:
        return video_orders.start(order, _for_catalog(request.order()), LimitSettings.read().limits)

    job, replayed = place(router, idempotency_key, fingerprint, start)
    started = Started(
        job_id=job.job_id,
        status=JobStatus.PENDING.value,
        credits_used=job.credits,
        credits_remaining=job.balance_after,
    )
    return http_api.json_response(HTTPStatus.OK, started, replay_header(replayed))


@router.get(
    "/functions/v1/get-video-status",
    summary="One video",
    responses=http_api.answers(JobState, InvalidRequest, JobNotFound),
)
def get_video_status(job_id: JobId) -> Response[JobState]:
    job = videos.find(http_api.user_of(router), job_id)
    headers = {} if job.is_terminal else http_api.POLL_LATER
    return http_api.json_response(HTTPStatus.OK, JobState(**JobState.values(job)), headers)


@router.get(
    "/functions/v1/get-video-jobs",
    summary="Your videos, newest first",
    responses=http_api.answers(Jobs, InvalidRequest, UserMismatch),
)
def get_video_jobs(
    user_id: UserId = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=MAX_JOBS - 100)] = 0,
) -> Jobs:
    caller = check_user(router, user_id)
    page = job_lists.list_for_user(caller, limit=offset + limit, cursor=None)
    return Jobs(jobs=[ListedJob.of(job) for job in page.jobs[offset:]])


@router.post(
    "/functions/v1/delete-video-job",
    summary="Delete an ended video",
    responses=http_api.answers(
        Deleted, InvalidRequest, UserMismatch, JobNotFound, JobRunning, TemporarilyUnavailable
    ),
)
def delete_video_job(request: DeleteJob) -> Deleted:
    caller = check_user(router, request.user_id)
    job = videos.find(caller, request.job_id, deleted_too=True)
    videos.remove(job)
    return Deleted(success=True, job_id=job.job_id)


@router.delete(
    "/functions/v1/delete-video-job",
    summary="Delete an ended video named in the query",
    responses=http_api.answers(
        Deleted, InvalidRequest, UserMismatch, JobNotFound, JobRunning, TemporarilyUnavailable
    ),
)
def delete_video_job_in_query(job_id: JobId, user_id: UserId = None) -> Deleted:
    return delete_video_job(DeleteJob(job_id=job_id, user_id=user_id))


@router.get(
    "/functions/v1/get-models",
    summary="The models that make videos",
    responses={**http_api.answers(Models), 304: {"description": "As your If-None-Match says"}},
)
def get_models(
    if_none_match: Annotated[http_api.HeaderText | None, Header()] = None,
) -> Response[Models | None]:
    offered = [model for model in offers.offered() if model.produces == "video"]
    answer = Models(models=[AppModel.of(model) for model in offered])
    return http_api.cacheable_response(answer, 60, if_none_match)


@router.get(
    "/functions/v1/get-user-credits",
    summary="Your credits",
    responses=http_api.answers(UserCredits, InvalidRequest, UserMismatch),
)
def get_user_credits(user_id: UserId = None) -> UserCredits:
    account = ledger.balance_of(check_user(router, user_id))
    return UserCredits(credits_remaining=account.available)


def status_of(video: Video) -> str:
    """The status of a protocol whose clients wait for ``completed`` or ``failed``."""
    cancelled = video.status is JobStatus.CANCELLED
    return JobStatus.FAILED.value if cancelled else video.status.value


def _for_catalog(request: GenerationRequest) -> GenerationRequest:
    """The order in the catalog's terms: the model's id for an alias, and no ``auto`` where the
    model has none."""
    model_id = model_store.id_of(request.model_id)
    model = next((one for one in model_store.all_models() if one.model_id == model_id), None)
    settings = request.settings
    if model is not None and settings is not None:
        unstated = {
            name: None
            for name in ("resolution", "aspect_ratio")
            if getattr(settings, name) == NOT_STATED and NOT_STATED not in model.values_of(name)
        }
        settings = settings.model_copy(update=unstated)
    return request.model_copy(update={"model_id": model_id, "settings": settings})
