"""A job: one generation that a user ordered, and its state.

``pending → processing → completed | failed | cancelled``. A job has one or two stages: a video, or
an image and then a video that starts from it. Each of these is one provider task. A stage
records its submission (the provider's id for it, and how certain we are of it), its outcome, and
the asset it produced. From these facts, `jobs.progress` derives what users see, and `jobs.verdict`
how a job ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from clipmint.catalog.costs import Cost
from clipmint.catalog.entry import Settings
from clipmint.catalog.route import Route
from clipmint.catalog.templates import Value
from clipmint.catalog.tolerance import Tolerance
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Succeeded
from clipmint.lots import Lots
from clipmint.records import stored
from clipmint.stages import IMAGE, STAGES, Kind
from clipmint.values import frozen


class JobStatus(StrEnum):
    """The status that the API shows."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class SubmissionState(StrEnum):
    """How certain we are of a submission.

    ``sending`` is written before we call the provider. If we crash in between, a retry finds
    ``sending`` and knows only that the call may have happened. ``refused``: the provider certainly
    did not accept the task, and we may submit it again.
    """

    SENDING = "sending"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SENT = "sent"


@frozen
class Handle:
    """The provider's id of a submission, and the URLs that the provider returned for it."""

    request_id: str
    urls: Mapping[str, str] = field(default_factory=dict)


@frozen
class Submission:
    """A stage as it was submitted to a provider. ``request_id`` and ``urls`` are set once sent.

    ``webhook_token`` is the secret part of this submission's webhook URL. ``task_id`` (a UUIDv4) is
    our id of the submission: if the provider deduplicates by it, we may resubmit the task.
    ``begun_at`` is when it was first recorded.
    """

    state: SubmissionState
    webhook_token: str
    task_id: str
    request_id: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict, metadata=stored(as_json=True))
    begun_at: datetime | None = None


@frozen
class Asset:
    """A media file in the owner's bucket. ``sha256`` is of the whole file, in hex. An image has the
    duration 0. ``differences`` are from the order, for the owner; None if there are none."""

    bucket: str
    key: str
    content_type: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    duration_seconds: float
    thumbnail_key: str | None = None
    differences: tuple[str, ...] | None = None


@frozen
class Refusal:
    """An attempt that ``provider`` certainly did not accept. ``reason``: a failure code or BUSY."""

    provider: str
    reason: str
    at: datetime


@frozen
class ImageOrder:
    """The parameters of an image stage. The parameters of a video stage are fields of the job."""

    model_id: str
    prompt: str
    aspect_ratio: str | None
    reference_image_urls: tuple[str, ...] = ()


@frozen
class Earlier:
    """The first run of a stage that runs twice: the image that the provider declined to make a
    video from, or that declined video."""

    provider: str
    task_id: str
    request_id: str | None
    outcome: Finished | None
    asset: Asset | None


@frozen
class Orphan:
    """A generation that the provider bills although no job uses it: the job continues, or has
    ended, without it.

    ``credits`` is the price for the user, and ``cost`` what the provider bills, or may bill if it
    has not finished; None if that is not known.
    """

    stage: str
    provider: str
    endpoint: str
    request_id: str
    credits: int
    found_at: datetime
    cost: Cost | None = None


@frozen
class Stage:
    """One part of a job, and one provider task; ``credits`` is the amount of its hold.

    ``provider`` and ``endpoint`` are the route of the submission, and the first of ``routes`` until
    there is one. ``refusals`` are the earlier attempts. ``poll_seconds`` and ``deadline_seconds``
    are the model's values when the job was ordered. ``settings`` are those of an image whose model
    has other parameters than an aspect ratio; those of a video are the job's. A stage of a kind
    that no provider executes has no routes and the provider `clipmint.stages.OURSELVES`.
    ``from_lots`` is the part of the hold that came from lots; None if all of it was purchased, as
    every hold of earlier releases. ``tolerance`` is the model's, None if it has the default.
    ``expected_seconds`` is the estimate of when it was ordered, from which ``poll_seconds`` follow.
    """

    name: str
    routes: tuple[Route, ...] = field(metadata=stored(as_json=True))
    provider: str
    endpoint: str
    credits: int
    poll_seconds: tuple[int, ...]
    deadline_seconds: int
    image_order: ImageOrder | None = field(
        default=None, metadata=stored(name="picture", as_json=True)
    )
    settings: Settings | None = field(default=None, metadata=stored(as_json=True))
    refusals: tuple[Refusal, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    submission: Submission | None = None
    outcome: Finished | None = None
    asset: Asset | None = None
    task_token: str | None = None
    from_lots: Lots | None = None
    tolerance: Tolerance | None = field(default=None, metadata=stored(as_json=True))
    expected_seconds: int | None = None

    @property
    def kind(self) -> Kind:
        """Its entry in the table of stages."""
        return STAGES[self.name]

    @property
    def route(self) -> Route:
        """The route of the submission, with the body that the stage was ordered with."""
        for route in self.routes:
            if (route.provider, route.endpoint) == (self.provider, self.endpoint):
                return route
        return Route(provider=self.provider, endpoint=self.endpoint)

    @property
    def yielded(self) -> bool:
        """Whether a file of this stage or of its first run is in our bucket: then it is charged."""
        return self.asset is not None or any(one.asset for one in self.earlier)

    @property
    def submission_state(self) -> SubmissionState | None:
        """How sure we are of the submission; None if there is none."""
        return self.submission.state if self.submission else None

    @property
    def task_id(self) -> str | None:
        """Our own id of the submission; None if there is none."""
        return self.submission.task_id if self.submission else None

    @property
    def handle(self) -> Handle | None:
        """What to poll or cancel the submission by; None until the provider has confirmed it."""
        if self.submission is None or self.submission.request_id is None:
            return None
        return Handle(self.submission.request_id, self.submission.urls)


MIGRATION_WINDOW = timedelta(hours=24)
"""How long a finished video may take to reach the owner's bucket. Every provider keeps its files
at least this long (Runway is the shortest, 24 to 48 hours)."""


@frozen
class Job:
    """One generation. To add a field, see "Add a field to a job" in docs/architecture.md.

    ``status`` is stored as ``pending`` until the job ends: ``processing`` follows from the stages.
    ``deadline`` is that of the current stage, in epoch seconds. ``revision`` counts the changes of
    the item. ``image_url`` is the first frame: the URL in the request, or the image that the image
    stage made. ``batch_id`` identifies the call that started a clip. A job with a
    ``source_job_id`` is answered with the file of that identical job, which was ordered at
    ``source_created_at``; ``shared_with`` are the jobs that refer to the file of this one.
    """

    job_id: str
    user_id: str
    status: JobStatus
    model_id: str
    model_name: str
    prompt: str
    settings: Settings = field(metadata=stored(as_json=True))
    fingerprint: str
    stages: tuple[Stage, ...]
    deadline: int
    created_at: datetime
    updated_at: datetime
    revision: int = 1
    balance_after: int = 0
    preset: str | None = None
    project_id: str | None = None
    scene_id: str | None = None
    batch_id: str | None = None
    image_url: str | None = None
    last_image_url: str | None = None
    completed_at: datetime | None = None
    failure: FailureCode | None = None
    deleted: bool = False
    orphans: tuple[Orphan, ...] = ()
    source_job_id: str | None = None
    source_created_at: datetime | None = None
    shared_with: tuple[str, ...] = ()

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def overdue_at(self) -> int:
        """When the job may be given up, in epoch seconds: at the deadline, or `MIGRATION_WINDOW`
        later if the current stage's file exists and only its copy remains."""
        stage = self.current_stage
        storing = stage is not None and isinstance(stage.outcome, Succeeded)
        return self.deadline + (int(MIGRATION_WINDOW.total_seconds()) if storing else 0)

    @property
    def credits(self) -> int:
        """The sum of the job's holds."""
        return sum(stage.credits for stage in self.stages)

    @property
    def expected_seconds(self) -> int | None:
        """From the order to the end, as it was estimated; None if a stage has no estimate."""
        estimates = [stage.expected_seconds for stage in self.stages]
        known = [seconds for seconds in estimates if seconds is not None]
        return sum(known) if known and len(known) == len(estimates) else None

    @property
    def prices(self) -> dict[str, int]:
        """Credits by stage name."""
        return {stage.name: stage.credits for stage in self.stages}

    @property
    def captured_stages(self) -> frozenset[str]:
        """Stages to charge if the job ended now: those whose file is in our bucket."""
        return frozenset(stage.name for stage in self.stages if stage.yielded)

    @property
    def credits_used(self) -> int:
        """The user's cost: the holds while the job runs, afterwards only the captured stages."""
        if not self.is_terminal:
            return self.credits
        return sum(stage.credits for stage in self.stages if stage.name in self.captured_stages)

    @property
    def current_stage(self) -> Stage | None:
        """The first stage without an asset; None when all have one."""
        return next((stage for stage in self.stages if stage.asset is None), None)

    def stage(self, name: str) -> Stage | None:
        """The stage with this name, or None."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def settings_of(self, stage: Stage) -> Mapping[str, Value]:
        """The settings that a stage is made with."""
        if stage.image_order is None:
            return self.settings.stated()
        if stage.settings is not None:
            return stage.settings.stated()
        ratio = stage.image_order.aspect_ratio
        return {"aspect_ratio": ratio} if ratio else {}

    def model_of(self, stage: Stage) -> str:
        """The id of the model that makes a stage."""
        return stage.image_order.model_id if stage.image_order else self.model_id

    @property
    def made_image(self) -> bool:
        """Whether ``image_url`` is an image that this job made."""
        image = self.stage(IMAGE)
        return image is not None and image.yielded

    @property
    def may_make_image_again(self) -> bool:
        """Whether the video was declined for its content and we may try with another image, once.

        The owner pays the provider for the second image; the user is not charged for it.
        """
        image, stage = self.stage(IMAGE), self.current_stage
        return (
            not self.is_terminal
            and image is not None
            and not image.earlier
            and stage is not None
            and stage is not image
            and isinstance(stage.outcome, Failed)
            and stage.outcome.code is FailureCode.CONTENT_POLICY
        )
