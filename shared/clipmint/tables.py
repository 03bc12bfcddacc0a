"""The DynamoDB tables as PynamoDB models, and nothing else.

Table names come from the environment when a table is first used, not when this module is
imported. Items carry no behaviour: the stores of each package (`credits.ledger`, `jobs.job_store`,
…) write them, conditionally, and turn them into values.
"""

from __future__ import annotations

import os
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.indexes import (
    AllProjection,
    GlobalSecondaryIndex,
    IncludeProjection,
    KeysOnlyProjection,
    LocalSecondaryIndex,
)
from pynamodb.models import Model

from clipmint import aws


class _FromEnvironment:
    """A table name looked up on use, so that importing this module needs no environment."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def __get__(self, instance: object, owner: object) -> str:
        return os.environ[self._variable]


class _Meta:
    connect_timeout_seconds = aws.TABLES.connect_seconds
    read_timeout_seconds = aws.TABLES.read_seconds
    max_retry_attempts = aws.TABLES.attempts - 1


class BySequence(LocalSecondaryIndex[Any]):
    """A user's journal in the order it was written."""

    class Meta:
        index_name = "by_sequence"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    sequence = NumberAttribute(range_key=True)


class AccountItem(Model):
    """A user's account, at ``sk = ACCOUNT``. Its number is not named ``sequence``: it stays out of
    the journal's index."""

    class Meta(_Meta):
        table_name = _FromEnvironment("LEDGER_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True, default="ACCOUNT")
    available = NumberAttribute()
    held = NumberAttribute()
    last_sequence = NumberAttribute()
    open_jobs = NumberAttribute()
    hour = NumberAttribute()
    hour_jobs = NumberAttribute()
    open_clips = NumberAttribute(default=0)


class EntryItem(Model):
    """One line of a user's journal, at ``sk = ENTRY#…``."""

    class Meta(_Meta):
        table_name = _FromEnvironment("LEDGER_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    sequence = NumberAttribute()
    kind = UnicodeAttribute()
    credits = NumberAttribute()
    balance_after = NumberAttribute()
    held_after = NumberAttribute()
    created_at = UnicodeAttribute()
    job_id = UnicodeAttribute(null=True)
    stage = UnicodeAttribute(null=True)
    reference = UnicodeAttribute(null=True)

    by_sequence = BySequence()


class GrantItem(Model):
    """Marks a grant's reference as used, whoever it was used for."""

    class Meta(_Meta):
        table_name = _FromEnvironment("LEDGER_TABLE")

    reference = UnicodeAttribute(hash_key=True, attr_name="user_id")
    sk = UnicodeAttribute(range_key=True, default="REFERENCE")
    granted_to = UnicodeAttribute()
    credits = NumberAttribute()
    balance_after = NumberAttribute()


class SubmissionMap(MapAttribute[str, Any]):
    state = UnicodeAttribute()
    webhook_token = UnicodeAttribute()
    task_id = UnicodeAttribute()
    request_id = UnicodeAttribute(null=True)
    urls = JSONAttribute(null=True)


class OutcomeMap(MapAttribute[str, Any]):
    """``media_url`` if it succeeded, ``code`` and ``detail`` if it failed."""

    media_url = UnicodeAttribute(null=True)
    code = UnicodeAttribute(null=True)
    detail = UnicodeAttribute(null=True)


class AssetMap(MapAttribute[str, Any]):
    bucket = UnicodeAttribute()
    key = UnicodeAttribute()
    content_type = UnicodeAttribute()
    size_bytes = NumberAttribute()
    sha256 = UnicodeAttribute()
    width = NumberAttribute()
    height = NumberAttribute()
    duration_seconds = NumberAttribute()
    thumbnail_key = UnicodeAttribute(null=True)


class RefusalMap(MapAttribute[str, Any]):
    provider = UnicodeAttribute()
    reason = UnicodeAttribute()
    at = UnicodeAttribute()


class EarlierMap(MapAttribute[str, Any]):
    provider = UnicodeAttribute()
    task_id = UnicodeAttribute()
    request_id = UnicodeAttribute(null=True)
    outcome = OutcomeMap(null=True)
    asset = AssetMap(null=True)


class OrphanMap(MapAttribute[str, Any]):
    stage = UnicodeAttribute()
    provider = UnicodeAttribute()
    endpoint = UnicodeAttribute()
    request_id = UnicodeAttribute()
    credits = NumberAttribute()
    found_at = UnicodeAttribute()


class StageMap(MapAttribute[str, Any]):
    routes = JSONAttribute()
    refusals = ListAttribute(of=RefusalMap)
    earlier = ListAttribute(of=EarlierMap)
    provider = UnicodeAttribute()
    endpoint = UnicodeAttribute()
    credits = NumberAttribute()
    poll_seconds = ListAttribute(of=NumberAttribute)
    deadline_seconds = NumberAttribute()
    picture = JSONAttribute(null=True)
    submission = SubmissionMap(null=True)
    outcome = OutcomeMap(null=True)
    asset = AssetMap(null=True)
    task_token = UnicodeAttribute(null=True)


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


OPEN = "1"
"""Value of ``open`` on every job that is not terminal."""


class JobItem(Model):
    """One job with its stages."""

    class Meta(_Meta):
        table_name = _FromEnvironment("JOBS_TABLE")

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
    settings = JSONAttribute()
    preset = UnicodeAttribute(null=True)
    fingerprint = UnicodeAttribute()
    balance_after = NumberAttribute()
    batch_id = UnicodeAttribute(null=True)
    image = StageMap(null=True)
    video = StageMap(null=True)
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    completed_at = UnicodeAttribute(null=True)
    failure = UnicodeAttribute(null=True)
    deleted = BooleanAttribute(null=True)
    orphans = ListAttribute(of=OrphanMap, null=True)

    by_user = ByUser()
    by_deadline = ByDeadline()


STAGE_NAMES = ("image", "video")
"""The stage attributes of a `JobItem`, in the order they run."""


class CatalogItem(Model):
    """One model of the catalog, as JSON."""

    class Meta(_Meta):
        table_name = _FromEnvironment("MODELS_TABLE")

    model_id = UnicodeAttribute(hash_key=True)
    definition = UnicodeAttribute()


class ByCreation(LocalSecondaryIndex[Any]):
    """A user's projects by time."""

    class Meta:
        index_name = "by_creation"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    created_at = UnicodeAttribute(range_key=True, attr_name="project_created_at")


class ProjectItem(Model):
    """A project, at ``sk = PROJECT#…``.

    Its time of creation has a name of its own: nothing else in the table enters the index.
    """

    class Meta(_Meta):
        table_name = _FromEnvironment("PROJECTS_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    project_id = UnicodeAttribute()
    name = UnicodeAttribute(null=True)
    resolution = UnicodeAttribute()
    image_url = UnicodeAttribute(null=True)
    scene_ids: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute)
    renders = JSONAttribute()
    last_job_id = UnicodeAttribute(null=True)
    revision = NumberAttribute()
    deleting = BooleanAttribute(null=True)
    created_at = UnicodeAttribute(attr_name="project_created_at")
    updated_at = UnicodeAttribute()

    by_creation = ByCreation()


class ByScene(LocalSecondaryIndex[Any]):
    """Where a user's scene is; sparse, because only scenes have the attribute."""

    class Meta:
        index_name = "by_scene"
        projection = KeysOnlyProjection()

    user_id = UnicodeAttribute(hash_key=True)
    scene_id = UnicodeAttribute(range_key=True)
    sk = UnicodeAttribute()


class SceneItem(Model):
    """A scene, at ``sk = PROJECT#…#SCENE#…``, right behind its project."""

    class Meta(_Meta):
        table_name = _FromEnvironment("PROJECTS_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    scene_id = UnicodeAttribute()
    project_id = UnicodeAttribute()
    image_prompt = UnicodeAttribute(null=True)
    visual_prompt = UnicodeAttribute(null=True)
    product_reference_image_url = UnicodeAttribute(null=True)
    duration = NumberAttribute(null=True)
    first_frame = UnicodeAttribute(null=True)
    last_frame = UnicodeAttribute(null=True)
    image_url = UnicodeAttribute(null=True)
    model_id = UnicodeAttribute(null=True)
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()

    by_scene = ByScene()


class ImageItem(Model):
    """An uploaded picture that was found sound, at ``sk = IMAGE#…``."""

    class Meta(_Meta):
        table_name = _FromEnvironment("PROJECTS_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    key = UnicodeAttribute()
    content_type = UnicodeAttribute()
    width = NumberAttribute()
    height = NumberAttribute()
    size_bytes = NumberAttribute()
    etag = UnicodeAttribute()
    checked_at = UnicodeAttribute()


class BatchItem(Model):
    """One accepted call for clips, at ``sk = BATCH#…``: what it started, as a list of scene id, job
    id and credits."""

    class Meta(_Meta):
        table_name = _FromEnvironment("PROJECTS_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    project_id = UnicodeAttribute()
    fingerprint = UnicodeAttribute()
    clips = JSONAttribute()
    balance_after = NumberAttribute()
    remaining = NumberAttribute()
