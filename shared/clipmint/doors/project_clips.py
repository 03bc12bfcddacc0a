"""Protocol ``project-clips``: edge functions that make a clip of each scene of a project.

====================  ==========================================
their                 ours
====================  ==========================================
generate-clips        an order of a project's clips
check-clips-status    the progress of a project's clips
====================  ==========================================

No Idempotency-Key is sent. Errors have ``success: false``.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Self

from aws_lambda_powertools.event_handler import Response
from pydantic import Field

from clipmint.api import http_api, scenes
from clipmint.api.project_responses import SceneAnswer
from clipmint.doors.door import (
    Body,
    IdempotencyKey,
    new_router,
    place,
    replay_header,
)
from clipmint.errors import (
    ClipmintError,
    FramesRequired,
    InvalidRequest,
    ProjectNotFound,
    SceneNotFound,
    TemporarilyUnavailable,
)
from clipmint.jobs.job import TERMINAL, JobStatus
from clipmint.orders import clip_orders, refusals
from clipmint.orders.clip_orders import HeldClip
from clipmint.orders.order_requests import ClipsRequest
from clipmint.orders.order_settings import LimitSettings
from clipmint.path_ids import path_id
from clipmint.projects import project_store
from clipmint.projects.project import no_project
from clipmint.schemas import Schema

router = new_router()

PENDING, FAILED = "pending", "failed"


class ProjectClips(Body):
    project_id: Annotated[str, Field(min_length=1, max_length=64)]


class ClipResult(Schema):
    """``clip_id`` is the id of the clip's job; ``status`` is pending, completed or failed."""

    clip_id: str
    scene_id: str
    status: str
    url: str | None
    error: str | None

    @classmethod
    def of(cls, clip: SceneAnswer) -> Self:
        status = clip.status.value if clip.status is JobStatus.COMPLETED else FAILED
        return cls(
            clip_id=clip.job_id or "",
            scene_id=clip.scene_id,
            status=status if clip.status in TERMINAL else PENDING,
            # The scene shows the video of an earlier job until the newest one has its own.
            url=clip.video_url if clip.status is JobStatus.COMPLETED else None,
            error=clip.error_message,
        )

    @classmethod
    def of_new(cls, clip: HeldClip) -> Self:
        return cls(
            clip_id=clip.job_id, scene_id=clip.scene_id, status=PENDING, url=None, error=None
        )


class ClipsStatus(Schema):
    """``clips``: by id the URL, "pending" or "failed". URLs are valid for an hour."""

    success: bool = True
    project_id: str
    total_clips: int
    completed: int
    pending: int
    failed: int
    clips: dict[str, str]

    @staticmethod
    def counted(project_id: str, results: Sequence[ClipResult]) -> dict[str, Any]:
        states = [result.status for result in results]
        return {
            "success": True,
            "project_id": project_id,
            "total_clips": len(results),
            "completed": states.count(JobStatus.COMPLETED.value),
            "pending": states.count(PENDING),
            "failed": states.count(FAILED),
            "clips": {result.clip_id: result.url or result.status for result in results},
        }


class CheckedClips(ClipsStatus):
    details: list[ClipResult]


class GeneratedClips(ClipsStatus):
    """``remaining`` is the number of scenes left for another call: one call starts at most 45."""

    all_complete: bool
    results: list[ClipResult]
    remaining: int


@router.post(
    "/functions/v1/generate-clips",
    summary="Make a clip of each scene that has none",
    responses=http_api.answers(GeneratedClips, *refusals.STARTING, SceneNotFound, FramesRequired),
)
def generate_clips(
    request: ProjectClips, idempotency_key: IdempotencyKey = None
) -> Response[GeneratedClips]:
    project_id, ordered = path_id(request.project_id, no_project()), ClipsRequest()
    batch, replayed = place(
        router,
        idempotency_key,
        ordered.fingerprint(project_id),
        lambda order: clip_orders.start(order, project_id, ordered, LimitSettings.read().limits),
    )
    started = () if replayed else batch.clips
    results = _results(project_id, {clip.scene_id: clip for clip in started})
    counted = ClipsStatus.counted(project_id, results)
    answer = GeneratedClips(
        **counted,
        all_complete=0 < len(results) == counted["completed"],
        results=results,
        remaining=batch.remaining,
    )
    return http_api.json_response(HTTPStatus.OK, answer, replay_header(replayed))


@router.post(
    "/functions/v1/check-clips-status",
    summary="The progress of a project's clips",
    responses=http_api.answers(
        CheckedClips, InvalidRequest, ProjectNotFound, TemporarilyUnavailable
    ),
)
def check_clips_status(request: ProjectClips) -> Response[CheckedClips]:
    project_id = path_id(request.project_id, no_project())
    results = _results(project_id, {})
    answer = CheckedClips(**ClipsStatus.counted(project_id, results), details=results)
    headers = http_api.POLL_LATER if answer.pending else {}
    return http_api.json_response(HTTPStatus.OK, answer, headers)


def error_body(error: ClipmintError) -> dict[str, Any]:
    """The body of an error in this protocol, with our members beside it."""
    return {"success": False, **error.body()}


def _results(project_id: str, started: dict[str, HeldClip]) -> list[ClipResult]:
    """The newest clips of a project's scenes. The clips that were ``started`` just now, by scene,
    are known and not read again."""
    project, its_scenes = project_store.read(http_api.user_of(router), project_id)
    others = [scene for scene in its_scenes if scene.scene_id not in started]
    shown = {
        answer.scene_id: ClipResult.of(answer)
        for answer in scenes.answers(project, others)
        if answer.job_id is not None
    }
    shown |= {scene_id: ClipResult.of_new(clip) for scene_id, clip in started.items()}
    return [shown[scene.scene_id] for scene in its_scenes if scene.scene_id in shown]
