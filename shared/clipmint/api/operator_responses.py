"""The response bodies of the owner's reads of users, providers, models and packs.

They never contain a key.
"""

from typing import Literal, Self

from clipmint import clock
from clipmint.api.credit_responses import Credits, JournalEntry
from clipmint.api.project_responses import ProjectSummary
from clipmint.api.timestamps import Timestamp, from_epoch
from clipmint.catalog.model import Model
from clipmint.jobs.job import Job, JobStatus
from clipmint.purchases.pack import Pack
from clipmint.schemas import Schema


class OpenHold(Schema):
    """The credits that a running job holds."""

    job_id: str
    status: JobStatus
    credits: int
    created_at: Timestamp
    deadline: Timestamp

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            job_id=job.job_id,
            status=job.status,
            credits=job.credits,
            created_at=clock.iso(job.created_at),
            deadline=from_epoch(job.deadline),
        )


class UserCounts(Schema):
    """``jobs_this_hour``: those that count for the limit. ``entries``: of the journal."""

    open_jobs: int
    open_clips: int
    jobs_this_hour: int
    entries: int


class InspectedUser(Schema):
    """An account. A user without one has no credits."""

    user_id: str
    credits: Credits
    open_holds: list[OpenHold]
    counts: UserCounts


class EntryPage(Schema):
    """Newest first; `next_cursor` is null on the last page."""

    entries: list[JournalEntry]
    next_cursor: str | None


class ProjectsOfUser(Schema):
    """Newest first; `next_cursor` is null on the last page."""

    projects: list[ProjectSummary]
    next_cursor: str | None


class ProviderAnswerSeen(Schema):
    """One answer of a provider, on a recent job. ``result``: `succeeded`, a failure code, or
    `BUSY`. ``at``: of a refusal, its time; otherwise the last change of its job."""

    job_id: str
    stage: str
    result: str
    at: Timestamp


class ProviderState(Schema):
    """One provider. ``key_present`` is null before the first sweep. ``circuit``: `closed`, `open`
    (the provider keeps failing and is skipped) or `half_open`. ``answers`` and ``errors`` count
    what is recorded on the most recent jobs; the lists have the newest of them."""

    provider: str
    key_present: bool | None
    circuit: Literal["closed", "open", "half_open"]
    circuit_opened_at: Timestamp | None
    models: list[str]
    answers: int
    errors: int
    last_answers: list[ProviderAnswerSeen]
    last_errors: list[ProviderAnswerSeen]


class ProviderList(Schema):
    """``jobs_seen``: how many recent jobs the answers were counted on."""

    providers: list[ProviderState]
    jobs_seen: int


class OwnedModelRow(Schema):
    """A model as the owner sees it. ``offered``: users can order it now."""

    model_id: str
    offered: bool
    model: Model


class OwnedModels(Schema):
    models: list[OwnedModelRow]


class OwnedPack(Schema):
    product_id: str
    pack: Pack


class OwnedPacks(Schema):
    packs: list[OwnedPack]
