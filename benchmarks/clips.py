"""The time, state transitions and writes of a project's clips, compared with one clip.

    python -m benchmarks.clips [--clips 20] [--provider-seconds 20] [--workers 24]

It runs on the local stack, where all functions together share this computer's few cores and at
most ``--workers`` processes; on AWS every run has its own. So the ratio of a batch's wall time to
that of one clip in the same run is an upper bound, and is lower with more idle cores. The simulated
provider takes the same time for every clip and draws them all from one template, so the benchmark
measures Clipmint and not the simulator.

Writes are counted in two independent ways. The calls to DynamoDB come from the journal of AWS calls
that the stack keeps. Refused calls count too, because AWS charges for them. The items come from the
tables: each job counts its own changes, and the journal has a line per movement.
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from benchmarks.prices import WRITES
from benchmarks.results import Figure
from local.journal import Call, Invocation
from local.stack import Stack, wait_for

MODEL, CREDITS = "veo-3.1-transition", 16
"""The model of every clip, and the price of four seconds."""
SCENE = {
    "visual_prompt": "A paper boat crosses a still lake at dawn",
    "first_frame": "https://images.example.com/first.png",
    "last_frame": "https://images.example.com/last.png",
    "duration": 4,
}
OPENED_BESIDE = 3
"""Items that a batch of any size writes first: the account, the project, and the call itself."""


class DoesNotAddUp(Exception):
    """Jobs, journal and account contradict each other."""


@dataclass(frozen=True)
class Batch:
    """A finished call for clips: when it was sent, when its response came, and its jobs as the API
    shows them. Times are epoch seconds."""

    sent_at: float
    answered_at: float
    jobs: Sequence[dict[str, Any]]

    @property
    def job_ids(self) -> list[str]:
        return [job["job_id"] for job in self.jobs]

    @property
    def wall_seconds(self) -> float:
        """From the call to the end of the last clip."""
        ends = [datetime.fromisoformat(job["completed_at"]).timestamp() for job in self.jobs]
        return max(ends) - self.sent_at


class Customer:
    """One user with credits for ``clips`` clips."""

    def __init__(self, stack: Stack, clips: int) -> None:
        self.user_id = f"bench-{uuid.uuid4().hex}"
        self._http = httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer(self.user_id),
            timeout=120,
            trust_env=False,
        )
        grant = {"user_id": self.user_id, "amount": clips * CREDITS, "reference": self.user_id}
        owner = stack.bearer("bench", admin=True)
        self._call("POST", "/v1/admin/grants", json=grant, headers=owner)

    def close(self) -> None:
        self._http.close()

    def render(self, clips: int) -> Batch:
        """Create a project with a scene per clip, start the clips, wait until all have ended."""
        project = self._call("POST", "/v1/projects", json={"scenes": [SCENE] * clips})
        path = f"/v1/projects/{project['project_id']}/clips"
        sent_at = time.time()
        key = {"Idempotency-Key": uuid.uuid4().hex}
        started = self._call("POST", path, json={"model_id": MODEL}, headers=key)["clips"]
        answered_at = time.time()

        def ended() -> bool:
            return not self._call("GET", path)["pending"]

        wait_for(ended, 600, every=0.5)
        jobs = [self._call("GET", f"/v1/videos/{clip['job_id']}") for clip in started]
        if [job["status"] for job in jobs] != ["completed"] * clips:
            raise DoesNotAddUp(f"{Counter(job['status'] for job in jobs)} of {clips} clips")
        return Batch(sent_at, answered_at, jobs)

    def check(self, batch: Batch) -> dict[str, Any]:
        """The journal's sums and the account of a user's only batch. Raises `DoesNotAddUp`."""
        entries = self._call("GET", "/v1/credits/entries", params={"limit": 100})["entries"]
        shown = self._call("GET", "/v1/credits")
        account = {name: shown[name] for name in ("available", "held")}
        moved = Counter[str]()
        lines = Counter((entry["kind"], entry["job_id"]) for entry in entries)
        for entry in entries:
            moved[entry["kind"]] += entry["credits"]
        expected: dict[tuple[str, str | None], int] = {("grant", None): 1}
        for job_id in batch.job_ids:
            expected |= {("hold", job_id): 1, ("capture", job_id): 1}
        used = sum(job["credits_used"] for job in batch.jobs)
        if lines != expected or not moved["hold"] == moved["capture"] == used:
            raise DoesNotAddUp(f"journal: {dict(moved)}, {used} used by {len(batch.jobs)} jobs")
        if account != {"available": moved["grant"] - used, "held": 0}:
            raise DoesNotAddUp(f"account: {account}, {moved['grant']} granted and {used} used")
        return {"lines": len(entries), **moved, **account}

    def _call(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, **how)
        answer.raise_for_status()
        measured: dict[str, Any] = answer.json()
        return measured


def writes(runs: Sequence[Invocation]) -> list[Call]:
    return [call for run in runs for call in run.calls if call.operation in WRITES]


def costs(stack: Stack, batch: Batch) -> dict[str, Any]:
    """Transitions and writes per clip of a finished batch."""
    steps = stack.boto3("stepfunctions")

    def ended() -> bool:
        # The execution ends a moment after its job.
        arns = map(stack.execution_arn, batch.job_ids)
        return all(steps.describe_execution(executionArn=a)["status"] != "RUNNING" for a in arns)

    wait_for(ended, 60)
    runs = stack.invocations()
    opening = [
        run for run in runs if run.function == "GenerateFunction" and run.mentions(batch.job_ids[0])
    ]
    own = {
        job_id: writes(
            [run for run in runs if run.function != "GenerateFunction" and run.mentions(job_id)]
        )
        for job_id in batch.job_ids
    }
    clips, calls = len(batch.jobs), [call for made in own.values() for call in made]
    changes = [_changes(stack, job_id) for job_id in batch.job_ids]
    return {
        "transitions_per_clip": statistics.mean(
            len(stack.transitions(job_id)) for job_id in batch.job_ids
        ),
        "write_calls_per_clip": round((len(calls) + len(writes(opening))) / clips, 2),
        "of_them_by_its_execution": {
            name: round(times / clips, 2)
            for name, times in sorted(Counter(call.operation for call in calls).items())
        },
        "of_them_refused": round(sum(call.error is not None for call in calls) / clips, 2),
        # A job's own changes, its hold and its capture, and the account at its end.
        "items_written_per_clip": round(statistics.mean(changes) + 3 + OPENED_BESIDE / clips, 2),
        "job_item_writes": sorted(set(changes)),
        "cold_starts_per_clip": round(
            sum(run.cold for run in runs if any(map(run.mentions, batch.job_ids))) / clips, 2
        ),
    }


def _changes(stack: Stack, job_id: str) -> int:
    """The number of writes of a job's item, including its creation."""
    found = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["JobsTable"], Key={"job_id": {"S": job_id}}
    )
    return int(found["Item"]["revision"]["N"])


def report(clips: int, provider_seconds: float, workers: int) -> dict[str, Any]:
    """All results for ``clips`` clips and for one; see the module's docstring."""
    fal = {"queue_seconds": 0, "generation_seconds": provider_seconds, "concurrency": clips + 1}
    with Stack(settings={"fal": fal}, worker_cap=workers) as stack:
        stack.fal.change(generation_seconds=0.1)
        _of(stack, min(clips, 3))  # the functions, and the simulator's drawing, warm up
        stack.fal.change(generation_seconds=provider_seconds)
        one, books_of_one = _of(stack, 1)
        many, books = _of(stack, clips)
        return {
            "clips": clips,
            "provider_seconds": provider_seconds,
            "workers": workers,
            "one_wall_seconds": round(one.wall_seconds, 2),
            "all_wall_seconds": round(many.wall_seconds, 2),
            "ratio": round(many.wall_seconds / one.wall_seconds, 2),
            "answered_seconds": round(many.answered_at - many.sent_at, 2),
            "one": costs(stack, one) | {"books": books_of_one},
            "all": costs(stack, many) | {"books": books},
            "paid_submissions": len(
                {
                    submission["request_id"]
                    for submission in stack.fal.submissions()
                    if any(f"/{job_id}/" in submission["webhook_url"] for job_id in many.job_ids)
                }
            ),
        }


def _of(stack: Stack, clips: int) -> tuple[Batch, dict[str, Any]]:
    """The batch of a new user, and the sums of their journal and account after it."""
    customer = Customer(stack, clips + 1)
    try:
        batch = customer.render(clips)
        return batch, customer.check(batch)
    finally:
        customer.close()


def figures(clips: int, provider_seconds: float, workers: int) -> list[Figure]:
    """The figures of a report."""
    measured = report(clips, provider_seconds, workers)
    if measured["paid_submissions"] != clips:
        raise DoesNotAddUp(
            f"{measured['paid_submissions']} submissions were paid, of {clips} clips"
        )
    one, many, books = measured["one"], measured["all"], measured["all"]["books"]
    name = f"{clips} clips"
    return [
        Figure(
            f"{name}, time to the end of the last",
            measured["ratio"],
            "x one clip",
            note=f"{measured['all_wall_seconds']} beside {measured['one_wall_seconds']} s, of "
            f"which the provider takes {provider_seconds:g}; answered after "
            f"{measured['answered_seconds']} s",
        ),
        Figure(
            f"{name}, state transitions of each",
            many["transitions_per_clip"],
            "states",
            budget=4,
            note=f"{one['transitions_per_clip']:g} of one clip",
        ),
        Figure(
            f"{name}, write calls of each",
            many["write_calls_per_clip"],
            "calls",
            note=f"{one['write_calls_per_clip']} of one clip; {many['of_them_refused']} of them "
            "refused and made again",
        ),
        Figure(
            f"{name}, items written for each",
            many["items_written_per_clip"],
            "items",
            note=f"{one['items_written_per_clip']} for one clip",
        ),
        Figure(
            f"{name}, submissions paid",
            measured["paid_submissions"],
            "submissions",
        ),
        Figure(
            f"{name}, credits held after the last",
            books["held"],
            "credits",
            note=f"{books['hold']} held, {books['capture']} captured",
        ),
    ]


def measure(quick: bool) -> list[Figure]:
    """This part of the benchmarks."""
    return figures(2, 1, 12) if quick else figures(20, 20, 24)


def main() -> None:
    options = argparse.ArgumentParser(description="A batch of clips against one clip.")
    options.add_argument("--clips", type=int, default=20)
    options.add_argument("--provider-seconds", type=float, default=20)
    options.add_argument("--workers", type=int, default=24, help="functions running at once")
    chosen = options.parse_args()
    for figure in figures(chosen.clips, chosen.provider_seconds, chosen.workers):
        print(f"{figure.name}: {figure.value:g} {figure.unit} {figure.note}")


if __name__ == "__main__":
    main()
