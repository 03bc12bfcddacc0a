"""Committed changes become events: all of them, nothing else, and each with one id."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from clipmint import clock
from clipmint.catalog.model import Settings
from clipmint.credits import grants, holds
from clipmint.errors import TemporarilyUnavailable
from clipmint.execution import orphans
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.projects.project_items import BatchItem, batch_sk
from functions.events.app import handler
from tests.support import streams
from tests.support.event_bus import Bus, event_bus
from tests.support.gateway import Context
from tests.support.jobs import begin_sending, new_job, open_job
from tests.support.moto_aws import REGION, Aws

USER = "user-1"
FILE = Asset("videos", "v.mp4", "video/mp4", 1, "a" * 64, 16, 9, 4.0)


@pytest.fixture
def bus(aws: Aws) -> Iterator[Bus]:
    with event_bus() as bus:
        yield bus


def passed(low_credits: int = 0) -> list[dict[str, Any]]:
    """Every record that Lambda passes to the function so far."""
    return [
        record
        for table in streams.MAPPINGS
        for record in streams.records(table, REGION)
        if streams.passes(record, streams.filters(table, low_credits))
    ]


def run(records: list[dict[str, Any]]) -> list[str]:
    """Run the function. Returns from which records on it must be repeated."""
    answer = handler({"Records": json.loads(json.dumps(records))}, Context())
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def end(job: Job, status: JobStatus, failure: FailureCode | None = None) -> Job:
    return holds.settle(job.job_id, lambda _: Verdict(status, failure))


def completed(**changes: Any) -> Job:
    job = begin_sending(open_job(**changes))
    job_store.record_asset(job.job_id, "video", FILE)
    return end(job, JobStatus.COMPLETED)


# ── Which changes are events ─────────────────────────────────────────────────────────────────────


def test_a_job_has_one_event_at_its_end_and_none_before(bus: Bus) -> None:
    job = begin_sending(open_job())
    job_store.record_asset(job.job_id, "video", FILE)
    assert run(passed()) == []
    assert bus.types == ["credits.granted"]
    ended = end(job, JobStatus.COMPLETED)
    assert run(passed()) == []
    [detail] = bus.of("video.completed")
    assert detail["version"] == 1
    assert detail["timestamp"] == clock.iso(ended.updated_at)
    assert detail["data"] == {
        "job_id": job.job_id,
        "user_id": USER,
        "revision": ended.revision,
        "project_id": None,
        "scene_id": None,
        "batch_id": None,
        "status": "completed",
        "model_id": "veo-3.1",
        "credits_held": 32,
        "credits_used": 32,
        "error_code": None,
    }


@pytest.mark.parametrize(
    ("status", "failure"),
    [(JobStatus.FAILED, FailureCode.CONTENT_POLICY), (JobStatus.CANCELLED, FailureCode.CANCELLED)],
)
def test_a_failed_job_costs_nothing_and_names_our_failure_code(
    bus: Bus, status: JobStatus, failure: FailureCode
) -> None:
    end(open_job(), status, failure)
    run(passed())
    [detail] = bus.of(f"video.{status.value}")
    data = detail["data"]
    assert (data["credits_held"], data["credits_used"]) == (32, 0)
    assert data["error_code"] == failure.value


def test_an_event_has_neither_prompt_nor_url_nor_anything_secret(bus: Bus) -> None:
    job = completed(prompt="a fox in the snow", image_url="https://example.com/fox.png")
    orphans.record(job, job.stages[0], "request-2")
    run(passed())
    text = json.dumps(bus.entries)
    assert "snow" not in text
    assert "https://" not in text
    assert len(text.encode()) < 20_000


def test_an_orphan_is_an_event_once_also_after_its_job_has_ended(bus: Bus) -> None:
    job = completed()
    orphans.record(job, job.stages[0], "request-2")
    again = job_store.get(job.job_id)
    assert again
    orphans.record(again, job.stages[0], "request-2")
    orphans.record(again, job.stages[0], "request-3")
    job_store.hide(job.job_id)
    run(passed())
    found = [one["data"] for one in bus.of("orphan.recorded")]
    assert [one["request_id"] for one in found] == ["request-2", "request-3"]
    assert {name: found[0][name] for name in ("job_id", "user_id", "provider", "credits")} == {
        "job_id": job.job_id,
        "user_id": USER,
        "provider": "fal",
        "credits": 32,
    }


def test_a_scenes_image_is_an_event_when_it_is_stored(bus: Bus) -> None:
    scene = {"project_id": "project-1", "scene_id": "scene-1"}
    video = new_job().stages[0]
    stages = (replace(video, name="image"), video)
    job = open_job(credits_=32, stages=stages, **scene)
    job_store.record_asset(job.job_id, "image", replace(FILE, key="i.png"), image_url="https://i")
    job_store.record_asset(job.job_id, "video", FILE)
    run(passed())
    found = bus.of("scene.image_ready")
    assert [one["data"]["scene_id"] for one in found] == ["scene-1"]
    # A job that belongs to no scene has no such event.
    other = open_job(stages=stages, credits_=64)
    job_store.record_asset(other.job_id, "image", replace(FILE, key="j.png"), image_url="https://i")
    run(passed())
    assert {one["data"]["scene_id"] for one in bus.of("scene.image_ready")} == {"scene-1"}


def test_a_grant_is_an_event_once_per_reference(bus: Bus) -> None:
    grants.grant(USER, 100, "purchase-1")
    grants.grant(USER, 100, "purchase-1")
    run(passed())
    [detail] = bus.details
    assert detail["type"] == "credits.granted"
    assert detail["data"] == {
        "user_id": USER,
        "credits": 100,
        "available": 100,
        "held": 0,
        "debt": 0,
        "kind": "purchased",
        "expires_at": None,
        "reference": "purchase-1",
        "sequence": 1,
    }


def test_low_credits_are_an_event_once_per_crossing(bus: Bus, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOW_CREDITS", "50")
    grants.grant(USER, 100, "first")
    first = open_job(credits_=60)  # 40 are left: low
    open_job(credits_=10)  # 30: still low
    end(first, JobStatus.FAILED, FailureCode.INTERNAL)  # 90
    open_job(credits_=40)  # 50: not below 50
    open_job(credits_=1)  # 49: low
    run(passed(low_credits=50))
    low = [one["data"] for one in bus.of("credits.low")]
    assert [(one["available"], one["threshold"]) for one in low] == [(40, 50), (49, 50)]
    assert len({one["id"] for one in bus.details}) == len(bus.details)


def test_without_a_threshold_no_change_of_an_account_is_passed(bus: Bus) -> None:
    completed()
    assert [record for record in passed() if "ACCOUNT" in json.dumps(record)] == []


# ── Delivered again ──────────────────────────────────────────────────────────────────────────────


def test_a_record_that_is_passed_again_has_the_same_event_with_the_same_bytes(bus: Bus) -> None:
    completed()
    run(passed())
    first = list(bus.entries)
    run(passed())
    assert bus.entries == first * 2
    assert len({one["id"] for one in bus.details}) == len(first)


def test_events_that_the_bus_refuses_are_passed_again_and_none_is_lost(bus: Bus) -> None:
    completed()
    records = passed()
    bus.refusals = 1
    assert run(records) == [records[0]["dynamodb"]["SequenceNumber"]]
    assert bus.types == []
    assert run(records) == []
    assert sorted(bus.types) == ["credits.granted", "video.completed"]


def test_a_record_that_cannot_be_read_is_reported_and_stops_no_other(
    bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    completed()
    job, grant = passed()
    broken = copy.deepcopy(job)
    del broken["dynamodb"]["NewImage"]["completed_at"]
    assert run([broken, grant]) == []
    assert bus.types == ["credits.granted"]
    assert "UnreadableRecord" in capsys.readouterr().out


@pytest.mark.parametrize(
    "broken",
    [
        [{"M": {"provider": {"S": "fal"}}}],
        [{"S": "request-2"}],
        {"S": "of a newer version"},
    ],
    ids=["without an id", "no map", "no list"],
)
def test_an_orphan_that_cannot_be_read_hides_neither_the_end_nor_another_orphan(
    bus: Bus, capsys: pytest.CaptureFixture[str], broken: Any
) -> None:
    job = completed()
    orphans.record(job, job.stages[0], "request-3")
    ended, recorded, _ = passed()
    after = ended["dynamodb"]["NewImage"]
    if isinstance(broken, list):
        after["orphans"] = {"L": [*broken, *recorded["dynamodb"]["NewImage"]["orphans"]["L"]]}
    else:
        after["orphans"] = broken
    assert run([ended]) == []
    good = ["orphan.recorded"] if isinstance(broken, list) else []
    assert bus.types == [*good, "video.completed"]
    assert capsys.readouterr().out.count('"UnreadableRecord":[1.0]') == 1
    # The next change of the job has it, too, and does not report it again.
    later = copy.deepcopy(ended)
    later["dynamodb"] |= {"OldImage": after}
    assert run([later]) == []
    assert len(bus.types) == len(good) + 1
    assert '"UnreadableRecord":[1.0]' not in capsys.readouterr().out


def test_an_event_with_a_time_that_is_no_time_is_reported_and_stops_no_other(
    bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    completed()
    job, grant = passed()
    job["dynamodb"]["NewImage"]["completed_at"] = {"S": "yesterday"}
    grant["dynamodb"]["NewImage"]["created_at"] = {"S": "today"}
    assert run([job, grant]) == []
    assert bus.types == []
    assert capsys.readouterr().out.count('"UnreadableRecord":[1.0]') == 2


# ── Clips ────────────────────────────────────────────────────────────────────────────────────────


def three_clips() -> list[Job]:
    """The jobs of one call for clips."""
    clip = {"batch_id": "batch-1", "project_id": "project-1"}
    jobs = [open_job(scene_id=f"scene-{number}", **clip) for number in range(3)]
    BatchItem(
        USER,
        batch_sk("batch-1"),
        project_id="project-1",
        fingerprint="f",
        clips=[[job.scene_id, job.job_id, 32] for job in jobs],
        balance_after=0,
        remaining=0,
    ).save()
    return jobs


def test_the_end_of_the_last_clip_is_an_event_of_the_call_with_one_id(bus: Bus) -> None:
    jobs = three_clips()
    end(jobs[2], JobStatus.FAILED, FailureCode.INTERNAL)
    end(jobs[0], JobStatus.CANCELLED, FailureCode.CANCELLED)
    run(passed())
    assert "clips.finished" not in bus.types
    begin_sending(jobs[1])
    job_store.record_asset(jobs[1].job_id, "video", FILE)
    last = end(jobs[1], JobStatus.COMPLETED)
    run(passed())
    finished = bus.of("clips.finished")
    # Each of the three ends, read now, finds all of them ended.
    assert len(finished) == 3
    assert all(one == finished[0] for one in finished)
    assert finished[0]["timestamp"] == clock.iso(last.updated_at)
    assert finished[0]["data"] == {
        "batch_id": "batch-1",
        "user_id": USER,
        "project_id": "project-1",
        "clips": [
            {
                "scene_id": job.scene_id,
                "job_id": job.job_id,
                "status": status,
                "credits_used": used,
            }
            for job, status, used in zip(
                jobs, ["cancelled", "completed", "failed"], [0, 32, 0], strict=True
            )
        ],
        "credits_used": 32,
    }


@pytest.mark.parametrize("broken", ["a job", "the call"])
def test_clips_that_cannot_be_read_are_reported_and_stop_no_other_event(
    aws: Aws, bus: Bus, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    jobs = three_clips()
    end(jobs[0], JobStatus.CANCELLED, FailureCode.CANCELLED)
    key = {"job_id": {"S": jobs[1].job_id}}
    table, key, attribute = {
        "a job": ("JobsTable", key, "status"),
        "the call": (
            "ProjectsTable",
            {"user_id": {"S": USER}, "sk": {"S": batch_sk("batch-1")}},
            "clips",
        ),
    }[broken]
    aws.dynamodb.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #name = :other",
        ExpressionAttributeNames={"#name": attribute},
        ExpressionAttributeValues={":other": {"S": "of a newer version"}},
    )
    grants.grant("user-2", 100, "purchase-2")
    assert run(passed()) == []
    assert bus.of("clips.finished") == []
    assert len(bus.of("video.cancelled")) == 1
    assert "purchase-2" in [one["data"]["reference"] for one in bus.of("credits.granted")]
    assert '"UnreadableRecord":[1.0]' in capsys.readouterr().out


def test_the_end_of_a_clip_is_read_again_while_dynamodb_does_not_answer(
    aws: Aws, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = three_clips()
    for job in jobs:
        end(job, JobStatus.FAILED, FailureCode.INTERNAL)

    def no_answer(*_: Any, **__: Any) -> Any:
        raise TemporarilyUnavailable("Not everything could be read; ask again")

    records = [one for one in passed() if "job_id" in one["dynamodb"]["Keys"]]
    with monkeypatch.context() as patch:
        patch.setattr(job_store, "get_many", no_answer)
        assert run(records) == [records[0]["dynamodb"]["SequenceNumber"]]
    assert run(records) == []
    assert len(bus.of("clips.finished")) == 3


def test_settings_that_a_job_stores_do_not_matter(bus: Bus) -> None:
    completed(settings=Settings(resolution="720p"))
    assert run(passed()) == []
    assert "video.completed" in bus.types
