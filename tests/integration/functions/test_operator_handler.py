"""The owner's reads: any job is found by any of its ids, and shown in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from clipmint import aws as clients
from clipmint import clock
from clipmint.catalog.costs import Cost
from clipmint.credits import holds
from clipmint.execution import orphans
from clipmint.jobs import job_search, job_store
from clipmint.jobs.job import Asset, Handle, Job, JobStatus
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict
from clipmint.projects import project_store
from clipmint.projects.project_requests import NewProject
from clipmint.providers import circuit
from clipmint.providers.base import Busy
from functions.events.app import handler as events
from functions.operator.app import handler
from tests.support import streams
from tests.support.clock import Clock
from tests.support.event_bus import event_bus
from tests.support.executions import answer as aws_answer
from tests.support.gateway import Answer, Caller, Context
from tests.support.jobs import (
    TASK_ID,
    TOKEN,
    begin_sending,
    journal,
    new_job,
    open_job,
    refuse,
    task_id_of,
)
from tests.support.moto_aws import KEYS, REGION, Aws, hooked, publish_keys

FILE = Asset("videos", "v.mp4", "video/mp4", 1, "a" * 64, 16, 9, 4.0, "t.jpg")
START = clock.from_iso("2028-02-28T23:00:00.000Z")


@pytest.fixture
def call(aws: Aws) -> Caller:
    return Caller(handler, user="back-office", scope="openid clipmint/admin")


@pytest.fixture
def read_stream(aws: Aws) -> Iterator[Any]:
    """Passes the records of ended jobs to the function events."""

    def read() -> None:
        filters = streams.filters("JobsTable", 0)
        records = streams.records("JobsTable", REGION)
        passed = [record for record in records if streams.passes(record, filters)]
        assert events({"Records": passed}, Context()) == {"batchItemFailures": []}

    with event_bus():
        yield read


def sent(job: Job, request_id: str, token: str = TOKEN) -> Job:
    begin_sending(job, token)
    return job_store.mark_sent(job.job_id, "video", task_id_of(token), Handle(request_id))


def ended(job: Job, status: JobStatus = JobStatus.FAILED) -> Job:
    failure = None if status is JobStatus.COMPLETED else FailureCode.PROVIDER_ERROR
    return holds.settle(job.job_id, lambda _: Verdict(status, failure))


def found(call: Caller, **query: str) -> list[str]:
    """The ids of all pages."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = query if cursor is None else query | {"cursor": cursor}
        answer = call("GET", "/v1/admin/jobs", query=page)
        assert answer.status == 200, answer.body
        ids += [job["job_id"] for job in answer.body["jobs"]]
        cursor = answer.body["next_cursor"]
        if cursor is None:
            return ids


@pytest.fixture
def ordered(hands: Clock) -> Callable[..., Job]:
    """Orders a job so many minutes after the start."""

    def order(minutes: int, **changes: Any) -> Job:
        hands.move_to(START + timedelta(minutes=minutes))
        return open_job(created_at=clock.now(), **changes)

    return order


# ── Search ───────────────────────────────────────────────────────────────────────────────────────


Ordered = Callable[..., Job]


def test_jobs_of_all_users_are_listed_newest_first(call: Caller, ordered: Ordered) -> None:
    first = ended(ordered(0, user_id="ada"))
    second = ordered(1, user_id="bob")
    third = ended(ordered(2, user_id="ada"), JobStatus.COMPLETED)
    assert found(call) == [third.job_id, second.job_id, first.job_id]
    assert found(call, limit="1") == [third.job_id, second.job_id, first.job_id]
    [row] = call("GET", "/v1/admin/jobs", query={"status": "failed"}).body["jobs"]
    assert row == {
        "job_id": first.job_id,
        "user_id": "ada",
        "status": "failed",
        "progress": row["progress"],
        "model": "veo-3.1",
        "providers": ["fal"],
        "project_id": None,
        "scene_id": None,
        "created_at": "2028-02-28T23:00:00.000Z",
        "ended_at": "2028-02-28T23:00:00.000Z",
        "credits": 32,
        "credits_captured": 0,
        "failure_code": "PROVIDER_ERROR",
        "deleted": False,
    }


def test_filters_can_be_combined(call: Caller, ordered: Ordered) -> None:
    mine = ended(ordered(0, user_id="ada"))
    running = sent(ordered(1, user_id="ada"), "task-1")
    other = ended(ordered(2, user_id="bob", model_id="gen4-turbo", providers=("runway",)))
    job_store.hide(mine.job_id)
    assert found(call, user_id="ada") == [running.job_id, mine.job_id]
    assert found(call, user_id="ada", status="failed") == [mine.job_id]
    assert found(call, status="processing") == [running.job_id]
    assert found(call, status="pending") == []
    assert found(call, provider="runway") == [other.job_id]
    assert found(call, model="gen4-turbo") == [other.job_id]
    assert found(call, user_id="ada", model="gen4-turbo") == []
    assert found(call, provider="fal", limit="1") == [running.job_id, mine.job_id]


def test_a_job_is_listed_by_its_end(call: Caller, ordered: Ordered) -> None:
    slow, quick, running = ordered(0), ended(ordered(1)), ordered(2)
    ended(ordered(3, user_id="user-2"), JobStatus.CANCELLED)
    slow = ended(slow)
    assert found(call, user_id="user-1") == [running.job_id, quick.job_id, slow.job_id]
    assert found(call, status="failed") == [slow.job_id, quick.job_id]
    assert found(call)[2:] == [running.job_id, quick.job_id]


def test_a_job_is_found_by_the_provider_that_refused_it(call: Caller) -> None:
    job = open_job(providers=("fal", "runway"))
    begin_sending(job)
    refuse(job)
    begin_sending(job, "second", provider="runway")
    assert found(call, provider="fal") == found(call, provider="runway") == [job.job_id]
    assert found(call, provider="runware") == []


@pytest.mark.parametrize("user", [{}, {"user_id": "user-1"}])
def test_times_are_those_of_the_end_or_of_the_order_of_a_running_job(
    call: Caller, ordered: Ordered, user: dict[str, str]
) -> None:
    slow = ordered(-60 * 24)
    early, late = ordered(0), ordered(61)
    ended(early)
    ended(slow)
    on_time = {"from": "2028-02-29T01:01:00+01:00"}
    at_the_start = ended(ordered(60)).job_id
    assert set(found(call, **user, **on_time)) == {late.job_id, early.job_id, slow.job_id}
    assert at_the_start in found(call, **user, **{"from": "2028-02-29"})
    assert found(call, **user, to="2028-02-29") == []
    assert found(call, **user, **on_time, to="2028-02-29T00:01:00Z") == []


def test_jobs_of_the_same_moment_are_on_one_page_each(call: Caller, ordered: Ordered) -> None:
    jobs = [ordered(0, job_id=job_id) for job_id in map(_uuid, range(7))]
    ids = {job.job_id for job in jobs}
    ended(jobs[2])
    ended(jobs[4], JobStatus.COMPLETED)
    listed = found(call, limit="2")
    assert len(listed) == 7
    assert set(listed) == ids
    assert found(call, user_id="user-1", limit="3") == listed


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def test_a_search_examines_a_limited_number_of_jobs_per_page(
    call: Caller, ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "SEARCHED", 2)
    wanted = ordered(0, providers=("runway",))
    for job in [wanted, *(ordered(minute) for minute in range(1, 4))]:
        ended(job)
    page = call("GET", "/v1/admin/jobs", query={"provider": "runway", "limit": "1"})
    assert page.status == 200
    assert found(call, provider="runway", limit="1") == [wanted.job_id]


def test_a_job_is_found_by_each_of_its_ids(call: Caller, read_stream: Any) -> None:
    project, scene = _uuid(1), _uuid(2)
    job = sent(open_job(project_id=project, scene_id=scene), "the-providers-id")
    open_job(user_id="user-2")

    def search(any_id: str) -> list[str]:
        return found(call, q=any_id)

    ids = ("the-providers-id", project, scene)
    for any_id in (*ids, job.job_id, job.job_id.upper(), f" {job.job_id} ", job.user_id):
        assert search(any_id) == [job.job_id], f"running: {any_id}"
    orphans.record(job, job.stages[0], "an-orphan")
    ended(job)
    read_stream()
    read_stream()  # a record may be passed twice
    for any_id in (*ids, "an-orphan", job.job_id, job.user_id):
        assert search(any_id) == [job.job_id], f"ended: {any_id}"
    assert search("unknown") == []
    assert found(call, q="the-providers-id", user_id="user-2") == []
    assert found(call, q="the-providers-id", status="completed") == []


def test_an_orphan_that_is_found_later_leads_to_its_job(call: Caller, read_stream: Any) -> None:
    job = ended(sent(open_job(), "task-1"))
    read_stream()
    orphans.record(job, job.stages[0], "task-2")
    read_stream()
    assert found(call, q="task-2") == [job.job_id]


def test_a_job_whose_response_was_lost_is_found_by_our_id_of_the_task(
    call: Caller, read_stream: Any
) -> None:
    job = begin_sending(open_job())
    assert found(call, q=TASK_ID) == [job.job_id]
    ended(job)
    read_stream()
    assert found(call, q=TASK_ID) == [job.job_id]


def test_all_jobs_of_a_project_are_found_in_pages(
    call: Caller, ordered: Ordered, read_stream: Any
) -> None:
    jobs = [ordered(minute, project_id=_uuid(9)) for minute in range(5)]
    for job in jobs[:3]:
        ended(job)
    read_stream()
    newest_first = [job.job_id for job in reversed(jobs)]
    assert found(call, q=_uuid(9), limit="2") == newest_first
    assert found(call, q=_uuid(9), status="failed", limit="1") == newest_first[2:]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"status": "lost"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"from": "yesterday"}, "from"),
        ({"from": "1795168800"}, "from"),
        ({"to": "2028-02-30"}, "to"),
        ({"to": "2028-02-29T10:00:00"}, "to"),
        ({"from": "0001-01-01T00:00:00+05:00"}, "from"),
        ({"to": "9999-12-31T23:00:00-05:00"}, "to"),
        ({"q": "x" * 1_025}, "q"),
        ({"q": "\u20ac" * 1_000}, "q"),
        ({"user_id": "\u20ac" * 1_000}, "user_id"),
        ({"user": "ada"}, "user"),
    ],
)
def test_a_parameter_that_is_not_valid_is_named(
    call: Caller, query: dict[str, str], named: str
) -> None:
    answer = call("GET", "/v1/admin/jobs", query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert named in answer.body["details"]


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_id_is_none(call: Caller, blank: str) -> None:
    job = open_job()
    assert found(call, q=blank) == [job.job_id]


def test_a_list_of_too_many_running_jobs_is_never_cut_silently(
    call: Caller, ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sent(ordered(0), "the-providers-id")
    ordered(1)
    others = ended(ordered(2, user_id="user-2"))
    assert len(found(call)) == 3
    monkeypatch.setattr(job_search, "MOST_OPEN", 1)
    for query in ({}, {"status": "pending"}, {"q": "the-providers-id"}, {"q": "unknown"}):
        answer = call("GET", "/v1/admin/jobs", query=query)
        assert (answer.status, answer.code) == (503, "TEMPORARILY_UNAVAILABLE"), query
    assert found(call, q=job.job_id) == [job.job_id]
    assert len(found(call, user_id="user-1")) == 2
    assert found(call, status="failed") == [others.job_id]


# ── One job ──────────────────────────────────────────────────────────────────────────────────────


def inspected(call: Caller, job: Job) -> dict[str, Any]:
    answer: Answer = call("GET", f"/v1/admin/jobs/{job.job_id}")
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def test_a_job_is_shown_in_full(call: Caller) -> None:
    job = open_job(providers=("fal", "runway"))
    begin_sending(job)
    refuse(job)
    begin_sending(job, "second", provider="runway")
    handle = Handle("runway-task", {"poll": "https://example.com/secret"})
    job_store.mark_sent(job.job_id, "video", task_id_of("second"), handle)
    billed = Cost(40_000, "USD", "reported", 40_000)
    failed = Failed(FailureCode.PROVIDER_ERROR, "what the provider said", cost=billed)
    job = job_store.record_outcome(job.job_id, "video", failed)
    orphans.record(job, job.stages[0], "an-orphan")
    job = ended(job)
    body = inspected(call, job)
    assert body["order"]["prompt"] == "a fox in the snow"
    assert body["order"]["settings"]["duration"] == 8
    [stage] = body["stages"]
    assert stage["submission"] == {
        "provider": "runway",
        "endpoint": "veo3.1",
        "state": "sent",
        "request_id": "runway-task",
        "task_id": task_id_of("second"),
    }
    assert [(one["provider"], one["reason"]) for one in stage["refusals"]] == [("fal", "BUSY")]
    assert stage["outcome"] == {"state": "failed", "failure_code": "PROVIDER_ERROR"}
    assert [one["request_id"] for one in body["orphans"]] == ["an-orphan"]
    assert body["charge"] == {"held": 0, "captured": 0, "released": 32, "goodwill": 0}
    assert [entry["kind"] for entry in body["entries"]] == ["hold", "release"]
    assert [(one["use"], one["source"], one["usd_micros"]) for one in body["costs"]] == [
        ("failed", "reported", 40_000),
        ("orphan", "list", body["provider_cost_usd_micros"] - 40_000),
    ]
    steps = [(step["what"], step["detail"]) for step in body["timeline"]]
    assert steps == [
        ("ordered", "veo-3.1"),
        ("held", "video: 32 credits"),
        ("refused", "video: fal BUSY"),
        ("orphan found", "video: runway an-orphan"),
        ("released", "video: 32 credits"),
        ("failed", "PROVIDER_ERROR"),
    ]
    assert body["timeline"] == sorted(body["timeline"], key=lambda step: step["at"])
    for secret in ("second", "what the provider said", "https://example.com/secret"):
        assert f'"{secret}"' not in str(body).replace("'", '"')


def test_a_completed_job_shows_its_file_and_what_was_captured(call: Caller) -> None:
    job = sent(open_job(), "task-1")
    job_store.record_outcome(job.job_id, "video", Succeeded("https://files.example.com/v.mp4"))
    job_store.record_asset(job.job_id, "video", FILE)
    body = inspected(call, ended(job, JobStatus.COMPLETED))
    assert body["stages"][0]["file"] == {
        "bucket": "videos",
        "key": "v.mp4",
        "thumbnail_key": "t.jpg",
        "content_type": "video/mp4",
        "size_bytes": 1,
        "sha256": "a" * 64,
        "width": 16,
        "height": 9,
        "duration_seconds": 4.0,
    }
    assert body["stages"][0]["charged"] is True
    assert body["charge"] == {"held": 0, "captured": 32, "released": 0, "goodwill": 0}


def test_a_running_job_shows_what_it_holds(call: Caller) -> None:
    body = inspected(call, begin_sending(open_job()))
    assert body["charge"] == {"held": 32, "captured": 0, "released": 0, "goodwill": 0}
    assert body["stages"][0]["submission"]["state"] == "sending"
    assert body["ended_at"] is None


def test_the_timeline_shows_what_the_execution_did(aws: Aws, call: Caller) -> None:
    job = open_job()
    events: list[dict[str, Any]] = [
        {"type": "ExecutionStarted"},
        {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Migrate"}},
        {"type": "TaskScheduled"},
        {
            "type": "LambdaFunctionFailed",
            "lambdaFunctionFailedEventDetails": {"error": "SourceUnavailable", "cause": "private"},
        },
        {"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Migrate"}},
        {"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "Broken"}},
    ]
    asked: list[dict[str, Any]] = []

    def history(params: dict[str, Any], **_: Any) -> None:
        asked.append(dict(params))

    def answer(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        at = [job.created_at + timedelta(seconds=number) for number in range(len(events))]
        dated = [{**one, "timestamp": moment} for one, moment in zip(events, at, strict=True)]
        response, parsed = aws_answer(200)
        return response, parsed | {"events": dated[::-1]}

    name = "stepfunctions.GetExecutionHistory"
    hooks: dict[str, Any] = {
        f"provide-client-params.{name}": history,
        f"before-call.{name}": answer,
    }
    with hooked(clients.step_functions(), hooks):
        body = inspected(call, job)
    [params] = asked
    assert params["executionArn"].endswith(f":execution:clipmint-generation:{job.job_id}")
    assert [(step["what"], step["detail"]) for step in body["timeline"]] == [
        ("ordered", "veo-3.1"),
        ("execution started", ""),
        ("held", "video: 32 credits"),
        ("state entered", "Migrate"),
        ("attempt failed", "Migrate: SourceUnavailable"),
        ("state left", "Migrate"),
        ("execution failed", "Broken"),
    ]
    assert "private" not in str(body)


@pytest.mark.parametrize("job_id", [_uuid(5), "nonsense"])
def test_an_unknown_job_is_not_found(call: Caller, job_id: str) -> None:
    answer = call("GET", f"/v1/admin/jobs/{job_id}")
    assert (answer.status, answer.code) == (404, "JOB_NOT_FOUND")


# ── Users ────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_is_shown_with_what_is_on_hold(call: Caller) -> None:
    job = open_job("auth0|ada")
    ended(open_job("auth0|ada"))
    body = call("GET", "/v1/admin/users/auth0%7Cada").body
    assert body["user_id"] == "auth0|ada"
    assert (body["credits"]["available"], body["credits"]["held"]) == (32, 32)
    [hold] = body["open_holds"]
    assert (hold["job_id"], hold["credits"], hold["status"]) == (job.job_id, 32, "pending")
    assert body["counts"]["open_jobs"] == 1
    assert body["counts"]["entries"] == len(journal("auth0|ada")) == 5


def test_a_user_without_an_account_has_no_credits(call: Caller) -> None:
    body = call("GET", "/v1/admin/users/nobody").body
    assert body["credits"] == {"available": 0, "held": 0, "debt": 0, "lots": []}
    assert body["open_holds"] == []


def test_a_users_journal_and_projects_are_listed_in_pages(call: Caller) -> None:
    ended(open_job())
    for name in ("one", "two"):
        project_store.create("user-1", NewProject(name=name))
    kinds, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = call("GET", "/v1/admin/users/user-1/entries", query=query).body
        kinds += [entry["kind"] for entry in page["entries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert kinds == ["release", "hold", "grant"]
    first = call("GET", "/v1/admin/users/user-1/projects", query={"limit": "1"}).body
    rest = call(
        "GET", "/v1/admin/users/user-1/projects", query={"cursor": first["next_cursor"]}
    ).body
    assert [one["name"] for one in (*first["projects"], *rest["projects"])] == ["two", "one"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("path", ["/v1/admin/users/ada/entries", "/v1/admin/users/ada/projects"])
def test_a_cursor_that_is_not_ours_is_named(call: Caller, path: str) -> None:
    answer = call("GET", path, query={"cursor": "nonsense"})
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "cursor" in answer.body["details"]


def test_a_user_id_that_is_too_long_is_named(call: Caller) -> None:
    answer = call("GET", f"/v1/admin/users/{'x' * 1_025}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert "user_id" in answer.body["details"]


# ── Providers, models, packs ─────────────────────────────────────────────────────────────────────


def providers(call: Caller) -> dict[str, dict[str, Any]]:
    answer = call("GET", "/v1/admin/providers")
    assert answer.status == 200, answer.body
    return {one["provider"]: one for one in answer.body["providers"]}


def test_a_provider_is_shown_with_its_answers_and_never_with_its_key(
    aws: Aws, call: Caller
) -> None:
    publish_keys({"FAL_KEY": KEYS["FAL_KEY"], "RUNWAYML_API_SECRET": ""})
    job = sent(open_job(created_at=clock.now()), "task-1")
    ended(job_store.record_outcome(job.job_id, "video", Failed(FailureCode.PROVIDER_ERROR)))
    good = sent(open_job(created_at=clock.now()), "task-2", "second")
    job_store.record_outcome(good.job_id, "video", Succeeded("https://files.example.com/v.mp4"))
    declined = sent(open_job(created_at=clock.now()), "task-3", "third")
    job_store.record_outcome(declined.job_id, "video", Failed(FailureCode.CONTENT_POLICY))
    states = providers(call)
    assert set(states) == {"fal", "runway", "runware"}
    fal = states["fal"]
    assert (fal["key_present"], fal["circuit"], fal["answers"], fal["errors"]) == (
        True,
        "closed",
        3,
        1,
    )
    [error] = fal["last_errors"]
    assert (error["job_id"], error["result"]) == (job.job_id, "PROVIDER_ERROR")
    assert "veo-3.1" in fal["models"]
    assert states["runway"]["key_present"] is False
    assert KEYS["FAL_KEY"] not in str(states)


def test_an_answer_is_as_old_as_the_end_of_its_job(call: Caller, ordered: Ordered) -> None:
    job = sent(ordered(0), "task-1")
    job = ended(job_store.record_outcome(job.job_id, "video", Failed(FailureCode.PROVIDER_ERROR)))
    ordered(5)
    job_store.hide(job.job_id)
    [error] = providers(call)["fal"]["last_errors"]
    assert error["at"] == START.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_an_open_circuit_is_shown(aws: Aws, call: Caller) -> None:
    for _ in range(circuit.FAILURES_TO_OPEN):
        circuit.guarded("runway", lambda: Busy("later"), timeout_counts=True)
    state = providers(call)["runway"]
    assert state["circuit"] == "open"
    assert state["circuit_opened_at"] is not None


def test_models_and_packs_are_listed_as_the_owner_sees_them(call: Caller) -> None:
    models = call("GET", "/v1/admin/models").body["models"]
    offered = {one["model_id"]: one["offered"] for one in models}
    assert offered["veo-3.1"] is True
    assert offered["runware-veo-3.1"] is False  # there is no key
    assert all(one["model"]["routes"] for one in models)
    assert call("GET", "/v1/admin/packs").body == {"packs": []}


# ── Who may ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", [None, "openid", "clipmint/administrator"])
def test_a_user_may_read_nothing_of_it(call: Caller, scope: str | None) -> None:
    job = new_job()
    for path in (
        *("jobs", f"jobs/{job.job_id}", "users/user-1", "users/user-1/entries"),
        *("users/user-1/projects", "providers", "models", "packs"),
    ):
        answer = call("GET", f"/v1/admin/{path}", user="user-1", scope=scope)
        assert (answer.status, answer.code) == (403, "SCOPE_REQUIRED"), path
