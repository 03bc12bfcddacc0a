"""Jobs as items of the Jobs table, and back.

An item has an attribute for each field of `Job`, and for each stage one map named after its kind.
The mapping is derived from the dataclasses, see `clipmint.records`. Conditions and updates address
parts of a stage by path, such as ``stage_path("video")["submission"]["state"]``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.indexes import GlobalSecondaryIndex, IncludeProjection
from pynamodb.models import Model

from clipmint import unreadable
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.outcomes import Failed, Finished
from clipmint.records import from_attributes, to_attributes
from clipmint.stages import STAGES
from clipmint.tables import FromEnvironment, TableMeta


class ByUser(GlobalSecondaryIndex[Any]):
    """A user's jobs by time, with what lists are filtered by."""

    class Meta:
        index_name = "by_user"
        projection = IncludeProjection(["status", "open", "project_id", "scene_id", "deleted"])

    user_id = UnicodeAttribute(hash_key=True)
    created_at = UnicodeAttribute(range_key=True)
    job_id = UnicodeAttribute()
    status = UnicodeAttribute()
    open = UnicodeAttribute(null=True)
    project_id = UnicodeAttribute(null=True)
    scene_id = UnicodeAttribute(null=True)
    deleted = BooleanAttribute(null=True)


class ByDeadline(GlobalSecondaryIndex[Any]):
    """Open jobs by deadline; sparse, because terminal jobs lose the ``open`` attribute."""

    class Meta:
        index_name = "by_deadline"
        projection = IncludeProjection(["status", "user_id", "created_at"])

    open = UnicodeAttribute(hash_key=True)
    deadline = NumberAttribute(range_key=True)
    job_id = UnicodeAttribute()
    status = UnicodeAttribute()
    user_id = UnicodeAttribute()
    created_at = UnicodeAttribute()


class ByEnd(GlobalSecondaryIndex[Any]):
    """All users' jobs that have ended, by status and end, for the owner; sparse, because a job has
    no ``completed_at`` before."""

    class Meta:
        index_name = "by_end"
        projection = IncludeProjection(["model_id"])

    status = UnicodeAttribute(hash_key=True)
    completed_at = UnicodeAttribute(range_key=True)
    job_id = UnicodeAttribute()
    model_id = UnicodeAttribute()


OPEN = "1"
"""Value of ``open`` on every job that is not terminal."""


class JobItem(Model):
    """One job with its stages."""

    class Meta(TableMeta):
        table_name = FromEnvironment("JOBS_TABLE")

    job_id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    project_id = UnicodeAttribute(null=True)
    scene_id = UnicodeAttribute(null=True)
    status = UnicodeAttribute()
    open = UnicodeAttribute(null=True)
    deadline = NumberAttribute()
    revision = NumberAttribute()
    model_id = UnicodeAttribute()
    model_name = UnicodeAttribute()
    prompt = UnicodeAttribute()
    image_url = UnicodeAttribute(null=True)
    last_image_url = UnicodeAttribute(null=True)
    settings = UnicodeAttribute()
    preset = UnicodeAttribute(null=True)
    fingerprint = UnicodeAttribute()
    balance_after = NumberAttribute()
    batch_id = UnicodeAttribute(null=True)
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    completed_at = UnicodeAttribute(null=True)
    failure = UnicodeAttribute(null=True)
    deleted = BooleanAttribute(null=True)
    orphans: ListAttribute[Any] = ListAttribute(null=True)
    source_job_id = UnicodeAttribute(null=True)
    source_created_at = UnicodeAttribute(null=True)
    shared_with: ListAttribute[Any] = ListAttribute(null=True)
    # The filter of the table's stream cannot look into a list.
    newest_orphan = UnicodeAttribute(null=True)
    # An attribute for each kind of stage.
    locals().update({name: MapAttribute(null=True) for name in STAGES})

    by_user = ByUser()
    by_deadline = ByDeadline()
    by_end = ByEnd()


def to_item(job: Job) -> JobItem:
    """A job as an item."""
    attributes = to_attributes(job)
    for stage in attributes.pop("stages"):
        attributes[stage.pop("name")] = stage
    if not job.orphans:
        del attributes[
            "orphans"
        ]  # `orphans.record` expects no attribute or a list that is not empty
    if not job.shared_with:
        del attributes["shared_with"]
    return JobItem(open=None if job.is_terminal else OPEN, **attributes)


def to_job(item: JobItem) -> Job:
    """The job in an item. A failure code of a newer version reads as ``INTERNAL``, and is reported.

    Raises
    ------
    One of `unreadable.UNREADABLE`
        It cannot be read.
    """
    attributes = item.attribute_values
    stages = [
        {"name": name, **stage.as_dict()} for name in STAGES if (stage := attributes.get(name))
    ]
    job: Job = from_attributes(Job, {**attributes, "stages": stages})
    if item.failure not in {None, job.failure}:
        unreadable.report("job", job.job_id, ValueError("unknown failure code"))
    # A running job's status is not written when its stage is sent, because both indexes contain it:
    # each would be written again.
    sent = any(stage.submission or stage.earlier for stage in job.stages)
    return replace(job, status=JobStatus.PROCESSING) if sent and not job.is_terminal else job


def stage_path(stage: str) -> Any:
    """The attribute of a stage in conditions and updates."""
    return getattr(JobItem, stage)


def outcome_attributes(outcome: Finished) -> dict[str, Any]:
    """An outcome as a stage records it."""
    if isinstance(outcome, Failed):
        # A provider's message can be longer than an item.
        outcome = replace(outcome, detail=outcome.detail[:1_000], transient=False)
    return to_attributes(outcome)
