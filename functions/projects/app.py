"""Projects and their scenes: create, read, list, change, delete, and how their clips are doing.

What a scene looks like is derived from the jobs that render it; nothing here asks a provider, and
reading writes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import aws, clock
from clipmint.api import http_api
from clipmint.api.responses import (
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
    ProjectBusy,
    ProjectNotFound,
    ResolutionNotAllowed,
    SceneNotFound,
    TemporarilyUnavailable,
    TooManyScenes,
)
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset
from clipmint.media import storage, uploads
from clipmint.projects import project_store
from clipmint.projects.project import Project, Scene, SceneState, state_of
from clipmint.projects.project_requests import (
    NewImage,
    NewProject,
    NewScene,
    ProjectChanges,
    SceneChanges,
)

app = http_api.resolver()

POLL_SECONDS = "2"
"""How often an app may ask how its clips are doing; one ask is two reads for a small project."""

ProjectId = Annotated[str, Path()]
SceneId = Annotated[str, Path()]


@app.post(
    "/v1/images",
    summary="Get a form to upload an image with, and a project that shows it",
    description="S3 takes one PNG, JPEG or WebP of at most 20 MB with the form, for 15 minutes.",
    status_code=HTTPStatus.CREATED,
    responses=http_api.answers(
        ImageAnswer,
        InvalidRequest,
        ResolutionNotAllowed,
        TemporarilyUnavailable,
        status=HTTPStatus.CREATED,
    ),
)
def create_image(new: NewImage) -> Response[ImageAnswer]:
    user_id, project_id = http_api.user_of(app), str(uuid4())
    upload = uploads.new_upload(user_id, project_id, new.content_type)
    shown = NewProject(image_url=upload.image_url, resolution=new.resolution)
    project_store.create(user_id, shown, project_id)
    form = UploadForm(url=upload.url, fields=upload.fields, expires_at=clock.iso(upload.expires_at))
    answer = ImageAnswer(project_id=project_id, image_url=upload.image_url, upload=form)
    headers = {"Location": f"/v1/projects/{project_id}"}
    return http_api.json_response(HTTPStatus.CREATED, answer, headers)


@app.post(
    "/v1/projects",
    summary="Create a project",
    status_code=HTTPStatus.CREATED,
    responses=http_api.answers(
        ProjectAnswer,
        InvalidRequest,
        ResolutionNotAllowed,
        TooManyScenes,
        TemporarilyUnavailable,
        status=HTTPStatus.CREATED,
    ),
)
def create_project(new: NewProject) -> Response[ProjectAnswer]:
    project, scenes = project_store.create(http_api.user_of(app), new)
    headers = {"Location": f"/v1/projects/{project.project_id}"}
    return http_api.json_response(HTTPStatus.CREATED, _project(project, scenes), headers)


@app.get(
    "/v1/projects",
    summary="Your projects, newest first",
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
    responses=http_api.answers(ProjectAnswer, ProjectNotFound, TemporarilyUnavailable),
)
def get_project(project_id: ProjectId) -> ProjectAnswer:
    return _project(*_read(project_id))


@app.patch(
    "/v1/projects/<project_id>",
    summary="Change a project",
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
    status_code=HTTPStatus.NO_CONTENT,
    responses=http_api.answers(
        None, ProjectNotFound, ProjectBusy, TemporarilyUnavailable, status=HTTPStatus.NO_CONTENT
    ),
)
def delete_project(project_id: ProjectId) -> Response[None]:
    project_store.delete(http_api.user_of(app), _project_id(project_id))
    return Response(HTTPStatus.NO_CONTENT)


@app.post(
    "/v1/projects/<project_id>/scenes",
    summary="Add a scene behind the others",
    status_code=HTTPStatus.CREATED,
    responses=http_api.answers(
        SceneAnswer,
        InvalidRequest,
        TooManyScenes,
        ProjectNotFound,
        TemporarilyUnavailable,
        status=HTTPStatus.CREATED,
    ),
)
def add_scene(project_id: ProjectId, new: NewScene) -> Response[SceneAnswer]:
    scene = project_store.add_scene(http_api.user_of(app), _project_id(project_id), new)
    headers = {"Location": f"/v1/projects/{scene.project_id}/scenes/{scene.scene_id}"}
    return http_api.json_response(
        HTTPStatus.CREATED, _scene(scene, state_of(scene, None, {})), headers
    )


@app.get(
    "/v1/projects/<project_id>/scenes",
    summary="A project's scenes, in their order",
    responses=http_api.answers(SceneList, ProjectNotFound, TemporarilyUnavailable),
)
def list_scenes(project_id: ProjectId) -> SceneList:
    return SceneList(scenes=_scenes(*_read(project_id)))


@app.get(
    "/v1/projects/<project_id>/scenes/<scene_id>",
    summary="One scene",
    responses=http_api.answers(SceneAnswer, ProjectNotFound, SceneNotFound, TemporarilyUnavailable),
)
def get_scene(project_id: ProjectId, scene_id: SceneId) -> SceneAnswer:
    ids = _project_id(project_id), _scene_id(scene_id)
    project, scene = project_store.get_scene(http_api.user_of(app), *ids)
    return _scenes(project, [scene])[0]


@app.patch(
    "/v1/projects/<project_id>/scenes/<scene_id>",
    summary="Change a scene",
    responses=http_api.answers(
        SceneAnswer, InvalidRequest, ProjectNotFound, SceneNotFound, TemporarilyUnavailable
    ),
)
def change_scene(project_id: ProjectId, scene_id: SceneId, changes: SceneChanges) -> SceneAnswer:
    ids = _project_id(project_id), _scene_id(scene_id)
    project, scene = project_store.change_scene(http_api.user_of(app), *ids, changes)
    return _scenes(project, [scene])[0]


@app.delete(
    "/v1/projects/<project_id>/scenes/<scene_id>",
    summary="Delete a scene",
    status_code=HTTPStatus.NO_CONTENT,
    responses=http_api.answers(
        None,
        ProjectNotFound,
        SceneNotFound,
        ProjectBusy,
        TemporarilyUnavailable,
        status=HTTPStatus.NO_CONTENT,
    ),
)
def delete_scene(project_id: ProjectId, scene_id: SceneId) -> Response[None]:
    project_store.delete_scene(http_api.user_of(app), _project_id(project_id), _scene_id(scene_id))
    return Response(HTTPStatus.NO_CONTENT)


@app.get(
    "/v1/projects/<project_id>/clips",
    summary="How a project's clips are doing",
    responses=http_api.answers(ClipsSummary, ProjectNotFound, TemporarilyUnavailable),
)
def get_clips(project_id: ProjectId) -> Response[ClipsSummary]:
    summary = ClipsSummary.of(_scenes(*_read(project_id)))
    headers = {"Retry-After": POLL_SECONDS} if summary.pending else {}
    return http_api.json_response(HTTPStatus.OK, summary, headers)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)


def _read(project_id: str) -> tuple[Project, list[Scene]]:
    return project_store.read(http_api.user_of(app), _project_id(project_id))


def _project(project: Project, scenes: list[Scene]) -> ProjectAnswer:
    return ProjectAnswer.with_scenes(project, _scenes(project, scenes))


def _scenes(project: Project, scenes: Iterable[Scene]) -> list[SceneAnswer]:
    """The scenes as their jobs have made them."""
    renders = {scene: project.renders.get(scene.scene_id) for scene in scenes}
    found = job_store.get_many(
        id_ for render in renders.values() if render for id_ in render.job_ids
    )
    return [_scene(scene, state_of(scene, render, found)) for scene, render in renders.items()]


def _scene(scene: Scene, state: SceneState) -> SceneAnswer:
    return SceneAnswer.of(scene, state, *(_urls(state.video) if state.video else (None, None)))


def _urls(video: Asset) -> tuple[str, str | None]:
    """URLs of a video and its thumbnail, for an hour."""
    sign = functools.partial(storage.presigned_url, aws.s3(), video.bucket)
    return sign(video.key), sign(video.thumbnail_key) if video.thumbnail_key else None


def _project_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ProjectNotFound("There is no such project") from None


def _scene_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise SceneNotFound("There is no such scene") from None
