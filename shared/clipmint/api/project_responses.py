"""Response bodies for projects, scenes, their clips and uploads."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from clipmint import clock
from clipmint.api.timestamps import Timestamp
from clipmint.api.video_responses import error_message
from clipmint.jobs.job import TERMINAL, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.progress import progress
from clipmint.projects.project import Project, Scene, SceneState, state_of
from clipmint.schemas import Schema
from clipmint.stages import StepName

if TYPE_CHECKING:
    from clipmint.media.uploads import Upload


class SceneAnswer(Schema):
    """One scene of a project, with the results of its jobs.

    ``status``, ``progress`` and errors are those of ``job_id``, the newest job. A scene that was
    never rendered is ``pending`` and has no job. The image and the video are those of the last job
    that made one, until the newest job does. URLs of videos are valid for an hour.
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
    current_step: StepName | None
    image_url: str | None
    video_url: str | None
    thumbnail_url: str | None
    error_message: str | None
    error_code: FailureCode | None
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of_new(cls, scene: Scene) -> "SceneAnswer":
        """A scene that no job has rendered."""
        return cls.of(scene, state_of(scene, None, {}), None, None)

    @classmethod
    def of(
        cls, scene: Scene, state: SceneState, video_url: str | None, thumbnail_url: str | None
    ) -> "SceneAnswer":
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
            error_message=error_message(job) if job else None,
            error_code=failure,
            created_at=clock.iso(scene.created_at),
            updated_at=clock.iso(scene.updated_at),
        )


class SceneList(Schema):
    """Scenes in the order of the project."""

    scenes: list[SceneAnswer]


class ProjectSummary(Schema):
    """A project without its scenes."""

    project_id: str
    name: str | None
    resolution: str
    image_url: str | None
    scene_count: int
    expires_at: Timestamp | None = Field(
        description=(
            "When the project is deleted with its uploaded image, unless it is changed or the"
            " image is used before"
        )
    )
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, project: Project) -> "ProjectSummary":
        return cls(
            project_id=project.project_id,
            name=project.name,
            resolution=project.resolution,
            image_url=project.image_url,
            scene_count=len(project.scene_ids),
            expires_at=clock.iso(project.expires_at) if project.expires_at else None,
            created_at=clock.iso(project.created_at),
            updated_at=clock.iso(project.updated_at),
        )


class ProjectPage(Schema):
    """Newest first; ``cursor`` is None on the last page."""

    projects: list[ProjectSummary]
    cursor: str | None


class ProjectAnswer(ProjectSummary):
    """A project and its scenes in order."""

    scenes: list[SceneAnswer]

    @classmethod
    def with_scenes(cls, project: Project, scenes: list[SceneAnswer]) -> "ProjectAnswer":
        return cls(**ProjectSummary.of(project).model_dump(), scenes=scenes)


class UploadForm(Schema):
    """POST ``fields``, and after them the file as ``file``, to ``url`` as multipart/form-data."""

    url: str
    fields: dict[str, str]
    expires_at: Timestamp

    @classmethod
    def of(cls, upload: "Upload") -> "UploadForm":
        return cls(url=upload.url, fields=upload.fields, expires_at=clock.iso(upload.expires_at))


class ImageAnswer(Schema):
    """A new project for an image that is still to be uploaded. After the upload ``image_url`` is
    public. The image is checked before a job first uses it. Project and image are deleted at
    ``expires_at`` if no job has used the image and the project was not changed, and after a day if
    nothing is uploaded."""

    project_id: str
    image_url: str
    expires_at: Timestamp
    upload: UploadForm


class Clip(Schema):
    """The newest job of one scene."""

    scene_id: str
    job_id: str
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    current_step: StepName
    video_url: str | None
    thumbnail_url: str | None
    error_message: str | None
    error_code: FailureCode | None


class ClipsSummary(Schema):
    """The scenes of a project that have a job, counted by the status of their newest jobs.

    ``pending`` counts jobs that have not ended; ``failed`` includes cancelled jobs.
    """

    total_clips: int
    completed: int
    pending: int
    failed: int
    all_complete: bool
    clips: list[Clip]

    @classmethod
    def of(cls, scenes: list[SceneAnswer]) -> "ClipsSummary":
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
