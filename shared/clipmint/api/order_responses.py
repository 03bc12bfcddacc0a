"""Response bodies for orders of videos, scenes and clips, and for their cancellation."""

from typing import TYPE_CHECKING, Self

from pydantic import Field

from clipmint.jobs.job import Job, JobStatus
from clipmint.schemas import Schema
from clipmint.stages import STAGES

if TYPE_CHECKING:
    from clipmint.orders.clip_orders import ClipBatch


class Accepted(Schema):
    """The job that this request, or an earlier one with the same key, has started."""

    job_id: str
    status: str
    credits_used: int
    credits_remaining: int
    cached: bool = Field(
        False,
        exclude_if=lambda cached: not cached,
        description="Answered with the file of an identical job of yours; left out if not",
    )

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls.model_validate(cls._values(job))

    @classmethod
    def _values(cls, job: Job) -> dict[str, object]:
        return {
            "job_id": job.job_id,
            "status": JobStatus.PENDING.value,  # as in the first response, also in a replay
            "credits_used": job.credits,
            "credits_remaining": job.balance_after,
            "cached": job.source_job_id is not None,
        }


class SceneAccepted(Accepted):
    """Like `Accepted`. ``prices`` are the job's credits by action: held together, charged one by
    one."""

    project_id: str
    scene_id: str
    prices: dict[str, int]

    @classmethod
    def _values(cls, job: Job) -> dict[str, object]:
        return {
            **super()._values(job),
            "project_id": job.project_id,
            "scene_id": job.scene_id,
            "prices": prices_of(job),
        }


def prices_of(job: Job) -> dict[str, int]:
    """The credits of a scene's job by action."""
    return {STAGES[stage].price: price for stage, price in job.prices.items()}


class StartedClip(Schema):
    """One job of a call for clips."""

    scene_id: str
    job_id: str
    status: str
    credits_used: int


class ClipsAccepted(Schema):
    """The clips that were started; empty if there is nothing to do. ``remaining`` is the number of
    scenes left for another call: one call starts at most 45."""

    project_id: str
    clips: list[StartedClip]
    credits_used: int
    credits_remaining: int
    remaining: int

    @classmethod
    def of(cls, batch: "ClipBatch") -> "ClipsAccepted":
        return cls(
            project_id=batch.project_id,
            clips=[
                StartedClip(
                    scene_id=clip.scene_id,
                    job_id=clip.job_id,
                    status=JobStatus.PENDING.value,
                    credits_used=clip.credits,
                )
                for clip in batch.clips
            ],
            credits_used=batch.credits,
            credits_remaining=batch.balance_after,
            remaining=batch.remaining,
        )


class Estimate(Schema):
    """What an order would hold, and whether the available credits are enough for it."""

    credits: int
    available: int
    affordable: bool
    cached: bool = Field(
        False,
        exclude_if=lambda cached: not cached,
        description="An identical job of yours would answer the order; left out if not",
    )


class SceneEstimate(Estimate):
    """``prices`` are the credits by action: no image is priced if the scene has one."""

    prices: dict[str, int]


class ClipEstimate(Schema):
    """What the clip of one scene would hold."""

    scene_id: str
    credits: int


class ClipsEstimate(Estimate):
    """The clips that one call would start, and the number of scenes left for another call."""

    clips: list[ClipEstimate]
    remaining: int


class Cancelled(Schema):
    """A cancelled job. ``credits_released`` are available again."""

    job_id: str
    status: JobStatus
    credits_released: int
