"""The cost of one job alone and of a hundred at once, which should be equal per job.

One local stack makes 1, 10 and 100 jobs of one user at once (its limits are raised for that), then
100 jobs of 100 users. The simulated provider takes the same time for each and sends a webhook. The
model's first poll is late enough that a slow computer adds no polls. All functions share this
computer and a limited number of workers, while on AWS every run has its own: the seconds depend on
this computer, and only the counts describe our code.

Counts come from the stack's journal of AWS calls, of all functions except the sweep, divided by the
jobs, and from the histories of the executions. Reads of the provider keys, of the catalog and of
the circuit breakers are not included, only noted: a worker caches the results for a while, so their
number depends on the workers, not on the jobs. Refused writes are those that conflicted with
another change of the same user's account and were computed again; AWS charges for them too. The
sweep is called once while all jobs are running.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from benchmarks.prices import WRITES, cached, called, dollars
from benchmarks.results import Figure
from local.journal import Call, Invocation
from local.stack import Stack, wait_for

MODEL_ID, CREDITS = "bench", 10
MODEL = {
    "model_id": MODEL_ID,
    "name": "Bench",
    "description": "A short clip without a poll before its webhook.",
    "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9"], "duration": [4]},
    "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
    "price": {"kind": "fixed", "credits": CREDITS},
    "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1"}],
    "poll_seconds": [3600],
}
ORDER = {"model_id": MODEL_ID, "prompt": "A paper boat crosses a still lake at dawn"}
POSTED_AT_ONCE = 8
LIMITS = {"MaxOpenJobs": "1000", "MaxJobsPerHour": "100000"}
PATIENCE_SECONDS = 300
GROWTH_BUDGET = 1.05
"""For jobs of different users: one call more or less in twenty."""

MAX_REPEATS = 5
ASK_AGAIN = frozenset({409, 500, 503})
"""The statuses after which an app retries the order with the same key: this computer did not start
a function in time, the account is busy, the first request is still running."""


class DoesNotAddUp(Exception):
    """A job was not completed."""


@dataclass(frozen=True)
class Load:
    """A number of jobs at once, distributed to a number of users."""

    jobs: int
    users: int

    @property
    def name(self) -> str:
        if self.jobs == 1:
            return "1 job"
        return f"{self.jobs} jobs of {self.users} user{'s' * (self.users > 1)}"


LOADS = (Load(1, 1), Load(10, 1), Load(100, 1), Load(100, 100))
QUICK_LOADS = (Load(1, 1), Load(3, 1))


@dataclass(frozen=True)
class Flight:
    """The result of a load. ``asked_again`` counts the retried orders; ``seconds`` are each job's,
    from its start to its end."""

    jobs: int
    asked_again: int
    seconds: Sequence[float]
    in_flight: int
    transitions: Sequence[int]
    runs: Sequence[Invocation]
    sweep: Invocation

    @property
    def calls(self) -> list[Call]:
        """AWS calls about jobs."""
        return [call for run in self.runs for call in run.calls if not cached(call)]

    @property
    def cached_reads(self) -> int:
        return sum(cached(call) for run in self.runs for call in run.calls)

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.operation in WRITES]

    def per_job(self, number: int) -> float:
        return round(number / self.jobs, 2)


def grant(stack: Stack, load: Load) -> list[str]:
    """Users with credits for their share of a load."""
    users = [f"bench-{uuid.uuid4().hex}" for _ in range(load.users)]
    with _client(stack) as owner:
        for user in users:
            amount = CREDITS * load.jobs // load.users
            body = {"user_id": user, "amount": amount, "reference": user}
            headers = stack.bearer("bench", admin=True)
            owner.post("/v1/admin/grants", json=body, headers=headers).raise_for_status()
    return users


def fly(stack: Stack, load: Load) -> Flight:
    """Start a load and wait for its end. Raises `DoesNotAddUp` unless all jobs are completed."""
    users = grant(stack, load)
    bearers = [stack.bearer(user) for user in users]
    before = len(stack.invocations())
    with _client(stack) as http, ThreadPoolExecutor(POSTED_AT_ONCE) as pool:

        def start(number: int) -> tuple[str, int]:
            """A job's id, and the number of retries of its order."""
            headers = bearers[number % len(bearers)] | {"Idempotency-Key": uuid.uuid4().hex}
            again = 0

            def post() -> httpx.Response:
                return http.post("/v1/videos", json=ORDER, headers=headers)

            while (answer := post()).status_code in ASK_AGAIN and again < MAX_REPEATS:
                again += 1
                time.sleep(1)
            answer.raise_for_status()
            return str(answer.json()["job_id"]), again

        started = list(pool.map(start, range(load.jobs)))
    job_ids = [job_id for job_id, _ in started]
    sweep = stack.functions["SweepFunction"]
    stack.boto3("lambda").invoke(FunctionName=sweep, Payload=b"{}")
    wait_for(lambda: not _running(stack), PATIENCE_SECONDS, every=1)

    items = [_job(stack, job_id) for job_id in job_ids]
    if any(item["status"]["S"] != "completed" for item in items):
        raise DoesNotAddUp(f"{[item['status']['S'] for item in items]}")
    lives = [(_moment(item["created_at"]), _moment(item["completed_at"])) for item in items]
    runs = stack.invocations()[before:]
    return Flight(
        jobs=load.jobs,
        asked_again=sum(again for _, again in started),
        seconds=[ended - began for began, ended in lives],
        in_flight=max(sum(began <= at < ended for began, ended in lives) for at, _ in lives),
        transitions=[len(stack.transitions(job_id)) for job_id in job_ids],
        runs=[run for run in runs if run.function != "SweepFunction"],
        sweep=next(run for run in runs if run.function == "SweepFunction"),
    )


def _client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.api_url, timeout=120, trust_env=False)


def _running(stack: Stack) -> bool:
    listed = stack.boto3("stepfunctions").list_executions(
        stateMachineArn=stack.state_machine_arn, statusFilter="RUNNING", maxResults=1
    )
    return bool(listed["executions"])


def _job(stack: Stack, job_id: str) -> dict[str, Any]:
    found = stack.boto3("dynamodb").get_item(
        TableName=stack.tables["JobsTable"], Key={"job_id": {"S": job_id}}, ConsistentRead=True
    )
    return dict(found["Item"])


def _moment(attribute: dict[str, str]) -> float:
    return datetime.fromisoformat(attribute["S"]).timestamp()


def figures(load: Load, flight: Flight, provider_seconds: float) -> list[Figure]:
    """The figures of a load."""
    refused = sum(call.error is not None for call in flight.writes)
    cold = sum(run.cold for run in flight.runs)
    took = statistics.median(flight.seconds)
    return [
        Figure(
            f"{load.name}: AWS calls of each",
            flight.per_job(len(flight.calls)),
            "calls",
            note=f"and {flight.cached_reads} reads of keys and catalog by {cold} new workers",
        ),
        Figure(
            f"{load.name}: writes of each",
            flight.per_job(len(flight.writes)),
            "calls",
            note=f"{refused} of {len(flight.writes)} refused; "
            f"{flight.asked_again} orders sent again",
        ),
        Figure(
            f"{load.name}: price of 1,000, calls and transitions alone",
            round(
                dollars(called(flight.calls) + {"state transitions": sum(flight.transitions)})
                * flight.per_job(1_000),
                4,
            ),
            "USD",
            note="without what depends on this computer, and without status reads",
        ),
        Figure(
            f"{load.name}: state transitions of each",
            max(flight.transitions),
            "states",
            budget=4,
        ),
        Figure(
            f"{load.name}: time of each, without the provider's",
            took - provider_seconds,
            "s",
            note=f"median; up to {flight.in_flight} in flight; the longest "
            f"{max(flight.seconds) - provider_seconds:.1f} s",
        ),
        Figure(f"{load.name}: AWS calls of a sweep", len(flight.sweep.calls), "calls"),
    ]


def measure(quick: bool) -> list[Figure]:
    """This part of the benchmarks."""
    loads, provider_seconds, workers = (QUICK_LOADS, 0.5, 12) if quick else (LOADS, 30, 24)
    fal = {
        "queue_seconds": 0,
        "generation_seconds": 0.1,
        "concurrency": 1_000,
        # On a busy computer fal's webhook could time out, and its retry would be counted.
        "webhook_first_timeout": PATIENCE_SECONDS,
    }
    with Stack(settings={"fal": fal}, parameters=LIMITS, worker_cap=workers) as stack:
        with _client(stack) as owner:
            headers = stack.bearer("bench", admin=True)
            path = f"/v1/admin/models/{MODEL_ID}"
            owner.put(path, json=MODEL, headers=headers).raise_for_status()
        fly(stack, Load(3, 1))  # warm up the functions and the simulator's drawing
        stack.fal.change(generation_seconds=provider_seconds)
        flights = {load: fly(stack, load) for load in loads}
    made = [
        figure
        for load, flight in flights.items()
        for figure in figures(load, flight, provider_seconds)
    ]
    alone = flights[loads[0]]
    for load in loads[1:]:
        growth = _accepted(flights[load]) / load.jobs / _accepted(alone)
        made.append(
            Figure(
                f"{load.name}: AWS calls of each that were not refused",
                round(growth, 2),
                "x 1 job",
                # Of one user's jobs, the reads that go with a refused write are made again.
                budget=GROWTH_BUDGET if load.users == load.jobs else None,
                note="what a job needs does not depend on how many there are",
            )
        )
    return made


def _accepted(flight: Flight) -> int:
    return sum(call.error is None for call in flight.calls)
