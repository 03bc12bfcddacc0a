"""Everything that spends credits: a video, a scene's picture and video, a project's clips.

Hold the credits, start the jobs, answer within a second or two; and price a video without any of
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from clipmint import aws
from clipmint.api import http_api
from clipmint.api.responses import Accepted, ClipsAccepted, Estimate, SceneAccepted
from clipmint.credits import ledger
from clipmint.credits.accounts import Limits
from clipmint.errors import (
    FramesRequired,
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    ImageInvalid,
    ImageNotUploaded,
    ImageRequired,
    InsufficientCredits,
    InvalidRequest,
    LimitReached,
    ModelNotFound,
    ModelUnavailable,
    NotFound,
    ProjectNotFound,
    PromptRequired,
    RequestInProgress,
    SceneBusy,
    SceneNotFound,
    SettingNotAllowed,
    TemporarilyUnavailable,
    UserMismatch,
)
from clipmint.jobs.job import Job, JobStatus
from clipmint.orders import scene_orders, video_orders
from clipmint.orders.idempotency_keys import job_id_for, parse_idempotency_key
from clipmint.orders.order_requests import ClipsRequest, GenerationRequest, SceneVideoRequest
from clipmint.orders.order_settings import GenerateSettings
from clipmint.stages import STAGES

app = http_api.resolver()

A = TypeVar("A", bound=BaseModel)

REPLAY_SECONDS = 24 * 3_600
"""How long an answer is replayed without looking at the job; after that the job itself answers."""

_CATALOG_REFUSALS = (
    InvalidRequest,
    ImageRequired,
    ImageNotUploaded,
    ImageInvalid,
    SettingNotAllowed,
    ModelUnavailable,
    UserMismatch,
    ModelNotFound,
    ProjectNotFound,
)
_STARTING_REFUSALS = (
    IdempotencyKeyRequired,
    IdempotencyKeyInvalid,
    *_CATALOG_REFUSALS,
    InsufficientCredits,
    RequestInProgress,
    IdempotencyKeyReused,
    LimitReached,
    TemporarilyUnavailable,
)

IdempotencyKey = Annotated[
    http_api.HeaderText | None,
    Header(description="Fresh per generation, the same on a retry; required"),
]


@app.post(
    "/v1/videos",
    summary="Start a generation",
    status_code=HTTPStatus.ACCEPTED,
    responses=http_api.answers(Accepted, *_STARTING_REFUSALS, status=HTTPStatus.ACCEPTED),
)
def create_video(
    request: GenerationRequest, idempotency_key: IdempotencyKey = None
) -> Response[Accepted]:
    answer = _once("video", "", request, request.fingerprint(), idempotency_key)
    return _accepted(Accepted, answer, f"/v1/videos/{answer['job_id']}")


@app.post(
    "/v1/scenes/<scene_id>/video",
    summary="Make a scene's picture, and a video from it",
    status_code=HTTPStatus.ACCEPTED,
    responses=http_api.answers(
        SceneAccepted,
        *_STARTING_REFUSALS,
        SceneNotFound,
        SceneBusy,
        PromptRequired,
        status=HTTPStatus.ACCEPTED,
    ),
)
def create_scene_video(
    scene_id: Annotated[str, Path()],
    request: SceneVideoRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response[SceneAccepted]:
    answer = _once("scene", scene_id, request, request.fingerprint(scene_id), idempotency_key)
    return _accepted(SceneAccepted, answer, f"/v1/videos/{answer['job_id']}")


@app.post(
    "/v1/projects/<project_id>/clips",
    summary="Make a clip of each scene that has none, all or nothing",
    status_code=HTTPStatus.ACCEPTED,
    responses=http_api.answers(
        ClipsAccepted,
        *_STARTING_REFUSALS,
        SceneNotFound,
        FramesRequired,
        status=HTTPStatus.ACCEPTED,
    ),
)
def create_clips(
    project_id: Annotated[str, Path()],
    request: ClipsRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response[ClipsAccepted]:
    fingerprint = request.fingerprint(project_id)
    answer = _once("clips", project_id, request, fingerprint, idempotency_key)
    return _accepted(ClipsAccepted, answer, f"/v1/projects/{project_id}/clips")


@app.post(
    "/v1/videos/estimate",
    summary="Price a generation without starting it",
    responses=http_api.answers(Estimate, *_CATALOG_REFUSALS),
)
def estimate_video(request: GenerationRequest) -> Estimate:
    user_id = http_api.user_of(app)
    request.check_user(user_id)
    price = video_orders.quote(user_id, request).credits
    available = ledger.account_of(user_id).available
    return Estimate(credits=price, available=available, affordable=price <= available)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)


def _once(
    kind: str,
    about: str,
    request: GenerationRequest | SceneVideoRequest | ClipsRequest,
    fingerprint: str,
    idempotency_key: str | None,
) -> dict[str, Any]:
    """Start what is asked for, or repeat the answer to whoever asked for it before.

    ``about`` is the scene or project of the path.
    """
    key = parse_idempotency_key(idempotency_key)
    user_id = http_api.user_of(app)
    request.check_user(user_id)
    config, start_once = _idempotency()
    config.register_lambda_context(app.lambda_context)
    try:
        return start_once(
            call={
                "user_id": user_id,
                "key": key,
                "fingerprint": fingerprint,
                "kind": kind,
                "about": about,
                "request": request.model_dump(mode="json"),
            }
        )
    except IdempotencyAlreadyInProgressError:
        raise RequestInProgress(
            "A request with this Idempotency-Key is being answered right now",
            headers={"Retry-After": "1"},
        ) from None
    except IdempotencyValidationError:
        raise video_orders.key_reused() from None


def _accepted(model: type[A], answer: dict[str, Any], location: str) -> Response[A]:
    headers = {"Location": location}
    if answer.pop("replayed"):
        headers["X-Idempotent-Replay"] = "true"
    return http_api.json_response(HTTPStatus.ACCEPTED, model(**answer), headers)


def _start(call: dict[str, Any]) -> dict[str, Any]:
    return _STARTS[call["kind"]](call, GenerateSettings.read().limits)


def _start_video(call: dict[str, Any], limits: Limits) -> dict[str, Any]:
    request = GenerationRequest.model_validate(call["request"])
    user_id = call["user_id"]
    job, replayed = video_orders.start(user_id, job_id_for(user_id, call["key"]), request, limits)
    return _of(job) | {"replayed": replayed}


def _start_scene(call: dict[str, Any], limits: Limits) -> dict[str, Any]:
    request = SceneVideoRequest.model_validate(call["request"])
    job, replayed = scene_orders.start_scene(
        call["user_id"], call["key"], _valid(call["about"], SceneNotFound), request, limits
    )
    return _of(job) | {
        "project_id": job.project_id,
        "scene_id": job.scene_id,
        "prices": {STAGES[stage].price: price for stage, price in job.prices.items()},
        "replayed": replayed,
    }


def _of(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": JobStatus.PENDING.value,
        "credits_used": job.credits,
        "credits_remaining": job.balance_after,
    }


def _start_clips(call: dict[str, Any], limits: Limits) -> dict[str, Any]:
    request = ClipsRequest.model_validate(call["request"])
    batch, replayed = scene_orders.start_clips(
        call["user_id"], call["key"], _valid(call["about"], ProjectNotFound), request, limits
    )
    return {
        "project_id": batch.project_id,
        "clips": [
            {
                "scene_id": clip.scene_id,
                "job_id": clip.job_id,
                "status": JobStatus.PENDING.value,
                "credits_used": clip.credits,
            }
            for clip in batch.clips
        ],
        "credits_used": batch.credits,
        "credits_remaining": batch.balance_after,
        "remaining": batch.remaining,
        "replayed": replayed,
    }


_STARTS: Mapping[str, Callable[[dict[str, Any], Limits], dict[str, Any]]] = {
    "video": _start_video,
    "scene": _start_scene,
    "clips": _start_clips,
}


def _valid(identifier: str, unknown: type[NotFound]) -> str:
    """An id as we write it. Raises ``unknown`` for what cannot be one."""
    try:
        return str(UUID(identifier))
    except ValueError:
        raise unknown("There is no such thing") from None


@aws.once
def _idempotency() -> tuple[IdempotencyConfig, Callable[..., dict[str, Any]]]:
    def mark_replay(response: Any, idempotent_data: DataRecord) -> Any:  # noqa: ARG001
        return {**response, "replayed": True}

    config = IdempotencyConfig(
        event_key_jmespath="[user_id, key]",
        payload_validation_jmespath="fingerprint",
        raise_on_no_idempotency_key=True,
        expires_after_seconds=REPLAY_SECONDS,
        hash_function="sha256",
        response_hook=mark_replay,
    )
    store = DynamoDBPersistenceLayer(
        table_name=GenerateSettings.read().idempotency_table,
        boto3_client=aws.dynamodb(),
    )
    decorate = idempotent_function(
        data_keyword_argument="call",
        persistence_store=store,
        config=config,
        key_prefix="generate",
    )
    return config, decorate(_start)
