"""Scenes as recorded, and their state, which is derived from the jobs that render them."""

from __future__ import annotations

from collections.abc import Sequence

from pynamodb.exceptions import DoesNotExist, TransactWriteError, UpdateError
from pynamodb.expressions.condition import size

from clipmint import aws, clock, unreadable
from clipmint.errors import ProjectNotFound
from clipmint.jobs import job_store
from clipmint.projects import project_store
from clipmint.projects import project_writes as writes
from clipmint.projects.project import (
    MAX_SCENES,
    Project,
    Scene,
    SceneState,
    no_project,
    no_scene,
    state_of,
    too_many_scenes,
)
from clipmint.projects.project_items import (
    ProjectItem,
    SceneItem,
    project_sk,
    scene_item,
    scene_jobs_map,
    scene_sk,
    to_project,
    to_scene,
)
from clipmint.projects.project_requests import NewScene, SceneChanges


def get(user_id: str, project_id: str, scene_id: str) -> tuple[Project, Scene]:
    """A scene and its project, both read in one transaction.

    Raises `ProjectNotFound`, `SceneNotFound`, and `TemporarilyUnavailable` if one of them cannot be
    read.
    """

    def attempt() -> tuple[Project, Scene]:
        with aws.read_transaction(ProjectItem) as transaction:
            projects = transaction.get(ProjectItem, user_id, project_sk(project_id))
            scenes = transaction.get(SceneItem, user_id, scene_sk(project_id, scene_id))
        try:
            found = projects.get()
        except DoesNotExist:
            raise no_project() from None
        if found.deleting:
            raise no_project()
        try:
            return to_project(found), to_scene(scenes.get())
        except DoesNotExist:
            raise no_scene() from None

    sk = scene_sk(project_id, scene_id)
    return writes.retrying(lambda: unreadable.required(attempt, "scene", sk))


def find(user_id: str, scene_id: str) -> tuple[Project, Scene]:
    """A scene of any of the user's projects and that project, both read in one transaction.

    Raises `SceneNotFound`, also while its project is being deleted.
    """
    try:
        item = next(
            SceneItem.by_scene.query(user_id, SceneItem.scene_id == scene_id, consistent_read=True)
        )
        project_id = item.sk.split("#")[1]
        return get(user_id, project_id, scene_id)
    except (StopIteration, ProjectNotFound):
        raise no_scene() from None


def states_of(project: Project, scenes: Sequence[Scene]) -> list[SceneState]:
    """The states of these scenes of a project, in the same order. Reads their jobs, and leaves out
    those that cannot be read."""
    of_scene = [project.scene_jobs.get(scene.scene_id) for scene in scenes]
    job_ids = [job_id for jobs in of_scene if jobs for job_id in jobs.job_ids]
    found = job_store.get_many(job_ids, all_readable=False)
    return [state_of(scene, jobs, found) for scene, jobs in zip(scenes, of_scene, strict=True)]


def add(user_id: str, project_id: str, new: NewScene) -> Scene:
    """Add a scene after the others.

    Raises `InvalidRequest`, `ProjectNotFound`, `TooManyScenes`.
    """
    new.check_image_urls(project_store.own_images())
    scene = project_store.new_scene(user_id, project_id, new, writes.now())

    def attempt() -> Scene:
        try:
            with writes.transaction() as transaction:
                # Nothing was read before, so parallel calls do not invalidate each other. The
                # condition keeps two of them from taking the last place.
                transaction.update(
                    ProjectItem(user_id, project_sk(project_id)),
                    actions=writes.change(
                        ProjectItem.scene_ids.set(ProjectItem.scene_ids.append([scene.scene_id]))
                    ),
                    condition=writes.EXISTS & (size(ProjectItem.scene_ids) < MAX_SCENES),
                )
                transaction.save(scene_item(scene), condition=SceneItem.sk.does_not_exist())
        except TransactWriteError:
            if len(project_store.get(user_id, project_id).scene_ids) >= MAX_SCENES:
                raise too_many_scenes() from None
            raise
        return scene

    return writes.retrying(attempt)


def change(
    user_id: str, project_id: str, scene_id: str, changes: SceneChanges
) -> tuple[Project, Scene]:
    """Change the given fields of a scene. Null clears a field.

    Raises `InvalidRequest`, `ProjectNotFound`, `SceneNotFound`.
    """
    changes.check_image_urls(project_store.own_images())
    project, scene = get(user_id, project_id, scene_id)
    values = changes.model_dump(exclude_unset=True)
    if not values:
        return project, scene
    item = SceneItem(user_id, scene_sk(project_id, scene_id))

    def attempt() -> tuple[Project, Scene]:
        actions = [
            *writes.assignments(SceneItem, values),
            SceneItem.updated_at.set(clock.iso(clock.now())),
        ]
        try:
            item.update(actions, condition=SceneItem.sk.exists())
        except UpdateError as error:
            if not aws.condition_failed(error):
                raise
            raise no_scene() from None
        return project, to_scene(item)

    return writes.retrying(lambda: unreadable.required(attempt, "scene", str(item.sk)))


def delete(user_id: str, project_id: str, scene_id: str) -> None:
    """Delete a scene. Its jobs and their videos stay.

    Raises `ProjectNotFound`, `SceneNotFound`, and `ProjectBusy` while a job of the scene runs.
    """

    def attempt() -> None:
        project = project_store.get(user_id, project_id)
        if scene_id not in project.scene_ids:
            raise no_scene()
        project_store.check_idle(project, scene_id)
        scene_ids = [other for other in project.scene_ids if other != scene_id]
        scene_jobs = {id_: jobs for id_, jobs in project.scene_jobs.items() if id_ != scene_id}
        with writes.transaction() as transaction:
            transaction.update(
                ProjectItem(user_id, project_sk(project_id)),
                actions=writes.change(
                    ProjectItem.scene_ids.set(scene_ids),
                    ProjectItem.renders.set(scene_jobs_map(scene_jobs)),
                ),
                condition=writes.unchanged(project.revision),
            )
            transaction.delete(SceneItem(user_id, scene_sk(project_id, scene_id)))

    writes.retrying(attempt)
