"""Every call that spends credits: a video, a scene's image and video, a project's clips.

Such a call holds the credits, starts the jobs, and returns within a second or two. The estimate of
a video only computes its price.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, TypedDict, TypeVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Header, Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import http_api, replays
from clipmint.api.order_responses import (
    Accepted,
    ClipEstimate,
    ClipsAccepted,
    ClipsEstimate,
    Estimate,
    SceneAccepted,
    SceneEstimate,
    prices_of,
)
from clipmint.credits import ledger
from clipmint.errors import (
    ClipmintError,
    FramesRequired,
    IdempotencyKeyRequired,
    PromptRequired,
    RequestInProgress,
    SceneBusy,
    SceneNotFound,
)
from clipmint.orders import clip_orders, refusals, scene_orders, video_orders
from clipmint.orders.idempotency_keys import Order, parse_idempotency_key
from clipmint.orders.order_requests import ClipsRequest, GenerationRequest, SceneVideoRequest
from clipmint.orders.order_settings import LimitSettings
from clipmint.path_ids import path_id
from clipmint.projects.project import no_project, no_scene
from clipmint.schemas import Schema

app = http_api.resolver()

B = TypeVar("B", bound=Schema)

_STARTING: tuple[type[ClipmintError], ...] = (
    IdempotencyKeyRequired,
    *refusals.STARTING,
    RequestInProgress,
)

IdempotencyKey = Annotated[
    http_api.HeaderText | None,
    Header(description="Fresh per generation, the same on a retry; required"),
]


@app.post(
    "/v1/videos",
    summary="Start a generation",
    description=(
        "Holds the price and starts a job. Read the job until it has ended; only a completed "
        "job is charged."
    ),
    **http_api.accepted(Accepted, *_STARTING),
)
def create_video(
    request: GenerationRequest, idempotency_key: IdempotencyKey = None
) -> Response[Accepted]:
    user_id, key = _user_and_key(request, idempotency_key)
    order = Order(user_id, key, request.fingerprint())
    body, replayed = _start_video(order=order, request=request)
    return _accepted(body, replayed, f"/v1/videos/{body.job_id}")


@replays.once_per_key(app, Accepted)
def _start_video(*, order: Order, request: GenerationRequest) -> tuple[Accepted, bool]:
    job, replayed = video_orders.start(order, request, LimitSettings.read().limits)
    return Accepted.of(job), replayed


@app.post(
    "/v1/scenes/<scene_id>/video",
    summary="Make a scene's image, and a video from it",
    description=(
        "Holds both prices and starts one job; each price is charged only if its stage succeeds."
    ),
    **http_api.accepted(SceneAccepted, *_STARTING, SceneNotFound, SceneBusy, PromptRequired),
)
def create_scene_video(
    scene_id: Annotated[str, Path()],
    request: SceneVideoRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response[SceneAccepted]:
    user_id, key = _user_and_key(request, idempotency_key)
    scene_id = path_id(scene_id, no_scene())
    order = Order(user_id, key, request.fingerprint(scene_id))
    body, replayed = _start_scene(order=order, scene_id=scene_id, request=request)
    return _accepted(body, replayed, f"/v1/videos/{body.job_id}")


@replays.once_per_key(app, SceneAccepted)
def _start_scene(
    *, order: Order, scene_id: str, request: SceneVideoRequest
) -> tuple[SceneAccepted, bool]:
    job, replayed = scene_orders.start(order, scene_id, request, LimitSettings.read().limits)
    return SceneAccepted.of(job), replayed


@app.post(
    "/v1/projects/<project_id>/clips",
    summary="Make a clip of each scene that has none, all or nothing",
    description=(
        "Starts one job per scene with two frames, and holds all prices together. A call starts "
        "at most 45."
    ),
    **http_api.accepted(ClipsAccepted, *_STARTING, SceneNotFound, FramesRequired),
)
def create_clips(
    project_id: Annotated[str, Path()],
    request: ClipsRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response[ClipsAccepted]:
    user_id, key = _user_and_key(request, idempotency_key)
    project_id = path_id(project_id, no_project())
    order = Order(user_id, key, request.fingerprint(project_id))
    body, replayed = _start_clips(order=order, project_id=project_id, request=request)
    return _accepted(body, replayed, f"/v1/projects/{project_id}/clips")


@replays.once_per_key(app, ClipsAccepted)
def _start_clips(
    *, order: Order, project_id: str, request: ClipsRequest
) -> tuple[ClipsAccepted, bool]:
    batch, replayed = clip_orders.start(order, project_id, request, LimitSettings.read().limits)
    return ClipsAccepted.of(batch), replayed


@app.post(
    "/v1/videos/estimate",
    summary="Price a generation without starting it",
    description="The body is that of the order. Nothing is held.",
    responses=http_api.answers(Estimate, *refusals.PRICING),
)
def estimate_video(request: GenerationRequest) -> Estimate:
    user_id = _user(request)
    quoted = video_orders.quote(user_id, request)
    return Estimate(**_compare(user_id, quoted.credits), cached=quoted.source is not None)


@app.post(
    "/v1/scenes/<scene_id>/video/estimate",
    summary="Price a scene's image and video without starting them",
    description="The body is that of the order. Nothing is held.",
    responses=http_api.answers(
        SceneEstimate, *refusals.PRICING, SceneNotFound, SceneBusy, PromptRequired
    ),
)
def estimate_scene_video(
    scene_id: Annotated[str, Path()], request: SceneVideoRequest
) -> SceneEstimate:
    user_id = _user(request)
    job = scene_orders.quote(user_id, path_id(scene_id, no_scene()), request)
    return SceneEstimate(prices=prices_of(job), **_compare(user_id, job.credits))


@app.post(
    "/v1/projects/<project_id>/clips/estimate",
    summary="Price the clips that a call would start",
    description="The body is that of the order. Nothing is held.",
    responses=http_api.answers(ClipsEstimate, *refusals.PRICING, SceneNotFound, FramesRequired),
)
def estimate_clips(project_id: Annotated[str, Path()], request: ClipsRequest) -> ClipsEstimate:
    user_id = _user(request)
    jobs, remaining = clip_orders.quote(user_id, path_id(project_id, no_project()), request)
    clips = [ClipEstimate(scene_id=job.scene_id or "", credits=job.credits) for job in jobs]
    price = sum(clip.credits for clip in clips)
    return ClipsEstimate(clips=clips, remaining=remaining, **_compare(user_id, price))


class _Comparison(TypedDict):
    credits: int
    available: int
    affordable: bool


def _compare(user_id: str, price: int) -> _Comparison:
    available = ledger.balance_of(user_id).available
    return {"credits": price, "available": available, "affordable": price <= available}


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)


def _user_and_key(
    request: GenerationRequest | SceneVideoRequest | ClipsRequest, idempotency_key: str | None
) -> tuple[str, str]:
    key = parse_idempotency_key(idempotency_key)
    return _user(request), key


def _user(request: GenerationRequest | SceneVideoRequest | ClipsRequest) -> str:
    user_id = http_api.user_of(app)
    request.check_user(user_id)
    return user_id


def _accepted(body: B, replayed: bool, location: str) -> Response[B]:
    headers = {"Location": location}
    if replayed:
        headers["X-Idempotent-Replay"] = "true"
    return http_api.json_response(HTTPStatus.ACCEPTED, body, headers)
