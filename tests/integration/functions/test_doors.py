"""Clients of other protocols: what they send, what they get, and what is held for it."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.credits import grants
from clipmint.doors import multipart, table
from clipmint.doors.scene_tasks import STEPS
from clipmint.jobs import job_store
from clipmint.projects import project_store
from clipmint.projects.project import Project
from clipmint.projects.project_requests import NewProject, NewScene
from clipmint.stages import StepName
from functions.doors import app
from functions.generate.app import handler as generate
from tests.support.clock import Clock
from tests.support.doors import asset_at, cancel, complete, fail, form, job_of, png
from tests.support.gateway import ROUTES, Answer, Caller, Context
from tests.support.jobs import assert_adds_up, begin_sending, journal
from tests.support.moto_aws import BUCKET, IMAGES_BUCKET, IMAGES_URL, Aws
from tests.support.scripted_provider import ScriptedProvider

USER, OTHER_USER = "user-1", "user-2"
FOX = {"model_id": "veo-3.1", "prompt": "a fox in the snow", "settings": {"duration": 4}}
APP_MODEL = "0f8b6c2e-5d1a-4c3b-9e7f-1a2b3c4d5e6f"
FRAMES = {"first_frame": "https://example.com/1.png", "last_frame": "https://example.com/2.png"}
KEYS = itertools.count()


@pytest.fixture(autouse=True)
def _everything_on_offer(providers: dict[str, ScriptedProvider]) -> None:
    """The owner has a key of every provider."""


@pytest.fixture
def call(aws: Aws) -> Caller:
    grants.grant(USER, 1_000, "purchase-1")
    return Caller(app.handler, context=Context(remaining_ms=20_000))


def error_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


def start(call: Caller, key: str = "", **body: Any) -> Answer:
    headers = {"Idempotency-Key": key or f"key-{next(KEYS)}", "apikey": "anon"}
    return call("POST", "/functions/v1/generate-video", body=FOX | body, headers=headers)


def status(call: Caller, job_id: str, **parts: Any) -> Answer:
    return call("GET", "/functions/v1/get-video-status", query={"job_id": job_id}, **parts)


def project_with(*scenes: NewScene, user: str = USER) -> Project:
    return project_store.create(user, NewProject(scenes=list(scenes), resolution="1280:720"))[0]


def drawn() -> NewScene:
    return NewScene(image_prompt="a red kettle", visual_prompt="it boils", duration=4)


def framed() -> NewScene:
    return NewScene(visual_prompt="it turns", duration=4, **FRAMES)


# ── generate-video ───────────────────────────────────────────────────────────────────────────────


def test_a_video_is_started_and_the_retry_is_the_same_one(aws: Aws, call: Caller) -> None:
    first = start(call, "one")
    assert first.status == 200
    assert first.body == {
        "job_id": first.body["job_id"],
        "status": "pending",
        "credits_used": 16,
        "credits_remaining": 984,
    }
    assert "x-idempotent-replay" not in first.headers
    again = start(call, "one")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["x-idempotent-replay"] == "true"
    assert assert_adds_up(USER).held == 16
    assert [started["name"] for started in aws.executions.started()] == [first.body["job_id"]]


def test_a_key_is_one_job_in_this_protocol_and_in_ours(call: Caller) -> None:
    ours = Caller(generate)("POST", "/v1/videos", body=FOX, headers={"Idempotency-Key": "one"})
    assert start(call, "one").body["job_id"] == ours.body["job_id"]
    assert assert_adds_up(USER).held == 16


def test_keys_differ_by_case_and_one_key_is_one_order(call: Caller) -> None:
    assert start(call, "abc").body["job_id"] != start(call, "ABC").body["job_id"]
    reused = start(call, "abc", prompt="another")
    assert error_of(reused) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_video_without_a_key_is_refused(call: Caller) -> None:
    answer = call("POST", "/functions/v1/generate-video", body=FOX)
    assert error_of(answer) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    assert assert_adds_up(USER).held == 0


@pytest.mark.parametrize("name", ["model_id", "theme_id"])
def test_a_model_has_the_id_that_it_has_in_the_app(call: Caller, name: str) -> None:
    model = model_store.find("veo-3.1")
    model_store.put(model.model_copy(update={"aliases": [APP_MODEL]}))
    body = {"prompt": "a fox", name: APP_MODEL.upper(), "settings": {"duration": 4}}
    key = {"Idempotency-Key": "one"}
    answer = call("POST", "/functions/v1/generate-video", body=body, headers=key)
    assert answer.status == 200
    assert job_of(answer.body["job_id"]).model_id == "veo-3.1"
    [listed] = [
        model
        for model in call("GET", "/functions/v1/get-models").body["models"]
        if model["model_id"] == "veo-3.1"
    ]
    assert listed["id"] == APP_MODEL
    # The owner takes the alias away: the retry still finds its job.
    model_store.put(model)
    again = call("POST", "/functions/v1/generate-video", body=body, headers=key)
    assert (again.status, again.body) == (200, answer.body)


def test_auto_is_not_stated_where_a_model_has_no_auto(call: Caller) -> None:
    settings: dict[str, Any] = {"resolution": "auto", "aspect_ratio": "auto", "duration": 4}
    chosen = {}
    for model_id, image in (("veo-3.1", None), ("veo-3.1-i2v", "https://example.com/a.png")):
        started = start(call, model_id=model_id, settings=settings, image_url=image)
        used = job_of(started.body["job_id"]).settings
        chosen[model_id] = used.resolution, used.aspect_ratio
    assert chosen == {"veo-3.1": ("720p", "16:9"), "veo-3.1-i2v": ("720p", "auto")}


@pytest.mark.parametrize(
    ("body", "status_code", "code"),
    [
        ({"model_id": "no-such"}, 404, "MODEL_NOT_FOUND"),
        ({"model_id": "sora-2-i2v"}, 400, "MODEL_UNAVAILABLE"),
        ({"model_id": "veo-3.1-i2v"}, 400, "IMAGE_REQUIRED"),
        ({"model_id": None}, 400, "INVALID_REQUEST"),
        ({"theme_id": "veo-3.1"}, 400, "INVALID_REQUEST"),
        ({"user_id": "somebody else"}, 403, "USER_MISMATCH"),
        ({"colour": "red"}, 400, "INVALID_REQUEST"),
        ({"settings": {"duration": 5}}, 400, "SETTING_NOT_ALLOWED"),
        ({"image_url": "http://169.254.169.254/"}, 400, "INVALID_REQUEST"),
    ],
)
def test_what_is_refused_holds_nothing(
    aws: Aws, call: Caller, body: dict[str, Any], status_code: int, code: str
) -> None:
    assert error_of(start(call, **body)) == (status_code, code)
    assert assert_adds_up(USER).held == 0
    assert aws.items("JOBS_TABLE") == []


def test_insufficient_credits_have_the_response_of_the_document(call: Caller) -> None:
    grants.grant(OTHER_USER, 2, "purchase-2")
    call.user = OTHER_USER
    answer = start(call)
    assert error_of(answer) == (402, "INSUFFICIENT_CREDITS")
    assert answer.body["error"] == "Insufficient credits"
    assert (answer.body["current_credits"], answer.body["required_credits"]) == (2, 16)


def test_too_many_videos_are_refused(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_OPEN_JOBS", "1")
    assert start(call).status == 200
    answer = start(call)
    assert error_of(answer) == (429, "RATE_LIMITED")
    assert "retry-after" in answer.headers


def test_a_status_has_the_fields_of_both_documents(call: Caller) -> None:
    job_id = start(call).body["job_id"]
    running = status(call, job_id)
    assert running.status == 200
    assert running.headers["retry-after"] == "2"
    assert list(running.body) == [
        *("job_id", "status", "video_url", "thumbnail_url", "error_message"),
        *("created_at", "completed_at"),
    ]
    assert (running.body["status"], running.body["video_url"]) == ("pending", None)
    begin_sending(job_of(job_id))
    assert status(call, job_id.upper()).body["status"] == "processing"
    complete(job_id)
    done = status(call, job_id).body
    assert done["status"] == "completed"
    assert done["video_url"].partition("?")[0].endswith("/video.bin")
    assert done["completed_at"]


@pytest.mark.parametrize("end", [fail, cancel])
def test_a_video_without_a_file_has_failed(call: Caller, end: Any) -> None:
    job_id = start(call).body["job_id"]
    end(job_id)
    answer = status(call, job_id).body
    assert answer["status"] == "failed"
    assert answer["error_message"]


def test_jobs_are_listed_by_offset_and_deleted(call: Caller) -> None:
    ids = [start(call, prompt=f"fox {number}").body["job_id"] for number in range(3)]

    def listed(**query: str) -> list[str]:
        answer = call("GET", "/functions/v1/get-video-jobs", query=query)
        return [job["job_id"] for job in answer.body["jobs"]]

    assert listed(user_id=USER) == ids[::-1]
    assert listed(limit="1", offset="1") == [ids[1]]
    assert listed(offset="3") == []
    refused = call("GET", "/functions/v1/get-video-jobs", query={"user_id": OTHER_USER})
    assert error_of(refused) == (403, "USER_MISMATCH")
    running = call("POST", "/functions/v1/delete-video-job", body={"job_id": ids[0]})
    assert error_of(running) == (409, "JOB_RUNNING")
    fail(ids[0])
    fail(ids[1])
    body = {"job_id": ids[0], "user_id": USER}
    assert call("POST", "/functions/v1/delete-video-job", body=body).body == {
        "success": True,
        "job_id": ids[0],
    }
    query = {"job_id": ids[1]}
    assert call("DELETE", "/functions/v1/delete-video-job", query=query).body["success"] is True
    assert listed() == [ids[2]]


def test_a_user_id_in_upper_case_is_the_callers(call: Caller) -> None:
    caller = str(uuid.uuid4())
    grants.grant(caller, 40, "purchase-3")
    call.user = caller
    answer = call("GET", "/functions/v1/get-user-credits", query={"user_id": caller.upper()})
    assert answer.body == {"credits_remaining": 40}
    other = {"user_id": str(uuid.uuid4())}
    refused = call("GET", "/functions/v1/get-user-credits", query=other)
    assert error_of(refused) == (403, "USER_MISMATCH")


def test_models_have_an_etag_and_a_price(call: Caller) -> None:
    answer = call("GET", "/functions/v1/get-models")
    models = {model["id"]: model for model in answer.body["models"]}
    assert models["veo-3.1"]["cost_per_generation"] == 32
    assert "runware-image" not in models
    known = {"If-None-Match": answer.headers["etag"]}
    assert call("GET", "/functions/v1/get-models", headers=known).status == 304


# ── scene-tasks ──────────────────────────────────────────────────────────────────────────────────


def generate_scene(call: Caller, scene_id: str, **parts: Any) -> Answer:
    body = {"scene_id": scene_id, "user_id": parts.get("user", USER)}
    return call("POST", "/api/video/generate", body=body, **parts)


def task(call: Caller, task_id: str, method: str = "GET") -> Answer:
    return call(method, f"/api/video/generate/tasks/{task_id}")


def test_a_scene_is_rendered_as_a_task(call: Caller) -> None:
    [scene_id] = project_with(drawn()).scene_ids
    answer = generate_scene(call, scene_id)
    assert answer.status == 200
    task_id = answer.body["task_id"]
    assert answer.body == {
        "task_id": task_id,
        "status": "pending",
        "scene_id": scene_id,
        "user_id": USER,
        "message": "Video generation task started",
        "created_at": answer.body["created_at"],
        "progress": 0.0,
        "current_step": "Initializing",
        "error_message": None,
    }
    running = task(call, task_id).body
    assert running["progress"] == 5.0
    assert isinstance(running["progress"], float)
    assert running["current_step"] == "Initializing video generation pipeline"
    assert (running["video_url"], running["error_message"]) == (None, None)
    complete(task_id)
    done = task(call, task_id).body
    assert (done["status"], done["progress"], done["current_step"]) == (
        "completed",
        100.0,
        "Completed",
    )
    assert done["message"] == "Video generation completed successfully"
    assert done["video_url"]
    listed = call("GET", "/api/video/generate/tasks").body
    [shown] = listed.pop("tasks")
    # Its URL may be signed in another second.
    assert shown | {"video_url": done["video_url"]} == done
    assert shown["video_url"].partition("?")[0] == done["video_url"].partition("?")[0]
    assert listed == {"cursor": None}


def test_each_step_has_a_text(call: Caller) -> None:
    ends = {StepName.COMPLETED, StepName.FAILED, StepName.CANCELLED}
    assert STEPS.keys() == set(StepName) - ends


def test_a_scene_repeated_without_a_key_is_one_task(aws: Aws, call: Caller, hands: Clock) -> None:
    [scene_id] = project_with(drawn()).scene_ids
    first = generate_scene(call, scene_id)
    assert "x-idempotent-replay" not in first.headers
    again = generate_scene(call, scene_id)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["x-idempotent-replay"] == "true"
    hands.forward(seconds=31)
    assert error_of(generate_scene(call, scene_id)) == (409, "SCENE_BUSY")
    complete(first.body["task_id"])
    assert [entry.kind for entry in journal(USER)].count("hold") == 2
    hands.forward(seconds=31)
    assert generate_scene(call, scene_id).body["task_id"] != first.body["task_id"]


def test_a_key_alone_decides_if_it_is_sent(call: Caller) -> None:
    [scene_id] = project_with(drawn()).scene_ids
    first = generate_scene(call, scene_id, headers={"Idempotency-Key": "one"})
    assert first.status == 200
    other = generate_scene(call, scene_id, headers={"Idempotency-Key": "two"})
    assert error_of(other) == (409, "SCENE_BUSY")
    again = generate_scene(call, scene_id, headers={"Idempotency-Key": "one"})
    assert again.headers["x-idempotent-replay"] == "true"


def test_a_task_is_cancelled_and_then_has_failed(call: Caller) -> None:
    [scene_id] = project_with(drawn()).scene_ids
    task_id = generate_scene(call, scene_id).body["task_id"]
    cancelled = task(call, task_id, "DELETE")
    assert (cancelled.status, cancelled.body["status"]) == (200, "failed")
    assert cancelled.body["current_step"] == "Cancelled"
    assert cancelled.body["error_message"] == "The generation was cancelled."
    assert error_of(task(call, task_id, "DELETE")) == (400, "TASK_HAS_ENDED")
    assert assert_adds_up(USER).available == 1_000


def test_foreign_scenes_and_tasks_are_unknown(call: Caller) -> None:
    [scene_id] = project_with(drawn(), user=OTHER_USER).scene_ids
    assert error_of(generate_scene(call, scene_id)) == (404, "SCENE_NOT_FOUND")
    assert error_of(generate_scene(call, "no-uuid")) == (404, "SCENE_NOT_FOUND")
    [mine] = project_with(drawn()).scene_ids
    task_id = generate_scene(call, mine).body["task_id"]
    other_user = Caller(app.handler, user=OTHER_USER, context=call.context)
    assert error_of(task(other_user, task_id)) == (404, "JOB_NOT_FOUND")
    assert error_of(task(other_user, task_id, "DELETE")) == (404, "JOB_NOT_FOUND")
    body = {"scene_id": mine, "user_id": OTHER_USER}
    assert error_of(call("POST", "/api/video/generate", body=body)) == (403, "USER_MISMATCH")


# ── project-clips ────────────────────────────────────────────────────────────────────────────────


def clips(call: Caller, name: str, project_id: str) -> Answer:
    return call("POST", f"/functions/v1/{name}", body={"project_id": project_id})


def test_the_clips_of_a_project_are_made(call: Caller, hands: Clock) -> None:
    project = project_with(framed(), framed(), framed())
    started = clips(call, "generate-clips", project.project_id)
    assert started.status == 200
    ids = [result["clip_id"] for result in started.body["results"]]
    assert started.body == {
        "success": True,
        "project_id": project.project_id,
        "total_clips": 3,
        "completed": 0,
        "pending": 3,
        "failed": 0,
        "clips": dict.fromkeys(ids, "pending"),
        "all_complete": False,
        "results": [
            {"clip_id": id_, "scene_id": scene, "status": "pending", "url": None, "error": None}
            for id_, scene in zip(ids, project.scene_ids, strict=True)
        ],
        "remaining": 0,
    }
    again = clips(call, "generate-clips", project.project_id)
    assert (again.body, again.headers["x-idempotent-replay"]) == (started.body, "true")
    complete(ids[0])
    fail(ids[1])
    checked = clips(call, "check-clips-status", project.project_id).body
    assert [checked[name] for name in ("completed", "pending", "failed")] == [1, 1, 1]
    assert checked["clips"][ids[0]].startswith("https://")
    assert [checked["clips"][id_] for id_ in ids[1:]] == ["failed", "pending"]
    assert checked["details"][1]["error"]
    assert assert_adds_up(USER).held == 16
    # A status request ordered nothing; the next order makes only the one that failed.
    hands.forward(seconds=31)
    retried = clips(call, "generate-clips", project.project_id).body
    assert [result["status"] for result in retried["results"]] == [
        "completed",
        "pending",
        "pending",
    ]
    assert retried["results"][1]["clip_id"] != ids[1]
    for result in retried["results"][1:]:
        complete(result["clip_id"])
    hands.forward(seconds=31)
    done = clips(call, "generate-clips", project.project_id).body
    assert (done["all_complete"], done["completed"]) == (True, 3)


def test_errors_of_clips_have_success_false_and_a_code(call: Caller) -> None:
    for name in ("generate-clips", "check-clips-status"):
        foreign = project_with(framed(), user=OTHER_USER)
        answer = clips(call, name, foreign.project_id)
        assert answer.status == 404
        assert answer.body["success"] is False
        assert answer.body["error"] == "There is no such project"
        assert answer.body["code"] == "PROJECT_NOT_FOUND"
    project = project_with(framed(), drawn())
    answer = clips(call, "generate-clips", project.project_id)
    assert (answer.status, answer.body["code"]) == (400, "FRAMES_REQUIRED")
    assert project.scene_ids[1] in answer.body["details"]
    invalid = call("POST", "/functions/v1/generate-clips", body="{")
    assert (invalid.status, invalid.body["success"]) == (400, False)
    assert assert_adds_up(USER).held == 0


# ── image-videos ─────────────────────────────────────────────────────────────────────────────────


def upload(call: Caller, name: str = "image", content: bytes | None = None) -> Answer:
    parts = form((name, "image/png", png() if content is None else content))
    return call("POST", "/api/images/upload", **parts)


def from_image(call: Caller, project_id: str, prompt: str = "it boils") -> Answer:
    body = {"projectId": project_id, "prompt": prompt}
    return call("POST", "/api/videos/generate", body=body)


@pytest.mark.parametrize("name", ["image", "file"])
def test_an_uploaded_image_becomes_a_video(aws: Aws, call: Caller, name: str) -> None:
    uploaded = upload(call, name)
    assert uploaded.status == 200
    project_id = uploaded.body["projectId"]
    assert uploaded.body["imageUrl"].startswith(f"{IMAGES_URL}/uploads/")
    key = uploaded.body["imageUrl"].removeprefix(f"{IMAGES_URL}/")
    stored = aws.s3.get_object(Bucket=IMAGES_BUCKET, Key=key)
    assert (stored["Body"].read(), stored["ContentType"]) == (png(), "image/png")
    answer = from_image(call, project_id)
    assert answer.status == 200
    generation_id = answer.body["generationId"]
    assert answer.body == {"generationId": generation_id}
    job = job_of(generation_id)
    assert (job.model_id, job.image_url) == ("gen4-turbo", uploaded.body["imageUrl"])
    assert from_image(call, project_id).headers["x-idempotent-replay"] == "true"
    assert from_image(call, project_id, "another").body["generationId"] != generation_id

    def shown() -> dict[str, Any]:
        body = call("GET", f"/api/videos/status/{generation_id}").body
        assert isinstance(body, dict)
        return body

    assert shown()["status"] == "queued"
    begin_sending(job, provider="runway")
    assert shown()["status"] == "generating"
    complete(generation_id)
    done = shown()
    assert (done["status"], done["projectId"]) == ("completed", project_id)
    assert done["video_url"]
    assert done["completed_at"]
    assert done["error_message"] is None


def test_a_stored_video_that_is_not_settled_is_being_processed(call: Caller) -> None:
    generation_id = from_image(call, upload(call).body["projectId"]).body["generationId"]
    begin_sending(job_of(generation_id), provider="runway")
    job_store.record_asset(generation_id, "video", asset_at(BUCKET, "video.mp4"))
    assert call("GET", f"/api/videos/status/{generation_id}").body["status"] == "processing"
    fail(generation_id)


@pytest.mark.parametrize(
    ("content", "problem"), [(b"GIF89a", "not an image"), (png()[:60], "damaged"), (b"", "not an")]
)
def test_an_invalid_image_is_refused_and_costs_nothing(
    aws: Aws, call: Caller, content: bytes, problem: str
) -> None:
    answer = upload(call, content=content)
    assert error_of(answer) == (400, "IMAGE_INVALID")
    assert problem in answer.body["details"]
    assert aws.items("PROJECTS_TABLE") == []


def test_a_larger_image_is_uploaded_with_a_form_of_s3(call: Caller) -> None:
    answer = call("POST", "/api/images/upload", body={"contentType": "image/png"})
    assert answer.status == 200
    assert answer.body["upload"]["fields"]["Content-Type"] == "image/png"
    assert answer.body["imageUrl"].endswith(answer.body["upload"]["fields"]["key"])
    # The image is checked before it costs anything.
    refused = from_image(call, answer.body["projectId"])
    assert error_of(refused) == (400, "IMAGE_NOT_UPLOADED")
    assert assert_adds_up(USER).held == 0


@pytest.mark.parametrize(
    "parts",
    [
        {"body": b"no form", "headers": {"Content-Type": "multipart/form-data; boundary=edge"}},
        {"body": b"--edge--", "headers": {"Content-Type": "multipart/form-data"}},
        form(("image", None, b"a text")),
        form(("picture", "image/png", png())),
        form(("image", "image/png", png()), ("image", "image/png", png())),
        form(("image", "image/png", png()), ("file", "image/png", png())),
        form(("image", None, b"\xff\xfe")),
        form(("image[", None, b"x")),
        {"body": {"image": "data:image/png;base64,%%%"}},
        {"body": {}},
    ],
)
def test_a_form_that_is_not_one_image_is_refused(call: Caller, parts: dict[str, Any]) -> None:
    answer = call("POST", "/api/images/upload", **parts)
    assert error_of(answer) == (400, "INVALID_REQUEST")


def test_a_foreign_project_or_generation_is_unknown(call: Caller) -> None:
    foreign = project_with(user=OTHER_USER)
    for project_id in (foreign.project_id, "no-uuid"):
        assert error_of(from_image(call, project_id)) == (404, "PROJECT_NOT_FOUND")
    generation_id = from_image(call, upload(call).body["projectId"]).body["generationId"]
    other_user = Caller(app.handler, user=OTHER_USER)
    answer = other_user("GET", f"/api/videos/status/{generation_id}")
    assert error_of(answer) == (404, "JOB_NOT_FOUND")


def test_a_form_may_contain_any_bytes(call: Caller) -> None:
    content = bytes(range(256)) * 3 + b"\r\n--edg\r\n"
    sent = form(("file", "image/png", content), ("a[b]", None, b"text"))
    event: dict[str, Any] = {
        "headers": {"content-type": sent["headers"]["Content-Type"]},
        "body": base64.b64encode(sent["body"]).decode(),
        "isBase64Encoded": True,
    }
    multipart.make_json(event)
    body = json.loads(event["body"])
    assert multipart.file_in(body["file"]) == content
    assert body["a"] == {"b": "text"}


# ── All of them ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("door", table.DOORS, ids=[door.name for door in table.DOORS])
def test_a_protocol_can_be_switched_off(
    call: Caller, monkeypatch: pytest.MonkeyPatch, door: Any
) -> None:
    others = [other.name for other in table.DOORS if other is not door]
    monkeypatch.setenv("DOORS", ", ".join(others))
    tried: dict[str, Callable[[], Answer]] = {
        "generate-video": lambda: call("GET", "/functions/v1/get-models"),
        "scene-tasks": lambda: call("GET", "/api/video/generate/tasks"),
        "project-clips": lambda: clips(call, "check-clips-status", project_with().project_id),
        "image-videos": lambda: upload(call),
        "openai": lambda: call("GET", "/openai/v1/videos"),
    }
    assert tried.keys() == {door.name for door in table.DOORS}
    for name, ask in tried.items():
        assert ask().status == (404 if name == door.name else 200)


def test_no_protocol_is_offered_if_the_owner_names_none(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORS", "")
    assert error_of(call("GET", "/functions/v1/get-models")) == (404, "NOT_FOUND")


def test_every_path_belongs_to_the_protocol_that_serves_it() -> None:
    paths = [route.split()[1] for route, name in ROUTES.items() if name == "Doors"]
    assert len(paths) > 20
    assert all(table.door_of(path) for path in paths)
    starts = [start for door in table.DOORS for start in door.paths]
    assert all(any(path.startswith(start) for path in paths) for start in starts)
