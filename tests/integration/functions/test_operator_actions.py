"""The owner's actions: what exists without the owner, too, each in the audit trail, before and
after it happens."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clipmint import aws as clients
from clipmint import clock
from clipmint.api.audit_trail import AUDIT, AuditItem
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.credits import holds
from clipmint.execution import cancellation, sweeping, workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, ImageOrder, Job, JobStatus
from clipmint.jobs.outcomes import FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict
from functions.actions.app import handler as actions
from functions.admin.app import handler as admin
from functions.operator.app import handler as operator
from tests.support.clock import Clock
from tests.support.executions import answer as aws_answer
from tests.support.gateway import ROUTES, Answer, Caller
from tests.support.jobs import ROUTES as JOB_ROUTES
from tests.support.jobs import (
    TASK_ID,
    TOKEN,
    assert_adds_up,
    begin_sending,
    journal,
    new_job,
    open_job,
)
from tests.support.moto_aws import MIGRATE, Aws, client_of, hooked
from tests.support.scripted_provider import HANDLE, ScriptedProvider

WHY = {"reason": "The user asked where the video is"}
VIDEO = Succeeded("https://v3.fal.media/files/b/video.mp4")
FILE = Asset("videos", "v.mp4", "video/mp4", 1, "a" * 64, 16, 9, 4.0)


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(actions, user="ops", scope="openid clipmint/admin")


@pytest.fixture
def grant(call: Caller) -> Caller:
    return Caller(admin, user="ops", scope="openid clipmint/admin")


@pytest.fixture
def invoked(aws: Aws) -> Iterator[list[dict[str, Any]]]:
    """Which functions were started, with what."""
    calls: list[dict[str, Any]] = []

    def remember(params: dict[str, Any], **_: Any) -> None:
        calls.append(dict(params))

    def accept(**_: Any) -> Any:
        return aws_answer(202)

    hooks: dict[str, Any] = {
        "provide-client-params.lambda.Invoke": remember,
        "before-call.lambda.Invoke": accept,
    }
    with hooked(clients.functions(), hooks):
        yield calls


def act(call: Caller, job: Job, action: str, **parts: Any) -> Answer:
    return call("POST", f"/v1/admin/jobs/{job.job_id}/{action}", **({"body": WHY} | parts))


def trail(**query: str) -> list[dict[str, Any]]:
    """The audit trail, newest first."""
    answer = Caller(operator, user="ops", scope="clipmint/admin")(
        "GET", "/v1/admin/audit", query=query
    )
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["actions"]
    return found


def sent() -> Job:
    job = begin_sending(open_job())
    return job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)


def failed(**changes: Any) -> Job:
    job = open_job(**changes)
    return holds.settle(job.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR))


# ── Cancel ───────────────────────────────────────────────────────────────────────────────────────


def test_the_owner_cancels_as_the_user_could(call: Caller, provider: ScriptedProvider) -> None:
    job = sent()
    provider.cancellations = [True]
    answer = act(call, job, "cancel")
    assert (answer.status, answer.body) == (
        200,
        {
            "job_id": job.job_id,
            "action": "cancel",
            "result": "cancelled",
            "status": "cancelled",
        },
    )
    assert act(call, job, "cancel").status == 200
    account = assert_adds_up("user-1")
    assert (account.available, account.held) == (32, 0)
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]


def test_it_is_too_late_for_the_owner_as_for_the_user(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = sent()
    provider.cancellations = [False]
    answer = act(call, job, "cancel")
    assert (answer.status, answer.code) == (409, "CANCEL_TOO_LATE")
    assert assert_adds_up("user-1").held == 32
    [entry] = trail()
    assert (entry["state"], entry["result"]) == ("refused", "CANCEL_TOO_LATE")


# ── Settle ───────────────────────────────────────────────────────────────────────────────────────


def test_a_job_without_an_execution_is_started_now(aws: Aws, call: Caller) -> None:
    job = open_job()
    answer = act(call, job, "settle")
    assert (answer.status, answer.body["result"]) == (200, "started")
    assert [one["name"] for one in aws.executions.started()] == [job.job_id]


@pytest.mark.usefixtures("providers")
def test_a_job_is_settled_whose_execution_has_ended(aws: Aws, call: Caller) -> None:
    job = open_job()
    workflow.start(job.job_id)
    aws.executions.end(job.job_id)
    answer = act(call, job, "settle")
    assert (answer.status, answer.body["result"], answer.body["status"]) == (
        200,
        "settled",
        "failed",
    )
    assert assert_adds_up("user-1").held == 0
    again = act(call, job, "settle")
    assert (again.status, again.body["result"]) == (200, "ended")
    assert len(journal("user-1")) == 3


@pytest.mark.usefixtures("providers")
def test_an_overdue_job_is_settled(hands: Clock, call: Caller) -> None:
    job = open_job(created_at=clock.now())
    hands.move_to(clock.now() + timedelta(seconds=1_800) + 2 * sweeping.DEADLINE_GRACE)
    answer = act(call, job, "settle")
    assert (answer.body["result"], answer.body["status"]) == ("settled", "failed")


def test_a_job_whose_files_are_stored_is_settled_at_once(call: Caller) -> None:
    job = sent()
    job_store.record_outcome(job.job_id, "video", VIDEO)
    assert act(call, job, "settle").body["result"] == "storing"
    job_store.record_asset(job.job_id, "video", FILE)
    answer = act(call, job, "settle")
    assert (answer.body["result"], answer.body["status"]) == ("settled", "completed")
    assert assert_adds_up("user-1").held == 0
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "capture"]


def test_a_job_that_runs_is_left_alone(aws: Aws, call: Caller) -> None:
    job = sent()
    workflow.start(job.job_id)
    assert act(call, job, "settle").body == {
        "job_id": job.job_id,
        "action": "settle",
        "result": "waiting",
        "status": "processing",
    }


# ── Fetch again ──────────────────────────────────────────────────────────────────────────────────


def test_a_finished_file_is_fetched_again(call: Caller, invoked: list[dict[str, Any]]) -> None:
    job = sent()
    job_store.record_outcome(job.job_id, "video", VIDEO)
    answer = act(call, job, "refetch")
    assert (answer.status, answer.body["result"]) == (200, "started")
    [started] = invoked
    assert (started["FunctionName"], started["InvocationType"]) == (MIGRATE, "Event")
    assert json.loads(started["Payload"]) == {"job_id": job.job_id, "stage": "video"}


def test_a_file_that_is_stored_is_not_fetched(call: Caller, invoked: list[dict[str, Any]]) -> None:
    job = sent()
    job_store.record_outcome(job.job_id, "video", VIDEO)
    job_store.record_asset(job.job_id, "video", FILE)
    assert act(call, job, "refetch").body["result"] == "stored"
    assert invoked == []


def test_an_image_is_left_to_its_execution_because_the_deadline_of_the_video_follows_from_it(
    call: Caller, invoked: list[dict[str, Any]]
) -> None:
    image, video = new_job().stages[0], new_job().stages[0]
    order = ImageOrder("gen4-image", "a red kettle", "1080:1920", ())
    job = open_job(stages=(replace(image, name="image", image_order=order), video))
    job_store.mark_sending(
        job.job_id, "image", JOB_ROUTES["fal"], task_id=TASK_ID, webhook_token=TOKEN
    )
    job_store.mark_sent(job.job_id, "image", TASK_ID, HANDLE)
    job_store.record_outcome(job.job_id, "image", VIDEO)
    answer = act(call, job, "refetch")
    assert (answer.status, answer.code) == (409, "NOTHING_TO_FETCH")
    assert invoked == []


def test_without_a_finished_file_there_is_nothing_to_fetch(
    call: Caller, invoked: list[dict[str, Any]]
) -> None:
    for job in (sent(), failed()):
        answer = act(call, job, "refetch")
        assert (answer.status, answer.code) == (409, "NOTHING_TO_FETCH")
    assert invoked == []


# ── Goodwill ─────────────────────────────────────────────────────────────────────────────────────


def test_goodwill_is_granted_once_per_job(grant: Caller) -> None:
    job = failed()
    body = {"user_id": "user-1", "amount": 5, "job_id": job.job_id} | WHY
    first = grant("POST", "/v1/admin/grants", body=body)
    assert (first.status, first.body) == (
        200,
        {
            "user_id": "user-1",
            "amount": 5,
            "reference": f"goodwill:{job.job_id}",
            "job_id": job.job_id,
            "available": 37,
            "replayed": False,
        },
    )
    again = grant(
        "POST",
        "/v1/admin/grants",
        body=body | {"job_id": job.job_id.upper()},
        headers={"Idempotency-Key": "another"},
    )
    assert again.body == first.body | {"replayed": True}
    assert assert_adds_up("user-1").available == 37
    entry = journal("user-1")[-1]
    assert (entry.job_id, entry.reason) == (job.job_id, WHY["reason"])
    assert trail()[0]["reason"] == WHY["reason"]
    shown = Caller(operator, user="ops", scope="clipmint/admin")(
        "GET", f"/v1/admin/jobs/{job.job_id}"
    ).body
    assert shown["charge"] == {"held": 0, "captured": 0, "released": 32, "goodwill": 5}
    assert shown["timeline"][-1]["what"] == "goodwill granted"
    other = grant("POST", "/v1/admin/grants", body=body | {"amount": 6})
    assert (other.status, other.code) == (409, "REFERENCE_REUSED")


def test_goodwill_is_for_the_user_of_the_job(grant: Caller) -> None:
    job = failed()
    for changed in ({"user_id": "user-2"}, {"job_id": TASK_ID}, {"job_id": "nonsense"}):
        body = {"user_id": "user-1", "amount": 5, "job_id": job.job_id} | WHY | changed
        answer = grant("POST", "/v1/admin/grants", body=body)
        assert (answer.status, answer.code) == (404, "JOB_NOT_FOUND")
    assert assert_adds_up("user-1").available == 32


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "reference"),
        (WHY | {"reference": "r", "job_id": TASK_ID}, "reference"),
        ({"reference": f"goodwill:{TASK_ID}"}, "reference"),
        ({"job_id": TASK_ID}, "reason"),
        ({"job_id": TASK_ID, "reason": " "}, "reason"),
    ],
)
def test_a_grant_has_a_reference_or_a_job_with_a_reason(
    grant: Caller, given: dict[str, str], named: str
) -> None:
    answer = grant("POST", "/v1/admin/grants", body={"user_id": "user-1", "amount": 5} | given)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert named in answer.body["details"]


def test_a_plain_grant_may_have_a_reason(grant: Caller) -> None:
    body = {"user_id": "user-1", "amount": 5, "reference": "r"} | WHY
    assert grant("POST", "/v1/admin/grants", body=body).status == 200
    assert journal("user-1")[-1].reason == WHY["reason"]


# ── The audit trail ──────────────────────────────────────────────────────────────────────────────


def test_an_action_is_recorded_with_its_author_and_its_reason(call: Caller) -> None:
    job = open_job()
    act(call, job, "cancel")
    [entry] = trail()
    assert entry.pop("at") in entry.pop("action_id")
    assert entry == {
        "by": "ops",
        "what": "POST /v1/admin/jobs/{job_id}/cancel",
        "about": f"/v1/admin/jobs/{job.job_id}/cancel",
        "reason": WHY["reason"],
        "details": {},
        "state": "done",
        "result": "200",
    }


def test_the_owners_other_calls_are_recorded_too(grant: Caller) -> None:
    model = DEFAULT_CATALOG[0].model_dump(mode="json")
    path = f"/v1/admin/models/{model['model_id']}"
    grant("POST", "/v1/admin/grants", body={"user_id": "ada", "amount": 5, "reference": "r"})
    grant("POST", f"{path}/check", body=model)
    grant("GET", path)
    grant("PUT", path, body=model)
    grant("PUT", "/v1/admin/packs/p", body={"credits": 5})
    grant("DELETE", "/v1/admin/packs/none")
    grant("POST", "/v1/admin/purchases/nonsense/dismiss")
    entries = trail()
    assert [(one["what"], one["state"]) for one in reversed(entries)] == [
        ("POST /v1/admin/grants", "done"),
        ("PUT /v1/admin/models/{model_id}", "done"),
        ("PUT /v1/admin/packs/{product_id}", "done"),
        ("DELETE /v1/admin/packs/{product_id}", "refused"),
        ("POST /v1/admin/purchases/{purchase_id}/dismiss", "refused"),
    ]
    assert entries[-1]["details"] == {"user_id": "ada", "amount": 5, "reference": "r"}


def test_an_id_that_is_the_name_of_a_route_bypasses_nothing(grant: Caller) -> None:
    grant("PUT", "/v1/admin/packs/check", body={"credits": 5})
    grant("DELETE", "/v1/admin/packs/check")
    grant("DELETE", "/v1/admin/models/check")
    assert [one["about"] for one in reversed(trail())] == [
        "/v1/admin/packs/check",
        "/v1/admin/packs/check",
        "/v1/admin/models/check",
    ]


def test_the_entry_is_there_before_the_action(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str | None]] = []
    original = cancellation.cancel

    def cancel(job: Job) -> Job:
        seen.extend((one["state"], one["result"]) for one in trail())
        return original(job)

    monkeypatch.setattr(cancellation, "cancel", cancel)
    act(call, open_job(), "cancel")
    assert seen == [("begun", None)]


def test_an_action_that_happened_is_answered_although_its_entry_is_not_completed(
    call: Caller,
) -> None:
    def fail(**_: Any) -> Any:
        response, parsed = aws_answer(500, "InternalServerError")
        return response, parsed

    job = open_job()
    updates = {"before-call.dynamodb.UpdateItem": fail}
    with hooked(client_of(AuditItem), updates):
        assert act(call, job, "cancel").status == 200
    [entry] = trail()
    assert (entry["state"], entry["result"]) == ("begun", None)


def test_an_action_whose_result_is_not_known_stays_begun(
    call: Caller, provider: ScriptedProvider
) -> None:
    job = begin_sending(open_job())  # while it is being sent
    assert act(call, job, "cancel").status == 503
    [entry] = trail()
    assert (entry["state"], entry["result"]) == ("begun", None)


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": 5}, {"why": "x"}])
def test_without_a_reason_nothing_happens_and_nothing_is_recorded(
    call: Caller, body: dict[str, Any]
) -> None:
    job = open_job()
    answer = act(call, job, "cancel", body=body)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "reason" in answer.body["details"]
    assert trail() == []
    assert job_store.get(job.job_id) == job


def test_the_trail_is_read_in_pages_and_by_time(hands: Clock, grant: Caller) -> None:
    start = clock.from_iso("2028-02-28T23:59:00.000Z")
    for minute in range(4):
        hands.move_to(start + timedelta(minutes=minute))
        body = {"user_id": "ada", "amount": 1, "reference": f"r{minute}"}
        grant("POST", "/v1/admin/grants", body=body)
    read = Caller(operator, user="ops", scope="clipmint/admin")
    references: list[str] = []
    query = {"limit": "3"}
    while True:
        page = read("GET", "/v1/admin/audit", query=query).body
        references += [one["details"]["reference"] for one in page["actions"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": "3", "cursor": page["next_cursor"]}
    assert references == ["r3", "r2", "r1", "r0"]
    assert [one["details"]["reference"] for one in trail(to="2028-02-29")] == ["r0"]
    on = trail(**{"from": "2028-02-29T00:01:00Z", "to": "2028-02-29T00:02:00Z"})
    assert [one["details"]["reference"] for one in on] == ["r2"]


def test_entries_that_cannot_be_read_do_not_end_the_list(grant: Caller) -> None:
    for number in range(4):
        body = {"user_id": "ada", "amount": 1, "reference": f"r{number}"}
        grant("POST", "/v1/admin/grants", body=body)
    for broken in [*AuditItem.query(AUDIT, scan_index_forward=False)][:2]:
        broken.update([AuditItem.details.set("{")])
    read = Caller(operator, user="ops", scope="clipmint/admin")
    references: list[str] = []
    query = {"limit": "1"}
    while True:
        page = read("GET", "/v1/admin/audit", query=query).body
        references += [one["details"]["reference"] for one in page["actions"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": "1", "cursor": page["next_cursor"]}
    assert references == ["r1", "r0"]


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "x"},
        {"limit": "0"},
        {"from": "now"},
        {"to": "5"},
        {"from": "0001-01-01T00:00:00+05:00"},
        {"to": "9999-12-31T23:00:00-05:00"},
    ],
)
def test_a_parameter_of_the_trail_that_is_not_valid_is_named(
    aws: Aws, query: dict[str, str]
) -> None:
    read = Caller(operator, user="ops", scope="clipmint/admin")
    answer = read("GET", "/v1/admin/audit", query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert next(iter(query)) in answer.body["details"]


def test_a_request_that_is_too_long_for_the_trail_is_cut(grant: Caller) -> None:
    reason = "x" * 500
    body = {"user_id": "u" * 1_000, "amount": -1, "reference": "r", "reason": reason}
    assert grant("POST", "/v1/admin/adjustments", body=body).status == 200
    [entry] = trail()
    assert entry["reason"] == reason
    assert entry["details"] == {"amount": -1, "reference": "r"}


# ── Who may ──────────────────────────────────────────────────────────────────────────────────────

_PARAMETERS = ("user_id", "product_id", "purchase_id", "model_id", "webhook_id", "delivery_id")
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/admin/grants": {"user_id": "user-1", "amount": 5, "reference": "r"},
    "POST /v1/admin/clawbacks": {"user_id": "user-1", "amount": 5, "reference": "r"},
    "POST /v1/admin/adjustments": {
        "user_id": "user-1",
        "amount": 5,
        "reference": "r",
        "reason": "w",
    },
    "PUT /v1/admin/packs/{product_id}": {"credits": 5},
    "PUT /v1/admin/models/{model_id}": DEFAULT_CATALOG[0].model_dump(mode="json"),
    "POST /v1/admin/models/{model_id}/check": DEFAULT_CATALOG[0].model_dump(mode="json"),
    "POST /v1/admin/webhooks": {"url": "https://example.com/"},
    **{f"POST /v1/admin/jobs/{{job_id}}/{one}": WHY for one in ("cancel", "settle", "refetch")},
}


QUERIES = {
    "GET /v1/admin/usage": {"from": "2028-02-28", "to": "2028-02-29", "group_by": "day"},
}
"""What routes require."""


def test_a_user_may_call_no_route_of_the_owner(aws: Aws) -> None:
    job = open_job()
    before = aws.items("LEDGER_TABLE"), aws.items("ENDPOINTS_TABLE")
    routes = {route: name for route, name in ROUTES.items() if " /v1/admin/" in route}
    assert len(routes) > 30
    for route, name in routes.items():
        handler = importlib.import_module(f"functions.{name.lower()}.app").handler
        method, path = route.split(" ")
        path = path.format_map({"job_id": job.job_id} | dict.fromkeys(_PARAMETERS, TASK_ID))
        for scope in (None, "openid clipmint/administrator"):
            request = {"body": BODIES.get(route), "query": QUERIES.get(route)}
            answer = Caller(handler)(method, path, scope=scope, **request)
            assert (answer.status, answer.code) == (403, "SCOPE_REQUIRED"), route
    assert (aws.items("LEDGER_TABLE"), aws.items("ENDPOINTS_TABLE")) == before
    assert job_store.get(job.job_id) == job
