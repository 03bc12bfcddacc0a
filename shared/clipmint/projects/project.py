"""A project and its scenes, and the jobs that have rendered them.

A project refers to the jobs of its scenes, and the jobs hold the facts. A scene's status, image and
video are never stored with the scene; each read derives them from those jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import TypeVar

from clipmint.errors import ProjectNotFound, ResolutionNotAllowed, SceneNotFound, TooManyScenes
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.values import frozen

T = TypeVar("T")

MAX_SCENES = 50
"""Scenes per project: they fit into one transaction and into one response."""
FORM_LIFE = timedelta(days=1)
"""A project for an upload is kept this long if no image is uploaded; the form lasts minutes."""
DEFAULT_SCENE_SECONDS = 5
DEFAULT_RESOLUTION = "720:1280"


@frozen
class Shape:
    """The ratios for a project's resolution.

    ``image_ratio`` is the ratio of a generated image in pixels, and ``aspect`` the aspect ratio of
    images and videos. ``video_ratios`` are the ratios in pixels to try, in order, with a video
    model that takes pixels.
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
"""By a project's resolution. The image ratios come from the documents this system comes from."""


def shape_of(resolution: str) -> Shape:
    """The ratios for a resolution. Raises `ResolutionNotAllowed`, which lists the allowed ones."""
    shape = RESOLUTIONS.get(resolution)
    if shape is None:
        raise ResolutionNotAllowed(
            "This resolution is not available",
            details=f"resolution: allowed: {', '.join(RESOLUTIONS)}",
        )
    return shape


@frozen
class SceneJobs:
    """The jobs that determine what a scene shows.

    ``job_id`` is the newest job. ``image_job_id`` is the last earlier job that has an image, and
    ``video_job_id`` the last earlier job that completed: their files are shown until the newest job
    has its own.
    """

    job_id: str
    image_job_id: str | None = None
    video_job_id: str | None = None

    @property
    def job_ids(self) -> tuple[str, ...]:
        """All job ids, without duplicates."""
        every = (self.job_id, self.image_job_id, self.video_job_id)
        return tuple(dict.fromkeys(job_id for job_id in every if job_id))


@frozen
class Project:
    """A project. ``scene_ids`` is the order of its scenes; ``scene_jobs`` has those with a job.

    ``revision`` counts the changes of the item: jobs are only started for the revision that was
    read. ``last_job_id`` is the project's newest job that renders none of its scenes. At
    ``expires_at`` the project is deleted with its uploaded image, unless it was changed or the
    image was used before: then it is None.
    """

    project_id: str
    user_id: str
    name: str | None
    resolution: str
    image_url: str | None
    scene_ids: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    scene_jobs: Mapping[str, SceneJobs] = field(default_factory=dict)
    last_job_id: str | None = None
    expires_at: datetime | None = None
    revision: int = 1


@frozen
class Scene:
    """One shot. ``image_url`` is the user's own image; ``duration`` is in seconds, if chosen."""

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
        """The requested duration of the video."""
        return DEFAULT_SCENE_SECONDS if self.duration is None else self.duration


def too_many_scenes() -> TooManyScenes:
    """The error for a request that would exceed `MAX_SCENES`."""
    return TooManyScenes(
        "A project cannot have that many scenes", details=f"scenes: at most {MAX_SCENES}"
    )


def no_project() -> ProjectNotFound:
    """The error for a project that does not exist, or is not this user's."""
    return ProjectNotFound("There is no such project")


def no_scene() -> SceneNotFound:
    """The error for a scene that does not exist, or is not this user's."""
    return SceneNotFound("There is no such scene")


@frozen
class SceneState:
    """What a scene shows.

    ``job`` is the newest job. ``completed`` is that job, or the last earlier job that completed.
    ``image_url`` is the generated image, or the user's own if there is none.
    """

    job: Job | None
    image_url: str | None
    completed: Job | None

    @property
    def status(self) -> JobStatus:
        return self.job.status if self.job else JobStatus.PENDING


def state_of(scene: Scene, scene_jobs: SceneJobs | None, jobs: Mapping[str, Job]) -> SceneState:
    """The state of a scene, derived from ``jobs``, which has at least those of ``scene_jobs``.

    Jobs that the user has deleted are ignored.
    """
    found = _found(scene_jobs, jobs)
    return SceneState(
        job=_first(found),
        image_url=_first(map(image_of, found)) or scene.image_url,
        completed=_first(job for job in found if video_of(job)),
    )


def next_scene_jobs(
    scene_jobs: SceneJobs | None, job_id: str, jobs: Mapping[str, Job]
) -> SceneJobs:
    """A scene's jobs with a new newest job. They keep the results of the earlier jobs."""
    found = _found(scene_jobs, jobs)
    return SceneJobs(
        job_id,
        image_job_id=_first(job.job_id for job in found if image_of(job)),
        video_job_id=_first(job.job_id for job in found if video_of(job)),
    )


def _found(scene_jobs: SceneJobs | None, jobs: Mapping[str, Job]) -> list[Job]:
    """The jobs of a scene, newest first, without deleted jobs."""
    if scene_jobs is None:
        return []
    found = [job for job_id in scene_jobs.job_ids if (job := jobs.get(job_id)) and not job.deleted]
    found.sort(key=lambda job: job.created_at, reverse=True)
    # The clocks of machines differ, but the project records the newest job.
    found.sort(key=lambda job: job.job_id != scene_jobs.job_id)
    return found


def image_of(job: Job) -> str | None:
    """Public URL of the image that a job has made, or None."""
    return job.image_url if job.made_image else None


def video_of(job: Job) -> Asset | None:
    """The video of a completed job, or None."""
    stage = job.stage("video")
    return stage.asset if stage is not None and job.status is JobStatus.COMPLETED else None


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
