"""A project and its scenes: what a user prepares, and which jobs have rendered it.

Scenes point to jobs, and jobs hold the facts: a scene's status, picture and video are never written
down here, but derived, whenever somebody reads, from the jobs its project remembers for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from clipmint.errors import ResolutionNotAllowed, TooManyScenes
from clipmint.jobs.job import Asset, Job, JobStatus

T = TypeVar("T")

MAX_SCENES = 50
"""Scenes of a project: they fit into one transaction, and reading them into one answer."""
DEFAULT_SCENE_SECONDS = 5
DEFAULT_RESOLUTION = "720:1280"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a project's resolution means for the pictures and videos of its scenes.

    ``image_ratio`` is what a picture is asked for in, ``aspect`` the class both belong to, and
    ``video_ratios`` what to try, in order, on a video model that is told ratios in pixels.
    """

    image_ratio: str
    aspect: str
    video_ratios: tuple[str, ...]


RESOLUTIONS: Mapping[str, Shape] = {
    "1280:720": Shape("1920:1080", "16:9", ("1280:720",)),
    "720:1280": Shape("1080:1920", "9:16", ("720:1280",)),
    "1104:832": Shape("1168:880", "4:3", ("1104:832",)),
    "832:1104": Shape("1080:1440", "3:4", ("832:1104",)),
    "960:960": Shape("1024:1024", "1:1", ("960:960",)),
    "1584:672": Shape("1920:1080", "21:9", ("1584:672",)),
    # Runway has replaced these two by the nearest of the first two.
    "1280:768": Shape("1920:1080", "16:9", ("1280:768", "1280:720")),
    "768:1280": Shape("1080:1920", "9:16", ("768:1280", "720:1280")),
}
"""By a project's resolution. The pictures' ratios are those of the documents this system comes
from."""


def shape_of(resolution: str) -> Shape:
    """The shape of a resolution. Raises `ResolutionNotAllowed`, which lists what there is."""
    shape = RESOLUTIONS.get(resolution)
    if shape is None:
        raise ResolutionNotAllowed(
            "This resolution is not available",
            details=f"resolution: allowed: {', '.join(RESOLUTIONS)}",
        )
    return shape


@dataclass(frozen=True, slots=True)
class Render:
    """The jobs that count for a scene.

    ``job_id`` is the newest. ``image_job_id`` is the last job before it that has an image,
    ``video_job_id`` the last before it that completed: what there is to show meanwhile.
    """

    job_id: str
    image_job_id: str | None = None
    video_job_id: str | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """All of them, none twice."""
        every = (self.job_id, self.image_job_id, self.video_job_id)
        return tuple(dict.fromkeys(job_id for job_id in every if job_id))


@dataclass(frozen=True, slots=True)
class Project:
    """``scene_ids`` is the order of the scenes; ``renders`` has those that were ever rendered.

    ``revision`` counts the item's changes: whoever starts jobs for a project does so for exactly
    the revision it has read.
    ``last_job_id`` is the newest job of the project that renders none of its scenes.
    """

    project_id: str
    user_id: str
    name: str | None
    resolution: str
    image_url: str | None
    scene_ids: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    renders: Mapping[str, Render] = field(default_factory=dict)
    last_job_id: str | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """One shot. ``image_url`` is the user's own picture of it, ``duration`` seconds if chosen."""

    scene_id: str
    project_id: str
    user_id: str
    image_prompt: str | None
    visual_prompt: str | None
    product_reference_image_url: str | None
    duration: int | None
    first_frame: str | None
    last_frame: str | None
    image_url: str | None
    model_id: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def seconds(self) -> int:
        """How long its video is meant to be."""
        return DEFAULT_SCENE_SECONDS if self.duration is None else self.duration


# ── What a caller may send ───────────────────────────────────────────────────────────────────────


def too_many_scenes() -> TooManyScenes:
    """What is said to whoever wants one more."""
    return TooManyScenes(
        "A project cannot have that many scenes", details=f"scenes: at most {MAX_SCENES}"
    )


# ── What the jobs make of a scene ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SceneState:
    """What there is of a scene.

    ``job`` is the newest job, ``video`` the file to show, from that job or from the last one before
    it that completed. ``image_url`` is the picture to show, the user's own if none was made.
    """

    job: Job | None
    image_url: str | None
    video: Asset | None

    @property
    def status(self) -> JobStatus:
        return self.job.status if self.job else JobStatus.PENDING


def state_of(scene: Scene, render: Render | None, jobs: Mapping[str, Job]) -> SceneState:
    """What there is of a scene, from the jobs of its render among ``jobs``.

    A job its user has deleted counts as if it had never been.
    """
    found = _found(render, jobs)
    return SceneState(
        job=_first(found),
        image_url=_first(map(image_of, found)) or scene.image_url,
        video=_first(map(video_of, found)),
    )


def next_render(render: Render | None, job_id: str, jobs: Mapping[str, Job]) -> Render:
    """A scene's render once a new job is its newest: what the jobs before it have made is kept."""
    found = _found(render, jobs)
    return Render(
        job_id,
        image_job_id=_first(job.job_id for job in found if image_of(job)),
        video_job_id=_first(job.job_id for job in found if video_of(job)),
    )


def _found(render: Render | None, jobs: Mapping[str, Job]) -> list[Job]:
    """The jobs of a render, the newest first, without deleted ones."""
    if render is None:
        return []
    found = [job for job_id in render.job_ids if (job := jobs.get(job_id)) and not job.deleted]
    found.sort(key=lambda job: job.created_at, reverse=True)
    # Clocks differ; the render knows which one came last.
    found.sort(key=lambda job: job.job_id != render.job_id)
    return found


def image_of(job: Job) -> str | None:
    """Public URL of the picture a job has made, if it has."""
    return job.image_url if job.made_image else None


def video_of(job: Job) -> Asset | None:
    """The video of a job that completed."""
    stage = job.stage("video")
    return stage.asset if stage is not None and job.status is JobStatus.COMPLETED else None


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
