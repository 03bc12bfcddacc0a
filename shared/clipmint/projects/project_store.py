"""Projects as recorded.

A project's item contains the order of its scenes and, for each scene, the jobs that render it. Each
scene is an item of its own (`clipmint.projects.scene_store`). A change that concerns both writes
both in one transaction. Every change of the project's item increments its ``revision``.

A project is deleted in three steps, and a retry continues after the last step that was done: mark
the project, which makes it invisible and prevents every other change; delete its uploaded images;
delete all of its items in one transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import DoesNotExist, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.pagination import ResultIterator

from clipmint import aws, clock, cursors, unreadable
from clipmint.errors import ProjectBusy, ProjectNotFound
from clipmint.jobs import job_lists, job_store
from clipmint.media import storage, upload_limit, uploads
from clipmint.projects import project_writes as writes
from clipmint.projects.project import (
    DEFAULT_RESOLUTION,
    Project,
    Scene,
    SceneJobs,
    no_project,
    shape_of,
)
from clipmint.projects.project_items import (
    ProjectItem,
    SceneItem,
    is_scene,
    project_item,
    project_sk,
    scene_item,
    scene_jobs_map,
    scene_sk,
    sk_of,
    to_project,
    to_scene,
)
from clipmint.projects.project_requests import NewImage, NewProject, NewScene, ProjectChanges
from clipmint.settings import ImagesSettings, UploadSettings
from clipmint.values import frozen


def get(user_id: str, project_id: str) -> Project:
    """A project (strongly consistent).

    Raises
    ------
    ProjectNotFound
        There is none, it is another user's, or it is being deleted.
    TemporarilyUnavailable
        It cannot be read.
    """
    item = _find(user_id, project_id)
    if item.deleting:
        raise no_project()
    return _project(item)


def _project(item: ProjectItem) -> Project:
    return unreadable.required(lambda: to_project(item), "project", item.sk)


def read(user_id: str, project_id: str) -> tuple[Project, list[Scene]]:
    """A project and its scenes in order (strongly consistent). One Query.

    Raises `ProjectNotFound`, and `TemporarilyUnavailable` if the project cannot be read. A scene
    that cannot be read is left out.
    """
    raws: Iterator[dict[str, Any]] = ResultIterator(
        aws.table(ProjectItem).query,  # a model's own query returns one kind of item
        (user_id,),
        {
            "range_key_condition": ProjectItem.sk.startswith(project_sk(project_id)),
            "consistent_read": True,
        },
    )
    # The project's key is the prefix of the keys of its scenes, so it comes first.
    first = next(raws, None)
    if first is None or is_scene(first):
        raise no_project()
    found = unreadable.required(lambda: ProjectItem.from_raw_data(first), "project", sk_of(first))
    if found.deleting:
        raise no_project()
    project = _project(found)
    scenes = {
        scene.scene_id: scene
        for scene in unreadable.readable(
            filter(is_scene, raws),
            lambda raw: to_scene(SceneItem.from_raw_data(raw)),
            "scene",
            sk_of,
        )
    }
    # A scene that was added after the project was read is not in its list yet; a scene that was
    # deleted after that is missing among the items.
    return project, [scenes[scene_id] for scene_id in project.scene_ids if scene_id in scenes]


@frozen
class ListedProjects:
    """Some of a user's projects, newest first; ``cursor`` continues the list, None at its end."""

    projects: list[Project]
    cursor: str | None


def list_for_user(user_id: str, *, limit: int, cursor: str | None) -> ListedProjects:
    """A user's projects, newest first (strongly consistent), without those that cannot be read.

    The index sorts projects by time and contains no scenes. A page starts after the project in its
    cursor, so projects that are created meanwhile do not shift it.

    Raises `InvalidRequest` for a cursor that is not one of ours.
    """
    results = ProjectItem.by_creation.query(
        user_id,
        filter_condition=ProjectItem.deleting.does_not_exist(),
        consistent_read=True,
        scan_index_forward=False,
        last_evaluated_key=_start_key(user_id, cursor) if cursor else None,
        page_size=limit + 1,
    )
    projects: list[Project] = []
    for project in unreadable.readable(results, to_project, "project", lambda item: item.sk):
        if len(projects) == limit:
            last = projects[-1]
            more = cursors.after_item(clock.iso(last.created_at), last.project_id)
            return ListedProjects(projects, more)
        projects.append(project)
    return ListedProjects(projects, None)


def _start_key(user_id: str, cursor: str) -> dict[str, dict[str, Any]]:
    created_at, project_id = cursors.item_in(cursor)
    return {
        "user_id": {"S": user_id},
        "project_created_at": {"S": created_at},
        "sk": {"S": project_sk(project_id)},
    }


def create(
    user_id: str,
    new: NewProject,
    project_id: str | None = None,
    unused_for: timedelta | None = None,
) -> tuple[Project, list[Scene]]:
    """Record a project with its first scenes, all or nothing. The default id is a fresh one.

    ``unused_for``: how long the project is kept if it is not used; by default for ever.

    Raises `InvalidRequest`, `ResolutionNotAllowed`, `TooManyScenes`.
    """
    new.check()
    new.check_image_urls(own_images())
    now = writes.now()
    project_id = project_id or str(uuid.uuid4())
    scenes = [new_scene(user_id, project_id, scene, now) for scene in new.scenes]
    project = Project(
        project_id=project_id,
        user_id=user_id,
        name=new.name,
        resolution=new.resolution or DEFAULT_RESOLUTION,
        image_url=new.image_url,
        scene_ids=tuple(scene.scene_id for scene in scenes),
        created_at=now,
        updated_at=now,
        expires_at=now + unused_for if unused_for else None,
    )

    def attempt() -> None:
        with writes.transaction() as transaction:
            transaction.save(project_item(project), condition=ProjectItem.sk.does_not_exist())
            for scene in scenes:
                transaction.save(scene_item(scene), condition=SceneItem.sk.does_not_exist())

    writes.retrying(attempt)
    return project, scenes


def create_for_upload(user_id: str, new: NewImage) -> tuple[Project, uploads.Upload]:
    """Record a project with the image that its user is about to upload, until it expires.

    Raises `LimitReached`, `ResolutionNotAllowed`.
    """
    shape_of(new.resolution or DEFAULT_RESOLUTION)
    upload_limit.count_form(user_id)
    project_id = str(uuid.uuid4())
    upload = uploads.new_upload(user_id, project_id, new.content_type)
    body = NewProject(image_url=upload.image_url, resolution=new.resolution)
    unused_for = timedelta(days=UploadSettings.read().unused_image_days)
    project, _ = create(user_id, body, project_id, unused_for)
    return project, upload


def create_with_image(user_id: str, data: bytes, project_id: str | None = None) -> Project:
    """Check and store an image, and record a project that shows it, until it expires.

    The default id is a fresh one. A repeated call with the same id and image changes nothing.

    Raises `ImageInvalid`, `LimitReached`, `TemporarilyUnavailable`.
    """
    facts = uploads.check(data)
    project_id = project_id or str(uuid.uuid4())
    key = storage.upload_key(user_id, project_id, project_id, facts.content_type)
    # The project first: an image without a project would never be deleted.
    try:
        project = get(user_id, project_id)
    except ProjectNotFound:
        # Only now: a retry of the last upload that the limit allows must find its project.
        upload_limit.count_form(user_id)
        body = NewProject(image_url=uploads.public_url(key))
        unused_for = timedelta(days=UploadSettings.read().unused_image_days)
        project, _ = create(user_id, body, project_id, unused_for)
    uploads.store(user_id, key, data, facts)
    return project


def new_scene(user_id: str, project_id: str, new: NewScene, now: datetime) -> Scene:
    """A scene with a fresh id, not yet recorded."""
    return Scene(
        scene_id=str(uuid.uuid4()),
        project_id=project_id,
        user_id=user_id,
        created_at=now,
        updated_at=now,
        **new.model_dump(),
    )


def own_images() -> str:
    """Base of the public URLs of our images."""
    return ImagesSettings.read().images_base_url


def change(user_id: str, project_id: str, changes: ProjectChanges) -> Project:
    """Change the given fields of a project. Null clears a field.

    Raises `InvalidRequest`, `ProjectNotFound`, `ResolutionNotAllowed`.
    """
    changes.check_image_urls(own_images())
    values = changes.model_dump(exclude_unset=True)
    if not values:
        return get(user_id, project_id)
    if "resolution" in values:
        values["resolution"] = values["resolution"] or DEFAULT_RESOLUTION
        shape_of(values["resolution"])
    item = ProjectItem(user_id, project_sk(project_id))

    def attempt() -> Project:
        try:
            actions = writes.change(*writes.assignments(ProjectItem, values))
            item.update(actions, condition=writes.EXISTS)
        except UpdateError as error:
            if not aws.condition_failed(error):
                raise
            raise no_project() from None
        return to_project(item)

    return writes.retrying(lambda: unreadable.required(attempt, "project", str(item.sk)))


Update = tuple[ProjectItem, list[Action], Condition]
"""An update of a project as a part of another module's transaction."""


def update_scene_jobs(project: Project, scene_jobs: Mapping[str, SceneJobs]) -> Update:
    """Record which jobs now render scenes, if the project still has the revision that was read."""
    value = scene_jobs_map({**project.scene_jobs, **scene_jobs})
    return (
        ProjectItem(project.user_id, project_sk(project.project_id)),
        writes.change(ProjectItem.renders.set(value)),
        writes.unchanged(project.revision),
    )


def update_last_job(user_id: str, project_id: str, job_id: str) -> Update:
    """Record that a job of the project starts, if the project exists."""
    actions = writes.change(ProjectItem.last_job_id.set(job_id))
    return ProjectItem(user_id, project_sk(project_id)), actions, writes.EXISTS


def delete(user_id: str, project_id: str) -> None:
    """Delete a project with its scenes and uploaded images. Its jobs and their videos stay.

    Raises
    ------
    ProjectNotFound
        There is no such project, or it was deleted before.
    ProjectBusy
        Jobs of the project are running. Nothing was changed.
    """
    finish_deletion(writes.retrying(lambda: _marked_as_deleting(user_id, project_id)))


def finish_deletion(item: ProjectItem) -> None:
    """Delete the uploaded images and all items of a project that is marked as ``deleting``."""
    uploads.remove_uploads(item.user_id, item.project_id)

    def attempt() -> None:
        with writes.transaction() as transaction:
            for scene_id in item.scene_ids:
                transaction.delete(SceneItem(item.user_id, scene_sk(item.project_id, scene_id)))
            transaction.delete(ProjectItem(item.user_id, item.sk))

    writes.retrying(attempt)


def _marked_as_deleting(user_id: str, project_id: str) -> ProjectItem:
    """The project's item, after which no scene can be added and no job of it can start."""
    item = _find(user_id, project_id)
    if item.deleting:
        return item  # by an earlier attempt that did not finish
    check_idle(_project(item))
    # A job that has started since the read has changed the revision: then read and check again.
    item.update(
        writes.change(ProjectItem.deleting.set(True)),
        condition=writes.unchanged(int(item.revision)),
    )
    return item


def check_idle(project: Project, scene_id: str | None = None) -> None:
    """Raise `ProjectBusy` while a job of the project, or of one scene, is running.

    Raises `TemporarilyUnavailable` for a job that cannot be read: it may be running.
    """
    newest = [jobs.job_id for id_, jobs in project.scene_jobs.items() if scene_id in {None, id_}]
    if scene_id is None and project.last_job_id:
        newest.append(project.last_job_id)  # the index below may not contain it yet
    listed = job_lists.open_in_project(project.user_id, project.project_id, scene_id)
    if any(not job.is_terminal for job in job_store.get_many([*newest, *listed]).values()):
        what = "project" if scene_id is None else "scene"
        raise ProjectBusy(
            f"A {what} cannot be deleted while it is being rendered",
            details="Wait for its running jobs to end, or cancel them first",
        )


def _find(user_id: str, project_id: str) -> ProjectItem:
    def get_item() -> ProjectItem:
        return ProjectItem.get(user_id, project_sk(project_id), consistent_read=True)

    try:
        return unreadable.required(get_item, "project", project_sk(project_id))
    except DoesNotExist:
        raise no_project() from None
