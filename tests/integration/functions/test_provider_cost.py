"""What providers bill is recorded with the outcome, once, and users never see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clipmint.catalog import model_store
from clipmint.catalog.costs import Cost
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.model import Model
from clipmint.credits import holds
from clipmint.jobs import job_store, provider_costs
from clipmint.jobs.job import Asset, Handle, Job
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import verdict
from clipmint.providers.base import Notice
from functions.cancel.app import handler as cancel
from functions.events.app import handler as events
from functions.status.app import handler as status
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.support import streams
from tests.support.event_bus import Bus, event_bus
from tests.support.gateway import Caller, Context
from tests.support.jobs import LISTED, TASK_ID, begin_sending, open_job
from tests.support.moto_aws import BUCKET, REGION, Aws
from tests.support.scripted_provider import HANDLE, ScriptedProvider, ScriptedWebhookSender

URL = "https://v3.fal.media/files/b/video.mp4"
MICROS = 7_654_321  # no other number of these tests has these digits
PAID = Cost(MICROS, "USD", "reported", MICROS)
ASSET = Asset(BUCKET, "videos/v.mp4", "video/mp4", 9, "0" * 64, 1_280, 720, 8.0, "videos/t.jpg")
DECLINED = Failed(FailureCode.CONTENT_POLICY, "declined", cost=PAID)

Metrics = Callable[[], list[tuple[str, float]]]


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Metrics:
    """The costs that were emitted since the last time."""

    def since() -> list[tuple[str, float]]:
        lines = [line for line in capsys.readouterr().out.splitlines() if '"ProviderCost"' in line]
        return [(read["provider"], read["ProviderCost"][0]) for read in map(json.loads, lines)]

    return since


def sent(provider: str = "fal", **changes: Any) -> Job:
    job = begin_sending(open_job(providers=[provider], **changes), provider=provider)
    handle = Handle(TASK_ID) if provider == "runware" else HANDLE
    return job_store.mark_sent(job.job_id, "video", TASK_ID, handle)


def now(job: Job) -> Job:
    found = job_store.get(job.job_id)
    assert found
    return found


def poll(job: Job, turn: int = 1) -> None:
    event = {"job_id": job.job_id, "stage": "video", "turn": turn, "task_token": f"token-{turn}"}
    track(event, Context())


def deliver(job: Job) -> str:
    path = f"/webhooks/{job.stages[0].provider}/{job.job_id}/video/the-token"
    return str(Caller(webhooks, user=None)("POST", path, body={}).body["result"])


@pytest.mark.parametrize("outcome", [Succeeded(URL, PAID), DECLINED])
def test_a_polled_cost_is_recorded_once_however_often_track_runs(
    providers: dict[str, ScriptedProvider], metrics: Metrics, outcome: Any
) -> None:
    job = sent("runway")
    providers["runway"].polls = [outcome]
    poll(job)
    poll(job, turn=2)
    assert [one.cost for one in provider_costs.billed(now(job))] == [PAID]
    assert metrics() == [("runway", 7.654321)]


def test_a_webhook_without_a_cost_records_the_list_price_once(
    providers: dict[str, ScriptedProvider], metrics: Metrics
) -> None:
    sender, job = providers["fal"], sent()
    assert isinstance(sender, ScriptedWebhookSender)
    sender.notices = [Notice(HANDLE, Succeeded(URL)), Notice(HANDLE, Succeeded(URL))]
    assert [deliver(job), deliver(job)] == ["accepted", "duplicate"]
    assert [(one.use, one.cost) for one in provider_costs.billed(now(job))] == [("used", LISTED)]
    assert metrics() == [("fal", 3.2)]


@pytest.mark.usefixtures("hands")
def test_a_failure_that_is_billed_after_the_deadline_is_an_orphan_with_its_cost(
    providers: dict[str, ScriptedProvider], metrics: Metrics
) -> None:
    """Runway bills a moderated task, and the job has been given up meanwhile."""
    job = sent("runway")
    job_store.record_outcome(job.job_id, "video", Failed(FailureCode.DEADLINE_EXCEEDED))
    providers["runway"].cancellations = [False, False]
    providers["runway"].polls = [DECLINED, DECLINED]
    poll(job)
    poll(job, turn=2)
    found = [(one.use, one.request_id, one.cost) for one in provider_costs.billed(now(job))]
    assert found == [("failed", HANDLE.request_id, None), ("orphan", HANDLE.request_id, PAID)]
    assert metrics() == [("runway", 7.654321)]


def test_a_failure_recorded_with_its_cost_is_no_orphan(
    providers: dict[str, ScriptedProvider],
) -> None:
    """The provider reports a task as cancelled that it has begun, and bills it."""
    job = sent("runway")
    cancelled = Failed(FailureCode.CANCELLED, cost=PAID)
    providers["runway"].polls = [cancelled, cancelled]
    providers["runway"].cancellations = [False]
    poll(job)
    assert [(one.use, one.cost) for one in provider_costs.billed(now(job))] == [("failed", PAID)]


def test_a_cost_that_a_cancellation_reports_is_recorded(
    providers: dict[str, ScriptedProvider],
) -> None:
    job = sent("runway")
    providers["runway"].cancellations = [False]
    providers["runway"].polls = [Failed(FailureCode.CANCELLED, cost=PAID)]
    answer = Caller(cancel)("POST", f"/v1/videos/{job.job_id}/cancel")
    assert answer.body["status"] == "cancelled"
    assert provider_costs.usd_micros(now(job)) == MICROS


def test_a_late_video_is_an_orphan_with_its_cost(
    providers: dict[str, ScriptedProvider], metrics: Metrics
) -> None:
    job = sent("runware")
    job_store.record_outcome(job.job_id, "video", Failed(FailureCode.DEADLINE_EXCEEDED))
    sender = providers["runware"]
    assert isinstance(sender, ScriptedWebhookSender)
    sender.notices, sender.polls = [Notice(Handle(TASK_ID), None)], [Succeeded(URL, PAID)]
    assert deliver(job) == "late"
    assert [orphan.cost for orphan in now(job).orphans] == [PAID]
    assert metrics() == [("runware", 7.654321)]


# ── Users do not see it ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bus(aws: Aws) -> Iterator[Bus]:
    with event_bus() as bus:
        yield bus


@pytest.mark.parametrize("outcome", [Succeeded(URL, PAID), DECLINED])
def test_no_answer_and_no_event_contains_a_cost(bus: Bus, outcome: Any) -> None:
    priced = {"unit": "USD", "per": "generation", "rates": [{"micros": MICROS}]}
    [model] = [one for one in DEFAULT_CATALOG if one.model_id == "veo-3.1-i2v"]
    document = model.model_dump(mode="json")
    document["routes"][0]["list_price"] = priced
    model_store.item_of(Model.model_validate(document)).save()
    job = sent()
    job_store.record_outcome(job.job_id, "video", outcome)
    if isinstance(outcome, Succeeded):
        job_store.record_asset(job.job_id, "video", ASSET)
    holds.settle(job.job_id, lambda found: verdict(found, "GenerationFailed"))
    assert provider_costs.usd_micros(now(job)) == MICROS
    call = Caller(status)
    paths = (
        *(f"/v1/videos/{job.job_id}", "/v1/videos", "/v1/models", "/v1/models/veo-3.1-i2v"),
        *("/v1/credits", "/v1/credits/entries"),
    )
    shown = []
    for path in paths:
        answer = call("GET", path)
        assert answer.status == 200
        shown.append(json.dumps(answer.body))
    records = [
        record
        for table in streams.MAPPINGS
        for record in streams.records(table, REGION)
        if streams.passes(record, streams.filters(table, 0))
    ]
    events({"Records": json.loads(json.dumps(records))}, Context())
    assert bus.details
    shown.append(json.dumps(bus.details))
    for text in shown:
        assert str(MICROS) not in text
        assert "7.654321" not in text
        assert "list_price" not in text
