"""Protocol ``scene-tasks``: a service that renders a scene as a task.

=========================================  ==========================================
their                                      ours
=========================================  ==========================================
POST /api/video/generate                   an order of a scene's image and video
GET /api/video/generate/tasks/{task}       the job
GET /api/video/generate/tasks              the user's jobs of scenes
DELETE /api/video/generate/tasks/{task}    the cancellation of a job
=========================================  ==========================================

No Idempotency-Key is sent. Clients poll until a task is ``completed`` or ``failed``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import Field

from clipmint import clock
from clipmint.api import http_api, videos
from clipmint.api.timestamps import Timestamp
from clipmint.doors.door import (
    Body,
    IdempotencyKey,
    check_user,
    new_router,
    place,
    replay_header,
)
from clipmint.doors.generate_video import status_of
from clipmint.errors import (
    CancelTooLate,
    InvalidRequest,
    JobNotFound,
    PromptRequired,
    SceneBusy,
    SceneNotFound,
    TaskHasEnded,
    TemporarilyUnavailable,
)
from clipmint.execution import cancellation
from clipmint.jobs import job_lists
from clipmint.jobs.job import Job, JobStatus
from clipmint.orders import refusals, scene_orders
from clipmint.orders.order_requests import SceneId, SceneVideoRequest
from clipmint.orders.order_settings import LimitSettings
from clipmint.path_ids import path_id
from clipmint.projects.project import no_scene
from clipmint.schemas import Schema
from clipmint.stages import StepName

router = new_router()

STEPS: Mapping[StepName, str] = {
    StepName.INITIALIZING: "Initializing video generation pipeline",
    StepName.FETCHING_SCENE: "Fetching scene configuration and prompts",
    StepName.SUBMITTING: "Fetching scene configuration and prompts",
    StepName.GENERATING_IMAGE: "Generating scene image with AI",
    StepName.STORING_IMAGE: "Storing generated image",
    StepName.GENERATING_VIDEO: "Creating video from generated image",
    StepName.STORING_VIDEO: "Storing generated video",
    StepName.FINALIZING: "Saving results and finalizing",
}
"""The texts of this protocol, where they are not ours."""

TASKS = 100
"""Tasks of a list."""

TaskId = Annotated[str, Path()]


class GenerateScene(Body):
    scene_id: SceneId
    user_id: str | None = Field(None, description="If sent, must be the caller's own")


class NewTask(Schema):
    """``progress`` is in percent."""

    task_id: str
    status: str
    scene_id: str | None
    user_id: str
    message: str
    created_at: Timestamp
    progress: float
    current_step: str
    error_message: str | None


class Task(NewTask):
    """``status`` is pending, processing, completed or failed: a cancelled task has failed."""

    video_url: str | None
    updated_at: Timestamp

    @classmethod
    def of(cls, job: Job) -> "Task":
        video = videos.answer(job)
        step = STEPS.get(video.current_step, video.current_step.value)
        message = video.error_message or step
        if video.status is JobStatus.COMPLETED:
            message = "Video generation completed successfully"
        return cls(
            task_id=video.job_id,
            status=status_of(video),
            scene_id=video.scene_id,
            user_id=job.user_id,
            message=message,
            created_at=video.created_at,
            updated_at=video.updated_at,
            progress=float(video.progress),
            current_step=step,
            video_url=video.video_url,
            error_message=video.error_message,
        )


class Tasks(Schema):
    """Newest first; ``cursor`` is null on the last page."""

    tasks: list[Task]
    cursor: str | None


@router.post(
    "/api/video/generate",
    summary="Make a scene's image, and a video from it, as a task",
    responses=http_api.answers(
        NewTask, *refusals.STARTING, SceneNotFound, SceneBusy, PromptRequired
    ),
)
def generate_scene(
    request: GenerateScene, idempotency_key: IdempotencyKey = None
) -> Response[NewTask]:
    user_id = check_user(router, request.user_id)
    scene_id, ordered = path_id(request.scene_id, no_scene()), SceneVideoRequest()
    job, replayed = place(
        router,
        idempotency_key,
        ordered.fingerprint(scene_id),
        lambda order: scene_orders.start(order, scene_id, ordered, LimitSettings.read().limits),
    )
    task = NewTask(
        task_id=job.job_id,
        status=JobStatus.PENDING.value,
        scene_id=scene_id,
        user_id=user_id,
        message="Video generation task started",
        created_at=clock.iso(job.created_at),
        progress=0.0,
        current_step="Initializing",
        error_message=None,
    )
    return http_api.json_response(HTTPStatus.OK, task, replay_header(replayed))


@router.get(
    "/api/video/generate/tasks/<job_id>",
    summary="One task",
    responses=http_api.answers(Task, JobNotFound),
)
def get_task(job_id: TaskId) -> Response[Task]:
    job = videos.find(http_api.user_of(router), job_id)
    headers = {} if job.is_terminal else http_api.POLL_LATER
    return http_api.json_response(HTTPStatus.OK, Task.of(job), headers)


@router.get(
    "/api/video/generate/tasks",
    summary="Your tasks, newest first",
    responses=http_api.answers(Tasks, InvalidRequest),
)
def list_tasks(
    limit: Annotated[int, Query(ge=1, le=TASKS)] = TASKS,
    cursor: Annotated[str | None, Query(max_length=512, description="From the page before")] = None,
) -> Tasks:
    page = job_lists.list_for_user(http_api.user_of(router), limit=limit, cursor=cursor)
    tasks = [Task.of(job) for job in page.jobs if job.scene_id is not None]
    return Tasks(tasks=tasks, cursor=page.cursor)


@router.delete(
    "/api/video/generate/tasks/<job_id>",
    summary="Cancel a task",
    responses=http_api.answers(
        Task, TaskHasEnded, JobNotFound, CancelTooLate, TemporarilyUnavailable
    ),
)
def cancel_task(job_id: TaskId) -> Task:
    job = videos.find(http_api.user_of(router), job_id)
    if job.is_terminal:
        raise TaskHasEnded("This task has ended", details=f"status: {job.status.value}")
    job = cancellation.cancel(job)
    videos.remove_source(job)
    return Task.of(job)
