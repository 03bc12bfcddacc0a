"""Projects and scenes, as the gateway calls for them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.endpoint import Endpoint
from botocore.model import OperationModel

from clipmint.aws import write_transaction
from clipmint.credits import holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus, Stage
from clipmint.jobs.outcomes import IMAGE_KEPT, USER_MESSAGES, Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.projects import project_store
from clipmint.projects.project import MAX_SCENES, RESOLUTIONS, SceneJobs
from clipmint.projects.project_items import ProjectItem
from functions.projects.app import handler
from tests.support.gateway import Answer, Caller, answer_of, event
from tests.support.jobs import ROUTES, TASK_ID, begin_sending, open_job
from tests.support.moto_aws import BUCKET, Aws
from tests.support.scripted_provider import HANDLE

USER, OTHER_USER = "user-1", "user-2"
IMAGE_URL = "https://example.com/picture.png"
NOWHERE = "3d0b9c52-6f1e-4b7a-8f0e-9a4c2d7e5b18"


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler)


@pytest.fixture
def project(call: Caller) -> Any:
    """A project of three scenes."""
    scenes = [{"image_prompt": prompt} for prompt in ("a fox", "a hen", "a wolf")]
    answer = call("POST", "/v1/projects", body={"name": "Animals", "scenes": scenes})
    assert answer.status == 201
    return answer.body


def path(project: Any, scene: Any = None) -> str:
    whole = f"/v1/projects/{project['project_id']}"
    return whole if scene is None else f"{whole}/scenes/{scene['scene_id']}"


def rendered(project: Any, scene: Any, job: Job | None = None) -> Job:
    """A job of this scene, noted by its project as its newest."""
    ids = {"project_id": project["project_id"], "scene_id": scene["scene_id"]}
    job = job or open_job(**ids)
    found = project_store.get(USER, ids["project_id"])
    render = SceneJobs(job.job_id, None, None)
    if (before := found.scene_jobs.get(ids["scene_id"])) is not None:
        render = replace(render, video_job_id=before.job_id)
    with write_transaction(ProjectItem) as transaction:
        item, actions, condition = project_store.update_scene_jobs(found, {ids["scene_id"]: render})
        transaction.update(item, actions=actions, condition=condition)
    return job


def complete(job: Job) -> Job:
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    job_store.record_outcome(
        job.job_id, "video", Succeeded("https://v3.fal.media/files/b/video.mp4")
    )
    asset = Asset(
        BUCKET,
        f"videos/{job.job_id}.mp4",
        "video/mp4",
        9,
        "0" * 64,
        1_280,
        720,
        8.0,
        f"videos/{job.job_id}.jpg",
    )
    job_store.record_asset(job.job_id, "video", asset)
    return holds.settle(job.job_id, lambda found: verdict(found, None))


def fail(job: Job, code: FailureCode = FailureCode.CONTENT_POLICY) -> Job:
    begin_sending(job)
    job_store.record_outcome(job.job_id, "video", Failed(code))
    return holds.settle(job.job_id, lambda found: verdict(found, "SubmissionRejected"))


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────


def test_a_project_is_created_at_its_location_header(call: Caller) -> None:
    answer = call("POST", "/v1/projects", body={})
    assert answer.status == 201
    assert answer.headers["location"] == path(answer.body)
    made_at = answer.body["created_at"]
    assert answer.body == {
        "project_id": answer.body["project_id"],
        "name": None,
        "resolution": "720:1280",
        "image_url": None,
        "scene_count": 0,
        "expires_at": None,
        "created_at": made_at,
        "updated_at": made_at,
        "scenes": [],
    }
    assert call("GET", answer.headers["location"]).body == answer.body


def test_a_project_comes_with_its_scenes_in_their_order(call: Caller, project: Any) -> None:
    assert [scene["image_prompt"] for scene in project["scenes"]] == ["a fox", "a hen", "a wolf"]
    assert call("GET", path(project)).body == project
    assert call("GET", f"{path(project)}/scenes").body == {"scenes": project["scenes"]}
    for scene in project["scenes"]:
        assert call("GET", path(project, scene)).body == scene


def test_projects_are_listed_page_by_page_without_their_scenes(call: Caller, project: Any) -> None:
    for n in range(3):
        call("POST", "/v1/projects", body={"name": str(n)})
    call("POST", "/v1/projects", body={}, user=OTHER_USER)
    first = call("GET", "/v1/projects", query={"limit": "3"})
    assert [found["name"] for found in first.body["projects"]] == ["2", "1", "0"]
    query = {"limit": "3", "cursor": first.body["cursor"]}
    last = call("GET", "/v1/projects", query=query)
    summary = {name: value for name, value in project.items() if name != "scenes"}
    assert last.body == {"projects": [summary], "cursor": None}
    assert summary["scene_count"] == 3


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"cursor": "bm8"}])
def test_a_page_that_cannot_be_is_refused(call: Caller, query: dict[str, str]) -> None:
    answer = call("GET", "/v1/projects", query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_a_patch_keeps_what_it_leaves_out_and_clears_what_is_null(
    call: Caller, project: Any
) -> None:
    changed = call("PATCH", path(project), body={"image_url": IMAGE_URL, "resolution": "960:960"})
    assert changed.status == 200
    assert (changed.body["name"], changed.body["image_url"]) == ("Animals", IMAGE_URL)
    cleared = call("PATCH", path(project), body={"name": None, "resolution": None})
    assert (cleared.body["name"], cleared.body["image_url"]) == (None, IMAGE_URL)
    assert cleared.body["resolution"] == "720:1280"
    assert call("PATCH", path(project), body={}).body == cleared.body
    assert cleared.body["scenes"] == project["scenes"]


def test_a_scenes_patch_does_likewise(call: Caller, project: Any) -> None:
    scene = project["scenes"][0]
    changed = call("PATCH", path(project, scene), body={"duration": 8, "first_frame": IMAGE_URL})
    assert changed.status == 200
    assert changed.body == scene | {
        "duration": 8,
        "first_frame": IMAGE_URL,
        "updated_at": changed.body["updated_at"],
    }
    cleared = call("PATCH", path(project, scene), body={"duration": None, "image_prompt": None})
    assert (cleared.body["duration"], cleared.body["image_prompt"]) == (5, None)
    assert cleared.body["first_frame"] == IMAGE_URL
    assert call("GET", path(project, scene)).body == cleared.body


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_resolution_outside_the_map_is_refused_with_those_inside(
    call: Caller, project: Any, method: str
) -> None:
    where = "/v1/projects" if method == "POST" else path(project)
    answer = call(method, where, body={"resolution": "1920:1080"})
    assert (answer.status, answer.code) == (400, "RESOLUTION_NOT_ALLOWED")
    for resolution in RESOLUTIONS:
        assert resolution in answer.body["details"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scenes": [{}, {"duration": 0}]}, "scenes.1.duration"),
        ({"scenes": [{"image_prompt": "x" * 5_001}]}, "scenes.0.image_prompt"),
        ({"scenes": [{"first_frame": "https://127.0.0.1/a.png"}]}, "scenes.0.first_frame"),
        ({"scenes": {}}, "scenes"),
        ({"name": ""}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"image_url": "ftp://example.com/a.png"}, "image_url"),
        ({"title": "Animals"}, "title"),
        ("[]", "body"),
    ],
)
def test_a_body_that_is_not_valid_is_refused_by_field(
    call: Caller, aws: Aws, body: Any, field: str
) -> None:
    answer = call("POST", "/v1/projects", body=body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.body["details"].startswith(f"{field}:")
    assert aws.items("PROJECTS_TABLE") == []


def test_a_body_with_only_optional_members_may_be_left_out(call: Caller) -> None:
    answer = call("POST", "/v1/projects", body="")
    assert answer.status == 201
    assert answer.body["scenes"] == []


def test_an_unknown_query_parameter_is_refused_and_the_known_ones_are_listed(
    call: Caller,
) -> None:
    answer = call("GET", "/v1/projects", query={"user_id": "user-2", "limit": "5"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.body["details"] == (
        "user_id: not a parameter of this route, which has: cursor, limit"
    )


def test_the_51st_scene_is_refused(call: Caller) -> None:
    refused = call("POST", "/v1/projects", body={"scenes": [{}] * 51})
    assert (refused.status, refused.code) == (400, "TOO_MANY_SCENES")
    full = call("POST", "/v1/projects", body={"scenes": [{}] * 50})
    assert (full.status, full.body["scene_count"]) == (201, 50)
    refused = call("POST", f"{path(full.body)}/scenes", body={})
    assert (refused.status, refused.code) == (400, "TOO_MANY_SCENES")
    assert "50" in refused.body["details"]
    assert call("DELETE", path(full.body, full.body["scenes"][0])).status == 204
    added = call("POST", f"{path(full.body)}/scenes", body={"image_prompt": "a fox"})
    assert added.status == 201
    assert added.headers["location"] == path(full.body, added.body)
    scenes = call("GET", path(full.body)).body["scenes"]
    assert scenes == [*full.body["scenes"][1:], added.body]


def test_the_largest_project_fits_into_an_answer(call: Caller) -> None:
    scene = dict.fromkeys(("image_prompt", "visual_prompt"), "🦊" * 5_000)
    urls = ("first_frame", "last_frame", "image_url", "product_reference_image_url")
    scene |= dict.fromkeys(urls, f"{IMAGE_URL}?{'x' * 2_000}")
    created = call("POST", "/v1/projects", body={"scenes": [scene] * MAX_SCENES})
    assert created.status == 201
    result = call.handler(event("GET", path(created.body)), call.context)
    assert answer_of(result).body == created.body
    # As Lambda's runtime sends it on, which takes 6 MB. Two presigned URLs a scene come on top.
    sent = json.dumps(result, ensure_ascii=False).encode()
    assert len(sent) + MAX_SCENES * 2 * 2_500 < 6 * 1024 * 1024


def every_route(project: Any, scene: Any) -> Iterator[tuple[str, str, Any]]:
    """Every call about one project."""
    whole, part = path(project), path(project, scene)
    for where, change in ((whole, {"name": "Mine"}), (part, {"duration": 8})):
        yield "GET", where, None
        yield "PATCH", where, change
        yield "PATCH", where, {}
        yield "DELETE", where, None
    yield "GET", f"{whole}/scenes", None
    yield "POST", f"{whole}/scenes", {}
    yield "GET", f"{whole}/clips", None


def test_another_users_project_and_an_unknown_project_get_the_same_response(
    call: Caller, aws: Aws, project: Any
) -> None:
    before = aws.items("PROJECTS_TABLE")
    (scene, *_) = project["scenes"]
    asked = [
        *((OTHER_USER, route) for route in every_route(project, scene)),
        *((USER, route) for route in every_route({"project_id": NOWHERE}, scene)),
        *((USER, route) for route in every_route({"project_id": "nowhere"}, scene)),
    ]
    assert len(asked) == 33
    errors = set()
    for user, (method, where, body) in asked:
        answer = call(method, where, body=body, user=user)
        assert (answer.status, answer.code) == (404, "PROJECT_NOT_FOUND"), (method, where)
        errors.add((answer.body["error"], answer.body["details"]))
    assert len(errors) == 1
    assert aws.items("PROJECTS_TABLE") == before


@pytest.mark.parametrize("scene_id", [NOWHERE, "nowhere"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_scene_is_named_as_such(
    call: Caller, project: Any, method: str, scene_id: str
) -> None:
    body = {"duration": 8} if method == "PATCH" else None
    answer = call(method, path(project, {"scene_id": scene_id}), body=body)
    assert (answer.status, answer.code) == (404, "SCENE_NOT_FOUND")


def test_a_scene_of_another_project_is_unknown_here(call: Caller, project: Any) -> None:
    other = call("POST", "/v1/projects", body={"scenes": [{}]}).body
    answer = call("GET", path(project, other["scenes"][0]))
    assert (answer.status, answer.code) == (404, "SCENE_NOT_FOUND")


# ── The state of the project's jobs ──────────────────────────────────────────────────────────────


def test_a_scene_never_rendered_is_pending_without_a_job(project: Any) -> None:
    scene = project["scenes"][0]
    assert scene == {
        "scene_id": scene["scene_id"],
        "project_id": project["project_id"],
        "image_prompt": "a fox",
        "visual_prompt": None,
        "product_reference_image_url": None,
        "duration": 5,
        "first_frame": None,
        "last_frame": None,
        "model_id": None,
        "status": "pending",
        "job_id": None,
        "progress": 0,
        "current_step": None,
        "image_url": None,
        "video_url": None,
        "thumbnail_url": None,
        "error_message": None,
        "error_code": None,
        "created_at": project["created_at"],
        "updated_at": project["created_at"],
    }


def test_a_scene_whose_video_failed_shows_that_its_image_was_charged(
    aws: Aws, call: Caller, project: Any
) -> None:
    scene, route = project["scenes"][0], ROUTES["runway"]
    asset = Asset(BUCKET, "generated_images/1.png", "image/png", 9, "0" * 64, 1_080, 1_920, 0.0)
    image = Stage("image", (route,), "runway", route.endpoint, 1, (15,), 600)
    video = Stage("video", (route,), "runway", route.endpoint, 5, (15,), 600)
    ids = {"project_id": project["project_id"], "scene_id": scene["scene_id"]}
    job = open_job(stages=(image, video), **ids)
    job_store.record_asset(job.job_id, "image", asset, image_url="https://images.example.com/1.png")
    ended = fail(rendered(project, scene, job))
    assert ended.credits_used == 1
    message = f"{USER_MESSAGES[FailureCode.CONTENT_POLICY]} {IMAGE_KEPT}"
    assert call("GET", path(project, scene)).body["error_message"] == message
    [clip] = call("GET", f"{path(project)}/clips").body["clips"]
    assert clip["error_message"] == message


def test_a_scene_is_as_its_newest_job(call: Caller, project: Any) -> None:
    (fox, hen, wolf) = project["scenes"]
    running, failed, done = (rendered(project, scene) for scene in (fox, hen, wolf))
    begin_sending(running)
    fail(failed)
    complete(done)
    by_id = {scene["scene_id"]: scene for scene in call("GET", path(project)).body["scenes"]}
    fox, hen, wolf = (by_id[scene["scene_id"]] for scene in (fox, hen, wolf))
    assert (fox["job_id"], fox["status"], fox["progress"]) == (running.job_id, "processing", 15)
    assert fox["current_step"] == "Fetching scene configuration"
    assert (hen["job_id"], hen["status"], hen["error_code"]) == (
        failed.job_id,
        "failed",
        "CONTENT_POLICY",
    )
    assert hen["error_message"] == USER_MESSAGES[FailureCode.CONTENT_POLICY]
    assert (wolf["status"], wolf["progress"]) == ("completed", 100)
    for name, end in (("video_url", ".mp4"), ("thumbnail_url", ".jpg")):
        url = urlsplit(wolf[name])
        assert url.path.endswith(f"/videos/{done.job_id}{end}")
        assert parse_qs(url.query)["X-Amz-Expires"] == ["3600"]
    for scene in (fox, hen, wolf):
        assert call("GET", path(project, scene)).body | _urls(scene) == scene
        assert (fox["video_url"], hen["video_url"]) == (None, None)


def _urls(scene: Any) -> dict[str, Any]:
    """What is signed again on each read."""
    return {name: scene[name] for name in ("video_url", "thumbnail_url")}


def test_a_scene_keeps_showing_its_last_video_while_the_next_is_made(
    call: Caller, project: Any
) -> None:
    scene = project["scenes"][0]
    first = complete(rendered(project, scene))
    second = rendered(project, scene)
    shown = call("GET", path(project, scene)).body
    assert (shown["job_id"], shown["status"]) == (second.job_id, "pending")
    assert first.job_id in shown["video_url"]
    complete(second)
    assert second.job_id in call("GET", path(project, scene)).body["video_url"]
    job_store.hide(second.job_id)
    shown = call("GET", path(project, scene)).body
    assert (shown["job_id"], shown["status"]) == (first.job_id, "completed")
    assert first.job_id in shown["video_url"]


def test_the_image_is_the_users_own_until_a_job_has_made_one(
    call: Caller, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = project["scenes"][0]
    shown = call("PATCH", path(project, scene), body={"image_url": IMAGE_URL}).body
    assert shown["image_url"] == IMAGE_URL
    job = rendered(project, scene)
    assert call("GET", path(project, scene)).body["image_url"] == IMAGE_URL
    asset = Asset(BUCKET, "generated_images/1.png", "image/png", 9, "0" * 64, 1_080, 1_920, 0.0)
    route = ROUTES["runway"]
    image = Stage("image", (route,), "runway", route.endpoint, 5, (15,), 600, asset=asset)
    made = "https://images.example.com/1.png"
    two_staged = replace(job, stages=(image, *job.stages), image_url=made)
    monkeypatch.setattr(job_store, "get_many", lambda *_, **__: {job.job_id: two_staged})
    assert call("GET", path(project, scene)).body["image_url"] == made


# ── The summary ──────────────────────────────────────────────────────────────────────────────────


def clips(call: Caller, project: Any) -> Answer:
    answer = call("GET", f"{path(project)}/clips")
    assert answer.status == 200
    counted = Counter(clip["status"] for clip in answer.body["clips"])
    assert answer.body["total_clips"] == len(answer.body["clips"])
    assert answer.body["completed"] == counted["completed"]
    assert answer.body["failed"] == counted["failed"] + counted["cancelled"]
    assert answer.body["pending"] == counted["pending"] + counted["processing"]
    return answer


def test_clips_are_counted_by_how_their_newest_jobs_are_doing(call: Caller, project: Any) -> None:
    empty = clips(call, project)
    assert empty.body == {
        "total_clips": 0,
        "completed": 0,
        "pending": 0,
        "failed": 0,
        "all_complete": False,
        "clips": [],
    }
    assert "retry-after" not in empty.headers
    (fox, _, wolf) = project["scenes"]
    of_fox, of_wolf = rendered(project, fox), rendered(project, wolf)
    begin_sending(of_wolf)
    running = clips(call, project)
    assert running.headers["retry-after"] == "2"
    assert (running.body["total_clips"], running.body["pending"]) == (2, 2)
    assert [clip["scene_id"] for clip in running.body["clips"]] == [
        fox["scene_id"],
        wolf["scene_id"],
    ]
    complete(of_fox)
    half = clips(call, project).body
    assert (half["completed"], half["pending"], half["all_complete"]) == (1, 1, False)
    assert of_fox.job_id in half["clips"][0]["video_url"]
    cancelled = Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED)
    holds.settle(of_wolf.job_id, lambda _: cancelled)
    ended = clips(call, project)
    assert (ended.body["failed"], ended.body["all_complete"]) == (1, False)
    assert ended.body["clips"][1]["error_code"] == "CANCELLED"
    assert "retry-after" not in ended.headers
    complete(rendered(project, wolf))
    whole = clips(call, project).body
    assert (whole["completed"], whole["total_clips"], whole["all_complete"]) == (2, 2, True)


def test_reading_takes_two_calls_and_writes_nothing(
    aws: Aws, call: Caller, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scene in project["scenes"]:
        complete(rendered(project, scene))
        rendered(project, scene)
    before = aws.items("PROJECTS_TABLE"), aws.items("JOBS_TABLE")
    made: list[str] = []
    send = Endpoint.make_request

    def counted(self: Endpoint, operation: OperationModel, request: Any) -> Any:
        made.append(operation.name)
        return send(self, operation, request)

    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "make_request", counted)
        for route in ("", "/scenes", "/clips"):
            assert call("GET", path(project) + route).status == 200
    assert made == ["Query", "BatchGetItem"] * 3
    assert (aws.items("PROJECTS_TABLE"), aws.items("JOBS_TABLE")) == before


# ── Deleting ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_being_rendered_cannot_be_deleted(call: Caller, project: Any) -> None:
    (fox, hen, _) = project["scenes"]
    job = rendered(project, fox)
    for where in (path(project), path(project, fox)):
        answer = call("DELETE", where)
        assert (answer.status, answer.code) == (409, "PROJECT_BUSY")
    assert call("DELETE", path(project, hen)).status == 204
    complete(job)
    assert call("DELETE", path(project, fox)).status == 204
    deleted = call("DELETE", path(project))
    assert (deleted.status, deleted.body) == (204, None)
    for method in ("GET", "DELETE"):
        assert call(method, path(project)).code == "PROJECT_NOT_FOUND"
    found = job_store.get(job.job_id)
    assert found is not None
    assert not found.deleted
