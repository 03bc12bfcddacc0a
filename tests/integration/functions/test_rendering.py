"""Scenes rendered over HTTP: what is held, what is started, and what a retry finds."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from clipmint.credits import grants, holds
from clipmint.errors import ProjectBusy
from clipmint.execution import workflow
from clipmint.jobs import job_lists, job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.projects import project_store, scene_store
from clipmint.projects.project import Project
from clipmint.projects.project_requests import NewProject, NewScene
from functions.cancel.app import handler as cancel
from functions.generate import app
from functions.status.app import handler as status
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import assert_adds_up, journal
from tests.support.moto_aws import IMAGES_BUCKET, IMAGES_URL, Aws
from tests.support.scripted_provider import ScriptedProvider

FIRST, LAST = "https://example.com/first.png", "https://example.com/last.png"
USER, OTHER_USER = "user-1", "user-2"


@pytest.fixture(autouse=True)
def _everything_on_offer(providers: dict[str, ScriptedProvider]) -> None:
    """The owner has a key of every provider."""


@pytest.fixture
def call(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Caller:
    for name, value in (("MAX_OPEN_CLIPS", "100"), ("MAX_JOBS_PER_HOUR", "1000")):
        monkeypatch.setenv(name, value)
    return Caller(app.handler, context=Context(remaining_ms=20_000))


def rich(credits_: int = 10_000, user: str = USER) -> None:
    grants.grant(user, credits_, str(uuid.uuid4()))


def framed(**members: Any) -> NewScene:
    return NewScene(
        **{"visual_prompt": "it turns", "first_frame": FIRST, "last_frame": LAST} | members
    )


def project_of(*scenes: NewScene, user: str = USER, **members: Any) -> Project:
    return project_store.create(user, NewProject(scenes=list(scenes), **members))[0]


def drawn(**members: Any) -> NewScene:
    return NewScene(**{"image_prompt": "a red kettle", "visual_prompt": "it boils"} | members)


def post(call: Caller, path: str, body: object = None, key: str | None = None) -> Answer:
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return call("POST", path, body={} if body is None else body, headers=headers)


def clips(call: Caller, project: Project, key: str | None = None, **body: Any) -> Answer:
    return post(call, f"/v1/projects/{project.project_id}/clips", body, key)


def scene_video(call: Caller, scene_id: str, key: str | None = None, **body: Any) -> Answer:
    return post(call, f"/v1/scenes/{scene_id}/video", body, key)


def found(job_id: str) -> Job:
    job = job_store.get(job_id)
    assert job
    return job


def finish(job_id: str, outcome: Verdict | None = None) -> Job:
    """End a job: as completed, or with the given outcome."""
    if outcome is not None:
        return holds.settle(job_id, lambda _: outcome)
    job = found(job_id)
    for stage in job.stages:
        asset = Asset("bucket", f"{stage.name}-{job_id}", "x/y", 9, "0" * 64, 720, 1280, 8.0)
        url = f"{IMAGES_URL}/generated_images/x/{job_id}" if stage.name == "image" else None
        job_store.record_asset(job_id, stage.name, asset, image_url=url)
    return holds.settle(job_id, lambda job: verdict(job, None))


FAILED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)


# ── A scene through both stages ──────────────────────────────────────────────────────────────────


def test_a_scene_is_held_at_both_prices_and_started_once(aws: Aws, call: Caller) -> None:
    rich(100)
    project = project_of(drawn(product_reference_image_url="https://example.com/kettle.png"))
    [scene_id] = project.scene_ids
    answer = scene_video(call, scene_id, "key-1")
    # gen4-image is 1, gen4-turbo is 1 a second.
    assert (answer.status, answer.body["prices"]) == (
        202,
        {"generate_image": 1, "generate_scene": 5},
    )
    job = found(answer.body["job_id"])
    assert answer.body == {
        "job_id": job.job_id,
        "status": "pending",
        "credits_used": 6,
        "credits_remaining": 94,
        "project_id": project.project_id,
        "scene_id": scene_id,
        "prices": {"generate_image": 1, "generate_scene": 5},
    }
    assert answer.headers["location"] == f"/v1/videos/{job.job_id}"
    assert [(stage.name, stage.credits) for stage in job.stages] == [("image", 1), ("video", 5)]
    order = job.stages[0].image_order
    assert order
    assert (order.prompt, order.aspect_ratio) == ("a red kettle", "1080:1920")
    assert order.reference_image_urls == ("https://example.com/kettle.png",)
    assert (job.prompt, job.settings.aspect_ratio, job.settings.duration) == (
        "it boils",
        "720:1280",
        5,
    )
    assert assert_adds_up(USER).held == 6
    assert [started["name"] for started in aws.executions.started()] == [job.job_id]
    assert project_store.get(USER, project.project_id).scene_jobs[scene_id].job_id == job.job_id


@pytest.mark.parametrize("forget", [False, True], ids=["remembered", "record lost"])
def test_a_retry_of_a_scene_meets_its_job(aws: Aws, call: Caller, forget: bool) -> None:
    rich(100)
    [scene_id] = project_of(drawn()).scene_ids
    first = scene_video(call, scene_id, "key-1")
    if forget:
        forget_answers(aws)
    again = scene_video(call, scene_id, "key-1")
    assert (again.status, again.body) == (202, first.body)
    assert again.headers["x-idempotent-replay"] == "true"
    assert assert_adds_up(USER).held == 6


def test_one_key_is_one_request_on_every_route(aws: Aws, call: Caller) -> None:
    rich()
    project = project_of(drawn(), drawn())
    one, other = project.scene_ids
    scene_video(call, one, "key-1")
    assert scene_video(call, other, "key-1").code == "IDEMPOTENCY_KEY_REUSED"
    video = {"model_id": "veo-3.1", "prompt": "a fox"}
    assert post(call, "/v1/videos", video, "key-1").code == "IDEMPOTENCY_KEY_REUSED"
    forget_answers(aws)
    assert post(call, "/v1/videos", video, "key-1").code == "IDEMPOTENCY_KEY_REUSED"
    assert scene_video(call, one, "key-1", new_image=True).code == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize("clips_first", [True, False])
def test_a_key_that_started_clips_starts_nothing_else_however_long_ago(
    aws: Aws, call: Caller, clips_first: bool
) -> None:
    rich()
    project, drawing = project_of(framed(), framed()), project_of(drawn())
    video = {"model_id": "veo-3.1", "prompt": "a fox"}

    def start_clips() -> Answer:
        return clips(call, project, "key-1")

    def start_video() -> Answer:
        return post(call, "/v1/videos", video, "key-1")

    def start_scene() -> Answer:
        return scene_video(call, drawing.scene_ids[0], "key-1")

    first, *others = (
        (start_clips, start_video, start_scene)
        if clips_first
        else (start_video, start_clips, start_scene)
    )
    assert first().status == 202
    held = assert_adds_up(USER).held
    for other in others:
        forget_answers(aws)
        assert other().code == "IDEMPOTENCY_KEY_REUSED"
    forget_answers(aws)
    assert first().headers["x-idempotent-replay"] == "true"
    assert assert_adds_up(USER).held == held


def test_a_scene_with_an_image_skips_the_first_stage_and_its_price(aws: Aws, call: Caller) -> None:
    rich(100)
    own = "https://example.com/own.png"
    project = project_of(drawn(image_url=own))
    answer = scene_video(call, project.scene_ids[0])
    assert answer.body["prices"] == {"generate_scene": 5}
    job = found(answer.body["job_id"])
    assert ([stage.name for stage in job.stages], job.image_url) == (["video"], own)


def test_the_image_of_a_failed_video_is_used_by_the_next_one(aws: Aws, call: Caller) -> None:
    rich(100)
    [scene_id] = project_of(drawn()).scene_ids
    first = found(scene_video(call, scene_id).body["job_id"])
    url = f"{IMAGES_URL}/generated_images/x/one.png"
    asset = Asset(IMAGES_BUCKET, "one", "image/png", 9, "0" * 64, 1080, 1920, 0.0)
    job_store.record_asset(first.job_id, "image", asset, image_url=url)
    finish(first.job_id, FAILED)
    second = found(scene_video(call, scene_id).body["job_id"])
    assert ([stage.name for stage in second.stages], second.image_url) == (["video"], url)
    finish(second.job_id, FAILED)
    # And by the one after that, which the first job is no longer the newest of.
    third = found(scene_video(call, scene_id).body["job_id"])
    assert (third.image_url, len(third.stages)) == (url, 1)
    finish(third.job_id, FAILED)
    fresh = found(scene_video(call, scene_id, new_image=True).body["job_id"])
    assert [stage.name for stage in fresh.stages] == ["image", "video"]


def test_a_scene_that_is_being_rendered_is_not_rendered_twice(aws: Aws, call: Caller) -> None:
    rich(100)
    [scene_id] = project_of(drawn()).scene_ids
    scene_video(call, scene_id)
    answer = scene_video(call, scene_id)
    assert (answer.status, answer.code) == (409, "SCENE_BUSY")
    assert assert_adds_up(USER).held == 6


def test_of_two_calls_at_once_one_renders_the_scene(aws: Aws, call: Caller) -> None:
    rich(100)
    [scene_id] = project_of(drawn()).scene_ids

    def twin() -> None:
        assert scene_video(call, scene_id, "twin").status == 202

    aws.before_each_transaction(twin)
    assert scene_video(call, scene_id, "slow").code == "SCENE_BUSY"
    assert assert_adds_up(USER).held == 6


def estimate(call: Caller, path: str, **body: Any) -> Answer:
    return call("POST", f"{path}/estimate", body=body or "")


def test_a_scenes_estimate_is_what_its_order_holds_and_starts_nothing(
    aws: Aws, call: Caller
) -> None:
    rich(6)
    project = project_of(drawn())
    [scene_id] = project.scene_ids
    path = f"/v1/scenes/{scene_id}/video"
    assert estimate(call, path).body == {
        "credits": 6,
        "prices": {"generate_image": 1, "generate_scene": 5},
        "available": 6,
        "affordable": True,
    }
    assert aws.items("JOBS_TABLE") == []
    finish(scene_video(call, scene_id).body["job_id"])
    # Now the scene has an image, and nothing is left to pay for a video.
    again = estimate(call, path).body
    assert (again["prices"], again["affordable"]) == ({"generate_scene": 5}, False)
    with_image = estimate(call, path, new_image=True).body
    assert with_image["credits"] == 6


def test_an_estimate_of_clips_prices_each_clip_that_a_call_would_start(
    aws: Aws, call: Caller
) -> None:
    rich()
    project = project_of(*(framed() for _ in range(47)))
    path = f"/v1/projects/{project.project_id}/clips"
    priced = estimate(call, path)
    assert aws.items("JOBS_TABLE") == []
    started = clips(call, project)
    assert priced.body["credits"] == started.body["credits_used"]
    assert priced.body["remaining"] == started.body["remaining"] == 2
    assert [(one["scene_id"], one["credits"]) for one in priced.body["clips"]] == [
        (one["scene_id"], one["credits_used"]) for one in started.body["clips"]
    ]
    # The two that are left, and none of those that are being made.
    assert len(estimate(call, path).body["clips"]) == 2


def test_an_estimate_refuses_what_an_order_refuses(aws: Aws, call: Caller) -> None:
    rich()
    project = project_of(NewScene(), framed(first_frame=None))
    bare, _ = project.scene_ids
    answer = estimate(call, f"/v1/scenes/{bare}/video")
    assert (answer.status, answer.code) == (400, "PROMPT_REQUIRED")
    answer = estimate(call, f"/v1/projects/{project.project_id}/clips")
    assert (answer.status, answer.code) == (400, "FRAMES_REQUIRED")
    for path in (f"/v1/scenes/{uuid.uuid4()}/video", f"/v1/projects/{uuid.uuid4()}/clips"):
        assert estimate(call, path).status == 404


@pytest.mark.parametrize(
    ("scene", "body", "code", "details"),
    [
        ({"image_prompt": None}, {}, "PROMPT_REQUIRED", "image_prompt"),
        ({"visual_prompt": None}, {}, "PROMPT_REQUIRED", "visual_prompt"),
        ({}, {"model_id": "veo-9"}, "MODEL_NOT_FOUND", ""),
        ({}, {"image_model_id": "gen4-turbo"}, "MODEL_UNAVAILABLE", ""),
        ({}, {"model_id": "gen4-image"}, "MODEL_UNAVAILABLE", ""),
        ({"duration": 11}, {}, "SETTING_NOT_ALLOWED", "duration"),
        (
            {"product_reference_image_url": "https://example.com/k.png"},
            {"image_model_id": "runware-image"},
            "INVALID_REQUEST",
            "product_reference_image_url",
        ),
        ({}, {"surprise": 1}, "INVALID_REQUEST", "surprise"),
        ({"visual_prompt": "v" * 1_001}, {}, "INVALID_REQUEST", "visual_prompt"),
    ],
)
def test_what_a_scene_lacks_is_reported_before_anything_is_held(  # noqa: PLR0917
    aws: Aws, call: Caller, scene: dict[str, Any], body: dict[str, Any], code: str, details: str
) -> None:
    rich(100)
    [scene_id] = project_of(drawn(**scene)).scene_ids
    answer = scene_video(call, scene_id, **body)
    assert answer.code == code
    assert details in (answer.body["details"] or "")
    assert assert_adds_up(USER).held == 0


def test_a_scene_of_another_user_does_not_exist(aws: Aws, call: Caller) -> None:
    [scene_id] = project_of(drawn(), user=OTHER_USER).scene_ids
    for unknown in (scene_id, str(uuid.uuid4()), "not-an-id"):
        answer = scene_video(call, unknown)
        assert (answer.status, answer.code) == (404, "SCENE_NOT_FOUND")


def test_a_body_that_names_another_user_renders_nothing(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(framed(duration=4), drawn())
    scene_id = project.scene_ids[1]
    for answer in (
        scene_video(call, scene_id, user_id=OTHER_USER),
        clips(call, project, user_id=OTHER_USER),
    ):
        assert (answer.status, answer.code) == (403, "USER_MISMATCH")
    assert assert_adds_up(USER).held == 0
    assert scene_video(call, scene_id, user_id=USER).status == 202
    assert clips(call, project, user_id=USER, scene_ids=[project.scene_ids[0]]).status == 202


def test_a_scene_that_is_not_affordable_starts_nothing(aws: Aws, call: Caller) -> None:
    rich(5)
    [scene_id] = project_of(drawn()).scene_ids
    answer = scene_video(call, scene_id)
    assert (answer.status, answer.body["required_credits"]) == (402, 6)
    assert aws.executions.started() == []


@pytest.mark.parametrize(
    ("resolution", "video", "image"),
    [
        ("1280:720", "1280:720", "1920:1080"),
        ("720:1280", "720:1280", "1080:1920"),
        ("1104:832", "1104:832", "1168:880"),
        ("832:1104", "832:1104", "1080:1440"),
        ("960:960", "960:960", "1024:1024"),
        ("1584:672", "1584:672", "1920:1080"),
        ("1280:768", "1280:720", "1920:1080"),
        ("768:1280", "720:1280", "1080:1920"),
    ],
)
def test_a_projects_resolution_applies_to_the_image_and_the_video(
    aws: Aws, call: Caller, resolution: str, video: str, image: str
) -> None:
    rich(100)
    [scene_id] = project_of(drawn(), resolution=resolution).scene_ids
    job = found(scene_video(call, scene_id).body["job_id"])
    order = job.stages[0].image_order
    assert order
    assert (job.settings.aspect_ratio, order.aspect_ratio) == (video, image)


# ── Clips of a project ───────────────────────────────────────────────────────────────────────────


def test_a_project_becomes_a_clip_per_scene_in_one_hold(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(
        framed(duration=4), framed(duration=8), framed(model_id="veo-3.1-transition")
    )
    answer = clips(call, project)
    assert answer.status == 202
    assert [clip["scene_id"] for clip in answer.body["clips"]] == list(project.scene_ids)
    assert [clip["credits_used"] for clip in answer.body["clips"]] == [16, 32, 24]
    assert (answer.body["credits_used"], answer.body["credits_remaining"]) == (72, 928)
    assert answer.body["remaining"] == 0
    assert answer.headers["location"] == f"/v1/projects/{project.project_id}/clips"
    for clip, scene_id in zip(answer.body["clips"], project.scene_ids, strict=True):
        job = found(clip["job_id"])
        assert (job.scene_id, job.project_id) == (scene_id, project.project_id)
        assert (job.image_url, job.last_image_url) == (FIRST, LAST)
        assert job.prompt == "it turns"
    account = assert_adds_up(USER)
    assert (account.held, account.open_clips, account.open_jobs) == (72, 3, 0)
    assert len(aws.executions.started()) == 3


def test_a_batch_that_is_not_affordable_starts_nothing_at_all(aws: Aws, call: Caller) -> None:
    rich(31)
    answer = clips(call, project_of(framed(duration=4), framed(duration=4)))
    assert (answer.status, answer.body["required_credits"]) == (402, 32)
    assert aws.executions.started() == []
    assert aws.items("JOBS_TABLE") == []
    assert [entry.kind for entry in journal(USER)] == ["grant"]


def test_forty_five_clips_fit_into_one_transaction_and_the_rest_into_the_next(
    aws: Aws, call: Caller
) -> None:
    rich(10_000)
    project = project_of(*[framed(duration=4)] * 50)
    answer = clips(call, project)
    assert (len(answer.body["clips"]), answer.body["remaining"]) == (45, 5)
    rest = clips(call, project)
    assert (len(rest.body["clips"]), rest.body["remaining"]) == (5, 0)
    started = [clip["scene_id"] for clip in answer.body["clips"] + rest.body["clips"]]
    assert started == list(project.scene_ids)
    assert assert_adds_up(USER).held == 50 * 16


def test_calling_again_renders_only_what_is_missing_or_failed(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(*[framed(duration=4)] * 3)
    first = clips(call, project).body["clips"]
    finish(first[0]["job_id"])
    finish(first[1]["job_id"], FAILED)
    again = clips(call, project).body["clips"]
    assert [clip["scene_id"] for clip in again] == [project.scene_ids[1]]
    finish(first[2]["job_id"])
    finish(again[0]["job_id"])
    assert clips(call, project).body["clips"] == []
    forced = clips(call, project, force=True, scene_ids=[project.scene_ids[0]]).body["clips"]
    assert [clip["scene_id"] for clip in forced] == [project.scene_ids[0]]
    render = project_store.get(USER, project.project_id).scene_jobs[project.scene_ids[0]]
    assert (render.job_id, render.video_job_id) == (forced[0]["job_id"], first[0]["job_id"])


def test_a_deleted_clip_is_a_missing_one(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(framed(duration=4))
    [clip] = clips(call, project).body["clips"]
    finish(clip["job_id"])
    assert Caller(cancel)("DELETE", f"/v1/videos/{clip['job_id']}").status == 204
    [again] = clips(call, project).body["clips"]
    assert again["job_id"] != clip["job_id"]


@pytest.mark.parametrize("forget", [False, True], ids=["remembered", "record lost"])
def test_a_retry_of_a_batch_starts_nothing_new_even_when_forced(
    aws: Aws, call: Caller, forget: bool
) -> None:
    rich(1_000)
    project = project_of(framed(duration=4), framed(duration=4))
    first = clips(call, project, "key-1", force=True)
    for clip in first.body["clips"]:
        finish(clip["job_id"])
    scene_store.add(USER, project.project_id, framed(duration=4))
    if forget:
        forget_answers(aws)
    again = clips(call, project, "key-1", force=True)
    assert (again.body, again.headers["x-idempotent-replay"]) == (first.body, "true")
    assert len(aws.items("JOBS_TABLE")) == 2
    assert clips(call, project, "key-1").code == "IDEMPOTENCY_KEY_REUSED"


def test_a_batch_that_crashed_before_its_executions_is_started_by_the_retry(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(1_000)
    project = project_of(*[framed(duration=4)] * 3)

    def killed(job_id: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(workflow, "start", killed)
        with pytest.raises(KeyboardInterrupt):
            clips(call, project, "key-1")
    forget_answers(aws)
    again = clips(call, project, "key-1")
    assert {started["name"] for started in aws.executions.started()} == {
        clip["job_id"] for clip in again.body["clips"]
    }
    assert assert_adds_up(USER).held == 48


def test_of_two_batches_at_once_each_scene_is_in_one(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(framed(duration=4), framed(duration=4))
    aws.before_each_transaction(lambda: clips(call, project, "twin").body and None)
    assert clips(call, project, "slow").body["clips"] == []
    assert assert_adds_up(USER).held == 32


def test_a_retry_that_finds_its_scenes_just_started_answers_with_them(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(1_000)
    project = project_of(framed(duration=4), framed(duration=4))
    read = project_store.read

    def start() -> Answer:
        return clips(call, project, "key-1")

    first: list[Answer] = []

    def after_the_first(user_id: str, project_id: str) -> Any:
        # The first call, which was slow, completes at this point.
        monkeypatch.setattr(project_store, "read", read)
        forget_answers(aws)
        first.append(start())
        return read(user_id, project_id)

    monkeypatch.setattr(project_store, "read", after_the_first)
    retry = start()
    assert len(first[0].body["clips"]) == 2
    assert retry.body == first[0].body
    assert retry.headers["x-idempotent-replay"] == "true"
    assert assert_adds_up(USER).held == 32


def test_a_batch_meets_a_busy_account_a_changed_project_and_goes_on(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(framed(duration=4))
    aws.before_each_transaction(lambda: "TransactionConflict", lambda: "TransactionConflict")
    assert clips(call, project).status == 202
    assert assert_adds_up(USER).held == 16


@pytest.mark.parametrize(
    ("scene", "code", "details"),
    [
        ({"last_frame": None}, "FRAMES_REQUIRED", "last_frame"),
        ({"first_frame": None, "last_frame": None}, "FRAMES_REQUIRED", "first_frame, last_frame"),
        ({"duration": 5}, "SETTING_NOT_ALLOWED", "duration"),
        ({"model_id": "gen4-turbo"}, "INVALID_REQUEST", "last_image_url"),
        ({"model_id": "gone"}, "MODEL_NOT_FOUND", ""),
    ],
)
def test_a_scene_that_cannot_become_a_clip_is_named_and_nothing_is_started(
    aws: Aws, call: Caller, scene: dict[str, Any], code: str, details: str
) -> None:
    rich(1_000)
    project = project_of(framed(), framed(**scene))
    answer = clips(call, project)
    assert answer.code == code
    if code != "MODEL_NOT_FOUND":
        assert project.scene_ids[1] in answer.body["details"]
        assert details in answer.body["details"]
    assert assert_adds_up(USER).held == 0
    assert aws.executions.started() == []


@pytest.mark.parametrize(
    ("resolution", "by_runware", "by_fal"),
    [
        ("1280:720", "16:9", "16:9"),
        ("720:1280", "9:16", "9:16"),
        ("1280:768", "16:9", "16:9"),
        ("768:1280", "9:16", "9:16"),
        # Veo makes two shapes and no others; fal takes the frames as they are.
        ("1104:832", None, "auto"),
        ("832:1104", None, "auto"),
        ("960:960", None, "auto"),
        ("1584:672", None, "auto"),
    ],
)
def test_a_clip_is_made_in_a_shape_its_model_has_or_not_started(
    aws: Aws, call: Caller, resolution: str, by_runware: str | None, by_fal: str
) -> None:
    rich(1_000)
    for model_id, aspect_ratio in (("runware-veo-3.1", by_runware), ("veo-3.1-transition", by_fal)):
        project = project_of(framed(duration=4), resolution=resolution)
        answer = clips(call, project, model_id=model_id)
        if aspect_ratio is None:
            assert (answer.status, answer.code) == (400, "SETTING_NOT_ALLOWED")
            assert project.scene_ids[0] in answer.body["details"]
        else:
            [clip] = answer.body["clips"]
            assert found(clip["job_id"]).settings.aspect_ratio == aspect_ratio


def test_more_than_forty_five_named_scenes_are_refused(aws: Aws, call: Caller) -> None:
    project = project_of(framed())
    answer = clips(call, project, scene_ids=[str(uuid.uuid4()) for _ in range(46)])
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "45" in answer.body["details"]


def test_clips_of_unknown_projects_and_scenes_are_not_found(aws: Aws, call: Caller) -> None:
    theirs = project_of(framed(), user=OTHER_USER)
    assert clips(call, theirs).code == "PROJECT_NOT_FOUND"
    assert clips(call, replace(theirs, project_id="x")).code == "PROJECT_NOT_FOUND"
    own = project_of(framed())
    assert clips(call, own, scene_ids=list(theirs.scene_ids)).code == "SCENE_NOT_FOUND"


def test_clips_have_a_limit_of_their_own_and_share_the_hours(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(10_000)
    monkeypatch.setenv("MAX_OPEN_CLIPS", "3")
    monkeypatch.setenv("MAX_OPEN_JOBS", "1")
    project = project_of(*[framed(duration=4)] * 4)
    refused = clips(call, project)
    assert (refused.status, refused.code) == (429, "RATE_LIMITED")
    assert (refused.headers["x-ratelimit-limit"], refused.headers["x-ratelimit-remaining"]) == (
        "3",
        "3",
    )
    started = clips(call, project, scene_ids=list(project.scene_ids[:3])).body["clips"]
    assert clips(call, project).headers["x-ratelimit-remaining"] == "0"
    video = {"model_id": "veo-3.1", "prompt": "a fox"}
    assert post(call, "/v1/videos", video).status == 202
    assert post(call, "/v1/videos", video).status == 429
    finish(started[0]["job_id"], FAILED)
    account = assert_adds_up(USER)
    assert (account.open_clips, account.open_jobs, account.hour_jobs) == (2, 1, 4)
    monkeypatch.setenv("MAX_JOBS_PER_HOUR", "4")
    assert "an hour" in clips(call, project).body["details"]


def test_a_scene_without_words_is_asked_for_as_what_its_frames_show(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project = project_of(NewScene(first_frame=FIRST, last_frame=LAST))
    [clip] = clips(call, project).body["clips"]
    job = found(clip["job_id"])
    assert "first frame" in job.prompt
    # Its length was not chosen: the model's next one to the usual five seconds.
    assert (job.settings.duration, job.settings.aspect_ratio) == (6, "9:16")


# ── A video of a project ─────────────────────────────────────────────────────────────────────────

I2V = {"model_id": "veo-3.1-i2v", "prompt": "it moves"}


def test_a_video_starts_from_its_projects_image(aws: Aws, call: Caller) -> None:
    rich(100)
    project = project_of(image_url="https://example.com/cat.png")
    body = I2V | {"project_id": project.project_id}
    answer = post(call, "/v1/videos", body)
    job = found(answer.body["job_id"])
    assert (job.image_url, job.project_id) == ("https://example.com/cat.png", project.project_id)
    other = post(call, "/v1/videos", body | {"image_url": FIRST})
    assert found(other.body["job_id"]).image_url == FIRST
    estimate = call("POST", "/v1/videos/estimate", body=body)
    assert estimate.body["credits"] == answer.body["credits_used"]


def test_a_project_without_an_image_is_refused_where_one_is_needed(aws: Aws, call: Caller) -> None:
    rich(100)
    body = {"project_id": project_of().project_id}
    assert post(call, "/v1/videos", I2V | body).code == "IMAGE_REQUIRED"
    assert call("POST", "/v1/videos/estimate", body=I2V | body).code == "IMAGE_REQUIRED"
    text = {"model_id": "veo-3.1", "prompt": "a fox"}
    assert post(call, "/v1/videos", text | body).status == 202


def test_a_video_of_an_unknown_project_is_not_found(aws: Aws, call: Caller) -> None:
    rich(100)
    theirs = project_of(image_url=FIRST, user=OTHER_USER)
    for project_id in (theirs.project_id, str(uuid.uuid4()), "x"):
        answer = post(call, "/v1/videos", I2V | {"project_id": project_id})
        assert (answer.status, answer.code) == (404, "PROJECT_NOT_FOUND")
    assert assert_adds_up(USER).held == 0


def test_no_job_is_started_of_a_project_that_is_deleted_meanwhile(aws: Aws, call: Caller) -> None:
    rich(100)
    project = project_of(image_url=FIRST)
    aws.before_each_transaction(lambda: project_store.delete(USER, project.project_id))
    answer = post(call, "/v1/videos", I2V | {"project_id": project.project_id})
    assert answer.code == "PROJECT_NOT_FOUND"
    assert assert_adds_up(USER).held == 0


def test_a_project_whose_job_has_just_begun_is_not_deleted(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(100)
    project = project_of(image_url=FIRST)
    body = I2V | {"project_id": project.project_id}
    job_id = post(call, "/v1/videos", body).body["job_id"]
    # The index of a user's jobs lags behind.
    monkeypatch.setattr(job_lists, "open_in_project", lambda *_: [])
    with pytest.raises(ProjectBusy):
        project_store.delete(USER, project.project_id)
    finish(job_id, FAILED)
    project_store.delete(USER, project.project_id)


def test_jobs_are_listed_by_project_scene_and_status(aws: Aws, call: Caller) -> None:
    rich(1_000)
    project, other = project_of(framed(), framed()), project_of(framed())
    mine = clips(call, project).body["clips"]
    clips(call, other)
    finish(mine[0]["job_id"], FAILED)
    read = Caller(status)

    def listed(**query: str) -> list[str]:
        return [video["job_id"] for video in read("GET", "/v1/videos", query=query).body["videos"]]

    # Newest first: the reverse of the scenes' order.
    assert listed(project_id=project.project_id) == [clip["job_id"] for clip in reversed(mine)]
    assert listed(scene_id=mine[1]["scene_id"]) == [mine[1]["job_id"]]
    assert listed(project_id=project.project_id, status="failed") == [mine[0]["job_id"]]
    assert listed(project_id=str(uuid.uuid4())) == []


def test_a_search_ends_early_and_goes_on_where_it_ended(
    aws: Aws, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich(10_000)
    project = project_of(framed())
    wanted = clips(call, project).body["clips"][0]["job_id"]
    clips(call, project_of(*[framed(duration=4)] * 7))
    monkeypatch.setattr(job_lists, "SEARCHED", 3)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        query = {"project_id": project.project_id} | ({"cursor": cursor} if cursor else {})
        page = Caller(status)("GET", "/v1/videos", query=query).body
        seen += [video["job_id"] for video in page["videos"]]
        cursor, pages = page["cursor"], pages + 1
    assert (seen, pages) == ([wanted], 3)


def forget_answers(aws: Aws) -> None:
    """As if a day had passed: Powertools' records are gone."""
    for item in aws.dynamodb.scan(TableName="IdempotencyTable")["Items"]:
        aws.dynamodb.delete_item(TableName="IdempotencyTable", Key={"id": item["id"]})
