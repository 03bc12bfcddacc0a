"""The responses and errors of the protocol ``openai``."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from clipmint import clock
from clipmint.api import gateway, videos
from clipmint.doors import sizes
from clipmint.errors import (
    ClipmintError,
    InsufficientCredits,
    LimitReached,
    ScopeRequired,
    UserMismatch,
)
from clipmint.jobs.job import Job, JobStatus
from clipmint.schemas import Schema

STATUSES: Mapping[JobStatus, Literal["queued", "in_progress", "completed", "failed"]] = {
    JobStatus.PENDING: "queued",
    JobStatus.PROCESSING: "in_progress",
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "failed",
}

PARAMETERS = {
    "model_id": "model",
    "image_url": "input_reference",
    "duration": "seconds",
    "resolution": "size",
    "aspect_ratio": "size",
    "job_id": "video_id",
}
"""This protocol's names of fields, by ours."""

TYPES: Mapping[type[ClipmintError], str] = {
    InsufficientCredits: "insufficient_quota",
    LimitReached: "rate_limit_error",
    UserMismatch: "permission_error",
    ScopeRequired: "permission_error",
}
"""Types of errors that are not named by their status."""

FIRST_SERVER_ERROR = 500


class VideoError(Schema):
    code: str
    message: str


class VideoObject(Schema):
    """A video. ``size`` and ``seconds`` are those of the order; "auto" if the order left the size
    to the model and there is no file yet. A cancelled video has failed."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int = Field(ge=0, le=100)
    prompt: str
    seconds: str
    size: str
    created_at: int = Field(description="Epoch seconds")
    completed_at: int | None
    expires_at: int | None
    error: VideoError | None
    remixed_from_video_id: None = None

    @classmethod
    def of_new(cls, job: Job) -> "VideoObject":
        """The first response about a job, and that of a retry."""
        return cls.of(job).model_copy(
            update={
                "status": "queued",
                "progress": 0,
                "completed_at": None,
                "expires_at": None,
                "error": None,
            }
        )

    @classmethod
    def of(cls, job: Job) -> "VideoObject":
        video, expires_at = videos.answer(job), videos.expiry_of(job)
        failed = VideoError(
            code=(video.error_code or "").lower(), message=video.error_message or ""
        )
        return cls(
            id=job.job_id,
            model=job.model_id,
            status=STATUSES[job.status],
            progress=video.progress,
            prompt=job.prompt,
            seconds=_seconds(job),
            size=_size(job),
            created_at=clock.epoch(job.created_at),
            completed_at=clock.epoch(job.completed_at) if job.completed_at else None,
            expires_at=clock.epoch(expires_at) if expires_at else None,
            error=failed if video.error_code else None,
        )


class VideoList(Schema):
    object: Literal["list"] = "list"
    data: list[VideoObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, jobs: Sequence[Job], *, has_more: bool) -> "VideoList":
        return cls(
            data=[VideoObject.of(job) for job in jobs],
            first_id=jobs[0].job_id if jobs else None,
            last_id=jobs[-1].job_id if jobs else None,
            has_more=has_more,
        )


class DeletedVideo(Schema):
    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


def error_body(error: ClipmintError) -> dict[str, Any]:
    """The body of an error in this protocol. ``code`` is ours in lower case, and ``param`` the
    first field that our details name."""
    field = (error.details or "").partition(":")[0].rpartition(".")[2]
    named = field if error.details and ":" in error.details and field.isidentifier() else None
    message = f"{error.message}: {error.details}" if error.details else error.message
    return {
        "error": {
            "message": message,
            "type": _type_of(error),
            "param": PARAMETERS.get(named, named) if named else None,
            "code": error.code.lower(),
            **error.extras,
        }
    }


def _type_of(error: ClipmintError) -> str:
    if type(error) is ClipmintError or gateway.status_of(error) >= FIRST_SERVER_ERROR:
        return "server_error"
    return next(
        (name for kind, name in TYPES.items() if isinstance(error, kind)), "invalid_request_error"
    )


def _seconds(job: Job) -> str:
    if job.settings.duration is not None:
        return str(job.settings.duration)
    video = job.stages[-1].asset
    return str(round(video.duration_seconds)) if video else "0"


def _size(job: Job) -> str:
    video = job.stages[-1].asset
    made = f"{video.width}x{video.height}" if video else "auto"
    return sizes.size_of(job.settings) or made
