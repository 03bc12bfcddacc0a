"""The response bodies of the owner's reads of jobs.

They never contain the secret part of a webhook's URL, or a provider's message.
"""

from typing import Annotated, Literal, Self

from pydantic import Field

from clipmint import clock
from clipmint.api.credit_responses import JournalEntry
from clipmint.api.timestamps import Timestamp
from clipmint.api.webhook_responses import WebhookDelivery
from clipmint.catalog.entry import Settings
from clipmint.jobs.job import (
    Asset,
    Earlier,
    ImageOrder,
    Job,
    JobStatus,
    Stage,
    Submission,
    SubmissionState,
)
from clipmint.jobs.job_search import providers_of
from clipmint.jobs.outcomes import Failed, FailureCode, Finished
from clipmint.jobs.progress import progress
from clipmint.jobs.provider_costs import Billed
from clipmint.schemas import Schema
from clipmint.stages import StepName


class JobRow(Schema):
    """One job of a list. ``credits`` is its price; ``credits_captured`` is what the user has paid:
    0 until it has ended. ``deleted``: the user has deleted it."""

    job_id: str
    user_id: str
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    model: str
    providers: list[str]
    project_id: str | None
    scene_id: str | None
    created_at: Timestamp
    ended_at: Timestamp | None
    credits: int
    credits_captured: int
    failure_code: FailureCode | None
    deleted: bool

    @classmethod
    def of(cls, job: Job) -> "JobRow":
        return JobRow(
            job_id=job.job_id,
            user_id=job.user_id,
            status=job.status,
            progress=progress(job)[0],
            model=job.model_id,
            providers=list(providers_of(job)),
            project_id=job.project_id,
            scene_id=job.scene_id,
            created_at=clock.iso(job.created_at),
            ended_at=clock.iso(job.completed_at) if job.completed_at else None,
            credits=job.credits,
            credits_captured=job.credits_used if job.is_terminal else 0,
            failure_code=job.failure,
            deleted=job.deleted,
        )


class JobRows(Schema):
    """Newest first. A page may be short or empty and still have a `next_cursor`, which is null on
    the last page."""

    jobs: list[JobRow]
    next_cursor: str | None


class OrderedImage(Schema):
    model: str
    prompt: str
    aspect_ratio: str | None
    reference_image_urls: list[str]

    @classmethod
    def of(cls, image: ImageOrder) -> Self:
        return cls(
            model=image.model_id,
            prompt=image.prompt,
            aspect_ratio=image.aspect_ratio,
            reference_image_urls=list(image.reference_image_urls),
        )


class JobOrder(Schema):
    """What the user ordered, and the images that it begins and ends with."""

    model: str
    model_name: str
    preset: str | None
    settings: Settings
    prompt: str
    image_url: str | None
    last_image_url: str | None

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            model=job.model_id,
            model_name=job.model_name,
            preset=job.preset,
            settings=job.settings,
            prompt=job.prompt,
            image_url=job.image_url,
            last_image_url=job.last_image_url,
        )


class SubmissionAnswer(Schema):
    """How certain it is that the provider has the task. ``state``: `sending`, `sent`, `refused` or
    `unknown` (the response was lost). ``request_id`` is the provider's id of the task, ``task_id``
    our own."""

    provider: str
    endpoint: str
    state: SubmissionState
    request_id: str | None
    task_id: str

    @classmethod
    def of(cls, stage: Stage, submission: Submission) -> Self:
        return cls(
            provider=stage.provider,
            endpoint=stage.endpoint,
            state=submission.state,
            request_id=submission.request_id,
            task_id=submission.task_id,
        )


class RefusalAnswer(Schema):
    """A provider certainly did not accept the task. ``reason``: a failure code, or `BUSY`."""

    provider: str
    reason: str
    at: Timestamp


class OutcomeAnswer(Schema):
    """What the provider reported."""

    state: Literal["succeeded", "failed"]
    failure_code: FailureCode | None

    @classmethod
    def of(cls, outcome: Finished | None) -> "OutcomeAnswer | None":
        if outcome is None:
            return None
        if isinstance(outcome, Failed):
            return cls(state="failed", failure_code=outcome.code)
        return cls(state="succeeded", failure_code=None)


class FileAnswer(Schema):
    """A file in the owner's bucket. An image has the duration 0."""

    bucket: str
    key: str
    thumbnail_key: str | None
    content_type: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    duration_seconds: float

    @classmethod
    def of(cls, asset: Asset | None) -> "FileAnswer | None":
        if asset is None:
            return None
        return cls.model_validate(asset, from_attributes=True)


class EarlierRun(Schema):
    """The first run of a stage that ran twice."""

    provider: str
    request_id: str | None
    task_id: str
    outcome: OutcomeAnswer | None
    file: FileAnswer | None

    @classmethod
    def of(cls, earlier: Earlier) -> Self:
        return cls(
            provider=earlier.provider,
            request_id=earlier.request_id,
            task_id=earlier.task_id,
            outcome=OutcomeAnswer.of(earlier.outcome),
            file=FileAnswer.of(earlier.asset),
        )


class RouteAnswer(Schema):
    provider: str
    endpoint: str


class StageAnswer(Schema):
    """One part of a job. ``routes`` are tried in this order. ``charged``: its credits were
    captured. ``waiting``: the execution waits for the outcome."""

    name: str
    credits: int
    charged: bool
    routes: list[RouteAnswer]
    image: OrderedImage | None
    settings: Settings | None
    submission: SubmissionAnswer | None
    refusals: list[RefusalAnswer]
    outcome: OutcomeAnswer | None
    file: FileAnswer | None
    earlier: list[EarlierRun]
    waiting: bool

    @classmethod
    def of(cls, job: Job, stage: Stage) -> Self:
        image = stage.image_order
        return cls(
            name=stage.name,
            credits=stage.credits,
            charged=job.is_terminal and stage.name in job.captured_stages,
            routes=[RouteAnswer.model_validate(one, from_attributes=True) for one in stage.routes],
            image=image and OrderedImage.of(image),
            settings=stage.settings,
            submission=stage.submission and SubmissionAnswer.of(stage, stage.submission),
            refusals=[
                RefusalAnswer.model_validate(one, from_attributes=True) for one in stage.refusals
            ],
            outcome=OutcomeAnswer.of(stage.outcome),
            file=FileAnswer.of(stage.asset),
            earlier=[EarlierRun.of(one) for one in stage.earlier],
            waiting=stage.task_token is not None,
        )


class OrphanAnswer(Schema):
    """A task that the provider bills although no job uses it. ``credits``: what a user would have
    paid for it."""

    stage: str
    provider: str
    endpoint: str
    request_id: str
    credits: int
    found_at: Timestamp


class JobCharge(Schema):
    """``held``: on hold now. ``goodwill``: credits that were granted for this job."""

    held: int
    captured: int
    released: int
    goodwill: int


class JobCost(Schema):
    """What a provider bills for one generation. ``use``: `used`, `failed`, `earlier` (a first run)
    or `orphan`. ``micros``: millionths of ``unit``; null if nothing was billed, or it is not known.
    ``source``: `reported` by the provider, or its `list` price."""

    stage: str
    provider: str
    request_id: str | None
    use: str
    micros: int | None
    unit: str | None
    source: str | None
    usd_micros: int | None

    @classmethod
    def of(cls, billed: Billed) -> Self:
        cost = billed.cost
        return cls(
            stage=billed.stage,
            provider=billed.provider,
            request_id=billed.request_id,
            use=billed.use,
            micros=cost.micros if cost else None,
            unit=cost.unit if cost else None,
            source=cost.source if cost else None,
            usd_micros=cost.usd_micros if cost else None,
        )


class TimelineStep(Schema):
    """``what`` is one word or two, such as `ordered`, `refused`, `captured`; ``detail`` names what
    it is about."""

    at: Timestamp
    what: str
    detail: str


class JobDelivery(WebhookDelivery):
    """The delivery of an event about the job to one webhook."""

    webhook_id: str


class InspectedJob(JobRow):
    """A job in full. ``deadline`` is that of the current stage, ``overdue_at`` when the sweep ends
    the job if nothing else does. ``timeline`` is sorted by time. ``provider_cost_usd_micros``: the
    sum of ``costs``, in millionths of a USD, as far as it is known."""

    current_step: StepName
    batch_id: str | None
    updated_at: Timestamp
    deadline: Timestamp
    overdue_at: Timestamp
    order: JobOrder
    stages: list[StageAnswer]
    orphans: list[OrphanAnswer]
    charge: JobCharge
    costs: list[JobCost]
    provider_cost_usd_micros: int
    entries: list[JournalEntry]
    deliveries: list[JobDelivery]
    timeline: list[TimelineStep]
