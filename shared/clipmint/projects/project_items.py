"""Projects and scenes as items of the Projects table, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.indexes import (
    AllProjection,
    GlobalSecondaryIndex,
    KeysOnlyProjection,
    LocalSecondaryIndex,
)
from pynamodb.models import Model

from clipmint import clock
from clipmint.projects.project import FORM_LIFE, Project, Scene, SceneJobs
from clipmint.records import from_attributes
from clipmint.tables import FromEnvironment, TableMeta


class ByCreation(LocalSecondaryIndex[Any]):
    """A user's projects by time."""

    class Meta:
        index_name = "by_creation"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    created_at = UnicodeAttribute(range_key=True, attr_name="project_created_at")


UNUSED = "1"
"""The value of ``unused``. Only projects that expire have the attribute."""


class ByExpiry(GlobalSecondaryIndex[Any]):
    """The projects that expire, of all users, by the time at which to look at them next."""

    class Meta:
        index_name = "by_expiry"
        projection = KeysOnlyProjection()

    unused = UnicodeAttribute(hash_key=True)
    look_at = NumberAttribute(range_key=True)
    user_id = UnicodeAttribute()
    sk = UnicodeAttribute()


class ProjectItem(Model):
    """A project, at ``sk = PROJECT#…``.

    Its time of creation has a name of its own: nothing else in the table enters the index.
    """

    class Meta(TableMeta):
        table_name = FromEnvironment("PROJECTS_TABLE")

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
    unused = UnicodeAttribute(null=True)
    expires_at = UnicodeAttribute(null=True)
    look_at = NumberAttribute(null=True)
    created_at = UnicodeAttribute(attr_name="project_created_at")
    updated_at = UnicodeAttribute()

    by_creation = ByCreation()
    by_expiry = ByExpiry()


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

    class Meta(TableMeta):
        table_name = FromEnvironment("PROJECTS_TABLE")

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


class BatchItem(Model):
    """One accepted call for clips, at ``sk = BATCH#…``: what it started, as a list of scene id, job
    id and credits."""

    class Meta(TableMeta):
        table_name = FromEnvironment("PROJECTS_TABLE")

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    project_id = UnicodeAttribute()
    fingerprint = UnicodeAttribute()
    clips = JSONAttribute()
    balance_after = NumberAttribute()
    remaining = NumberAttribute()


def batch_sk(batch_id: str) -> str:
    """Sort key of the record of a call for clips."""
    return f"BATCH#{batch_id}"


def project_sk(project_id: str) -> str:
    """Sort key of a project's item, and prefix of the sort keys of its scenes."""
    return f"PROJECT#{project_id}"


def scene_sk(project_id: str, scene_id: str) -> str:
    """Sort key of a scene's item."""
    return f"{project_sk(project_id)}#SCENE#{scene_id}"


def sk_of(raw: dict[str, Any]) -> str:
    """The sort key of a raw item."""
    return str(raw["sk"]["S"])


def is_scene(raw: dict[str, Any]) -> bool:
    """Whether a raw item of a project's prefix is one of its scenes, by its sort key."""
    return "#SCENE#" in sk_of(raw)


def project_item(project: Project) -> ProjectItem:
    """A project as an item of the Projects table."""
    expires_at = project.expires_at
    expiry: dict[str, Any] = {}
    if expires_at is not None:
        look_at = min(project.created_at + FORM_LIFE, expires_at)
        expiry = {
            "unused": UNUSED,
            "expires_at": clock.iso(expires_at),
            "look_at": clock.epoch(look_at),
        }
    return ProjectItem(
        user_id=project.user_id,
        sk=project_sk(project.project_id),
        project_id=project.project_id,
        name=project.name,
        resolution=project.resolution,
        image_url=project.image_url,
        scene_ids=list(project.scene_ids),
        renders=scene_jobs_map(project.scene_jobs),
        revision=project.revision,
        created_at=clock.iso(project.created_at),
        updated_at=clock.iso(project.updated_at),
        **expiry,
    )


def to_project(item: ProjectItem) -> Project:
    """The project in an item."""
    return Project(
        project_id=item.project_id,
        user_id=item.user_id,
        name=item.name,
        resolution=item.resolution,
        image_url=item.image_url,
        scene_ids=tuple(item.scene_ids),
        created_at=clock.from_iso(item.created_at),
        updated_at=clock.from_iso(item.updated_at),
        last_job_id=item.last_job_id,
        expires_at=clock.from_iso(item.expires_at) if item.expires_at else None,
        scene_jobs={
            scene_id: from_attributes(SceneJobs, jobs) for scene_id, jobs in item.renders.items()
        },
        revision=int(item.revision),
    )


def scene_jobs_map(scene_jobs: Mapping[str, SceneJobs]) -> dict[str, dict[str, str]]:
    """The attribute ``renders`` of a project's item."""
    return {
        scene_id: {name: job_id for name, job_id in asdict(jobs).items() if job_id}
        for scene_id, jobs in scene_jobs.items()
    }


def scene_item(scene: Scene) -> SceneItem:
    """A scene as an item of the Projects table."""
    values = asdict(scene) | {
        "created_at": clock.iso(scene.created_at),
        "updated_at": clock.iso(scene.updated_at),
    }
    return SceneItem(sk=scene_sk(scene.project_id, scene.scene_id), **values)


def to_scene(item: SceneItem) -> Scene:
    """The scene in an item."""
    return Scene(
        scene_id=item.scene_id,
        project_id=item.project_id,
        user_id=item.user_id,
        image_prompt=item.image_prompt,
        visual_prompt=item.visual_prompt,
        product_reference_image_url=item.product_reference_image_url,
        duration=int(item.duration) if item.duration is not None else None,
        first_frame=item.first_frame,
        last_frame=item.last_frame,
        image_url=item.image_url,
        model_id=item.model_id,
        created_at=clock.from_iso(item.created_at),
        updated_at=clock.from_iso(item.updated_at),
    )
