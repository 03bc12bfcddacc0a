"""What the HTTP functions answer, as the API documents it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from clipmint.domain import clock
from clipmint.domain.catalog import AllowedSettings, Model, Need, Settings
from clipmint.domain.jobs import Job, JobStatus, progress
from clipmint.domain.outcomes import USER_MESSAGES, FailureCode
from clipmint.domain.pricing import Price


class Accepted(BaseModel):
    """A job was started, or had been under the same key."""

    job_id: str
    status: str
    credits_used: int
    credits_remaining: int


class Estimate(BaseModel):
    credits: int
    available: int
    affordable: bool


class Video(BaseModel):
    """One job. URLs of a completed job are valid for an hour; ask again for fresh ones."""

    job_id: str
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    current_step: str
    model_id: str
    model_name: str
    prompt: str
    settings: Settings
    credits_used: int
    video_url: str | None
    thumbnail_url: str | None
    image_url: str | None
    error_message: str | None
    error_code: FailureCode | None
    created_at: str
    updated_at: str
    completed_at: str | None

    @classmethod
    def of(cls, job: Job, video_url: str | None, thumbnail_url: str | None) -> Video:
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
            credits_used=job.credits_used,
            video_url=video_url,
            thumbnail_url=thumbnail_url,
            image_url=job.image_url,
            error_message=USER_MESSAGES[job.failure] if job.failure else None,
            error_code=job.failure,
            created_at=clock.iso(job.created_at),
            updated_at=clock.iso(job.updated_at),
            completed_at=clock.iso(job.completed_at) if job.completed_at else None,
        )


class VideoPage(BaseModel):
    """Newest first; ``cursor`` is None on the last page."""

    videos: list[Video]
    cursor: str | None


class CatalogEntry(BaseModel):
    """A model a user can choose; how it is made is the owner's business."""

    model_id: str
    name: str
    description: str
    max_prompt_units: Annotated[int, Field(description="UTF-16 code units")]
    image: Need
    last_image: Need
    allowed: AllowedSettings
    defaults: Settings
    presets: dict[str, Settings]
    price: Price

    @classmethod
    def of(cls, model: Model) -> CatalogEntry:
        return cls.model_validate(
            model.model_dump(
                exclude={"available", "produces", "routes", "deadline_seconds", "poll_seconds"}
            )
        )


class Catalog(BaseModel):
    models: list[CatalogEntry]


class Credits(BaseModel):
    available: int
    held: int


class JournalEntry(BaseModel):
    """One line of the journal; ``balance_after`` is what was available right after it."""

    sequence: int
    kind: str
    credits: int
    balance_after: int
    held_after: int
    job_id: str | None
    stage: str | None
    reference: str | None
    created_at: str


class Journal(BaseModel):
    """Newest first; ``cursor`` is None on the last page."""

    entries: list[JournalEntry]
    cursor: str | None


class Cancelled(BaseModel):
    job_id: str
    status: JobStatus
    credits_released: int


class Granted(BaseModel):
    user_id: str
    amount: int
    reference: str
    available: int
    replayed: bool
