"""What the HTTP functions answer, as the API documents it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from clipmint import clock
from clipmint.catalog.model import AllowedSettings, Model, Need, Settings
from clipmint.catalog.pricing import Price
from clipmint.jobs.job import TERMINAL, Job, JobStatus, progress
from clipmint.jobs.outcomes import IMAGE_KEPT, USER_MESSAGES, FailureCode
from clipmint.projects.project import Project, Scene, SceneState


class Accepted(BaseModel):
    """A job was started, or had been under the same key."""

    job_id: str
    status: str
    credits_used: int
    credits_remaining: int


class SceneAccepted(Accepted):
    """As of any job; ``prices`` are its credits by action, held together, paid one by one."""

    project_id: str
    scene_id: str
    prices: dict[str, int]


class StartedClip(BaseModel):
    scene_id: str
    job_id: str
    status: str
    credits_used: int


class ClipsAccepted(BaseModel):
    """The clips that were started, none if there is nothing to do. ``remaining`` scenes are for
    another call: one is full with 45."""

    project_id: str
    clips: list[StartedClip]
    credits_used: int
    credits_remaining: int
    remaining: int


class Estimate(BaseModel):
    credits: int
    available: int
    affordable: bool


class VideoStage(BaseModel):
    """One step of a job, its price, and whether that was paid."""

    name: str
    credits: int
    charged: bool


class Video(BaseModel):
    """One job. URLs of a completed job are valid for an hour; ask again for fresh ones.

    ``credits_used`` is what is held while it runs and what was paid once it has ended: the
    ``stages`` that came out, and no others.
    """

    job_id: str
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    current_step: str
    model_id: str
    model_name: str
    prompt: str
    settings: Settings
    project_id: str | None
    scene_id: str | None
    stages: list[VideoStage]
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
            video_url=video_url,
            thumbnail_url=thumbnail_url,
            image_url=job.image_url,
            error_message=_error_message(job),
            error_code=job.failure,
            created_at=clock.iso(job.created_at),
            updated_at=clock.iso(job.updated_at),
            completed_at=clock.iso(job.completed_at) if job.completed_at else None,
        )


def _error_message(job: Job) -> str | None:
    if job.failure is None:
        return None
    message = USER_MESSAGES[job.failure]
    return f"{message} {IMAGE_KEPT}" if job.captured_stages else message


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


class SceneAnswer(BaseModel):
    """One shot of a project, and what its jobs have made of it.

    ``status``, ``progress`` and errors are those of ``job_id``, the newest job; a scene never
    rendered is ``pending`` without one. Pictures and videos stay those of the last job that made
    one, until the newest does. URLs of videos are valid for an hour.
    """

    scene_id: str
    project_id: str
    image_prompt: str | None
    visual_prompt: str | None
    product_reference_image_url: str | None
    duration: int
    first_frame: str | None
    last_frame: str | None
    model_id: str | None
    status: JobStatus
    job_id: str | None
    progress: Annotated[int, Field(ge=0, le=100)]
    current_step: str | None
    image_url: str | None
    video_url: str | None
    thumbnail_url: str | None
    error_message: str | None
    error_code: FailureCode | None
    created_at: str
    updated_at: str

    @classmethod
    def of(
        cls, scene: Scene, state: SceneState, video_url: str | None, thumbnail_url: str | None
    ) -> SceneAnswer:
        job = state.job
        percent, step = progress(job) if job else (0, None)
        failure = job.failure if job else None
        return cls(
            scene_id=scene.scene_id,
            project_id=scene.project_id,
            image_prompt=scene.image_prompt,
            visual_prompt=scene.visual_prompt,
            product_reference_image_url=scene.product_reference_image_url,
            duration=scene.seconds,
            first_frame=scene.first_frame,
            last_frame=scene.last_frame,
            model_id=scene.model_id,
            status=state.status,
            job_id=job.job_id if job else None,
            progress=percent,
            current_step=step,
            image_url=state.image_url,
            video_url=video_url,
            thumbnail_url=thumbnail_url,
            error_message=_error_message(job) if job else None,
            error_code=failure,
            created_at=clock.iso(scene.created_at),
            updated_at=clock.iso(scene.updated_at),
        )


class SceneList(BaseModel):
    """In the project's order."""

    scenes: list[SceneAnswer]


class ProjectSummary(BaseModel):
    """A project without its scenes."""

    project_id: str
    name: str | None
    resolution: str
    image_url: str | None
    scene_count: int
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, project: Project) -> ProjectSummary:
        return cls(
            project_id=project.project_id,
            name=project.name,
            resolution=project.resolution,
            image_url=project.image_url,
            scene_count=len(project.scene_ids),
            created_at=clock.iso(project.created_at),
            updated_at=clock.iso(project.updated_at),
        )


class ProjectPage(BaseModel):
    """Newest first; ``cursor`` is None on the last page."""

    projects: list[ProjectSummary]
    cursor: str | None


class ProjectAnswer(ProjectSummary):
    """A project and its scenes, in their order."""

    scenes: list[SceneAnswer]

    @classmethod
    def with_scenes(cls, project: Project, scenes: list[SceneAnswer]) -> ProjectAnswer:
        return cls(**ProjectSummary.of(project).model_dump(), scenes=scenes)


class UploadForm(BaseModel):
    """POST ``fields``, and then the file as ``file``, to ``url`` as multipart/form-data."""

    url: str
    fields: dict[str, str]
    expires_at: str


class ImageAnswer(BaseModel):
    """A project made for a picture that is still to be uploaded. Anyone can read ``image_url`` once
    it is; it is checked before a job first uses it."""

    project_id: str
    image_url: str
    upload: UploadForm


class Clip(BaseModel):
    """The newest job of one scene."""

    scene_id: str
    job_id: str
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    current_step: str
    video_url: str | None
    thumbnail_url: str | None
    error_message: str | None
    error_code: FailureCode | None


class ClipsSummary(BaseModel):
    """The scenes of a project that were ever rendered, counted by how their newest jobs are doing.

    ``pending`` are those that have not ended, ``failed`` includes cancelled ones.
    """

    total_clips: int
    completed: int
    pending: int
    failed: int
    all_complete: bool
    clips: list[Clip]

    @classmethod
    def of(cls, scenes: list[SceneAnswer]) -> ClipsSummary:
        clips = [
            Clip.model_validate(scene.model_dump(include=set(Clip.model_fields)))
            for scene in scenes
            if scene.job_id is not None
        ]
        ended = [clip.status for clip in clips if clip.status in TERMINAL]
        completed = ended.count(JobStatus.COMPLETED)
        return cls(
            total_clips=len(clips),
            completed=completed,
            pending=len(clips) - len(ended),
            failed=len(ended) - completed,
            all_complete=0 < len(clips) == completed,
            clips=clips,
        )
