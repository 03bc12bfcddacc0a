"""Protocol ``image-videos``: upload an image, and make a video from it.

======================================  ==========================================
their                                   ours
======================================  ==========================================
POST /api/images/upload                 a project with its uploaded image
POST /api/videos/generate               an order of a video from a project's image
GET /api/videos/status/{generation}     the job
======================================  ==========================================

No Idempotency-Key is sent. The model is the template's parameter ``ImageVideoModel``.
"""

from http import HTTPStatus
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import ConfigDict, Field, JsonValue, model_validator

from clipmint.api import http_api, videos
from clipmint.api.project_responses import UploadForm
from clipmint.api.timestamps import Timestamp
from clipmint.api.video_responses import Video
from clipmint.catalog.model import Prompt
from clipmint.doors import multipart
from clipmint.doors.door import (
    Body,
    IdempotencyKey,
    new_router,
    place,
    replay_header,
)
from clipmint.doors.multipart import DataUrl
from clipmint.errors import (
    ImageInvalid,
    InvalidRequest,
    JobNotFound,
    LimitReached,
    TemporarilyUnavailable,
)
from clipmint.jobs.job import JobStatus
from clipmint.orders import refusals, video_orders
from clipmint.orders.order_requests import GenerationRequest
from clipmint.orders.order_settings import DoorModels, LimitSettings
from clipmint.path_ids import path_id
from clipmint.projects import project_store
from clipmint.projects.project import no_project
from clipmint.projects.project_requests import NewImage
from clipmint.schemas import Schema
from clipmint.stages import StepName

router = new_router()

_ENDING = {StepName.STORING_VIDEO, StepName.FINALIZING}
"""The steps after the provider's: the video exists, and is being stored."""


class UploadImage(Body):
    """A form with one file, named ``file`` or ``image``; or, for a larger file, ``contentType``
    alone: then ``upload`` is a form to send the file with."""

    file: DataUrl | None = None
    image: DataUrl | None = None
    contentType: Literal["image/png", "image/jpeg", "image/webp"] | None = None  # noqa: N815

    @model_validator(mode="after")
    def _one_image(self) -> "UploadImage":
        if [self.file, self.image, self.contentType].count(None) != 2:  # noqa: PLR2004
            raise ValueError("one of file, image and contentType is required")
        return self


class Uploaded(Schema):
    projectId: str  # noqa: N815
    imageUrl: str  # noqa: N815
    upload: UploadForm | None = Field(None, description="Only for contentType")


_EXAMPLE: dict[str, JsonValue] = {
    "projectId": "7e0b9d1a-3c55-4f2e-a6b1-9d8c7f6e5a33",
    "prompt": "The kettle boils",
}


class GenerateFromImage(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    projectId: Annotated[str, Field(min_length=1, max_length=64)]  # noqa: N815
    prompt: Prompt


class Generation(Schema):
    generationId: str  # noqa: N815


class GenerationStatus(Schema):
    """``status`` is queued, generating, processing, completed or failed: a cancelled generation has
    failed."""

    generationId: str  # noqa: N815
    projectId: str | None  # noqa: N815
    status: str
    video_url: str | None
    error_message: str | None
    created_at: Timestamp
    completed_at: Timestamp | None


@router.post(
    "/api/images/upload",
    summary="Upload an image, and make a project of it",
    responses=http_api.answers(
        Uploaded, InvalidRequest, ImageInvalid, LimitReached, TemporarilyUnavailable
    ),
)
def upload_image(request: UploadImage) -> Uploaded:
    user_id = http_api.user_of(router)
    if request.contentType is not None:
        new = NewImage(content_type=request.contentType)
        project, upload = project_store.create_for_upload(user_id, new)
        return Uploaded(
            projectId=project.project_id, imageUrl=upload.image_url, upload=UploadForm.of(upload)
        )
    image = multipart.file_in(request.file or request.image or "")
    project = project_store.create_with_image(user_id, image)
    return Uploaded(projectId=project.project_id, imageUrl=project.image_url or "")


@router.post(
    "/api/videos/generate",
    summary="Make a video from a project's image",
    responses=http_api.answers(Generation, *refusals.STARTING),
)
def generate_from_image(
    request: GenerateFromImage, idempotency_key: IdempotencyKey = None
) -> Response[Generation]:
    ordered = GenerationRequest(
        model_id=DoorModels.read().image_video_model,
        prompt=request.prompt,
        project_id=path_id(request.projectId, no_project()),
    )
    job, replayed = place(
        router,
        idempotency_key,
        ordered.fingerprint(),
        lambda order: video_orders.start(order, ordered, LimitSettings.read().limits),
    )
    answer = Generation(generationId=job.job_id)
    return http_api.json_response(HTTPStatus.OK, answer, replay_header(replayed))


@router.get(
    "/api/videos/status/<job_id>",
    summary="One generation",
    responses=http_api.answers(GenerationStatus, JobNotFound),
)
def get_generation(job_id: Annotated[str, Path()]) -> Response[GenerationStatus]:
    job = videos.find(http_api.user_of(router), job_id)
    video = videos.answer(job)
    answer = GenerationStatus(
        generationId=video.job_id,
        projectId=video.project_id,
        status=_status(video),
        video_url=video.video_url,
        error_message=video.error_message,
        created_at=video.created_at,
        completed_at=video.completed_at,
    )
    headers = {} if job.is_terminal else http_api.POLL_LATER
    return http_api.json_response(HTTPStatus.OK, answer, headers)


def _status(video: Video) -> str:
    if video.status is JobStatus.PENDING:
        return "queued"
    if video.status is JobStatus.PROCESSING:
        return "processing" if video.current_step in _ENDING else "generating"
    return "completed" if video.status is JobStatus.COMPLETED else "failed"
