"""The time that Clipmint itself adds to a job, alone and with twenty jobs on the local stack.

    python -m benchmarks.latency [--quick]

The local stack is warm: its functions have run before. A simulated fal generates for 0.3 seconds
and sends a webhook. *Before* is the time from the order until the provider has accepted the
submission. *After* is the time from the end of the generation until the job is completed, minus a
plain copy of the same file: a download and an upload to the same bucket without any check, equally
often and equally many at once. Each figure is the median of jobs that run one after the other, or
of twenty at once.

A polled provider (Runway) is polled when earlier generations suggest that it has finished, so the
time that is added after its end depends on its duration: the median is over generations of several
lengths, three seconds apart, once as many were observed.

Twenty jobs at once share this computer's cores with the emulator, the provider and the client; on
AWS every run has its own. Memory is the private memory of the emulator's workers and of the
processes they are forked from, plus their share of the common memory (Linux's `Pss`): the maximum,
and the value after all workers were idle for as long as the stack keeps them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.results import Figure
from local.stack import Stack, wait_for

AT_ONCE = 20
ALONE, QUICK_ALONE = 15, 3
GENERATION_SECONDS = 0.3
ROUNDS = 3
"""Of twenty at once; the median round counts."""

POLLED_SECONDS, QUICK_POLLED_SECONDS = tuple(range(30, 60, 3)), (1,)
"""The generation time of the polled provider in seconds, job by job."""

IDLE_SECONDS = 30.0
AT_ONCE_BUDGET, AFTER_BUDGET, POLLED_BUDGET = 6.0, 0.1, 3.0
PATIENCE_SECONDS = 300
CREDITS = 10
WEBHOOK = {
    "model_id": "latency",
    "name": "Latency",
    "description": "A short clip that nobody asks about before its webhook.",
    "allowed": {"resolution": ["720p"], "aspect_ratio": ["16:9"], "duration": [4]},
    "defaults": {"resolution": "720p", "aspect_ratio": "16:9", "duration": 4},
    "price": {"kind": "fixed", "credits": CREDITS},
    "routes": [{"provider": "fal", "endpoint": "fal-ai/veo3.1"}],
    "poll_seconds": [3600],
}
POLLED_MODEL = "gen4.5"
LIMITS = {"MaxOpenJobs": "1000", "MaxJobsPerHour": "100000"}


class DidNotComplete(Exception):
    """A job of the benchmark did not complete."""


@dataclass(frozen=True)
class Ordered:
    """A completed job. ``sent_at`` is the time of its order. Times are epoch seconds."""

    job_id: str
    sent_at: float
    completed_at: float
    submission: dict[str, Any]

    @property
    def before(self) -> float:
        """Seconds from the order until the provider accepted the submission."""
        return float(self.submission["accepted_at"]) - self.sent_at

    @property
    def after(self) -> float:
        """Seconds from the end of the generation to the end of the job."""
        return self.completed_at - float(self.submission["completed_at"])


class User:
    """A user with credits who orders from a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._user = f"latency-{uuid.uuid4().hex}"
        self._http = httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer(self._user),
            timeout=120,
            limits=httpx.Limits(max_connections=AT_ONCE),
            trust_env=False,
        )
        self._http.post(
            "/v1/admin/grants",
            json={"user_id": self._user, "amount": 100_000, "reference": self._user},
            headers=stack.bearer("bench", admin=True),
        ).raise_for_status()

    def close(self) -> None:
        self._http.close()

    def order(self, model_id: str, provider: str) -> Ordered:
        """Order a video and wait until it is completed. Raises `DidNotComplete`."""
        word = uuid.uuid4().hex
        # A word in the prompt identifies the submission of each order.
        body = {"model_id": model_id, "preset": "draft", "prompt": f"A paper boat, {word}"}
        if model_id == WEBHOOK["model_id"]:
            del body["preset"]
        sent_at = time.time()
        answer = self._http.post("/v1/videos", json=body, headers={"Idempotency-Key": word})
        answer.raise_for_status()
        job_id = str(answer.json()["job_id"])
        item = wait_for(lambda: self._ended(job_id), PATIENCE_SECONDS, every=0.1) or {}
        if item["status"]["S"] != "completed":
            raise DidNotComplete(f"{job_id} is {item['status']['S']}")
        [submission] = [
            each
            for each in self._stack.simulators[provider].submissions()
            if word in json.dumps(each["input"])
        ]
        completed_at = datetime.fromisoformat(item["completed_at"]["S"]).timestamp()
        return Ordered(job_id, sent_at, completed_at, submission)

    def _ended(self, job_id: str) -> dict[str, Any] | None:
        """The job's item if it has ended. Read it from the table: API calls would add load."""
        item: dict[str, Any] = self._stack.boto3("dynamodb").get_item(
            TableName=self._stack.tables["JobsTable"],
            Key={"job_id": {"S": job_id}},
            ConsistentRead=True,
        )["Item"]
        return item if "completed_at" in item else None


def at_once(work: Callable[[], Any], times: int) -> list[Any]:
    """The results of doing something several times at once."""
    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(work) for _ in range(times)]]


def copy_seconds(stack: Stack, url: str) -> float:
    """The seconds of a download and an upload of a file, without checks."""
    bucket, key = stack.buckets["VideosBucket"], f"latency/{uuid.uuid4().hex}"
    started = time.monotonic()
    with httpx.Client(trust_env=False) as http:
        content = http.get(url).raise_for_status().content
    stack.boto3("s3").put_object(Bucket=bucket, Key=key, Body=content)
    return time.monotonic() - started


def descendants(pid: int) -> list[int]:
    """All descendants of a process; an empty result if the system does not list them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found: list[int] = []
    next_ones = [pid]
    while next_ones:
        next_ones = [child for one in next_ones for child in children.get(one, [])]
        found += next_ones
    return found


def megabytes(pids: Sequence[int]) -> float:
    """The memory of these processes; shared memory is counted once."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """The maximum memory of a process's descendants during the block, in a list of one number."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], megabytes(descendants(pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def webhook_figures(stack: Stack, alone: int, rounds: int) -> list[Figure]:
    """One at a time, then twenty at once."""
    model, emulator = str(WEBHOOK["model_id"]), stack.pids["emulator"]
    user = User(stack)
    try:

        def order() -> Ordered:
            return user.order(model, "fal")

        at_once(order, AT_ONCE)  # start the largest number of workers, so that all are warm
        print(f"latency: {alone} jobs, one at a time", file=sys.stderr)
        ones = [order() for _ in range(alone)]
        url = _newest_file(stack)
        one_copy = statistics.median(copy_seconds(stack, url) for _ in ones)
        print(f"latency: {AT_ONCE} jobs at once, {rounds} times", file=sys.stderr)
        before = len(stack.invocations())
        with watched(emulator) as peak:
            together = [at_once(order, AT_ONCE) for _ in range(rounds)]
        runs = stack.invocations()[before:]
        copies = at_once(lambda: copy_seconds(stack, url), AT_ONCE)
    finally:
        user.close()
    everyone = [job for jobs in together for job in jobs]
    walls = [max(j.completed_at for j in jobs) - min(j.sent_at for j in jobs) for jobs in together]
    name = f"{AT_ONCE} at once"
    return [
        Figure(
            "one at a time: added before the provider has the order",
            _median(ones, "before"),
            "s",
            note=f"the longest of {alone} {max(job.before for job in ones):.2f} s",
        ),
        Figure(
            "one at a time: added after the provider has finished",
            round(_median(ones, "after") - one_copy, 3),
            "s",
            budget=AFTER_BUDGET,
            note=f"{_median(ones, 'after')} s, of which a plain copy takes {one_copy:.3f} s",
        ),
        Figure(
            f"{name}: added before the provider has the order",
            _median(everyone, "before"),
            "s",
            note=f"the longest {max(job.before for job in everyone):.2f} s",
        ),
        Figure(
            f"{name}: added after the provider has finished",
            round(_median(everyone, "after") - statistics.median(copies), 3),
            "s",
            note=f"a plain copy, {AT_ONCE} at once, takes {statistics.median(copies):.3f} s",
        ),
        Figure(
            f"{name}: until all are completed",
            round(statistics.median(walls), 2),
            "s",
            budget=AT_ONCE_BUDGET,
            note=f"of which the provider takes {GENERATION_SECONDS:g} s; rounds: "
            + ", ".join(f"{wall:.1f}" for wall in walls),
        ),
        Figure(
            f"{name}: cold starts",
            sum(run.cold for run in runs),
            "runs",
            note=f"of {len(runs)} in {rounds} rounds on a warm stack",
        ),
        *_memory(stack, peak[0]),
    ]


def _memory(stack: Stack, peak: float) -> list[Figure]:
    if not peak:
        return []
    emulator = stack.pids["emulator"]
    workers = len(stack.workers())
    print(f"latency: idle for {IDLE_SECONDS:g} s", file=sys.stderr)
    # The sweep runs every minute, so wait only for a moment without any worker.
    with suppress(TimeoutError):
        wait_for(lambda: not stack.workers(), 2 * IDLE_SECONDS, every=0.5)
    return [
        Figure(
            f"{AT_ONCE} at once: memory of all workers",
            round(peak),
            "MB",
            note=f"{workers} workers and what they are forked from",
        ),
        Figure(
            "idle: memory of all workers",
            round(megabytes(descendants(emulator))),
            "MB",
            note=f"{len(stack.workers())} workers after {IDLE_SECONDS:g} s without a job",
        ),
    ]


def polled_figure(stack: Stack, lengths: Sequence[float]) -> Figure:
    """The time that is added after the end of a provider without webhooks, when generations of the
    same lengths were observed before.
    """
    user = User(stack)
    try:
        unknown = _polled(stack, user, lengths)
        known = _polled(stack, user, lengths)
    finally:
        user.close()
    return Figure(
        "polled provider: added after it has finished",
        _median(known, "after"),
        "s",
        budget=POLLED_BUDGET,
        note=f"median over generations of {min(lengths):g} to {max(lengths):g} s, when as many had "
        f"been observed; {min(job.after for job in known):.1f} to "
        f"{max(job.after for job in known):.1f} s; the first {_median(unknown, 'after'):.1f} s",
    )


def _polled(stack: Stack, user: User, lengths: Sequence[float]) -> list[Ordered]:
    """Order a generation of each length at once, from the polled provider."""
    runway = stack.simulators["runway"]
    print(f"latency: {len(lengths)} jobs of a polled provider", file=sys.stderr)
    with ThreadPoolExecutor(len(lengths)) as pool:
        futures = []
        for seconds in lengths:
            runway.change(generation_seconds=seconds)
            before = _started(stack)
            futures.append(pool.submit(user.order, POLLED_MODEL, "runway"))
            wait_for(lambda: _started(stack) > before, 60)  # noqa: B023 - awaited at once
        return [future.result() for future in futures]


def _started(stack: Stack) -> int:
    """The number of submissions that the polled provider has started, with their length fixed."""
    submissions = stack.simulators["runway"].submissions()
    return sum(each["started_at"] is not None for each in submissions)


def _newest_file(stack: Stack) -> str:
    return str(stack.fal.media()["files"][-1]["url"])


def _median(jobs: Sequence[Ordered], member: str) -> float:
    return round(statistics.median(float(getattr(job, member)) for job in jobs), 3)


def measure(quick: bool) -> list[Figure]:
    """This part of the benchmarks."""
    alone, rounds = (QUICK_ALONE, 1) if quick else (ALONE, ROUNDS)
    lengths = QUICK_POLLED_SECONDS if quick else POLLED_SECONDS
    simulators = {
        "fal": {
            "queue_seconds": 0,
            "generation_seconds": GENERATION_SECONDS,
            "concurrency": 1_000,
            # On a busy computer fal's webhook could time out, and its retry would add load.
            "webhook_first_timeout": PATIENCE_SECONDS,
        },
        "runway": {"pending_seconds": 0, "generation_seconds": 0.1, "concurrency": 100},
    }
    with Stack(
        simulate=("fal", "runway"),
        settings=simulators,
        parameters=LIMITS,
        idle_seconds=IDLE_SECONDS,
    ) as stack:
        with httpx.Client(base_url=stack.api_url, timeout=60, trust_env=False) as owner:
            owner.put(
                f"/v1/admin/models/{WEBHOOK['model_id']}",
                json=WEBHOOK,
                headers=stack.bearer("bench", admin=True),
            ).raise_for_status()
        return [*webhook_figures(stack, alone, rounds), polled_figure(stack, lengths)]


def main() -> None:
    options = argparse.ArgumentParser(description="The time that Clipmint adds to a generation.")
    options.add_argument("--quick", action="store_true")
    for figure in measure(options.parse_args().quick):
        over = " OVER" if figure.over_budget else ""
        print(f"{figure.name}: {figure.value:g} {figure.unit}{over} ({figure.note})")


if __name__ == "__main__":
    main()
