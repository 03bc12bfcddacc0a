"""Projects and scenes as recorded: what is read, what is refused, and what a crash leaves."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from pynamodb.exceptions import TransactWriteError

from clipmint.aws import s3, write_transaction
from clipmint.credits import holds
from clipmint.errors import (
    InvalidRequest,
    ProjectBusy,
    ProjectNotFound,
    ResolutionNotAllowed,
    SceneNotFound,
    TemporarilyUnavailable,
    TooManyScenes,
)
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.media import storage
from clipmint.projects import project_store, project_writes, scene_store
from clipmint.projects.project import Project, SceneJobs
from clipmint.projects.project_items import ProjectItem, SceneItem
from clipmint.projects.project_requests import NewProject, NewScene, ProjectChanges, SceneChanges
from tests.support.clock import Clock
from tests.support.jobs import new_job, open_job
from tests.support.moto_aws import IMAGES_BUCKET, Aws, client_of, hooked

USER = "user-1"
FAILED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)
IMAGE_URL = "https://example.com/picture.png"


@pytest.fixture(autouse=True)
def account(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Every test has a separate account, so no test waits for another."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return aws


def project_of(*prompts: str, user: str = USER) -> Project:
    scenes = [NewScene(image_prompt=prompt) for prompt in prompts]
    return project_store.create(user, NewProject(scenes=scenes))[0]


def render(project: Project, scene_id: str, job_id: str) -> Project:
    """The project once a job renders a scene of it."""
    with write_transaction(ProjectItem) as transaction:
        item, actions, condition = project_store.update_scene_jobs(
            project, {scene_id: SceneJobs(job_id)}
        )
        transaction.update(item, actions=actions, condition=condition)
    return project_store.get(project.user_id, project.project_id)


def everything(user: str, project_id: str, scene_id: str) -> list[Callable[[], object]]:
    """Every operation on a project and its scene, except deleting it."""
    here = (user, project_id)
    return [
        partial(project_store.get, *here),
        partial(project_store.read, *here),
        partial(project_store.change, *here, ProjectChanges(name="mine")),
        partial(project_store.change, *here, ProjectChanges()),
        partial(scene_store.add, *here, NewScene()),
        partial(scene_store.get, *here, scene_id),
        partial(scene_store.change, *here, scene_id, SceneChanges(duration=1)),
        partial(scene_store.change, *here, scene_id, SceneChanges()),
        partial(scene_store.delete, *here, scene_id),
    ]


def upload(project: Project, name: str = "a.png") -> str:
    key = storage.upload_prefix(project.user_id, project.project_id) + name
    s3().put_object(Bucket=IMAGES_BUCKET, Key=key, Body=b"x")
    return key


def uploads(aws: Aws) -> list[str]:
    listed = aws.s3.list_objects_v2(Bucket=IMAGES_BUCKET).get("Contents", [])
    return [found["Key"] for found in listed]


def test_a_project_is_read_as_it_was_created_its_scenes_in_order() -> None:
    whole = NewScene(
        image_prompt="a fox",
        visual_prompt="it runs",
        product_reference_image_url=IMAGE_URL,
        duration=8,
        first_frame=IMAGE_URL,
        last_frame=IMAGE_URL,
        image_url=IMAGE_URL,
        model_id="veo-3.1",
    )
    asked = NewProject(
        name="Foxes",
        resolution="960:960",
        image_url=IMAGE_URL,
        scenes=[whole, NewScene(), *(NewScene(image_prompt=str(n)) for n in range(48))],
    )
    project, scenes = project_store.create(USER, asked)
    assert (project, scenes) == project_store.read(USER, project.project_id)
    assert project == project_store.get(USER, project.project_id)
    assert project.scene_ids == tuple(scene.scene_id for scene in scenes)
    assert [scene.image_prompt for scene in scenes] == ["a fox", None, *map(str, range(48))]
    assert (project.name, project.resolution, project.image_url) == ("Foxes", "960:960", IMAGE_URL)
    assert (
        NewScene.model_validate({name: getattr(scenes[0], name) for name in whole.model_dump()})
        == whole
    )
    assert (scenes[1].duration, scenes[1].seconds) == (None, 5)


def test_a_project_has_a_resolution_of_the_documents_or_the_default() -> None:
    assert project_of().resolution == "720:1280"
    with pytest.raises(ResolutionNotAllowed) as refused:
        project_store.create(USER, NewProject(resolution="1:1"))
    assert "960:960" in str(refused.value.details)
    with pytest.raises(ResolutionNotAllowed):
        project_store.change(USER, project_of().project_id, ProjectChanges(resolution="1:1"))


def test_a_project_with_a_51st_scene_is_refused_whole(account: Aws) -> None:
    with pytest.raises(TooManyScenes):
        project_store.create(USER, NewProject(scenes=[NewScene()] * 51))
    assert account.items("PROJECTS_TABLE") == []


def test_a_project_of_another_user_does_not_exist() -> None:
    project = project_of("a fox")
    scene_id = project.scene_ids[0]
    for user, project_id in (("user-2", project.project_id), (USER, str(uuid.uuid4()))):
        for call in everything(user, project_id, scene_id):
            with pytest.raises(ProjectNotFound):
                call()
    with pytest.raises(ProjectNotFound):
        project_store.delete("user-2", project.project_id)
    with pytest.raises(SceneNotFound):
        scene_store.find("user-2", scene_id)
    assert project_store.read(USER, project.project_id)[0] == project


def test_a_scene_is_found_in_whichever_project_it_is() -> None:
    first, second = project_of("a", "b"), project_of("c")
    for project in (first, second):
        for scene_id in project.scene_ids:
            found, scene = scene_store.find(USER, scene_id)
            assert (found, scene.scene_id) == (project, scene_id)
            assert (found, scene) == scene_store.get(USER, project.project_id, scene_id)
    with pytest.raises(SceneNotFound):
        scene_store.find(USER, str(uuid.uuid4()))
    with pytest.raises(SceneNotFound):
        scene_store.get(USER, first.project_id, second.scene_ids[0])


def test_a_change_changes_what_it_names_and_null_clears() -> None:
    asked = NewProject(name="Foxes", resolution="960:960", image_url=IMAGE_URL)
    project, _ = project_store.create(USER, asked)

    def changed(body: dict[str, Any]) -> Project:
        return project_store.change(USER, project.project_id, ProjectChanges.model_validate(body))

    once = changed({"name": "Wolves"})
    assert once == replace(project, name="Wolves", revision=2, updated_at=once.updated_at)
    twice = changed({"name": None, "image_url": None, "resolution": None})
    assert (twice.name, twice.image_url, twice.resolution) == (None, None, "720:1280")
    assert changed({}) == twice == project_store.get(USER, project.project_id)


def test_a_scene_is_changed_likewise_and_its_project_is_not() -> None:
    new = NewScene(image_prompt="a fox", duration=8)
    project, (scene,) = project_store.create(USER, NewProject(scenes=[new]))

    def changed(body: dict[str, Any]) -> Any:
        changes = SceneChanges.model_validate(body)
        return scene_store.change(USER, project.project_id, scene.scene_id, changes)

    found, once = changed({"visual_prompt": "it runs", "duration": None})
    assert found == project
    assert once == replace(
        scene, visual_prompt="it runs", duration=None, updated_at=once.updated_at
    )
    assert changed({}) == (project, once) == scene_store.find(USER, scene.scene_id)


def test_scenes_are_added_behind_the_others_and_the_51st_is_refused() -> None:
    project = project_of(*map(str, range(48)))
    for prompt in ("48", "49"):
        scene_store.add(USER, project.project_id, NewScene(image_prompt=prompt))
    with pytest.raises(TooManyScenes):
        scene_store.add(USER, project.project_id, NewScene())
    found, scenes = project_store.read(USER, project.project_id)
    assert [scene.image_prompt for scene in scenes] == [*map(str, range(50))]
    assert found.revision == project.revision + 2


def test_a_deleted_scene_makes_room_and_takes_its_render_along() -> None:
    project = project_of(*map(str, range(50)))
    gone, stays = project.scene_ids[7], project.scene_ids[8]
    job = open_job()
    holds.settle(job.job_id, lambda _: FAILED)
    project = render(render(project, gone, job.job_id), stays, job.job_id)
    scene_store.delete(USER, project.project_id, gone)
    with pytest.raises(SceneNotFound):
        scene_store.find(USER, gone)
    with pytest.raises(SceneNotFound):
        scene_store.delete(USER, project.project_id, gone)
    added = scene_store.add(USER, project.project_id, NewScene())
    found, scenes = project_store.read(USER, project.project_id)
    others = [scene_id for scene_id in project.scene_ids if scene_id != gone]
    assert [scene.scene_id for scene in scenes] == [*others, added.scene_id]
    assert found.scene_jobs == {stays: SceneJobs(job.job_id)}
    assert found.revision == project.revision + 2


def test_projects_are_listed_newest_first_while_new_ones_arrive(hands: Clock) -> None:
    created = []
    for _ in range(7):
        hands.forward(seconds=1)
        created.append(project_of("a fox", "a wolf"))
    project_of(user="user-2")
    page = project_store.list_for_user(USER, limit=3, cursor=None)
    assert page.projects == created[:3:-1]
    hands.forward(seconds=1)
    newest = project_of()
    project_store.change(USER, created[5].project_id, ProjectChanges(name="Foxes"))
    second = project_store.list_for_user(USER, limit=3, cursor=page.cursor)
    assert second.projects == created[3:0:-1]
    last = project_store.list_for_user(USER, limit=3, cursor=second.cursor)
    assert (last.projects, last.cursor) == ([created[0]], None)
    assert project_store.list_for_user(USER, limit=8, cursor=None).projects[0] == newest


def test_projects_of_one_moment_are_each_listed_once(hands: Clock) -> None:
    created = {project_of().project_id for _ in range(5)}
    found, cursor = [], None
    while True:
        page = project_store.list_for_user(USER, limit=2, cursor=cursor)
        found += [project.project_id for project in page.projects]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == 5
    assert set(found) == created


@pytest.mark.parametrize(
    "cursor", ["x", "!", "W10", base64.urlsafe_b64encode(json.dumps(["2026", 1]).encode()).decode()]
)
def test_a_cursor_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        project_store.list_for_user(USER, limit=3, cursor=cursor)


# ── Deleting ─────────────────────────────────────────────────────────────────────────────────────


def test_a_deleted_project_leaves_nothing_but_its_jobs(account: Aws) -> None:
    other = project_of("a wolf")
    kept = upload(other)
    before = account.items("PROJECTS_TABLE")
    project = project_of("a fox", "a hen")
    job = open_job(project_id=project.project_id, scene_id=project.scene_ids[0])
    holds.settle(job.job_id, lambda _: FAILED)
    project = render(project, project.scene_ids[0], job.job_id)
    upload(project)
    upload(project, "b.png")
    project_store.delete(USER, project.project_id)
    assert account.items("PROJECTS_TABLE") == before
    assert uploads(account) == [kept]
    assert job_store.get(job.job_id) is not None
    with pytest.raises(ProjectNotFound):
        project_store.delete(USER, project.project_id)


@pytest.mark.parametrize("known_by", ["its render", "the list of jobs"])
def test_a_project_is_not_deleted_while_a_job_of_it_runs(known_by: str, account: Aws) -> None:
    project = project_of("a fox", "a hen")
    fox, hen = project.scene_ids
    key = upload(project)
    if known_by == "its render":
        job = open_job()
        project = render(project, fox, job.job_id)
    else:
        job = open_job(project_id=project.project_id, scene_id=fox)
    before = account.items("PROJECTS_TABLE")
    with pytest.raises(ProjectBusy):
        project_store.delete(USER, project.project_id)
    with pytest.raises(ProjectBusy):
        scene_store.delete(USER, project.project_id, fox)
    assert account.items("PROJECTS_TABLE") == before
    assert uploads(account) == [key]
    scene_store.delete(USER, project.project_id, hen)
    holds.settle(job.job_id, lambda _: FAILED)
    scene_store.delete(USER, project.project_id, fox)
    project_store.delete(USER, project.project_id)


def test_a_job_that_starts_while_its_project_is_being_deleted_is_noticed(
    account: Aws,
) -> None:
    project = project_of("a fox")
    job = open_job()
    marked: list[Project] = []

    def one_starts(**_: Any) -> None:
        # The project was found idle, and is about to be marked as being deleted.
        if not marked:
            marked.append(render(project, project.scene_ids[0], job.job_id))

    with (
        hooked(client_of(ProjectItem), {"before-call.dynamodb.UpdateItem": one_starts}),
        pytest.raises(ProjectBusy),
    ):
        project_store.delete(USER, project.project_id)
    assert marked
    assert project_store.get(USER, project.project_id).scene_jobs


def test_nothing_can_be_done_with_a_project_whose_deletion_was_cut_short(
    account: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of("a fox")
    (scene_id,) = project.scene_ids
    upload(project)
    with monkeypatch.context() as cut:
        cut.setattr(storage, "delete", _cut_off)
        with pytest.raises(ConnectionError):
            project_store.delete(USER, project.project_id)
    for call in everything(USER, project.project_id, scene_id):
        with pytest.raises(ProjectNotFound):
            call()
    with pytest.raises(SceneNotFound):
        scene_store.find(USER, scene_id)
    with pytest.raises(TransactWriteError):
        render(project, scene_id, "job-1")
    assert project_store.list_for_user(USER, limit=9, cursor=None).projects == []
    # Cut short once more, after the images.
    account.before_each_transaction(_cut_off)
    with pytest.raises(ConnectionError):
        project_store.delete(USER, project.project_id)
    assert uploads(account) == []
    project_store.delete(USER, project.project_id)
    assert account.items("PROJECTS_TABLE") == []


def _cut_off(*_: object) -> str | None:
    raise ConnectionError


# ── Concurrent changes ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reason", ["TransactionConflict", "ConditionalCheckFailed"])
def test_a_write_that_meets_another_is_tried_again(account: Aws, reason: str) -> None:
    project = project_of("a fox")
    account.before_each_transaction(lambda: reason, lambda: reason)
    scene_store.add(USER, project.project_id, NewScene(image_prompt="a hen"))
    account.before_each_transaction(lambda: reason)
    scene_store.delete(USER, project.project_id, project.scene_ids[0])
    assert [s.image_prompt for s in project_store.read(USER, project.project_id)[1]] == ["a hen"]


def test_a_write_that_keeps_conflicting_asks_the_caller_to_retry(account: Aws) -> None:
    project = project_of("a fox")
    account.before_each_transaction(*[lambda: "TransactionConflict"] * project_writes.MAX_ATTEMPTS)
    with pytest.raises(TemporarilyUnavailable):
        scene_store.add(USER, project.project_id, NewScene())
    assert project_store.get(USER, project.project_id) == project


def test_a_scene_deleted_while_another_is_added_loses_neither(account: Aws) -> None:
    project = project_of("a fox", "a hen")

    def meanwhile() -> None:
        scene_store.add(USER, project.project_id, NewScene(image_prompt="a wolf"))

    account.before_each_transaction(meanwhile)
    scene_store.delete(USER, project.project_id, project.scene_ids[0])
    found, scenes = project_store.read(USER, project.project_id)
    assert [scene.image_prompt for scene in scenes] == ["a hen", "a wolf"]
    assert found.scene_ids == tuple(scene.scene_id for scene in scenes)


def test_renders_are_noted_only_for_the_project_as_it_was_read() -> None:
    project = project_of("a fox", "a hen")
    fox, hen = project.scene_ids
    noted = render(project, fox, "job-1")
    assert noted.scene_jobs == {fox: SceneJobs("job-1")}
    with pytest.raises(TransactWriteError):
        render(project, hen, "job-2")
    assert render(noted, hen, "job-2").scene_jobs == {
        fox: SceneJobs("job-1"),
        hen: SceneJobs("job-2"),
    }


# ── Jobs of a project ────────────────────────────────────────────────────────────────────────────


def test_many_jobs_are_read_at_once_those_that_are_there() -> None:
    made = [open_job() for _ in range(103)]
    ids = [job.job_id for job in made]
    found = job_store.get_many([*ids, *ids, str(uuid.uuid4())])
    assert found == {job.job_id: job for job in made}
    assert job_store.get_many([]) == {}


class LeavesUnread:
    """DynamoDB that reads ``per_call`` keys of every BatchGetItem, and leaves the others."""

    def __init__(self, per_call: int) -> None:
        self.calls = 0
        self._per_call = per_call
        self._left: list[Any] = []

    def asked(self, params: dict[str, Any], **_: Any) -> None:
        self.calls += 1
        asked = params["RequestItems"]["JobsTable"]
        assert asked["ConsistentRead"] is True
        assert len(asked["Keys"]) <= 100
        self._left = asked["Keys"][self._per_call :]
        params["RequestItems"] = {"JobsTable": {**asked, "Keys": asked["Keys"][: self._per_call]}}

    def nothing(self, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        if self._per_call:
            return None
        return AWSResponse("", 200, HTTPHeaders(), None), {"Responses": {}}

    def answered(self, parsed: dict[str, Any], **_: Any) -> None:
        parsed["UnprocessedKeys"] = {"JobsTable": {"Keys": self._left}} if self._left else {}


@pytest.fixture
def leaves_unread(aws: Aws, request: pytest.FixtureRequest) -> Iterator[LeavesUnread]:
    double = LeavesUnread(request.param)
    hooks: dict[str, Callable[..., Any]] = {
        "provide-client-params.dynamodb.BatchGetItem": double.asked,
        "before-call.dynamodb.BatchGetItem": double.nothing,
        "after-call.dynamodb.BatchGetItem": double.answered,
    }
    with hooked(client_of(JobItem), hooks):
        yield double


@pytest.mark.parametrize("leaves_unread", [2], indirect=True)
def test_jobs_left_unread_are_asked_for_again(leaves_unread: LeavesUnread) -> None:
    made = [open_job() for _ in range(5)]
    assert job_store.get_many(job.job_id for job in made) == {job.job_id: job for job in made}
    assert leaves_unread.calls == 3


@pytest.mark.parametrize("leaves_unread", [0], indirect=True)
def test_jobs_that_are_never_read_are_not_taken_for_missing(leaves_unread: LeavesUnread) -> None:
    with pytest.raises(TemporarilyUnavailable):
        job_store.get_many(["job-1", "job-2"])
    assert leaves_unread.calls > 2


def test_open_jobs_are_those_of_the_project_and_scene_that_have_not_ended(hands: Clock) -> None:
    ids = ("project-1", "scene-1")
    running = open_job(project_id="project-1", scene_id="scene-1", created_at=hands.now())
    other = open_job(project_id="project-1", scene_id="scene-2", created_at=hands.now())
    without = open_job(project_id="project-1", created_at=hands.now())
    open_job(project_id="project-2", scene_id="scene-1", created_at=hands.now())
    open_job(created_at=hands.now())
    ended = open_job(project_id="project-1", scene_id="scene-1", created_at=hands.now())
    holds.settle(ended.job_id, lambda _: FAILED)
    hands.forward(hours=48)
    assert job_lists.open_in_project(USER, *ids) == [running.job_id]
    assert set(job_lists.open_in_project(USER, "project-1")) == {
        running.job_id,
        other.job_id,
        without.job_id,
    }
    assert job_lists.open_in_project("user-2", *ids) == []


def test_a_job_knows_its_project_and_scene() -> None:
    job = open_job(project_id="project-1", scene_id="scene-1")
    assert job_store.get(job.job_id) == job
    assert (new_job().project_id, new_job().scene_id) == (None, None)


def test_items_of_both_kinds_stay_out_of_each_others_index(account: Aws) -> None:
    project_of("a fox", "a hen")
    assert len(list(ProjectItem.by_creation.query(USER))) == 1
    assert len(list(SceneItem.by_scene.query(USER))) == 2
    assert len(account.items("PROJECTS_TABLE")) == 3
    assert timedelta(hours=48) < job_lists.OPEN_FOR
