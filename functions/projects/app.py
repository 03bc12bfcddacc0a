"""Projects and their scenes: create, read, list, change, delete; and the progress of their clips.

The state of a scene is derived from the jobs that render it. No route calls a provider.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock
from clipmint.api import http_api, scenes
from clipmint.api.project_responses import (
    ClipsSummary,
    ImageAnswer,
    ProjectAnswer,
    ProjectPage,
    ProjectSummary,
    SceneAnswer,
    SceneList,
    UploadForm,
)
from clipmint.errors import (
    InvalidRequest,
    LimitReached,
    ProjectBusy,
    ProjectNotFound,
    ResolutionNotAllowed,
    SceneNotFound,
    TemporarilyUnavailable,
    TooManyScenes,
)
from clipmint.path_ids import path_id
from clipmint.projects import project_store, scene_store
from clipmint.projects.project import Project, Scene, no_project, no_scene
from clipmint.projects.project_requests import (
    NewImage,
    NewProject,
    NewScene,
    ProjectChanges,
    SceneChanges,
)

app = http_api.resolver()

ProjectId = Annotated[str, Path()]
SceneId = Annotated[str, Path()]


@app.post(
    "/v1/images",
    summary="Get a form to upload an image with, and a project that shows it",
    description="S3 takes one PNG, JPEG or WebP of at most 20 MB with the form, for 15 minutes.",
    **http_api.created(
        ImageAnswer, InvalidRequest, ResolutionNotAllowed, LimitReached, TemporarilyUnavailable
    ),
)
def create_image(new: NewImage) -> Response[ImageAnswer]:
    project, upload = project_store.create_for_upload(http_api.user_of(app), new)
    answer = ImageAnswer(
        project_id=project.project_id,
        image_url=upload.image_url,
        expires_at=clock.iso(project.expires_at or upload.expires_at),
        upload=UploadForm.of(upload),
    )
    headers = {"Location": f"/v1/projects/{project.project_id}"}
    return http_api.json_response(HTTPStatus.CREATED, answer, headers)


@app.post(
    "/v1/projects",
    summary="Create a project",
    description=(
        "A project has a resolution, an image and up to 50 scenes; each can be added later."
    ),
    **http_api.created(
        ProjectAnswer, InvalidRequest, ResolutionNotAllowed, TooManyScenes, TemporarilyUnavailable
    ),
)
def create_project(new: NewProject) -> Response[ProjectAnswer]:
    project, its_scenes = project_store.create(http_api.user_of(app), new)
    headers = {"Location": f"/v1/projects/{project.project_id}"}
    return http_api.json_response(HTTPStatus.CREATED, _project(project, its_scenes), headers)


@app.get(
    "/v1/projects",
    summary="Your projects, newest first",
    description="Projects without their scenes, in pages.",
    responses=http_api.answers(ProjectPage, InvalidRequest),
)
def list_projects(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=512, description="From the page before")] = None,
) -> ProjectPage:
    page = project_store.list_for_user(http_api.user_of(app), limit=limit, cursor=cursor)
    return ProjectPage(
        projects=[ProjectSummary.of(project) for project in page.projects], cursor=page.cursor
    )


@app.get(
    "/v1/projects/<project_id>",
    summary="One project with its scenes",
    description="Each scene shows the results of its jobs.",
    responses=http_api.answers(ProjectAnswer, ProjectNotFound, TemporarilyUnavailable),
)
def get_project(project_id: ProjectId) -> ProjectAnswer:
    return _project(*_read(project_id))


@app.patch(
    "/v1/projects/<project_id>",
    summary="Change a project",
    description="Only the members that are sent change.",
    responses=http_api.answers(
        ProjectAnswer,
        InvalidRequest,
        ResolutionNotAllowed,
        ProjectNotFound,
        TemporarilyUnavailable,
    ),
)
def change_project(project_id: ProjectId, changes: ProjectChanges) -> ProjectAnswer:
    project_store.change(http_api.user_of(app), _project_id(project_id), changes)
    return _project(*_read(project_id))


@app.delete(
    "/v1/projects/<project_id>",
    summary="Delete a project with its scenes and uploaded images",
    description="Not while one of its scenes is being rendered. Videos of its jobs remain.",
    **http_api.no_content(ProjectNotFound, ProjectBusy, TemporarilyUnavailable),
)
def delete_project(project_id: ProjectId) -> Response[None]:
    project_store.delete(http_api.user_of(app), _project_id(project_id))
    return Response(HTTPStatus.NO_CONTENT)


@app.post(
    "/v1/projects/<project_id>/scenes",
    summary="Add a scene after the others",
    description="A project has up to 50 scenes.",
    **http_api.created(
        SceneAnswer, InvalidRequest, TooManyScenes, ProjectNotFound, TemporarilyUnavailable
    ),
)
def add_scene(project_id: ProjectId, new: NewScene) -> Response[SceneAnswer]:
    scene = scene_store.add(http_api.user_of(app), _project_id(project_id), new)
    headers = {"Location": f"/v1/projects/{scene.project_id}/scenes/{scene.scene_id}"}
    return http_api.json_response(HTTPStatus.CREATED, SceneAnswer.of_new(scene), headers)


@app.get(
    "/v1/projects/<project_id>/scenes",
    summary="A project's scenes, in their order",
    description="Each scene shows the results of its jobs.",
    responses=http_api.answers(SceneList, ProjectNotFound, TemporarilyUnavailable),
)
def list_scenes(project_id: ProjectId) -> SceneList:
    return SceneList(scenes=scenes.answers(*_read(project_id)))


@app.get(
    "/v1/projects/<project_id>/scenes/<scene_id>",
    summary="One scene",
    description="Read it again to follow the job that renders it.",
    responses=http_api.answers(SceneAnswer, ProjectNotFound, SceneNotFound, TemporarilyUnavailable),
)
def get_scene(project_id: ProjectId, scene_id: SceneId) -> SceneAnswer:
    ids = _project_id(project_id), _scene_id(scene_id)
    project, scene = scene_store.get(http_api.user_of(app), *ids)
    return scenes.answers(project, [scene])[0]


@app.patch(
    "/v1/projects/<project_id>/scenes/<scene_id>",
    summary="Change a scene",
    description=(
        "Only the members that are sent change. A job that runs already uses the scene as it was."
    ),
    responses=http_api.answers(
        SceneAnswer, InvalidRequest, ProjectNotFound, SceneNotFound, TemporarilyUnavailable
    ),
)
def change_scene(project_id: ProjectId, scene_id: SceneId, changes: SceneChanges) -> SceneAnswer:
    ids = _project_id(project_id), _scene_id(scene_id)
    project, scene = scene_store.change(http_api.user_of(app), *ids, changes)
    return scenes.answers(project, [scene])[0]


@app.delete(
    "/v1/projects/<project_id>/scenes/<scene_id>",
    summary="Delete a scene",
    description="Not while it is being rendered. Videos of its jobs remain.",
    **http_api.no_content(ProjectNotFound, SceneNotFound, ProjectBusy, TemporarilyUnavailable),
)
def delete_scene(project_id: ProjectId, scene_id: SceneId) -> Response[None]:
    scene_store.delete(http_api.user_of(app), _project_id(project_id), _scene_id(scene_id))
    return Response(HTTPStatus.NO_CONTENT)


@app.get(
    "/v1/projects/<project_id>/clips",
    summary="The progress of a project's clips",
    description="Counts, and the newest job of each scene that has one.",
    responses=http_api.answers(ClipsSummary, ProjectNotFound, TemporarilyUnavailable),
)
def get_clips(project_id: ProjectId) -> Response[ClipsSummary]:
    summary = ClipsSummary.of(scenes.answers(*_read(project_id)))
    headers = http_api.POLL_LATER if summary.pending else {}
    return http_api.json_response(HTTPStatus.OK, summary, headers)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)


def _read(project_id: str) -> tuple[Project, list[Scene]]:
    return project_store.read(http_api.user_of(app), _project_id(project_id))


def _project(project: Project, its_scenes: list[Scene]) -> ProjectAnswer:
    return ProjectAnswer.with_scenes(project, scenes.answers(project, its_scenes))


def _project_id(text: str) -> str:
    return path_id(text, no_project())


def _scene_id(text: str) -> str:
    return path_id(text, no_scene())
