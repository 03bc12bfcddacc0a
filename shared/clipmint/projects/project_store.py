"""Projects and scenes as recorded.

A project's item says which scenes it has, in which order, and which jobs render them; each scene is
an item of its own. Whatever changes both writes both, in one transaction, and every change of the
project's item counts its ``revision`` up.

Deleting takes three steps, each of which a retry finds and goes on from: the project is marked,
which ends everything else anybody could do with it; its uploaded pictures are removed; and then all
of its items at once.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pynamodb.exceptions import DoesNotExist, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition, size
from pynamodb.expressions.update import Action
from pynamodb.pagination import ResultIterator
from pynamodb.transactions import TransactWrite

from clipmint import aws, clock
from clipmint.errors import (
    InvalidRequest,
    ProjectBusy,
    ProjectNotFound,
    SceneNotFound,
    try_again,
)
from clipmint.jobs import job_lists, job_store
from clipmint.media import uploads
from clipmint.projects.project import (
    DEFAULT_RESOLUTION,
    MAX_SCENES,
    Project,
    Render,
    Scene,
    shape_of,
    too_many_scenes,
)
from clipmint.projects.project_items import (
    ProjectItem,
    SceneItem,
    from_raw,
    project_item,
    project_sk,
    renders_map,
    scene_item,
    scene_sk,
    to_project,
    to_scene,
)
from clipmint.projects.project_requests import NewProject, NewScene, ProjectChanges, SceneChanges
from clipmint.settings import ImagesSettings

MAX_ATTEMPTS = 8
"""Attempts at one write while others change the same project, with pauses of about two seconds
together at worst."""

_HERE = ProjectItem.sk.exists() & ProjectItem.deleting.does_not_exist()

T = TypeVar("T")


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────


def get(user_id: str, project_id: str) -> Project:
    """A project as it stands (strongly consistent).

    Raises `ProjectNotFound` for one that is not there, not this user's, or being deleted.
    """
    item = _find(user_id, project_id)
    if item.deleting:
        raise not_found()
    return to_project(item)


def read(user_id: str, project_id: str) -> tuple[Project, list[Scene]]:
    """A project and its scenes, in their order (strongly consistent). One Query.

    Raises `ProjectNotFound`.
    """
    items: list[ProjectItem | SceneItem] = list(
        ResultIterator(
            aws.table(ProjectItem).query,  # a model's own query finds one kind of item
            (user_id,),
            {
                "range_key_condition": ProjectItem.sk.startswith(project_sk(project_id)),
                "consistent_read": True,
            },
            map_fn=from_raw,
        )
    )
    found = next((item for item in items if isinstance(item, ProjectItem)), None)
    if found is None or found.deleting:
        raise not_found()
    project = to_project(found)
    scenes = {item.scene_id: to_scene(item) for item in items if isinstance(item, SceneItem)}
    # The project is read first: a scene that came or went right after it is not, or no longer, its.
    return project, [scenes[scene_id] for scene_id in project.scene_ids if scene_id in scenes]


def get_scene(user_id: str, project_id: str, scene_id: str) -> tuple[Project, Scene]:
    """A scene and its project, both as of one moment. Raises `ProjectNotFound`, `SceneNotFound`."""

    def attempt() -> tuple[Project, Scene]:
        with aws.read_transaction(ProjectItem) as transaction:
            projects = transaction.get(ProjectItem, user_id, project_sk(project_id))
            scenes = transaction.get(SceneItem, user_id, scene_sk(project_id, scene_id))
        try:
            found = projects.get()
        except DoesNotExist:
            raise not_found() from None
        if found.deleting:
            raise not_found()
        try:
            return to_project(found), to_scene(scenes.get())
        except DoesNotExist:
            raise _no_scene() from None

    return _retrying(attempt)


def find_scene(user_id: str, scene_id: str) -> tuple[Project, Scene]:
    """A scene of whichever project of the user's, and that project, both as of one moment.

    Raises `SceneNotFound`, also while its project is being deleted.
    """
    try:
        item = next(
            SceneItem.by_scene.query(user_id, SceneItem.scene_id == scene_id, consistent_read=True)
        )
        project_id = item.sk.split("#")[1]
        return get_scene(user_id, project_id, scene_id)
    except (StopIteration, ProjectNotFound):
        raise _no_scene() from None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a user's projects, newest first, and where the next page starts."""

    projects: list[Project]
    cursor: str | None


def list_for_user(user_id: str, *, limit: int, cursor: str | None) -> Page:
    """A user's projects, newest first (strongly consistent).

    An index keeps them by time, away from their scenes, which a list would otherwise have to read
    through. A page starts behind the project its cursor names, so projects that arrive meanwhile
    shift nothing.

    Raises
    ------
    InvalidRequest
        The cursor is not one of ours.
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
    for item in results:
        if len(projects) == limit:
            return Page(projects, _cursor(projects[-1]))
        projects.append(to_project(item))
    return Page(projects, None)


def _cursor(last: Project) -> str:
    text = json.dumps([clock.iso(last.created_at), last.project_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _start_key(user_id: str, cursor: str) -> dict[str, dict[str, Any]]:
    # The user is the caller, never the cursor's word.
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, project_id = json.loads(base64.urlsafe_b64decode(padded))
        clock.from_iso(created_at)
        sk = project_sk(str(uuid.UUID(project_id)))
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise InvalidRequest("The cursor is not valid", details="cursor: not one of ours") from None
    return {"user_id": {"S": user_id}, "project_created_at": {"S": created_at}, "sk": {"S": sk}}


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────


def create(
    user_id: str, new: NewProject, project_id: str | None = None
) -> tuple[Project, list[Scene]]:
    """Record a project with its first scenes, all or nothing, under a fresh id unless one is given.

    Raises `InvalidRequest`, `ResolutionNotAllowed`, `TooManyScenes`.
    """
    new.check()
    new.check_image_urls(_own_images())
    now = _now()
    project_id = project_id or str(uuid.uuid4())
    scenes = [_new_scene(user_id, project_id, scene, now) for scene in new.scenes]
    project = Project(
        project_id=project_id,
        user_id=user_id,
        name=new.name,
        resolution=new.resolution or DEFAULT_RESOLUTION,
        image_url=new.image_url,
        scene_ids=tuple(scene.scene_id for scene in scenes),
        created_at=now,
        updated_at=now,
    )

    def attempt() -> None:
        with _transaction() as transaction:
            transaction.save(project_item(project), condition=ProjectItem.sk.does_not_exist())
            for scene in scenes:
                transaction.save(scene_item(scene), condition=SceneItem.sk.does_not_exist())

    _retrying(attempt)
    return project, scenes


def change(user_id: str, project_id: str, changes: ProjectChanges) -> Project:
    """Change what the changes name; null clears.

    Raises `InvalidRequest`, `ProjectNotFound`, `ResolutionNotAllowed`.
    """
    changes.check_image_urls(_own_images())
    values = changes.model_dump(exclude_unset=True)
    if not values:
        return get(user_id, project_id)
    if "resolution" in values:
        values["resolution"] = values["resolution"] or DEFAULT_RESOLUTION
        shape_of(values["resolution"])
    item = ProjectItem(user_id, project_sk(project_id))

    def attempt() -> Project:
        try:
            item.update(_changed(*_assignments(ProjectItem, values)), condition=_HERE)
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            raise not_found() from None
        return to_project(item)

    return _retrying(attempt)


def delete(user_id: str, project_id: str) -> None:
    """Remove a project with its scenes and uploaded pictures. Its jobs and their videos stay.

    Raises
    ------
    ProjectNotFound
        Not there, or deleted before.
    ProjectBusy
        Jobs of it are running; nothing was done.
    """
    item = _retrying(lambda: _marked_as_deleting(user_id, project_id))
    uploads.remove_uploads(user_id, project_id)

    def attempt() -> None:
        with _transaction() as transaction:
            for scene_id in item.scene_ids:
                transaction.delete(SceneItem(user_id, scene_sk(project_id, scene_id)))
            transaction.delete(ProjectItem(user_id, item.sk))

    _retrying(attempt)


def _own_images() -> str:
    return ImagesSettings.read().images_base_url


def _marked_as_deleting(user_id: str, project_id: str) -> ProjectItem:
    """The project's item, once nobody can add a scene to it or start a job of it any more."""
    item = _find(user_id, project_id)
    if item.deleting:
        return item  # by an attempt that did not get to the end
    _check_idle(to_project(item))
    # Whoever started a job since has changed the revision: then it is looked at again.
    item.update(
        _changed(ProjectItem.deleting.set(True)),
        condition=_HERE & (ProjectItem.revision == item.revision),
    )
    return item


def _check_idle(project: Project, scene_id: str | None = None) -> None:
    """Raise `ProjectBusy` while a job of the project, or of the one scene, runs."""
    newest = [
        render.job_id
        for of_scene, render in project.renders.items()
        if scene_id in {None, of_scene}
    ]
    if scene_id is None and project.last_job_id:
        newest.append(project.last_job_id)  # the index below may not have it yet
    listed = job_lists.open_in_project(project.user_id, project.project_id, scene_id)
    if any(not job.is_terminal for job in job_store.get_many([*newest, *listed]).values()):
        what = "project" if scene_id is None else "scene"
        raise ProjectBusy(
            f"A {what} cannot be deleted while it is being rendered",
            details="Wait for its running jobs to end, or cancel them first",
        )


Update = tuple[ProjectItem, list[Action], Condition]
"""A write for somebody else's transaction."""


def rendering(project: Project, renders: Mapping[str, Render]) -> Update:
    """Notes which jobs render scenes from now on, if the project is still as it was read."""
    return (
        ProjectItem(project.user_id, project_sk(project.project_id)),
        _changed(ProjectItem.renders.set(renders_map({**project.renders, **renders}))),
        _HERE & (ProjectItem.revision == project.revision),
    )


def in_use(user_id: str, project_id: str, job_id: str) -> Update:
    """Notes that a job of the project is started, if the project is there."""
    noted = _changed(ProjectItem.last_job_id.set(job_id))
    return ProjectItem(user_id, project_sk(project_id)), noted, _HERE


# ── Scenes ───────────────────────────────────────────────────────────────────────────────────────


def add_scene(user_id: str, project_id: str, new: NewScene) -> Scene:
    """Add a scene behind the others.

    Raises `InvalidRequest`, `ProjectNotFound`, `TooManyScenes`.
    """
    new.check_image_urls(_own_images())
    scene = _new_scene(user_id, project_id, new, _now())

    def attempt() -> Scene:
        try:
            with _transaction() as transaction:
                # Nothing read before: those who add at the same time do not get in each other's
                # way, and the last place is taken once.
                transaction.update(
                    ProjectItem(user_id, project_sk(project_id)),
                    actions=_changed(
                        ProjectItem.scene_ids.set(ProjectItem.scene_ids.append([scene.scene_id]))
                    ),
                    condition=_HERE & (size(ProjectItem.scene_ids) < MAX_SCENES),
                )
                transaction.save(scene_item(scene), condition=SceneItem.sk.does_not_exist())
        except TransactWriteError:
            if len(get(user_id, project_id).scene_ids) >= MAX_SCENES:
                raise too_many_scenes() from None
            raise
        return scene

    return _retrying(attempt)


def change_scene(
    user_id: str, project_id: str, scene_id: str, changes: SceneChanges
) -> tuple[Project, Scene]:
    """Change what the changes name; null clears.

    Raises `InvalidRequest`, `ProjectNotFound`, `SceneNotFound`.
    """
    changes.check_image_urls(_own_images())
    project, scene = get_scene(user_id, project_id, scene_id)
    values = changes.model_dump(exclude_unset=True)
    if not values:
        return project, scene
    item = SceneItem(user_id, scene_sk(project_id, scene_id))

    def attempt() -> tuple[Project, Scene]:
        actions = [
            *_assignments(SceneItem, values),
            SceneItem.updated_at.set(clock.iso(clock.now())),
        ]
        try:
            item.update(actions, condition=SceneItem.sk.exists())
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            raise _no_scene() from None
        return project, to_scene(item)

    return _retrying(attempt)


def delete_scene(user_id: str, project_id: str, scene_id: str) -> None:
    """Remove a scene. Its jobs and their videos stay.

    Raises `ProjectNotFound`, `SceneNotFound`, and `ProjectBusy` while a job of the scene runs.
    """

    def attempt() -> None:
        project = get(user_id, project_id)
        if scene_id not in project.scene_ids:
            raise _no_scene()
        _check_idle(project, scene_id)
        left = [other for other in project.scene_ids if other != scene_id]
        renders = {of: render for of, render in project.renders.items() if of != scene_id}
        with _transaction() as transaction:
            transaction.update(
                ProjectItem(user_id, project_sk(project_id)),
                actions=_changed(
                    ProjectItem.scene_ids.set(left), ProjectItem.renders.set(renders_map(renders))
                ),
                condition=_HERE & (ProjectItem.revision == project.revision),
            )
            transaction.delete(SceneItem(user_id, scene_sk(project_id, scene_id)))

    _retrying(attempt)


# ── Writing, and what gets in its way ──────────────────────────────────────────────────────────


def _find(user_id: str, project_id: str) -> ProjectItem:
    try:
        return ProjectItem.get(user_id, project_sk(project_id), consistent_read=True)
    except DoesNotExist:
        raise not_found() from None


def not_found() -> ProjectNotFound:
    """What is said of a project that is not there, or not this user's."""
    return ProjectNotFound("There is no such project")


def _no_scene() -> SceneNotFound:
    return SceneNotFound("There is no such scene")


def _new_scene(user_id: str, project_id: str, new: NewScene, now: datetime) -> Scene:
    return Scene(
        scene_id=str(uuid.uuid4()),
        project_id=project_id,
        user_id=user_id,
        created_at=now,
        updated_at=now,
        **new.model_dump(),
    )


def _now() -> datetime:
    return clock.from_iso(clock.iso(clock.now()))  # in the milliseconds it is recorded in


def _assignments(of: type[ProjectItem | SceneItem], values: Mapping[str, Any]) -> list[Action]:
    return [
        getattr(of, name).remove() if value is None else getattr(of, name).set(value)
        for name, value in values.items()
    ]


def _changed(*actions: Action) -> list[Action]:
    return [
        *actions,
        ProjectItem.updated_at.set(clock.iso(clock.now())),
        ProjectItem.revision.set(ProjectItem.revision + 1),
    ]


def _transaction() -> TransactWrite:
    return aws.write_transaction(ProjectItem)


def _retrying(attempt: Callable[[], T]) -> T:
    """Try again while others change the same project."""
    return aws.retry_on_conflict(
        attempt,
        attempts=MAX_ATTEMPTS,
        longest_pause=aws.growing_pause,
        otherwise=try_again("The project is busy", details="Send the same request again"),
    )
