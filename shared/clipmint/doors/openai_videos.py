"""Protocol ``openai``: the videos API that OpenAI introduced, below ``/openai/v1``.

=========================================  ==========================================
their                                      ours
=========================================  ==========================================
POST /videos                               an order of a video
GET /videos/{video}                        the job
GET /videos                                the user's jobs
DELETE /videos/{video}                     the deletion of an ended job and its media
GET /videos/{video}/content                a signed URL of the video or its thumbnail
POST …/remix, …/edits, …/extensions        404: no model of the catalog does that
=========================================  ==========================================

The official clients send no Idempotency-Key, and repeat a request whose response was lost.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from http import HTTPStatus
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import ConfigDict, Field, JsonValue, StringConstraints

from clipmint import clock, cursors
from clipmint.api import http_api, videos
from clipmint.catalog import model_store
from clipmint.catalog.model import Prompt, Settings
from clipmint.doors import multipart, sizes
from clipmint.doors.door import (
    Body,
    IdempotencyKey,
    new_router,
    place,
    replay_header,
)
from clipmint.doors.multipart import DataUrl
from clipmint.doors.openai_shapes import DeletedVideo, VideoList, VideoObject
from clipmint.errors import (
    InvalidRequest,
    JobNotFound,
    JobRunning,
    NotFound,
    TemporarilyUnavailable,
    VideoNotReady,
)
from clipmint.jobs import job_lists
from clipmint.jobs.job import Job, JobStatus
from clipmint.media.image_urls import ImageUrl
from clipmint.orders import refusals, video_orders
from clipmint.orders.idempotency_keys import Order
from clipmint.orders.order_requests import GenerationRequest, ModelName
from clipmint.orders.order_settings import LimitSettings
from clipmint.projects import project_store

router = new_router()

DEFAULT_MODEL = "sora-2"
"""The protocol's model for a request without one: usable if the catalog has it as an alias."""

VideoId = Annotated[str, Path()]
_EXAMPLE: dict[str, JsonValue] = {
    "model": "veo-3.1",
    "prompt": "A glowing cityscape at night",
    "seconds": "4",
    "size": "1280x720",
}


class ImageReference(Body):
    """``image_url``: an https URL, or an image as a data URL."""

    image_url: DataUrl | ImageUrl


class CreateVideo(Body):
    """As JSON, or as a form in which ``input_reference`` may be a file."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    model: ModelName = DEFAULT_MODEL
    prompt: Prompt
    seconds: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}$")] | None = None
    size: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")] | None = (
        None
    )
    input_reference: ImageReference | DataUrl | None = Field(
        None, description="A file in a form; an object in JSON"
    )

    @property
    def image(self) -> str | None:
        """The URL of the image, which may be a data URL."""
        reference = self.input_reference
        return reference.image_url if isinstance(reference, ImageReference) else reference

    def fingerprint(self) -> str:
        """SHA-256 of the request's values, with the image's content and not its URL of ours."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(f"openai:{text}".encode()).hexdigest()


@router.post(
    "/openai/v1/videos",
    summary="Create a video",
    responses=http_api.answers(VideoObject, *refusals.STARTING),
)
def create_video_object(
    request: CreateVideo, idempotency_key: IdempotencyKey = None
) -> Response[VideoObject]:
    def start(order: Order) -> tuple[Job, bool]:
        return video_orders.start(order, _ordered(order, request), LimitSettings.read().limits)

    job, replayed = place(router, idempotency_key, request.fingerprint(), start)
    created = VideoObject.of_new(job)
    return http_api.json_response(HTTPStatus.OK, created, replay_header(replayed))


def _ordered(order: Order, request: CreateVideo) -> GenerationRequest:
    """The order in the catalog's terms. An image in the request is stored first."""
    model_id = model_store.id_of(request.model)
    made = (model for model in model_store.all_models() if model.produces == "video")
    model = next((model for model in made if model.model_id == model_id), None)
    size = sizes.settings_for(model, request.size) if model and request.size else Settings()
    seconds = int(request.seconds) if request.seconds else None
    image_url = request.image
    if image_url is not None and image_url.startswith("data:"):
        image = multipart.file_in(image_url)
        # Derived from the order, so that a retry stores the same image at the same place.
        project_id = str(uuid.uuid5(uuid.UUID(order.job_id), "input_reference"))
        image_url = project_store.create_with_image(order.user_id, image, project_id).image_url
    return GenerationRequest(
        model_id=model_id,
        prompt=request.prompt,
        image_url=image_url,
        settings=size.model_copy(update={"duration": seconds}),
    )


@router.get(
    "/openai/v1/videos/<job_id>",
    summary="Retrieve a video",
    responses=http_api.answers(VideoObject, JobNotFound),
)
def retrieve_video_object(job_id: VideoId) -> VideoObject:
    return VideoObject.of(videos.find(http_api.user_of(router), job_id))


@router.get(
    "/openai/v1/videos",
    summary="List videos",
    responses=http_api.answers(VideoList, InvalidRequest, JobNotFound),
)
def list_video_objects(
    after: Annotated[
        str | None, Query(max_length=64, description="The id of the last video before this page")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Annotated[Literal["asc", "desc"], Query(description="By time of creation")] = "desc",
) -> VideoList:
    user_id = http_api.user_of(router)
    cursor = None
    if after is not None:
        last = videos.find(user_id, after, deleted_too=True)
        cursor = cursors.after_item(clock.iso(last.created_at), last.job_id)
    page = job_lists.list_for_user(user_id, limit=limit, cursor=cursor, oldest_first=order == "asc")
    return VideoList.of(page.jobs, has_more=page.cursor is not None)


@router.delete(
    "/openai/v1/videos/<job_id>",
    summary="Delete an ended video",
    responses=http_api.answers(DeletedVideo, JobNotFound, JobRunning, TemporarilyUnavailable),
)
def delete_video_object(job_id: VideoId) -> DeletedVideo:
    job = videos.find(http_api.user_of(router), job_id, deleted_too=True)
    videos.remove(job)
    return DeletedVideo(id=job.job_id)


@router.get(
    "/openai/v1/videos/<job_id>/content",
    summary="Download a video",
    description="A redirect to a URL that is valid for an hour.",
    responses={
        **http_api.answers(
            None, InvalidRequest, JobNotFound, VideoNotReady, status=HTTPStatus.FOUND
        )
    },
)
def download_video_content(
    job_id: VideoId,
    variant: Annotated[
        Literal["video", "thumbnail"], Query(description="There are no sprite sheets")
    ] = "video",
) -> Response[None]:
    job = videos.find(http_api.user_of(router), job_id)
    video_url, thumbnail_url = videos.urls_of(job)
    url = video_url if variant == "video" else thumbnail_url
    if url is None:
        completed = job.status is JobStatus.COMPLETED
        raise VideoNotReady(
            f"There is no {variant} file of this job",
            details="It was not kept" if completed else f"status: {job.status.value}",
        )
    return Response(HTTPStatus.FOUND, headers={"Location": url, "Cache-Control": "no-store"})


@router.post("/openai/v1/videos/<job_id>/remix", include_in_schema=False)
def remix_video(job_id: VideoId) -> None:  # noqa: ARG001
    raise _not_offered("Remixing")


@router.post("/openai/v1/videos/edits", include_in_schema=False)
def edit_video() -> None:
    raise _not_offered("Editing")


@router.post("/openai/v1/videos/extensions", include_in_schema=False)
def extend_video() -> None:
    raise _not_offered("Extending")


def _not_offered(what: str) -> NotFound:
    return NotFound(
        f"{what} a video is not possible here", details="No model of the catalog does that"
    )
