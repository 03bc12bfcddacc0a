"""Records that this version cannot read hide nothing else, and are reported to the owner."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Settings
from clipmint.credits import audit, grants, holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.projects import project_store, scene_store
from clipmint.projects.project_requests import NewProject, NewScene
from functions.cancel.app import handler as cancel
from functions.generate.app import handler as generate
from functions.projects.app import handler as projects
from functions.status.app import handler as status
from functions.submit.app import handler as submit
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import open_job
from tests.support.moto_aws import Aws

pytestmark = pytest.mark.usefixtures("providers")


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(status)


@pytest.fixture
def reported(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[[], list[str]]:
    """The keys of the records that were logged as unreadable since the last call. Each was also
    counted."""

    def read() -> list[str]:
        keys = [
            str(record.__dict__["key"])
            for record in caplog.records
            if record.message == "stored record unreadable"
        ]
        caplog.clear()
        assert capsys.readouterr().out.count('"UnreadableRecord":[1.0]') == len(keys)
        return keys

    return read


def assert_try_again(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0


def edit(aws: Aws, table: str, key: dict[str, Any], **changes: Any) -> None:
    """Change attributes of an item, as a newer version may have written them."""
    item = aws.dynamodb.get_item(TableName=table, Key=key)["Item"]
    aws.dynamodb.put_item(TableName=table, Item={**item, **changes})


# ── Models ───────────────────────────────────────────────────────────────────────────────────────


def put_definition(aws: Aws, model_id: str, **changes: Any) -> None:
    [model] = [model for model in DEFAULT_CATALOG if model.model_id == model_id]
    definition = json.dumps({**model.model_dump(mode="json"), **changes})
    item = {"model_id": {"S": model_id}, "definition": {"S": definition}}
    aws.dynamodb.put_item(TableName="ModelsTable", Item=item)
    model_store.forget()


def test_fields_of_a_newer_version_are_ignored(
    aws: Aws, call: Caller, reported: Callable[[], list[str]]
) -> None:
    before = call("GET", "/v1/models").body
    put_definition(
        aws,
        "veo-3.1",
        audio=True,
        price={"kind": "per_second", "credits_per_second": 4, "tiers": {}},
        routes=[{"provider": "fal", "endpoint": "fal-ai/veo3.1", "region": "eu"}],
    )
    assert call("GET", "/v1/models").body == before
    assert call("GET", "/v1/models/veo-3.1").status == 200
    assert reported() == []


@pytest.mark.parametrize(
    "change",
    [
        {"price": {"kind": "per_frame", "credits": 1}},
        {"image": "sometimes"},
        {"name": 5},
        {"routes": []},
    ],
)
def test_a_model_that_cannot_be_read_hides_no_other(
    aws: Aws, call: Caller, reported: Callable[[], list[str]], change: dict[str, Any]
) -> None:
    before = call("GET", "/v1/models").body["models"]
    put_definition(aws, "veo-3.1", **change)
    after = call("GET", "/v1/models").body["models"]
    assert after == [model for model in before if model["model_id"] != "veo-3.1"]
    assert reported() == ["veo-3.1"]
    assert call("GET", "/v1/models/veo-3.1").code == "MODEL_NOT_FOUND"
    body = {"model_id": "veo-3.1", "prompt": "a fox in the snow"}
    key = {"Idempotency-Key": "key-1"}
    answer = Caller(generate)("POST", "/v1/videos", body=body, headers=key)
    assert answer.code == "MODEL_NOT_FOUND"
    assert reported() == ["veo-3.1"] * 2


def test_an_item_without_a_definition_hides_no_model(aws: Aws, call: Caller) -> None:
    before = call("GET", "/v1/models").body
    for item in ({"model_id": {"S": "x"}}, {"model_id": {"S": "y"}, "definition": {"N": "5"}}):
        aws.dynamodb.put_item(TableName="ModelsTable", Item=item)
    model_store.forget()
    assert call("GET", "/v1/models").body == before


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────


def failed() -> Job:
    job = open_job()
    verdict = Verdict(JobStatus.FAILED, FailureCode.NO_OUTPUT)
    return holds.settle(job.job_id, lambda _: verdict)


def edit_job(aws: Aws, job: Job, **changes: Any) -> None:
    edit(aws, "JobsTable", {"job_id": {"S": job.job_id}}, **changes)


def test_a_failure_code_of_a_newer_version_is_shown_as_internal(
    aws: Aws, call: Caller, reported: Callable[[], list[str]]
) -> None:
    job = failed()
    edit_job(aws, job, failure={"S": "TOO_QUIET"}, sound={"M": {"volume": {"N": "11"}}})
    shown = call("GET", f"/v1/videos/{job.job_id}")
    assert (shown.status, shown.body["error_code"]) == (200, "INTERNAL")
    assert shown.body["error_message"] == "Video generation failed. Please try again."
    assert [one["job_id"] for one in call("GET", "/v1/videos").body["videos"]] == [job.job_id]
    assert reported() == [job.job_id] * 2


def test_settings_of_any_name_are_kept(
    aws: Aws, call: Caller, reported: Callable[[], list[str]]
) -> None:
    job = open_job()
    settings = {"resolution": "720p", "aspect_ratio": "16:9", "duration": 8, "audio": True}
    edit_job(aws, job, settings={"S": json.dumps(settings)})
    assert call("GET", f"/v1/videos/{job.job_id}").status == 200
    assert job_store.get(job.job_id) == replace(job, settings=Settings.model_validate(settings))
    assert reported() == []


UNREADABLE = [
    {"status": {"S": "paused"}},
    {"settings": {"S": "{"}},
    {"created_at": {"S": "yesterday"}},
    {"prompt": {"N": "5"}},
]


@pytest.mark.parametrize("change", UNREADABLE, ids=lambda change: next(iter(change)))
def test_a_job_that_cannot_be_read_hides_no_other(
    aws: Aws, call: Caller, reported: Callable[[], list[str]], change: dict[str, Any]
) -> None:
    jobs = [failed() for _ in range(3)]
    edit_job(aws, jobs[1], **change)
    listed = call("GET", "/v1/videos")
    assert listed.status == 200
    assert {one["job_id"] for one in listed.body["videos"]} == {jobs[0].job_id, jobs[2].job_id}
    assert reported() == [jobs[1].job_id]
    assert_try_again(call("GET", f"/v1/videos/{jobs[1].job_id}"))
    assert_try_again(Caller(cancel)("POST", f"/v1/videos/{jobs[1].job_id}/cancel"))
    assert reported() == [jobs[1].job_id] * 2


def test_nothing_is_sent_for_a_job_that_cannot_be_read(aws: Aws) -> None:
    job = open_job()
    edit_job(aws, job, settings={"S": "{"})
    with pytest.raises(Exception, match="cannot be read"):
        submit({"job_id": job.job_id}, Context())
    assert aws.job_item(job.job_id)["video"]["M"].get("submission") is None


def test_an_outcome_of_a_newer_version_is_a_failure() -> None:
    assert Failed(FailureCode("TOO_QUIET")).code is FailureCode.INTERNAL


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────


def new_project(scenes: int = 3) -> tuple[str, list[str]]:
    body = NewProject(scenes=[NewScene(visual_prompt=f"shot {n}") for n in range(scenes)])
    project, made = project_store.create("user-1", body)
    return project.project_id, [scene.scene_id for scene in made]


def edit_project(aws: Aws, project_id: str, scene_id: str | None = None, **changes: Any) -> None:
    sk = f"PROJECT#{project_id}" + (f"#SCENE#{scene_id}" if scene_id else "")
    edit(aws, "ProjectsTable", {"user_id": {"S": "user-1"}, "sk": {"S": sk}}, **changes)


def test_a_project_of_a_newer_version_is_shown(aws: Aws, reported: Callable[[], list[str]]) -> None:
    project_id, [scene_id, *_] = new_project()
    job = failed()
    renders = {scene_id: {"job_id": job.job_id, "sound_job_id": "x"}}
    edit_project(aws, project_id, renders={"S": json.dumps(renders)}, mood={"S": "dark"})
    edit_project(aws, project_id, scene_id, camera={"S": "wide"})
    answer = Caller(projects)("GET", f"/v1/projects/{project_id}")
    assert answer.status == 200
    assert [scene["status"] for scene in answer.body["scenes"]] == ["failed", "pending", "pending"]
    assert reported() == []


@pytest.mark.parametrize(
    "change",
    [{"renders": {"S": '{"a": 5}'}}, {"scene_ids": {"S": "x"}}, {"name": {"N": "5"}}],
    ids=lambda change: next(iter(change)),
)
def test_a_project_that_cannot_be_read_hides_no_other(
    aws: Aws, reported: Callable[[], list[str]], change: dict[str, Any]
) -> None:
    ids = [new_project()[0] for _ in range(3)]
    edit_project(aws, ids[1], **change)
    call = Caller(projects)
    first = call("GET", "/v1/projects", query={"limit": "1"}).body
    more = {"limit": "1", "cursor": first["cursor"]}
    second = call("GET", "/v1/projects", query=more).body
    listed = [one["project_id"] for one in (*first["projects"], *second["projects"])]
    assert listed == [ids[2], ids[0]]
    assert reported()
    assert_try_again(call("GET", f"/v1/projects/{ids[1]}"))
    assert_try_again(call("PATCH", f"/v1/projects/{ids[1]}", body={"image_url": None}))


@pytest.mark.parametrize(
    "change",
    [{"created_at": {"S": "x"}}, {"visual_prompt": {"N": "5"}}, {"duration": {"S": "long"}}],
    ids=lambda change: next(iter(change)),
)
def test_a_scene_that_cannot_be_read_hides_no_other(
    aws: Aws, reported: Callable[[], list[str]], change: dict[str, Any]
) -> None:
    project_id, scenes = new_project()
    edit_project(aws, project_id, scenes[1], **change)
    call = Caller(projects)
    shown = call("GET", f"/v1/projects/{project_id}")
    assert [one["scene_id"] for one in shown.body["scenes"]] == [scenes[0], scenes[2]]
    assert reported() == [f"PROJECT#{project_id}#SCENE#{scenes[1]}"]
    assert_try_again(call("GET", f"/v1/projects/{project_id}/scenes/{scenes[1]}"))
    assert call("DELETE", f"/v1/projects/{project_id}").status == 204


def test_a_job_that_cannot_be_read_hides_its_scene_but_may_be_running(aws: Aws) -> None:
    project_id, scenes = new_project()
    running = open_job(project_id=project_id)
    renders = {scenes[0]: {"job_id": running.job_id}}
    edit_project(aws, project_id, renders={"S": json.dumps(renders)})
    edit_job(aws, running, status={"S": "paused"})
    call = Caller(projects)
    shown = call("GET", f"/v1/projects/{project_id}")
    assert [one["status"] for one in shown.body["scenes"]] == ["pending"] * 3
    # Nothing is deleted or started on the assumption that it has ended.
    assert_try_again(call("DELETE", f"/v1/projects/{project_id}"))
    key = {"Idempotency-Key": "key-1"}
    assert_try_again(
        Caller(generate)("POST", f"/v1/scenes/{scenes[0]}/video", body={}, headers=key)
    )
    assert_try_again(
        Caller(generate)("POST", f"/v1/projects/{project_id}/clips", body={}, headers=key)
    )
    assert scene_store.find("user-1", scenes[0])[0].project_id == project_id


# ── Accounts and journals ────────────────────────────────────────────────────────────────────────


def edit_ledger(aws: Aws, user_id: str, sk: str, **changes: Any) -> None:
    edit(aws, "LedgerTable", {"user_id": {"S": user_id}, "sk": {"S": sk}}, **changes)


def test_an_account_of_a_newer_version_is_shown(aws: Aws, call: Caller) -> None:
    grants.grant("user-1", 5, "receipt-1")
    edit_ledger(aws, "user-1", "ACCOUNT", bonus={"N": "3"})
    assert call("GET", "/v1/credits").body["available"] == 5


def test_an_account_that_cannot_be_read_is_to_be_asked_again(
    aws: Aws, call: Caller, reported: Callable[[], list[str]]
) -> None:
    grants.grant("user-1", 5, "receipt-1")
    edit_ledger(aws, "user-1", "ACCOUNT", available={"S": "five"})
    assert_try_again(call("GET", "/v1/credits"))
    assert reported() == ["user-1"]


def test_an_entry_that_cannot_be_read_hides_no_other(
    aws: Aws, call: Caller, reported: Callable[[], list[str]]
) -> None:
    for number in range(4):
        grants.grant("user-1", 5, f"receipt-{number}")
    edit_ledger(aws, "user-1", "ENTRY#GRANT#receipt-2", created_at={"S": "yesterday"})
    edit_ledger(aws, "user-1", "ENTRY#GRANT#receipt-1", kind={"S": "bonus"}, note={"S": "hello"})
    first = call("GET", "/v1/credits/entries", query={"limit": "2"}).body
    more = {"limit": "2", "cursor": first["cursor"]}
    second = call("GET", "/v1/credits/entries", query=more).body
    shown = [(entry["reference"], entry["kind"]) for entry in first["entries"] + second["entries"]]
    assert shown == [("receipt-3", "grant"), ("receipt-1", "bonus"), ("receipt-0", "grant")]
    assert second["cursor"] is None
    assert "user-1 ENTRY#GRANT#receipt-2" in reported()


def test_an_account_that_cannot_be_read_does_not_keep_others_from_the_audit(
    aws: Aws, reported: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAUSE_SECONDS", 0)
    for number in range(4):
        grants.grant(f"user-{number}", 5, f"receipt-{number}")
    edit_ledger(aws, "user-1", "ACCOUNT", available={"S": "five"})
    edit_ledger(aws, "user-2", "ENTRY#GRANT#receipt-2", credits={"S": "five"})
    edit_ledger(aws, "user-3", "ACCOUNT", available={"N": "7"})
    assert audit.audit(0, 1, lambda: True) == audit.Audit(accounts=2, drift=2)
    assert sorted(reported()) == ["user-1", "user-2"]
