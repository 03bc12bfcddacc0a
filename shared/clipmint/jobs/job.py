"""A job: one generation a user asked for, and how far it has come.

``pending → processing → completed | failed | cancelled``. A job has one or two stages, each one
provider task: a video, or a picture and then a video that starts from it. A stage knows its
submission (what the provider knows it by, and how sure we are), its outcome, and the asset it
became. Everything a user is told about progress, and how a job ends, follows from these recorded
facts by the pure functions here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from clipmint.catalog.model import Route, Settings
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Succeeded


class JobStatus(StrEnum):
    """The status the API shows."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIONS = {"image": "generate_image", "video": "generate_scene"}
"""What the price of each stage of a scene is called, in the documents this system comes from."""

TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class SubmissionState(StrEnum):
    """How sure we are of a submission.

    ``sending`` is written before the provider is called, so whoever finds it knows only that the
    call may have happened. ``refused`` is a definite no that may be asked again.
    """

    SENDING = "sending"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Handle:
    """What the provider knows a submission by: its id, and the URLs it told us to use for it."""

    request_id: str
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a provider knows a stage by. ``request_id`` and ``urls`` are known once sent.

    ``webhook_token`` is the secret part of this submission's webhook URL. ``task_id`` (a UUIDv4) is
    what we call the submission: where a provider deduplicates by it, it may be sent again.
    """

    state: SubmissionState
    webhook_token: str
    task_id: str
    request_id: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asset:
    """A media file in the owner's bucket. ``sha256`` is of the whole file, in hex; a picture lasts
    0 seconds."""

    bucket: str
    key: str
    content_type: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    duration_seconds: float
    thumbnail_key: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that was certainly not accepted: by whom, and why (a failure's code or BUSY)."""

    provider: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PictureOrder:
    """What an image stage asks for. What a video stage asks for is the job's own."""

    model_id: str
    prompt: str
    aspect_ratio: str | None
    reference_image_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """A stage's first try, where it was made twice: a picture that no video could be made from,
    and that video."""

    provider: str
    task_id: str
    request_id: str | None
    outcome: Finished | None
    asset: Asset | None


@dataclass(frozen=True, slots=True)
class Orphan:
    """What the owner pays a provider for and nobody gets: it was made, or is being made, for a job
    that goes on or has ended without it.

    ``credits`` is what the user would have paid, the nearest we know to what it costs.
    """

    stage: str
    provider: str
    endpoint: str
    request_id: str
    credits: int
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Stage:
    """One provider task inside a job; ``credits`` is what its hold holds.

    ``provider`` and ``endpoint`` are the route it took or is taking, the first of ``routes`` until
    then. ``refusals`` are the attempts before. ``poll_seconds`` and ``deadline_seconds`` are its
    model's when the job was ordered.
    """

    name: str
    routes: tuple[Route, ...]
    provider: str
    endpoint: str
    credits: int
    poll_seconds: tuple[int, ...]
    deadline_seconds: int
    picture: PictureOrder | None = None
    refusals: tuple[Refusal, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    submission: Submission | None = None
    outcome: Finished | None = None
    asset: Asset | None = None
    task_token: str | None = None

    @property
    def yielded(self) -> bool:
        """Whether its file, or that of its first try, is in our bucket: then it is paid."""
        return self.asset is not None or any(one.asset for one in self.earlier)


@dataclass(frozen=True, slots=True)
class Job:
    """One generation.

    ``deadline`` is epoch seconds, of the current stage; ``revision`` counts the item's changes.
    ``image_url`` is the first frame: as asked for, or the picture the image stage made.
    ``batch_id`` is the call for clips that a clip was part of.
    """

    job_id: str
    user_id: str
    status: JobStatus
    model_id: str
    model_name: str
    prompt: str
    settings: Settings
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

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def credits(self) -> int:
        """What the job's holds sum up to."""
        return sum(stage.credits for stage in self.stages)

    @property
    def prices(self) -> dict[str, int]:
        """Credits by stage name."""
        return {stage.name: stage.credits for stage in self.stages}

    @property
    def captured_stages(self) -> frozenset[str]:
        """Stages that would be paid if the job ended now: those whose file is in our bucket."""
        return frozenset(stage.name for stage in self.stages if stage.yielded)

    @property
    def credits_used(self) -> int:
        """What the user pays: the hold while it runs, then only what was captured."""
        if not self.is_terminal:
            return self.credits
        return sum(stage.credits for stage in self.stages if stage.name in self.captured_stages)

    @property
    def current_stage(self) -> Stage | None:
        """The stage being worked on: the first without an asset; None when all have one."""
        return next((stage for stage in self.stages if stage.asset is None), None)

    def stage(self, name: str) -> Stage | None:
        """The stage of that name, if the job has it."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def made_image(self) -> bool:
        """Whether ``image_url`` is a picture this job made."""
        image = self.stage("image")
        return image is not None and image.yielded

    @property
    def may_make_image_again(self) -> bool:
        """Whether the video was declined for its content, and another picture may help: once.

        The provider is paid for the second picture, the user is not.
        """
        image, stage = self.stage("image"), self.current_stage
        return (
            not self.is_terminal
            and image is not None
            and not image.earlier
            and stage is not None
            and stage is not image
            and isinstance(stage.outcome, Failed)
            and stage.outcome.code is FailureCode.CONTENT_POLICY
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a job ends: its terminal status, and why if it is not ``completed``."""

    status: JobStatus
    failure: FailureCode | None = None


_GIVEN_UP = frozenset(
    {
        FailureCode.DEADLINE_EXCEEDED,
        FailureCode.SUBMIT_UNKNOWN,
        FailureCode.CANCELLED,
        FailureCode.INTERNAL,
    }
)


def given_up(job: Job, stage: Stage) -> bool:
    """Whether we stopped waiting for a stage that its provider may yet finish, and bill."""
    if stage.outcome is None:
        return job.is_terminal
    return isinstance(stage.outcome, Failed) and stage.outcome.code in _GIVEN_UP


# What an execution's error means for a job that recorded no failure of its own.
_FAILURE_BY_ERROR: Mapping[str, FailureCode] = {
    "ProviderBusy": FailureCode.PROVIDER_UNAVAILABLE,
    "SubmissionInDoubt": FailureCode.SUBMIT_UNKNOWN,
    "MediaInvalid": FailureCode.MEDIA_INVALID,
    "SourceExpired": FailureCode.MEDIA_UNAVAILABLE,
    "SourceUnavailable": FailureCode.MEDIA_UNAVAILABLE,
    "DeadlineExceeded": FailureCode.DEADLINE_EXCEEDED,
    "ProviderNotConfigured": FailureCode.OWNER_ACCOUNT,
}


def verdict(job: Job, error: str | None) -> Verdict:
    """How this job ends if it ends now.

    Parameters
    ----------
    error
        The name of the error that ended its execution, if one did.
    """
    stage = job.current_stage
    if stage is None:
        return Verdict(JobStatus.COMPLETED)
    if isinstance(stage.outcome, Failed):
        code = stage.outcome.code
    elif isinstance(stage.outcome, Succeeded):
        # The video exists but did not get here: that is what went wrong, whatever ran out first.
        code = _FAILURE_BY_ERROR.get(error or "", FailureCode.MEDIA_UNAVAILABLE)
        if code is FailureCode.DEADLINE_EXCEEDED:
            code = FailureCode.MEDIA_UNAVAILABLE
    elif stage.submission and stage.submission.state is SubmissionState.UNKNOWN:
        code = FailureCode.SUBMIT_UNKNOWN
    else:
        code = _FAILURE_BY_ERROR.get(error or "", FailureCode.INTERNAL)
    status = JobStatus.CANCELLED if code is FailureCode.CANCELLED else JobStatus.FAILED
    return Verdict(status, code)


_GENERATING_VIDEO = 70


def progress(job: Job) -> tuple[int, str]:
    """Percent done and the step's text, from recorded facts alone, so it never goes backwards.

    The numbers are those of the documents this system comes from; a job without an image stage
    skips the image steps.
    """
    if job.status is JobStatus.COMPLETED:
        return 100, "Completed"
    percent, step = _step(job)
    if any(stage.earlier for stage in job.stages):
        # Where the bar stood when the picture was to be made again.
        percent = max(percent, _GENERATING_VIDEO)
    if job.status is JobStatus.FAILED:
        return percent, "Failed"
    if job.status is JobStatus.CANCELLED:
        return percent, "Cancelled"
    return percent, step


def _step(job: Job) -> tuple[int, str]:
    stage = job.current_stage
    if stage is None:
        return 95, "Finalizing"
    making, storing = {
        "image": ((35, "Generating image"), (40, "Storing image")),
        "video": ((_GENERATING_VIDEO, "Generating video"), (75, "Storing video")),
    }[stage.name]
    if isinstance(stage.outcome, Succeeded):
        return storing
    if stage is not job.stages[0]:
        # Between two stages the bar stays where storing the first one left it until the second
        # is sent.
        return making if stage.submission else (40, "Storing image")
    if stage.submission is None:
        return 5, "Initializing"
    if stage.submission.state in {SubmissionState.SENDING, SubmissionState.REFUSED}:
        return 15, "Fetching scene configuration"
    return making
