"""Unused uploaded images and upload forms are deleted; a job keeps the image that it uses."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image

from clipmint import clock
from clipmint.aws import s3_for_uploads
from clipmint.execution.sending import ImageExpired
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import verdict
from clipmint.projects import project_store, unused_images
from clipmint.projects.project_items import ProjectItem, project_sk
from clipmint.projects.project_requests import ProjectChanges
from functions.expire.app import ExpireIncomplete
from functions.expire.app import handler as expire
from functions.generate.app import handler as generate
from functions.projects.app import handler as projects
from functions.submit.app import handler as submit
from tests.support.clock import Clock
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import open_job
from tests.support.moto_aws import IMAGES_BUCKET, Aws, hooked
from tests.support.scripted_provider import ScriptedProvider

USER = "user-1"
TABLE = "PROJECTS_TABLE"
NOTHING = {"deleted": 0, "uploaded": 0, "kept": 0, "failed": 0}


@pytest.fixture
def call(aws: Aws, hands: Clock) -> Caller:
    return Caller(projects)


def form(call: Caller) -> Answer:
    answer = call("POST", "/v1/images", body={"content_type": "image/png"})
    assert answer.status == 201
    return answer


def upload(aws: Aws, form: Answer) -> str:
    """Use a form; the URL of the image."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(file, "PNG")
    key = form.body["upload"]["fields"]["key"]
    aws.s3.put_object(Bucket=IMAGES_BUCKET, Key=key, Body=file.getvalue(), ContentType="image/png")
    return str(form.body["image_url"])


def run(**changes: int) -> dict[str, int]:
    done: dict[str, int] = expire({}, Context(remaining_ms=240_000))
    assert done == NOTHING | changes
    return done


def objects(aws: Aws) -> list[str]:
    found = aws.s3.list_objects_v2(Bucket=IMAGES_BUCKET)
    return [each["Key"] for each in found.get("Contents", [])]


def send(job: Job) -> Any:
    return submit({"job_id": job.job_id}, Context())


# ── What is deleted, and when ────────────────────────────────────────────────────────────────────


def test_a_form_that_was_not_used_leaves_nothing_after_a_day(
    aws: Aws, call: Caller, hands: Clock
) -> None:
    form(call)
    hands.forward(hours=23, minutes=59)
    run()
    hands.forward(minutes=2)
    run(deleted=1)
    assert aws.items(TABLE) == []
    assert call("GET", "/v1/projects").body["projects"] == []


def test_an_unused_image_is_deleted_at_the_date_the_api_shows(
    aws: Aws, call: Caller, hands: Clock
) -> None:
    made = form(call)
    upload(aws, made)
    hands.forward(days=1)
    run(uploaded=1)
    path = f"/v1/projects/{made.body['project_id']}"
    project = call("GET", path).body
    assert project["expires_at"] == made.body["expires_at"]
    expires_at = clock.from_iso(project["expires_at"])
    assert expires_at - clock.from_iso(project["created_at"]) == timedelta(days=30)

    hands.move_to(expires_at - timedelta(seconds=1))
    run()
    assert call("GET", path).status == 200
    hands.forward(seconds=1)
    run(deleted=1)
    assert call("GET", path).status == 404
    assert (aws.items(TABLE), objects(aws)) == ([], [])


@pytest.mark.parametrize("days", [1, 3])
def test_the_owner_sets_how_long(
    aws: Aws, call: Caller, hands: Clock, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setenv("UNUSED_IMAGE_DAYS", str(days))
    upload(aws, form(call))
    hands.forward(days=1)
    expire({}, Context(remaining_ms=240_000))
    hands.forward(days=days - 1)
    expire({}, Context(remaining_ms=240_000))
    assert (aws.items(TABLE), objects(aws)) == ([], [])


def test_projects_that_were_not_made_for_an_upload_never_expire(
    aws: Aws, call: Caller, hands: Clock
) -> None:
    made = call("POST", "/v1/projects", body={"name": "Spring"})
    assert made.body["expires_at"] is None
    hands.forward(days=400)
    run()
    assert call("GET", made.headers["location"]).status == 200


# ── What keeps an image ──────────────────────────────────────────────────────────────────────────


def renamed(call: Caller, made: Answer) -> None:
    assert call("PATCH", made.headers["location"], body={"name": "Spring"}).status == 200


def with_a_scene(call: Caller, made: Answer) -> None:
    assert call("POST", f"{made.headers['location']}/scenes", body={}).status == 201


@pytest.mark.parametrize("change", [renamed, with_a_scene])
def test_a_changed_project_keeps_its_image(
    aws: Aws, call: Caller, hands: Clock, change: Callable[[Caller, Answer], None]
) -> None:
    made = form(call)
    upload(aws, made)
    change(call, made)
    assert call("GET", made.headers["location"]).body["expires_at"] is None
    hands.forward(days=400)
    run()
    assert len(objects(aws)) == 1


def test_a_project_that_an_older_version_has_changed_keeps_its_image(
    aws: Aws, call: Caller, hands: Clock
) -> None:
    made = form(call)
    upload(aws, made)
    # Such a version, deployed by a roll-back, does not know what else it has to remove.
    item = ProjectItem.get(USER, project_sk(made.body["project_id"]))
    item.update([ProjectItem.name.set("Spring"), ProjectItem.revision.set(item.revision + 1)])
    assert item.unused
    hands.forward(days=400)
    run(kept=1)
    run()
    assert call("GET", made.headers["location"]).body["expires_at"] is None
    assert len(objects(aws)) == 1


def test_an_estimate_keeps_nothing(aws: Aws, call: Caller, hands: Clock) -> None:
    url = upload(aws, form(call))
    body = {"model_id": "veo-3.1-i2v", "prompt": "a fox", "image_url": url}
    assert Caller(generate)("POST", "/v1/videos/estimate", body=body).status == 200
    hands.forward(days=30)
    run(deleted=1)
    # The record of the check is deleted with its image.
    assert (aws.items(TABLE), objects(aws)) == ([], [])


@pytest.mark.parametrize("field", ["image_url", "last_image_url"])
def test_a_job_keeps_the_images_that_it_sends(
    aws: Aws, call: Caller, hands: Clock, provider: ScriptedProvider, field: str
) -> None:
    made = form(call)
    job = open_job(**{field: upload(aws, made)})
    send(job)
    assert len(provider.tasks) == 1
    assert call("GET", made.headers["location"]).body["expires_at"] is None
    hands.forward(days=400)
    run()
    assert len(objects(aws)) == 1


def test_a_repeated_submission_writes_the_project_again_and_changes_nothing(
    aws: Aws, call: Caller, provider: ScriptedProvider
) -> None:
    made = form(call)
    url = upload(aws, made)
    send(open_job(image_url=url))
    before = aws.items(TABLE)
    send(open_job(image_url=url))
    assert aws.items(TABLE) == before


def test_images_of_other_hosts_and_of_other_users_are_not_touched(
    aws: Aws, call: Caller, provider: ScriptedProvider
) -> None:
    url = upload(aws, form(call))
    before = aws.items(TABLE)
    send(open_job(image_url="https://example.com/a.png"))
    send(open_job(user_id="eve", image_url=url))
    assert aws.items(TABLE) == before


# ── Both at the same moment ──────────────────────────────────────────────────────────────────────


def test_a_job_whose_image_is_deleted_at_that_moment_fails_unsent_and_free(
    aws: Aws, call: Caller, hands: Clock, provider: ScriptedProvider
) -> None:
    job = open_job(image_url=upload(aws, form(call)))
    hands.forward(days=30)
    run(deleted=1)
    with pytest.raises(ImageExpired):
        send(job)
    assert provider.tasks == []
    ended = verdict(job, "ImageExpired")
    assert (ended.status, ended.failure) == (JobStatus.FAILED, FailureCode.INPUT_UNREADABLE)


def meanwhile(action: Callable[[], object]) -> Callable[..., None]:
    """Do something once, right before the next call of S3 or of a table is sent."""
    done: list[bool] = []

    def hook(**_: Any) -> None:
        if not done:
            done.append(True)
            action()

    return hook


def test_a_change_after_the_deletion_has_looked_wins(aws: Aws, call: Caller, hands: Clock) -> None:
    made = form(call)
    project_id = made.body["project_id"]
    hands.forward(days=1)

    def change() -> None:
        project_store.change(USER, project_id, ProjectChanges(name="Spring"))

    with hooked(s3_for_uploads(), {"before-call.s3.ListObjectsV2": meanwhile(change)}):
        run(kept=1)
    assert call("GET", made.headers["location"]).body["name"] == "Spring"


def test_a_project_that_is_being_deleted_can_not_be_kept(
    aws: Aws, call: Caller, hands: Clock, provider: ScriptedProvider
) -> None:
    made = form(call)
    job = open_job(image_url=upload(aws, made))
    hands.forward(days=30)
    refused: list[str] = []

    def use() -> None:
        try:
            send(job)
        except ImageExpired:
            refused.append("unsent")

    with hooked(s3_for_uploads(), {"before-call.s3.ListObjectsV2": meanwhile(use)}):
        run(deleted=1)
    assert (refused, provider.tasks) == (["unsent"], [])


def test_a_deletion_that_crashed_is_continued(
    aws: Aws, call: Caller, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = form(call)
    upload(aws, made)
    hands.forward(days=30)

    def crash(**_: Any) -> None:
        raise RuntimeError("no more time")

    with (
        hooked(s3_for_uploads(), {"before-call.s3.DeleteObject": crash}),
        pytest.raises(ExpireIncomplete),
    ):
        expire({}, Context(remaining_ms=240_000))
    assert call("GET", made.headers["location"]).status == 404
    run(deleted=1)
    assert (aws.items(TABLE), objects(aws)) == ([], [])


def test_a_broken_project_does_not_protect_the_others(aws: Aws, call: Caller, hands: Clock) -> None:
    broken, _ = form(call), form(call)
    ProjectItem(USER, project_sk(broken.body["project_id"])).update(
        [ProjectItem.expires_at.set("not a date")]
    )
    hands.forward(days=1)
    with pytest.raises(ExpireIncomplete, match="1 projects"):
        expire({}, Context(remaining_ms=240_000))
    assert len(aws.items(TABLE)) == 1


def test_an_index_that_is_late_deletes_nothing(
    aws: Aws, call: Caller, hands: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = form(call)
    late = ProjectItem.get(USER, project_sk(made.body["project_id"]))
    renamed(call, made)
    monkeypatch.setattr(type(ProjectItem.by_expiry), "query", staticmethod(lambda *_: iter([late])))
    hands.forward(days=1)
    run(kept=1)
    assert call("GET", made.headers["location"]).status == 200


def test_a_run_ends_in_time(aws: Aws, call: Caller, hands: Clock) -> None:
    form(call)
    hands.forward(days=1)
    assert expire({}, Context(remaining_ms=1_000)) == NOTHING
    run(deleted=1)
    assert unused_images.delete_due(lambda: True) == NOTHING
