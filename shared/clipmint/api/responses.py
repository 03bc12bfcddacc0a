"""The response bodies of the HTTP functions, as the API documents them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field, JsonValue

from clipmint import clock
from clipmint.catalog.model import SETTING_NAMES, AllowedSettings, Model, Need, Settings
from clipmint.catalog.pricing import Price, public_price
from clipmint.jobs.job import TERMINAL, Job, JobStatus
from clipmint.jobs.outcomes import IMAGE_KEPT, USER_MESSAGES, FailureCode
from clipmint.jobs.progress import progress
from clipmint.lots import CreditKind
from clipmint.projects.project import Project, Scene, SceneState, state_of
from clipmint.stages import STAGES, StepName

if TYPE_CHECKING:
    from clipmint.credits.accounts import Account, Entry
    from clipmint.media.uploads import Upload
    from clipmint.orders.clip_orders import ClipBatch
    from clipmint.purchases.waiting import Purchase

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""UTC, such as 2028-02-29T23:59:30.000Z."""


class Accepted(BaseModel):
    """The job that this request, or an earlier one with the same key, has started."""

    job_id: str
    status: str
    credits_used: int
    credits_remaining: int

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


class StartedClip(BaseModel):
    scene_id: str
    job_id: str
    status: str
    credits_used: int


class ClipsAccepted(BaseModel):
    """The clips that were started; empty if there is nothing to do. ``remaining`` is the number of
    scenes left for another call: one call starts at most 45."""

    project_id: str
    clips: list[StartedClip]
    credits_used: int
    credits_remaining: int
    remaining: int

    @classmethod
    def of(cls, batch: ClipBatch) -> ClipsAccepted:
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


class Estimate(BaseModel):
    """What an order would hold, and whether the available credits are enough for it."""

    credits: int
    available: int
    affordable: bool


class SceneEstimate(Estimate):
    """``prices`` are the credits by action: no image is priced if the scene has one."""

    prices: dict[str, int]


class ClipEstimate(BaseModel):
    scene_id: str
    credits: int


class ClipsEstimate(Estimate):
    """The clips that one call would start, and the number of scenes left for another call."""

    clips: list[ClipEstimate]
    remaining: int


class VideoStage(BaseModel):
    """One stage of a job, its price, and whether the price was charged."""

    name: str
    credits: int
    charged: bool


class Video(BaseModel):
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
    ) -> Video:
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
            video_expires_at=clock.iso(video_expires_at) if video_expires_at else None,
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


_OF_THE_OWNER = {
    *("aliases", "available", "routes", "deadline_seconds", "poll_seconds"),
    *("parameters", "allowed", "defaults", "price"),
}
"""Not shown, or shown in another form."""


class CatalogEntry(BaseModel):
    """A model that users can choose, without its routes.

    A model that produces an image can be chosen as ``image_model_id`` of a scene's video.
    """

    model_id: str
    name: str
    description: str
    produces: Literal["video", "image"]
    max_prompt_units: Annotated[int, Field(description="UTF-16 code units")]
    image: Need
    last_image: Need
    max_reference_images: int
    settings_schema: dict[str, JsonValue] = Field(
        description="What settings of a request may be, as a JSON Schema"
    )
    allowed: AllowedSettings = Field(description="The values of three settings, as lists")
    defaults: Settings
    presets: dict[str, Settings]
    price: Price

    @classmethod
    def of(cls, model: Model) -> CatalogEntry:
        entry = model.model_dump(exclude=_OF_THE_OWNER)
        return cls.model_validate(
            {
                **entry,
                "settings_schema": model.settings_schema(),
                "allowed": {name: model.values_of(name) for name in SETTING_NAMES},
                "defaults": model.default_settings(),
                "price": public_price(model.price),
            }
        )


class CatalogDefaults(BaseModel):
    """The models of scenes and clips that name none: for a scene's image and its video, and for a
    clip between two frames."""

    scene_image_model: str
    scene_video_model: str
    clip_model: str


class Catalog(BaseModel):
    models: list[CatalogEntry]
    defaults: CatalogDefaults


class CreditLot(BaseModel):
    """Available credits that end at the same time; ``expires_at`` is None if they never end."""

    kind: CreditKind
    credits: int
    expires_at: Timestamp | None


class Credits(BaseModel):
    available: int
    held: int
    debt: int
    lots: list[CreditLot]

    @classmethod
    def of(cls, account: Account) -> Credits:
        lots = [
            CreditLot(
                kind=lot.kind,
                credits=lot.credits,
                expires_at=clock.iso(lot.expires_at) if lot.expires_at else None,
            )
            for lot in account.lots
        ]
        if account.purchased:  # they never end, so they are spent last
            purchased = CreditKind.PURCHASED
            lots.append(CreditLot(kind=purchased, credits=account.purchased, expires_at=None))
        return cls(available=account.available, held=account.held, debt=account.debt, lots=lots)


class JournalEntry(BaseModel):
    """One entry of the journal; ``balance_after`` and ``debt_after`` are right after it.

    ``credit_kind`` is that of a grant or clawback, ``expires_at`` of a grant, ``reason`` of an
    adjustment.
    """

    sequence: int
    kind: str
    credits: int
    balance_after: int
    held_after: int
    job_id: str | None
    stage: str | None
    reference: str | None
    created_at: Timestamp
    debt_after: int
    credit_kind: CreditKind | None
    expires_at: Timestamp | None
    reason: str | None

    @classmethod
    def of(cls, entry: Entry) -> JournalEntry:
        return cls(
            sequence=entry.sequence,
            kind=entry.kind,
            credits=entry.credits,
            balance_after=entry.balance_after,
            held_after=entry.held_after,
            job_id=entry.job_id,
            stage=entry.stage,
            reference=entry.reference,
            created_at=clock.iso(entry.created_at),
            debt_after=entry.debt_after,
            credit_kind=_credit_kind(entry),
            expires_at=clock.iso(entry.expires_at) if entry.expires_at else None,
            reason=entry.reason,
        )


def _credit_kind(entry: Entry) -> CreditKind | None:
    purchased = CreditKind.PURCHASED if entry.kind in {"grant", "clawback"} else None
    return entry.credit_kind or purchased


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


class ClawedBack(BaseModel):
    """``available`` and ``debt`` are those right after the clawback."""

    user_id: str
    amount: int
    reference: str
    kind: CreditKind
    available: int
    debt: int
    replayed: bool


class Adjusted(BaseModel):
    """``available`` and ``debt`` are those right after the adjustment."""

    user_id: str
    amount: int
    reference: str
    reason: str
    available: int
    debt: int
    replayed: bool


class OfferedPack(BaseModel):
    """A pack as the app's shop shows it, which knows its product's id in the store."""

    product_id: str
    name: str
    credits: int
    kind: CreditKind
    expires_after_days: int | None
    store_ids: dict[str, list[str]]


class PackList(BaseModel):
    packs: list[OfferedPack]


class PurchaseAnswer(BaseModel):
    """A paid purchase whose product or user was unknown (``reason``)."""

    purchase_id: str
    store: str
    event_id: str
    payment_id: str
    product_id: str | None
    user_id: str | None
    expires_at: Timestamp | None
    reason: str
    status: Literal["waiting", "applied", "dismissed"]
    received_at: Timestamp

    @classmethod
    def of(cls, purchase: Purchase) -> PurchaseAnswer:
        paid, report = purchase.paid, purchase.report
        return cls(
            purchase_id=purchase.purchase_id,
            store=report.store,
            event_id=report.event_id,
            payment_id=report.payment_id,
            product_id=paid.product_id,
            user_id=paid.user_id,
            expires_at=clock.iso(paid.expires_at) if paid.expires_at else None,
            reason=purchase.reason,
            status=purchase.status,
            received_at=clock.iso(purchase.received_at),
        )


class PurchaseList(BaseModel):
    purchases: list[PurchaseAnswer]


class SceneAnswer(BaseModel):
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
    def of_new(cls, scene: Scene) -> SceneAnswer:
        """A scene that no job has rendered."""
        return cls.of(scene, state_of(scene, None, {}), None, None)

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
    """Scenes in the order of the project."""

    scenes: list[SceneAnswer]


class ProjectSummary(BaseModel):
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
    def of(cls, project: Project) -> ProjectSummary:
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


class ProjectPage(BaseModel):
    """Newest first; ``cursor`` is None on the last page."""

    projects: list[ProjectSummary]
    cursor: str | None


class ProjectAnswer(ProjectSummary):
    """A project and its scenes in order."""

    scenes: list[SceneAnswer]

    @classmethod
    def with_scenes(cls, project: Project, scenes: list[SceneAnswer]) -> ProjectAnswer:
        return cls(**ProjectSummary.of(project).model_dump(), scenes=scenes)


class UploadForm(BaseModel):
    """POST ``fields``, and after them the file as ``file``, to ``url`` as multipart/form-data."""

    url: str
    fields: dict[str, str]
    expires_at: Timestamp

    @classmethod
    def of(cls, upload: Upload) -> UploadForm:
        return cls(url=upload.url, fields=upload.fields, expires_at=clock.iso(upload.expires_at))


class ImageAnswer(BaseModel):
    """A new project for an image that is still to be uploaded. After the upload ``image_url`` is
    public. The image is checked before a job first uses it. Project and image are deleted at
    ``expires_at`` if no job has used the image and the project was not changed, and after a day if
    nothing is uploaded."""

    project_id: str
    image_url: str
    expires_at: Timestamp
    upload: UploadForm


class Clip(BaseModel):
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


class ClipsSummary(BaseModel):
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
