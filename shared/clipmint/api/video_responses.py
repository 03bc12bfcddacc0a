"""Response bodies for jobs."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from clipmint import clock
from clipmint.api.timestamps import Timestamp
from clipmint.catalog.model import Settings
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.outcomes import IMAGE_KEPT, USER_MESSAGES, FailureCode
from clipmint.jobs.progress import progress
from clipmint.schemas import Schema
from clipmint.stages import StepName


class VideoStage(Schema):
    """One stage of a job, its price, and whether the price was charged."""

    name: str
    credits: int
    charged: bool


class Video(Schema):
    """One job. URLs of a completed job are valid for an hour; read the job again for fresh URLs.

    ``credits_used`` is the hold while the job runs, and the charge after it has ended: the sum of
    the ``stages`` that succeeded.
    """

    job_id: str
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    current_step: StepName
    model_id: str
    model_name: str
    prompt: str
    settings: Settings
    project_id: str | None
    scene_id: str | None
    stages: list[VideoStage]
    credits_used: int
    cached: bool = Field(description="Answered with the file of an identical job of yours")
    expected_seconds: int | None = Field(
        description="From the order to the video, estimated when it was ordered"
    )
    video_url: str | None
    thumbnail_url: str | None
    video_expires_at: Timestamp | None = Field(
        description="When the video and its thumbnail are deleted; null if they are kept"
    )
    image_url: str | None
    error_message: str | None
    error_code: FailureCode | None
    created_at: Timestamp
    updated_at: Timestamp
    completed_at: Timestamp | None

    @classmethod
    def of(
        cls,
        job: Job,
        video_url: str | None,
        thumbnail_url: str | None,
        video_expires_at: datetime | None,
    ) -> "Video":
        percent, step = progress(job)
        return cls(
            job_id=job.job_id,
            status=job.status,
            progress=percent,
            current_step=step,
            model_id=job.model_id,
            model_name=job.model_name,
            prompt=job.prompt,
            settings=job.settings,
            project_id=job.project_id,
            scene_id=job.scene_id,
            stages=[
                VideoStage(
                    name=stage.name,
                    credits=stage.credits,
                    charged=job.is_terminal and stage.name in job.captured_stages,
                )
                for stage in job.stages
            ],
            credits_used=job.credits_used,
            cached=job.source_job_id is not None,
            expected_seconds=job.expected_seconds,
            video_url=video_url,
            thumbnail_url=thumbnail_url,
            video_expires_at=clock.iso(video_expires_at) if video_expires_at else None,
            image_url=job.image_url,
            error_message=error_message(job),
            error_code=job.failure,
            created_at=clock.iso(job.created_at),
            updated_at=clock.iso(job.updated_at),
            completed_at=clock.iso(job.completed_at) if job.completed_at else None,
        )


def error_message(job: Job) -> str | None:
    if job.failure is None:
        return None
    message = USER_MESSAGES[job.failure]
    return f"{message} {IMAGE_KEPT}" if job.captured_stages else message


class VideoPage(Schema):
    """Newest first; ``cursor`` is None on the last page."""

    videos: list[Video]
    cursor: str | None
