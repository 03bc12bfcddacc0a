"""Jobs as they are stored: ``stored_jobs.json`` was written by an earlier version of this code.

Both versions may run during a deployment, and a rollback reads what the new version wrote. So the
items must stay equal, attribute by attribute, but for what `as_written_now` names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from clipmint.catalog.route import Route
from clipmint.credits import holds
from clipmint.execution import orphans
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Handle, ImageOrder, Job, JobStatus, Refusal, Stage
from clipmint.jobs.job_items import JobItem, to_job
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.jobs.verdict import Verdict
from tests.support.clock import Clock
from tests.support.jobs import ROUTES, new_job, open_job
from tests.support.moto_aws import Aws

STORED: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("stored_jobs.json").read_text(encoding="utf-8")
)
"""By name: ``item`` as DynamoDB returns it, and ``job``, the value that was read from it."""
HANDLE = Handle("request-1", {"status": "https://queue.fal.run/requests/request-1/status"})
IMAGE = Asset("images", "image/a.png", "image/png", 2_000, "1" * 64, 1_280, 720, 0.0)
VIDEO = Asset(
    "videos", "video/a.mp4", "video/mp4", 9_000, "2" * 64, 1_280, 720, 8.04, "video/a.jpg"
)


def send(job: Job, stage: str, attempt: str, provider: str = "fal") -> Job:
    return job_store.mark_sending(
        job.job_id, stage, ROUTES[provider], task_id=f"task-{attempt}", webhook_token=f"t-{attempt}"
    )


def pending(job_id: str, hands: Clock) -> Job:
    return open_job(job_id=job_id, providers=["fal", "runway"], preset="draft")


def completed(job_id: str, hands: Clock) -> Job:
    job = open_job(
        job_id=job_id,
        providers=["fal", "runway"],
        project_id="project-1",
        scene_id="scene-1",
        batch_id="batch-1",
        image_url="https://images.example.com/first.png",
        last_image_url="https://images.example.com/last.png",
    )
    send(job, "video", "1")
    hands.forward(seconds=2)
    refusal = Refusal("fal", "BUSY", hands.moment)
    job_store.mark_refused(job.job_id, "video", "task-1", refusal)
    send(job, "video", "2", "runway")
    job_store.mark_sent(job.job_id, "video", "task-2", HANDLE)
    job_store.store_task_token(job.job_id, "video", "the task token")
    hands.forward(seconds=70.5)
    job_store.record_outcome(job.job_id, "video", Succeeded("https://media.example.com/v.mp4"))
    job_store.record_asset(job.job_id, "video", VIDEO)
    holds.settle(job.job_id, lambda _: Verdict(JobStatus.COMPLETED))
    hidden = job_store.hide(job.job_id)
    assert hidden
    return hidden


def two_stages(job_id: str) -> Job:
    order = ImageOrder("imagen", "a fox", None, ("https://images.example.com/reference.png",))
    route = Route(provider="fal", endpoint="fal-ai/imagen4")
    image = Stage("image", (route,), "fal", route.endpoint, 2, (5, 10), 300, order)
    return open_job(job_id=job_id, stages=(image, *new_job().stages))


def second_image(job_id: str, hands: Clock) -> Job:
    job = two_stages(job_id)
    send(job, "image", "1")
    job_store.record_outcome(
        job.job_id, "image", Succeeded("https://media.example.com/i.png"), handle=HANDLE
    )
    job_store.record_asset(
        job.job_id, "image", IMAGE, image_url="https://images.example.com/i.png", next_deadline=9
    )
    send(job, "video", "2")
    job_store.mark_unknown(job.job_id, "video", "task-2")
    declined = Failed(FailureCode.CONTENT_POLICY, "not this fox")
    job = job_store.record_outcome(job.job_id, "video", declined)
    hands.forward(minutes=1)
    job_store.make_image_again(job)
    return send(job, "image", "3")


def failed(job_id: str, hands: Clock) -> Job:
    job = open_job(job_id=job_id)
    send(job, "video", "1")
    job_store.mark_sent(job.job_id, "video", "task-1", Handle("request-7"))
    late = Failed(FailureCode.DEADLINE_EXCEEDED, "", transient=True)
    job = job_store.record_outcome(job.job_id, "video", late)
    verdict = Verdict(JobStatus.FAILED, FailureCode.DEADLINE_EXCEEDED)
    job = holds.settle(job.job_id, lambda _: verdict)
    hands.forward(hours=1)
    orphans.record(job, job.stages[0], "request-7")
    hands.forward(hours=1)
    found = job_store.get(job.job_id)
    assert found
    orphans.record(found, found.stages[0], "request-8")
    return found


WRITTEN: dict[str, Callable[[str, Clock], Job]] = {
    "pending": pending,
    "completed and hidden": completed,
    "second image": second_image,
    "failed with orphans": failed,
}


LISTED = {
    "micros": {"N": "3200000"},
    "unit": {"S": "USD"},
    "source": {"S": "list"},
    "usd_micros": {"N": "3200000"},
}


def as_json(value: Any) -> Any:
    """A value as JSON has it; `Job` and what it holds become objects of their fields."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value):
        return {one.name: as_json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [as_json(one) for one in value]
    return value


def as_written_now(item: dict[str, Any], ordered: datetime) -> dict[str, Any]:
    """An item of the earlier version as this version writes it.

    That version wrote more, at a price per write: ``processing`` when a stage was sent, and the
    deadline a day ahead when a file existed; it kept the task token of a stored file's stage; and
    its JSON has spaces, which mean nothing.
    If it reads an item of this version, a running job looks pending, and its sweep ends a job that
    is still being stored at its deadline.
    """
    now: dict[str, Any] = json.loads(json.dumps(item))
    running = "open" in now
    if running:
        now["status"] = {"S": "pending"}
    stages = [now[name]["M"] for name in ("image", "video") if name in now]
    for stage in stages:
        if "asset" in stage:
            stage.pop("task_token", None)
    for holder in (now, *stages):
        for name in holder.keys() & {"settings", "routes", "picture"}:
            text = json.dumps(json.loads(holder[name]["S"]), separators=(",", ":"))
            holder[name] = {"S": text}
    if "orphans" in now:
        newest = now["orphans"]["L"][-1]["M"]
        now["newest_orphan"] = newest["request_id"]
        for orphan in now["orphans"]["L"]:
            orphan["M"]["cost"] = {"M": LISTED}
    if not running and all("asset" in stage for stage in stages):
        seconds = sum(int(stage["deadline_seconds"]["N"]) for stage in stages[-1:])
        now["deadline"] = {"N": str(int(ordered.timestamp()) + seconds)}
    return now


@pytest.mark.parametrize("name", WRITTEN)
def test_the_same_writes_leave_the_same_item(aws: Aws, hands: Clock, name: str) -> None:
    job_id = STORED[name]["job"]["job_id"]
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    hands.move_to(noon)
    WRITTEN[name](job_id, hands)
    written = aws.job_item(job_id)
    for stage in ("image", "video"):
        # That version did not record when it began to submit.
        submission = written.get(stage, {"M": {}})["M"].get("submission")
        if submission is not None:
            del submission["M"]["begun_at"]
    assert written == as_written_now(STORED[name]["item"], noon)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_stored_job_is_read_as_before(name: str) -> None:
    read = as_json(to_job(JobItem.from_raw_data(STORED[name]["item"])))
    known = dict(STORED[name]["job"])
    # That version knew no lots (all that was held had been purchased), no settings of an image, no
    # costs and no tolerances. They are None in what it has stored.
    assert {field: as_known(read[field], known[field]) for field in known} == known


def as_known(read: Any, known: Any) -> Any:
    """What is read, without what is None and was not known."""
    if isinstance(read, list) and isinstance(known, list) and len(read) == len(known):
        return [as_known(one, other) for one, other in zip(read, known, strict=True)]
    if isinstance(read, dict) and isinstance(known, dict):
        return {
            name: as_known(value, known.get(name))
            for name, value in read.items()
            if name in known or value is not None
        }
    return read
