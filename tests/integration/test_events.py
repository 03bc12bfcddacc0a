"""Each file in `events/` runs through its function, and has the documented result.

The files form one sequence: a user buys credits, asks for a video, and gets it. Calls that would
leave the machine are answered below httpx or by a server on loopback. The stored webhook is signed,
with a key of its own, so it is read at the time it was signed at.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clipmint.aws import s3
from clipmint.catalog import model_store
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.credits import holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, JobStatus, SubmissionState
from clipmint.jobs.outcomes import FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.orders.idempotency_keys import job_id_for
from clipmint.providers import registry
from clipmint.providers.registry import Registry
from functions.seed import app as seed
from tests.support import fal_wire, moto_aws
from tests.support.event_bus import event_bus
from tests.support.fal_wire import BASE, REQUEST_ID, Signer
from tests.support.gateway import Answer, Context, answer_of
from tests.support.jobs import LISTED, assert_adds_up, begin_sending, journal, task_id_of
from tests.support.moto_aws import (
    BUCKET,
    Aws,
    connect_stores,
    override,
)
from tests.support.mp4 import write_mp4
from tests.support.origin import Exchange, Origin
from tests.support.store_wire import SECRETS
from tests.support.wire import Reply, Wire

aws_clients = moto_aws.aws_clients
aws = moto_aws.aws_account

ROOT = Path(__file__).parents[2]
FUNCTIONS = {path.parent.name for path in ROOT.glob("functions/*/app.py")}
EVENTS = {path.stem for path in ROOT.glob("events/*.json")}


def read(name: str) -> dict[str, Any]:
    document = json.loads((ROOT / "events" / f"{name}.json").read_text())
    assert isinstance(document, dict)
    return document


def run(name: str, **changes: Any) -> Any:
    """Run the event through the handler its name begins with."""
    app = import_module(f"functions.{name.partition('-')[0]}.app")
    return app.handler(read(name) | changes, Context(remaining_ms=800_000))


def ask(name: str) -> Answer:
    return answer_of(run(name))


USER = read("generate")["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
JOB_ID = job_id_for(USER, read("generate")["headers"]["idempotency-key"])


@pytest.fixture
def pending(aws: Aws) -> Job:
    """The steps up to the accepted request."""
    assert ask("admin").status == 200
    assert ask("generate").status == 202
    return now()


@pytest.fixture
def sent(pending: Job) -> Job:
    """The steps up to the provider's response."""
    token = read("webhooks")["pathParameters"]["token"]
    begin_sending(pending, token)
    handle = Handle(
        REQUEST_ID,
        {"status": f"{BASE}/status", "result": BASE, "cancel": f"{BASE}/cancel"},
    )
    return job_store.mark_sent(JOB_ID, "video", task_id_of(token), handle)


@pytest.fixture
def fal() -> Iterator[Callable[..., Wire]]:
    """Puts the real adapter on a scripted wire."""
    wires = ExitStack()

    def on(*replies: Reply, now: float = fal_wire.NOW, **settings: Any) -> Wire:
        adapter, wire = fal_wire.fal(*replies, now=lambda: now, **settings)
        wires.enter_context(registry.use(Registry(lambda name, _: {"fal": adapter}[name])))
        return wire

    with wires:
        yield on


def now() -> Job:
    job = job_store.get(JOB_ID)
    assert job
    return job


def test_every_function_has_an_event_and_every_event_a_function_and_a_test() -> None:
    assert {name.partition("-")[0] for name in EVENTS} == FUNCTIONS
    tested = Path(__file__).read_text()
    assert [name for name in sorted(EVENTS) if f'("{name}"' not in tested] == []


def test_admin_grants_the_credits_of_a_purchase(aws: Aws) -> None:
    answer = ask("admin")
    assert (answer.status, answer.body["available"]) == (200, 100)
    assert ask("admin").body["replayed"]
    assert assert_adds_up(USER).available == 100


def test_admin_takes_a_refund_back_and_corrects_an_account(aws: Aws) -> None:
    ask("admin")
    answer = ask("admin-clawback")
    assert (answer.status, answer.body["available"], answer.body["debt"]) == (200, 0, 0)
    answer = ask("admin-adjustment")
    assert (answer.status, answer.body["available"]) == (200, 25)
    assert ask("admin-clawback").body["replayed"]
    assert assert_adds_up(USER).available == 25


def test_purchases_credits_what_a_store_reports(aws: Aws) -> None:
    connect_stores(SECRETS)
    assert ask("admin-pack").status == 200
    assert ask("purchases").body == {"results": ["applied"]}
    assert ask("purchases").body == {"results": ["known"]}
    assert assert_adds_up(USER).available == 500


def test_purchases_credits_what_the_app_store_reports(aws: Aws) -> None:
    connect_stores(SECRETS)
    assert ask("admin-pack").status == 200
    assert ask("purchases-appstore").body == {"results": ["applied"]}
    assert ask("purchases-appstore").body == {"results": ["known"]}
    assert assert_adds_up(USER).available == 500


def test_admin_changes_a_price(aws: Aws) -> None:
    answer = ask("admin-model")
    assert answer.status == 200
    assert model_store.find("veo-3.1").price.model_dump() == answer.body["price"]
    assert model_store.find("veo-3.1") != DEFAULT_CATALOG[0]


def test_admin_checks_a_model_before_it_changes_the_price(aws: Aws) -> None:
    answer = ask("admin-model-check")
    assert (answer.status, answer.body["problems"]) == (200, [])
    assert answer.body["orders"][0]["credits"] == 40
    assert model_store.find("veo-3.1") == DEFAULT_CATALOG[0]


def test_operator_lists_failed_jobs(pending: Job) -> None:
    assert ask("operator").body == {"jobs": [], "next_cursor": None}
    holds.settle(JOB_ID, lambda _: Verdict(JobStatus.FAILED, FailureCode.INTERNAL))
    [row] = ask("operator").body["jobs"]
    assert (row["job_id"], row["failure_code"]) == (JOB_ID, "INTERNAL")


def test_actions_cancels_a_job_for_its_owner(pending: Job) -> None:
    answer = ask("actions")
    assert (answer.status, answer.body["result"]) == (200, "cancelled")
    assert now().status is JobStatus.CANCELLED
    assert assert_adds_up(USER).available == 100


def test_admin_reads_and_deletes_a_model(aws: Aws) -> None:
    answer = ask("admin-model-get")
    assert (answer.status, answer.body["version"]) == (200, 1)
    assert ask("admin-model-delete").status == 204
    assert ask("admin-model-get").status == 404


def test_generate_holds_the_credits_and_starts_the_job(aws: Aws) -> None:
    ask("admin")
    answer = ask("generate")
    assert answer.status == 202
    assert answer.body == {
        "job_id": JOB_ID,
        "status": "pending",
        "credits_used": 32,
        "credits_remaining": 68,
    }
    assert aws.executions.started() == [{"name": JOB_ID, "input": {"job_id": JOB_ID}}]
    assert assert_adds_up(USER).held == 32
    assert ask("generate").headers["x-idempotent-replay"] == "true"


def test_generate_estimates_without_holding(aws: Aws) -> None:
    answer = ask("generate-estimate")
    assert answer.body == {"credits": 16, "available": 0, "affordable": False}
    assert aws.items("LEDGER_TABLE") == []


def test_status_shows_the_job_the_list_the_models_and_the_credits(aws: Aws, pending: Job) -> None:
    assert ask("status").body["status"] == "pending"
    assert [video["job_id"] for video in ask("status-list").body["videos"]] == [JOB_ID]
    listed = {model["model_id"] for model in ask("status-models").body["models"]}
    with_a_key = {
        model.model_id
        for model in DEFAULT_CATALOG
        if model.available and any(route.provider == "fal" for route in model.routes)
    }
    assert listed == with_a_key
    assert ask("status-model").body["model_id"] == "veo-3.1-i2v"
    shown = ask("status-credits").body
    assert (shown["available"], shown["held"], shown["debt"]) == (68, 32, 0)
    kinds = [entry["kind"] for entry in ask("status-entries").body["entries"]]
    assert kinds == ["hold", "grant"]


def test_cancel_releases_the_hold(pending: Job) -> None:
    answer = ask("cancel")
    assert answer.body == {"job_id": JOB_ID, "status": "cancelled", "credits_released": 32}
    assert now().status is JobStatus.CANCELLED
    assert assert_adds_up(USER).available == 100


def test_cancel_deletes_a_job_that_has_ended(pending: Job) -> None:
    assert ask("cancel-delete").status == 409
    holds.settle(JOB_ID, lambda _: Verdict(JobStatus.FAILED, FailureCode.NO_OUTPUT))
    assert ask("cancel-delete").status == 204
    assert now().deleted
    assert ask("status").status == 404


@pytest.fixture
def project(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project under the ids that the events name, and what its first scene is called."""
    names = read("projects-scene")["pathParameters"]
    ids = iter([names["project_id"], names["scene_id"], str(uuid.uuid4())])
    with monkeypatch.context() as patch:
        patch.setattr(
            "clipmint.projects.project_store.uuid", SimpleNamespace(uuid4=lambda: next(ids))
        )
        answer = ask("projects")
    assert answer.status == 201
    assert answer.headers["location"] == read("projects-get")["rawPath"]
    return str(names["scene_id"])


def test_projects_shows_what_it_was_given(project: str) -> None:
    found = ask("projects-get").body
    assert (found["name"], found["resolution"]) == ("City lights", "1280:720")
    assert ask("projects-scenes").body["scenes"] == found["scenes"]
    assert ask("projects-scene").body == found["scenes"][0]
    assert [scene["duration"] for scene in found["scenes"]] == [8, 5]
    (listed,) = ask("projects-list").body["projects"]
    assert (listed["project_id"], listed["scene_count"]) == (found["project_id"], 2)
    assert ask("projects-clips").body["total_clips"] == 0


def test_projects_hands_out_a_form_for_an_image(aws: Aws) -> None:
    answer = ask("projects-image")
    assert answer.status == 201
    (listed,) = ask("projects-list").body["projects"]
    assert answer.headers["location"] == f"/v1/projects/{listed['project_id']}"
    assert (answer.body["project_id"], listed["resolution"]) == (listed["project_id"], "1280:720")
    assert answer.body["image_url"] == listed["image_url"]
    assert answer.body["upload"]["fields"]["Content-Type"] == "image/jpeg"


def test_generate_makes_a_clip_between_two_frames(aws: Aws, project: str) -> None:
    ask("admin")
    # The first of the two scenes has no frames, and is refused before anything is held.
    assert ask("generate-clips").code == "FRAMES_REQUIRED"
    assert assert_adds_up(USER).held == 0
    ask("projects-scene-delete")
    [clip] = ask("generate-clips").body["clips"]
    assert ask("projects-clips").body["clips"][0]["job_id"] == clip["job_id"]
    assert ask("generate-clips").headers["x-idempotent-replay"] == "true"
    assert assert_adds_up(USER).held == clip["credits_used"]


def test_generate_makes_a_scenes_image_and_its_video(aws: Aws, project: str) -> None:
    moto_aws.publish_keys(moto_aws.KEYS)
    ask("admin")
    answer = ask("generate-scene")
    assert answer.body["prices"] == {"generate_image": 1, "generate_scene": 8}
    assert ask("projects-scene").body["status"] == "pending"
    assert assert_adds_up(USER).held == 9


def test_projects_changes_and_deletes(aws: Aws, project: str) -> None:
    assert ask("projects-change").body["name"] == "City at night"
    changed = ask("projects-scene-change").body
    assert (changed["visual_prompt"], changed["duration"]) == ("The camera rises over the roofs", 5)
    added = ask("projects-scene-add")
    assert (added.status, added.body["image_prompt"]) == (201, "The same street at dawn")
    assert ask("projects-scene-delete").status == 204
    left = [scene["scene_id"] for scene in ask("projects-scenes").body["scenes"]]
    assert project not in left
    assert left[1:] == [added.body["scene_id"]]
    assert ask("projects-delete").status == 204
    assert aws.items("PROJECTS_TABLE") == []
    assert ask("projects-get").status == 404


SOME_ID = "00000000-0000-4000-8000-000000000000"
"""In events about something that another event made."""


def ask_about(name: str, id_: str) -> Answer:
    """Run the event with this id in place of `SOME_ID`."""
    changed = json.loads(json.dumps(read(name)).replace(SOME_ID, id_))
    return answer_of(run(name, **changed))


def test_doors_starts_a_video_of_an_app(aws: Aws) -> None:
    ask("admin")
    started = ask("doors-generate-video")
    assert (started.status, started.body["credits_used"]) == (200, 16)
    assert ask("doors-generate-video").headers["x-idempotent-replay"] == "true"
    shown = ask_about("doors-video-status", started.body["job_id"])
    assert (shown.status, shown.body["status"]) == (200, "pending")


def test_doors_renders_a_scene_as_a_task_and_a_project_as_clips(aws: Aws, project: str) -> None:
    moto_aws.publish_keys(moto_aws.KEYS)
    ask("admin")
    drawn, framed = ask("projects-scenes").body["scenes"]
    task = ask_about("doors-scene-task", drawn["scene_id"])
    assert (task.status, task.body["progress"]) == (200, 0.0)
    shown = ask_about("doors-task", task.body["task_id"])
    assert (shown.status, shown.body["scene_id"]) == (200, drawn["scene_id"])
    clips = ask_about("doors-clips", drawn["project_id"])
    assert [result["scene_id"] for result in clips.body["results"]] == [
        drawn["scene_id"],
        framed["scene_id"],
    ]
    checked = ask_about("doors-clips-status", drawn["project_id"])
    assert (checked.status, checked.body["pending"]) == (200, 2)


def test_doors_makes_a_video_from_an_uploaded_image(aws: Aws) -> None:
    moto_aws.publish_keys(moto_aws.KEYS)
    ask("admin")
    uploaded = ask("doors-upload")
    assert uploaded.status == 200
    generation = ask_about("doors-generation", uploaded.body["projectId"])
    assert (generation.status, list(generation.body)) == (200, ["generationId"])


def test_submit_sends_the_job_to_its_provider_and_waits(
    pending: Job, fal: Callable[..., Wire]
) -> None:
    wire = fal(fal_wire.answer(200, fal_wire.submission_answer()))
    assert run("submit") == {
        "stage": "video",
        "poll_seconds": [180, 30, 30, 60],
        "deadline": pending.deadline,
    }
    assert now().stages[0].task_token == read("submit")["task_token"]
    [request] = wire.requests
    assert (request.method, request.url.path) == ("POST", "/fal-ai/veo3.1")
    assert json.loads(request.content)["duration"] == "8s"
    assert JOB_ID in request.url.params["fal_webhook"]
    submission = now().stages[0].submission
    assert submission
    assert (submission.state, submission.request_id) == (SubmissionState.SENT, REQUEST_ID)


def test_track_finds_a_finished_video_and_wakes_the_execution(
    aws: Aws, sent: Job, fal: Callable[..., Wire]
) -> None:
    token = read("track")["task_token"]
    aws.executions.sleeping.add(token)
    wire = fal(
        fal_wire.status_answer("COMPLETED"),
        fal_wire.answer(200, {"video": {"url": fal_wire.VIDEO}}),
    )
    assert run("track") == {"woken": True}
    assert wire.calls == [f"GET {BASE}/status", f"GET {BASE}"]
    assert now().stages[0].outcome == Succeeded(fal_wire.VIDEO, LISTED)
    assert [used for used, _ in aws.executions.responses] == [token]


def test_webhooks_accepts_the_signed_event_at_the_time_it_was_signed(
    aws: Aws, sent: Job, fal: Callable[..., Wire]
) -> None:
    job_store.store_task_token(JOB_ID, "video", "task-token")
    aws.executions.sleeping.add("task-token")
    signed_at = int(read("webhooks")["headers"]["x-fal-webhook-timestamp"])
    fal(fal_wire.jwks(Signer(2), Signer(1)), now=signed_at + 4)
    answer = ask("webhooks")
    assert (answer.status, answer.body) == (200, {"result": "accepted"})
    sent_url = json.loads(read("webhooks")["body"])["payload"]["video"]["url"]
    assert now().stages[0].outcome == Succeeded(sent_url, LISTED)
    assert [used for used, _ in aws.executions.responses] == ["task-token"]


@pytest.mark.parametrize("fault", ["stale", "forged", "changed"])
def test_webhooks_refuses_the_same_event_stale_forged_or_changed(
    aws: Aws, sent: Job, fal: Callable[..., Wire], fault: str
) -> None:
    event = read("webhooks")
    signed_at = int(event["headers"]["x-fal-webhook-timestamp"])
    signer = Signer(2) if fault == "forged" else Signer(1)
    later = 301 if fault == "stale" else 4
    fal(*[fal_wire.jwks(signer)] * 2, now=signed_at + later)
    before = aws.job_item(JOB_ID)
    body = (
        event["body"].replace("output.mp4", "OUTPUT.mp4") if fault == "changed" else event["body"]
    )
    answer = answer_of(run("webhooks", body=body))
    assert (answer.status, answer.code) == (401, "WEBHOOK_NOT_PROVEN")
    assert aws.job_item(JOB_ID) == before


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def test_migrate_brings_the_video_and_a_thumbnail_into_the_bucket(
    aws: Aws, sent: Job, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_mp4(tmp_path / "video.mp4")

    def serve(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Type": "video/mp4", "Content-Length": str(len(video))})
        exchange.wfile.write(video)

    def as_bytes(params: dict[str, Any], **_: Any) -> None:
        params["Body"] = bytes(params["Body"])  # moto cannot read a bytearray; S3 can

    s3().meta.events.register("before-parameter-build.s3.PutObject", as_bytes)
    origin.replies["/files/output.mp4"] = serve
    override(monkeypatch, fal={"media_hosts": [origin.host]})
    job_store.record_outcome(JOB_ID, "video", Succeeded(origin.url("/files/output.mp4")))
    assert run("migrate") == {"more": False}
    asset = now().stages[0].asset
    assert asset
    assert (asset.size_bytes, asset.width, asset.height) == (len(video), 320, 180)
    stored = aws.s3.get_object(Bucket=BUCKET, Key=asset.key)
    assert stored["Body"].read() == video
    assert stored["ContentType"] == "video/mp4"
    assert asset.thumbnail_key
    thumbnail = aws.s3.get_object(Bucket=BUCKET, Key=asset.thumbnail_key)["Body"].read()
    assert thumbnail.startswith(b"\xff\xd8\xff")
    # A second run, after a crash, finds the asset and fetches nothing.
    assert run("migrate") == {"more": False}
    assert len(origin.seen) == 1
    assert run("settle") == {"status": "completed"}
    assert [entry.kind for entry in journal(USER)] == ["grant", "hold", "capture"]


def test_settle_refunds_a_job_that_failed(sent: Job) -> None:
    assert run("settle-failed") == {"status": "failed"}
    assert run("settle") == {"status": "failed"}
    assert assert_adds_up(USER).available == 100


def test_sweep_starts_unstarted_jobs_and_ends_those_whose_execution_failed(aws: Aws) -> None:
    ask("admin")
    aws.executions.broken = 10
    ask("generate")
    assert run("sweep") == {"settled": 0, "started": 0, "failed": 0}
    assert run("sweep-execution") == {"settled": 1}
    assert now().status is JobStatus.FAILED
    assert assert_adds_up(USER).available == 100
    assert run("sweep") == {"settled": 0, "started": 0, "failed": 0}


def test_events_puts_the_end_of_a_job_on_the_bus(aws: Aws) -> None:
    with event_bus() as bus:
        assert run("events") == {"batchItemFailures": []}
    [entry] = bus.entries
    assert (entry["Source"], entry["DetailType"]) == ("clipmint", "video.completed")
    assert bus.details[0]["data"] == {
        "job_id": JOB_ID,
        "user_id": USER,
        "revision": 6,
        "project_id": None,
        "scene_id": None,
        "batch_id": None,
        "status": "completed",
        "model_id": "veo-3.1",
        "credits_held": 16,
        "credits_used": 16,
        "error_code": None,
    }


def test_usage_counts_the_end_of_a_job_once(aws: Aws) -> None:
    assert run("usage") is None
    assert run("usage") is None
    [group] = ask("operator-usage").body["groups"]
    assert (group["key"], group["completed"], group["credits_captured"]) == ("veo-3.1", 1, 16)
    assert group["p50_seconds"] == pytest.approx(70, rel=0.05)


def test_deliver_drops_a_message_whose_delivery_has_expired(aws: Aws) -> None:
    assert run("deliver") is None


def test_expire_deletes_what_is_due(aws: Aws) -> None:
    assert ask("projects-image").status == 201
    [project] = [item for item in aws.items("PROJECTS_TABLE") if "unused" in item]
    key = {"user_id": project["user_id"], "sk": project["sk"]}
    aws.dynamodb.update_item(
        TableName="ProjectsTable",
        Key=key,
        UpdateExpression="SET look_at = :long_ago",
        ExpressionAttributeValues={":long_ago": {"N": "1"}},
    )
    assert run("expire") == {"deleted": 1, "uploaded": 0, "kept": 0, "failed": 0}
    assert aws.items("PROJECTS_TABLE") == []


@pytest.fixture
def cloudformation() -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """Where a custom resource reports to, and what it reported."""
    reports: list[tuple[dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reports.append((headers, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/stack?X-Amz-Signature=s", reports
        server.shutdown()
        thread.join()


def test_seed_fills_the_catalog_and_reports_to_cloudformation(
    aws: Aws, cloudformation: tuple[str, list[tuple[dict[str, str], Any]]]
) -> None:
    url, reports = cloudformation
    # Without the record of what was added before, as in a new installation.
    for model_id in ("veo-3.1", model_store.STATE_ID):
        aws.dynamodb.delete_item(TableName="ModelsTable", Key={"model_id": {"S": model_id}})
    run("seed", ResponseURL=url)
    run("seed", ResponseURL=url, RequestType="Delete", PhysicalResourceId="made-before")
    aws.dynamodb.delete_table(TableName="ModelsTable")
    run("seed", ResponseURL=url, RequestType="Update", PhysicalResourceId="made-before")
    bodies = [report for _, report in reports]
    event = read("seed")
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        assert {report[name] for report in bodies} == {event[name]}
    assert [report["Status"] for report in bodies] == ["SUCCESS", "SUCCESS", "FAILED"]
    assert bodies[0]["Data"] == {
        "Added": "veo-3.1",
        "Release": seed.release(read("seed")["ResourceProperties"]),
    }
    assert [report["PhysicalResourceId"] for report in bodies[1:]] == ["made-before"] * 2
    # S3 checks the presigned URL's signature, which covers an empty content type.
    assert {headers.get("content-type") for headers, _ in reports} == {""}


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_a_deployment_with_malformed_overrides_fails_and_names_the_setting(
    aws: Aws, cloudformation: tuple[str, list[tuple[dict[str, str], Any]]], request_type: str
) -> None:
    url, reports = cloudformation
    properties = {"ProviderOverrides": '{"fal": {"queue_ur": "https://queue.example"}}'}
    run("seed", ResponseURL=url, RequestType=request_type, ResourceProperties=properties)
    run("seed", ResponseURL=url, RequestType="Delete", ResourceProperties=properties)
    run("seed", ResponseURL=url, RequestType="Update", ResourceProperties={})
    failed, deleted, rolled_back = (report for _, report in reports)
    assert failed["Status"] == "FAILED"
    assert failed["Reason"].startswith("ProviderOverrides: fal.queue_ur: Extra inputs")
    assert [deleted["Status"], rolled_back["Status"]] == ["SUCCESS", "SUCCESS"]


def test_the_events_contain_no_credentials() -> None:
    for name in EVENTS:
        text = (ROOT / "events" / f"{name}.json").read_text()
        # What a store has signed gives access to nothing.
        assert "eyJ" not in re.sub(r'signedPayload[\\": ]+[\w.-]+', "", text)
        assert "AKIA" not in text
        assert isinstance(json.loads(text), dict)
