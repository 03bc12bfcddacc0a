"""The cost of a generation for the owner at AWS: calls, state transitions, and list prices.

    python -m benchmarks.cost [--quick]

Jobs run on the local stack as from an app: one order, then a poll every two seconds, as
``Retry-After`` requires, until the video is completed. The providers are simulated and take a
minute. There are three cases: fal's webhook comes; fal's webhook is lost, and Track's poll finds
the video; Runway has no webhooks and is polled.

**Counted exactly**, from the journal of AWS calls that botocore makes: calls by operation,
DynamoDB's capacity units (the emulator computes them by DynamoDB's published rules, including
indexes and transactions; a read of more than 4 KB is scaled up here, which the emulator does not
do; a refused write counts as ten units), requests, transitions from the executions' histories
(including retries), log lines.

Every request to a traced function counts as a trace. X-Ray keeps the first request of each second
and a twentieth of the rest, so an owner with many requests pays less. The file is `VIDEO_BYTES`
long.

**Measured on this computer**: the duration of a function (see `prices.lambda_run`), as the median
of warm runs. A separate line has Lambda's price for starting functions, if every function of a job
starts for that job, as it does for an owner with few users. The simulated providers are on this
computer, so `PROVIDER_SECONDS` are added to each function that calls one.

**Memory**: the most that a worker of each function ever had, compared with the template's value;
and time and price with other sizes, because the share of the processor depends on the memory.

**For comparison**, with the same prices and units, the two designs of the documents that this
system is based on: a status endpoint that asks the provider at every poll of the app and downloads
the finished video itself, and a loop that asks every ten seconds for up to thirty minutes. We
assume their cheapest form at AWS: `DOCUMENTS_MEGABYTES` of memory, and one state transition per
turn of the loop.

**Prices**: AWS's public pricing pages for us-east-1, on demand and without the free tier, November
2026. Not included: storage, traffic to the internet (a video of 6 MB costs twice as much as making
it), and fixed monthly costs: about a dollar and a half each for the alarms and for the sweep's
metrics, forty cents for the secret, and DynamoDB's requests to KMS.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from benchmarks import imports
from benchmarks.prices import (
    REFUSED_UNITS,
    WRITES,
    NotCounted,
    Usage,
    cached,
    called,
    dollars,
    lambda_run,
)
from benchmarks.results import Figure
from benchmarks.write_units import WRITE_UNITS
from local.deploy import ROOT, load_template
from local.journal import Invocation
from local.stack import Stack, wait_for

GENERATIONS = 1_000
"""The number of generations that a price is given for."""

PROVIDER_SECONDS = 0.3
"""The response time of a provider's API over the internet: an assumption, equal for each design."""

PLATFORM_LOG_BYTES = 600
"""Lambda's own lines of a traced run (start and report, as JSON), billed like ours: an assumption.
If the template sets the level to warnings, a successful run has none."""

VIDEO_BYTES = 6_000_000
"""Eight seconds at six megabits a second: an assumption."""

ACCESS_LOG_BYTES = 376
"""The gateway's log line about a request in the template's format: an assumption."""

DOCUMENTS_MEGABYTES = 256

EVENT_BYTES = 26
"""The bytes that CloudWatch Logs adds to each line when it bills."""

PROMPT = "A paper boat crosses a still lake at dawn, mist over the water."
LOOK_SECONDS = 2.0
PAUSE_SECONDS = 1.5
LOOP_SECONDS, LOOP_TRANSITIONS = 10.0, 1
"""The documents' loop: a turn is at least one Task state."""
SIZES_MEGABYTES = (256, 512, 1_024, 1_769)
"""Memory to compare for each function; the last buys a whole vCPU."""
LENGTHS_SECONDS = (120.0, 1_800.0)
"""Other durations of a generation than the recorded one; after the last one the documents' loop
gives up."""

HTTP = frozenset({"generate", "status", "webhooks"})
TALKS_TO_PROVIDER = frozenset({"submit", "track, asking", "migrate"})
STATES = ("submit", "track", "track, asking", "migrate", "settle")
BESIDE = ("events", "usage")
"""Also run for each job: its end is put on the bus, and counted. There is no endpoint here."""
MINUTES_A_MONTH = 730 * 60
DEFAULT_POLL_SECONDS = (180.0, 30.0, 30.0, 60.0)
"""The default seconds between Track's polls; the last interval repeats."""

GENERATE_BUDGET, STATUS_BUDGET, TRANSITIONS_BUDGET, DOLLARS_BUDGET = 5, 1, 4, 0.25


@dataclass(frozen=True)
class Way:
    """A case: the ordered model, and whether its webhook is lost."""

    name: str
    model_id: str
    lost: bool = False


WEBHOOK = Way("webhook", "veo-3.1")
LOST = Way("lost webhook", "veo-3.1", lost=True)
POLL = Way("no webhooks (Runway)", "gen4.5")
WAYS = (WEBHOOK, LOST, POLL)


class DidNotComplete(Exception):
    """A job of the benchmark did not complete."""


@dataclass(frozen=True)
class Generation:
    """A finished job: the functions that ran for it, and its execution's transitions."""

    runs: Sequence[Invocation]
    transitions: int

    def of(self, kind: str) -> list[Invocation]:
        return [run for run in self.runs if kind_of(run) == kind]

    def writes(self) -> dict[str, dict[str, float]]:
        """DynamoDB write units by function, and by table or index."""
        units = defaultdict[str, defaultdict[str, float]](lambda: defaultdict(float))
        for run in self.runs:
            for call in run.calls:
                if call.operation in WRITES:
                    for place, used in (call.units or {"refused": REFUSED_UNITS}).items():
                        # A table is named ``stack-JobsTable-123``, an index ``table/by_user``.
                        table, _, index = place.partition("/")
                        parts = (part for part in table.split("-") if part.endswith("Table"))
                        name = index or next(parts, table)
                        units[kind_of(run)][name] += used * share_of(run)
        return {kind: dict(used) for kind, used in units.items()}


def kind_of(run: Invocation) -> str:
    """The function, and for Track whether this turn polls the provider."""
    name = run.function.removesuffix("Function").lower()
    return f"{name}, asking" if name == "track" and run.event["turn"] else name


def share_of(run: Invocation) -> float:
    """The part of a run that is for one job: a batch of a stream may have the records of others."""
    keys = [record["dynamodb"]["Keys"] for record in run.event.get("Records", [])]
    return 1 / len({json.dumps(key) for key in keys} or {""})


def function_of(kind: str) -> str:
    """The logical id of the function of a kind of runs."""
    return f"{kind.partition(',')[0].capitalize()}Function"


class App:
    """One user with credits, and the requests of their app."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._user = f"bench-{uuid.uuid4().hex}"
        self._http = httpx.Client(
            base_url=stack.api_url, headers=stack.bearer(self._user), timeout=60, trust_env=False
        )
        self._http.post(
            "/v1/admin/grants",
            json={"user_id": self._user, "amount": 1_000, "reference": self._user},
            headers=stack.bearer("bench", admin=True),
        ).raise_for_status()

    def generate(self, way: Way, every: float = LOOK_SECONDS) -> str:
        """Order a video and poll it until it is completed. Returns the job's id."""
        word = f"word{uuid.uuid4().hex}"
        simulator = self._stack.simulators["runway" if way is POLL else "fal"]
        simulator.arm("media_oversized", prompt_contains=word, times=None, bytes=VIDEO_BYTES)
        if way.lost:
            simulator.arm("webhook_lost", prompt_contains=word)
        answer = self._http.post(
            "/v1/videos",
            json={"model_id": way.model_id, "preset": "draft", "prompt": f"{PROMPT}, {word}"},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        answer.raise_for_status()
        job_id = str(answer.json()["job_id"])
        while True:
            time.sleep(every)
            seen = self._http.get(f"/v1/videos/{job_id}").raise_for_status().json()
            if seen["status"] == "completed":
                return job_id
            if seen["status"] in {"failed", "cancelled"}:
                raise DidNotComplete(f"{way.name}: {seen['status']}, {seen['error_code']}")


@dataclass(frozen=True)
class Model:
    """Converts recorded runs into usage, by memory and log bytes per function and times per kind.

    ``peak_megabytes`` is the most memory that any run of a function had, including cold runs.
    ``traced`` are the functions with traced requests, ``import_seconds`` their start times.
    """

    megabytes: Mapping[str, int]
    peak_megabytes: Mapping[str, float]
    log_bytes: Mapping[str, float]
    milliseconds: Mapping[str, float]
    cpu_milliseconds: Mapping[str, float]
    traced: frozenset[str]
    import_seconds: Mapping[str, float]

    @classmethod
    def of(cls, stack: Stack) -> Model:
        document = load_template(ROOT / "template.yaml")
        template, general = document["Resources"], document["Globals"]["Function"]
        shared = general["LoggingConfig"]
        runs = [run for run in stack.invocations() if run.ended and run.error is None]
        by_kind = defaultdict(list)
        for run in runs:
            by_kind[kind_of(run)].append(run)
        # If a kind ran only in new workers, use its cold runs.
        warm = {kind: [run for run in ran if not run.cold] or ran for kind, ran in by_kind.items()}
        times_run = Counter(run.function for run in runs)

        def platform_bytes(name: str) -> int:
            logging = shared | template[name]["Properties"]["LoggingConfig"]
            return PLATFORM_LOG_BYTES if logging["SystemLogLevel"] == "INFO" else 0

        return cls(
            {name: template[name]["Properties"]["MemorySize"] for name in times_run},
            {
                name: max(run.peak_megabytes or 0 for run in runs if run.function == name)
                for name in times_run
            },
            {
                name: _log_bytes(name, stack.logs(name)) / n + platform_bytes(name)
                for name, n in times_run.items()
            },
            {
                kind: statistics.median(run.milliseconds or 0 for run in ran)
                for kind, ran in warm.items()
            },
            {
                kind: statistics.median(run.cpu_milliseconds or 0 for run in ran)
                for kind, ran in warm.items()
            },
            frozenset(
                name
                for name in times_run
                if template[name]["Properties"].get("Tracing", general["Tracing"]) == "Active"
            ),
            imports.seconds_to_import(),
        )

    def sized(self, kind: str, megabytes: int, seconds_away: float | None = None) -> Usage:
        """The usage that Lambda bills for one run of this kind with this memory."""
        if seconds_away is None:
            seconds_away = PROVIDER_SECONDS if kind in TALKS_TO_PROVIDER else 0
        return lambda_run(
            self.milliseconds[kind], self.cpu_milliseconds[kind], megabytes, seconds_away
        )

    def run(self, kind: str, seconds_away: float | None = None) -> Usage:
        """One run of this kind, without its calls."""
        function = function_of(kind)
        usage = self.sized(kind, self.megabytes[function], seconds_away)
        usage["log bytes"] += self.log_bytes[function]
        if kind in HTTP:
            usage += Usage(
                {
                    "HTTP API requests": 1,
                    "log bytes": ACCESS_LOG_BYTES,
                    "traces": function in self.traced,
                }
            )
        return usage

    def starting(self, kinds: Iterable[str]) -> Usage:
        """The usage that Lambda bills for starting each of these functions once."""
        usage = Usage()
        for function in {function_of(kind) for kind in kinds}:
            seconds = self.import_seconds[function.removesuffix("Function").lower()]
            usage["Lambda GB-seconds"] += seconds * self.megabytes[function] / 1024
        return usage

    def all_of(self, generation: Generation) -> Usage:
        """The whole usage of a generation."""
        usage = Usage({"state transitions": generation.transitions})
        for run in generation.runs:
            usage += (self.run(kind_of(run)) + called(run.calls)) * share_of(run)
        return usage


def measure(quick: bool) -> list[Figure]:
    """Calls, transitions and prices; see the module's docstring."""
    seconds, each = (12.0, 1) if quick else (60.0, 3)
    simulators = {
        "fal": {"queue_seconds": 0, "generation_seconds": 0.1, "concurrency": 40},
        "runway": {"pending_seconds": 0, "generation_seconds": 0.1, "concurrency": 40},
    }
    # Without preloading, so that a function's memory can be measured.
    with Stack(simulate=("fal", "runway"), settings=simulators, preload=False) as stack:
        print("cost: warming up", file=sys.stderr)
        for _ in range(2):  # the second round uses the workers of the first
            _generate(stack, [WEBHOOK, POLL], every=0.5)
        for simulator in stack.simulators.values():
            simulator.change(generation_seconds=seconds)
        print(f"cost: {each * len(WAYS)} generations of {seconds:g} s", file=sys.stderr)
        found = _generate(stack, [way for way in WAYS for _ in range(each)])
        _sweep_until_warm(stack)
        model = Model.of(stack)
        warm = [run for run in stack.invocations() if run.ended and not run.cold]
    return [
        *_counts(found, warm),
        *_capacity(found),
        *_prices(model, found, seconds),
        *_idle(model, [run for run in warm if kind_of(run) == "sweep"]),
        *_sizes(model),
    ]


def _sweep_until_warm(stack: Stack) -> None:
    """The schedule's sweeps are cold: a worker ends before it is needed again. A sweep that begins
    while that worker is not free yet is cold, too."""

    def is_warm() -> bool:
        stack.boto3("lambda").invoke(
            FunctionName=stack.functions["SweepFunction"],
            Payload=json.dumps({"source": "aws.events", "detail-type": "Scheduled Event"}),
        )
        sweeps = stack.invocations(function="SweepFunction")
        return any(run.ended and not run.cold for run in sweeps)

    wait_for(is_warm, 60)


def _generate(
    stack: Stack, ways: Sequence[Way], every: float = LOOK_SECONDS
) -> dict[Way, list[Generation]]:
    """Run parallel generations, each for its own user, until their executions have ended.

    They start one after the other. If all started at once, each would need new workers.
    """

    def one(number: int, way: Way) -> tuple[Way, Generation]:
        time.sleep(number * PAUSE_SECONDS)
        job_id = App(stack).generate(way, every)
        execution = stack.execution_arn(job_id)
        steps = stack.boto3("stepfunctions")
        wait_for(
            lambda: steps.describe_execution(executionArn=execution)["status"] != "RUNNING", 60
        )
        wait_for(lambda: _passed_on(stack, job_id), 60)
        events = Counter(event["type"] for event in stack.history(job_id))
        # A retry does not enter a state, but is billed as a transition.
        retries = events["TaskScheduled"] - events["TaskStateEntered"]
        runs = [
            run
            for run in stack.invocations(about=job_id)
            if kind_of(run) in (*HTTP, *STATES, *BESIDE)
        ]
        return way, Generation(runs, len(stack.transitions(job_id)) + retries)

    found = defaultdict(list)
    with ThreadPoolExecutor(len(ways)) as apps:
        for way, generation in apps.map(one, range(len(ways)), ways):
            found[way].append(generation)
    return dict(found)


def _passed_on(stack: Stack, job_id: str) -> bool:
    ended = {kind_of(run) for run in stack.invocations(about=job_id) if run.ended}
    return ended >= set(BESIDE)


def _log_bytes(function: str, lines: Iterable[str]) -> int:
    # Our lines are JSON; all others are the emulator's version of Lambda's own lines.
    found = sum(len(line.encode()) + EVENT_BYTES for line in lines if line.startswith("{"))
    if not found and function == "GenerateFunction":
        raise NotCounted("the functions' logs")
    return found


def _counts(found: Mapping[Way, Sequence[Generation]], warm: Sequence[Invocation]) -> list[Figure]:
    """AWS calls of a request, state transitions of a job."""
    figures = []
    for kind, name, budget in (
        ("generate", "generate, warm: AWS calls", GENERATE_BUDGET),
        ("status", "status read, warm: AWS calls", STATUS_BUDGET),
        ("webhooks", "webhook, warm: AWS calls", None),
    ):
        runs = [run for run in warm if kind_of(run) == kind]
        if not runs:
            raise NotCounted(f"no warm run of {kind}")
        # The catalog, the keys and the circuits are read at intervals, independent of requests.
        own = [[call.operation for call in run.calls if not cached(call)] for run in runs]
        most = max(own, key=len)
        kept = sum(len(run.calls) for run in runs) - sum(map(len, own))
        figures.append(
            Figure(
                name,
                len(most),
                "calls",
                budget=budget,
                note=f"{', '.join(most)}: the most of {len(runs)} runs; beside them {kept} reads "
                "of the catalog (once a minute) and the keys (every five)",
            )
        )
    figures += [
        Figure(
            f"state transitions, {way.name}",
            max(one.transitions for one in jobs),
            "transitions",
            budget=TRANSITIONS_BUDGET if way is WEBHOOK else None,
            note=f"per one-stage job; AWS calls by its functions: {_calls(jobs)}",
        )
        for way, jobs in found.items()
    ]
    return figures


def _calls(jobs: Sequence[Generation]) -> str:
    """Calls per job by operation, without those of the app's polls."""
    made = defaultdict[str, float](float)
    for run in (run for job in jobs for run in job.runs if kind_of(run) != "status"):
        for call in run.calls:
            made[call.operation] += share_of(run)
    return ", ".join(f"{name} {n / len(jobs):g}" for name, n in sorted(made.items()))


def _capacity(found: Mapping[Way, Sequence[Generation]]) -> list[Figure]:
    figures = []
    for way, jobs in found.items():
        usage = Usage()
        for job in jobs:
            for run in job.runs:
                if kind_of(run) != "status":
                    usage += called(run.calls) * share_of(run)
        figures += [
            Figure(
                f"DynamoDB write units, {way.name}",
                round(usage["DynamoDB write units"] / len(jobs), 1),
                "units",
                budget=sum(WRITE_UNITS.values()) if way is WEBHOOK else None,
                note=f"per job, indexes included; of one job: {_writes(jobs[0])}",
            ),
            Figure(
                f"DynamoDB read units, {way.name}",
                round(usage["DynamoDB read units"] / len(jobs), 1),
                "units",
                note="per job, indexes included, without the app's looks",
            ),
        ]
    return figures


def _writes(job: Generation) -> str:
    """The write units of a job by function, table and index."""
    parts = []
    for kind, used in job.writes().items():
        places = ", ".join(f"{name} {units:g}" for name, units in sorted(used.items()))
        parts.append(f"{kind} {sum(used.values()):g} ({places})")
    return "; ".join(parts)


def _prices(
    model: Model, found: Mapping[Way, Sequence[Generation]], seconds: float
) -> list[Figure]:
    """The prices of our recorded generations, of longer ones, and of the documents' designs."""
    figures = []
    for way, jobs in found.items():
        usage = sum((model.all_of(job) for job in jobs), Usage()) * (1 / len(jobs))
        looks = statistics.mean(len(job.of("status")) for job in jobs)
        figures.append(
            _price(
                f"ours, {way.name}, {seconds:g} s",
                usage,
                f"{looks:g} looks of the app",
                DOLLARS_BUDGET if way is WEBHOOK else None,
            )
        )
    kinds = {kind_of(run) for job in found[WEBHOOK] for run in job.runs}
    warm = sum((model.all_of(job) for job in found[WEBHOOK]), Usage()) * (1 / len(found[WEBHOOK]))
    figures.append(
        _price(
            f"ours, webhook, {seconds:g} s, each function started for it",
            warm + model.starting(kinds),
            f"{len(kinds)} cold starts",
        )
    )
    ours = found[WEBHOOK][0]
    for length in (seconds, *LENGTHS_SECONDS):
        if length != seconds:
            figures.append(
                _price(
                    f"ours, webhook, {length:g} s",
                    _longer(model, ours, found[LOST][0], length),
                    "computed",
                )
            )
        figures += [
            _price(
                f"documents, asked at each look, {length:g} s",
                _asked_at_each_look(model, ours, length),
                f"{length / LOOK_SECONDS:g} looks, each asking the provider",
            ),
            _price(
                f"documents, 10-second loop, {length:g} s",
                _loop(model, ours, length),
                f"{length / LOOP_SECONDS:g} turns, {length / LOOK_SECONDS:g} plain looks",
            ),
        ]
    return figures


def _price(name: str, usage: Usage, about: str, budget: float | None = None) -> Figure:
    shares = sorted(
        ((dollars({unit: amount}) * GENERATIONS, unit) for unit, amount in usage.items()),
        reverse=True,
    )
    listed = ", ".join(f"{unit} ${price:.4f}" for price, unit in shares if price >= 0.00005)
    return Figure(
        f"price of {GENERATIONS:,}, {name}",
        round(dollars(usage) * GENERATIONS, 4),
        "USD",
        budget=budget,
        note=f"{about}; {listed}",
    )


def _one_look(model: Model, job: Generation) -> Usage:
    """A poll of the app for a job that still runs."""
    return model.run("status") + called(job.of("status")[0].calls)


def _longer(model: Model, job: Generation, lost: Generation, seconds: float) -> Usage:
    """The usage with a webhook if the provider takes this long: more polls by the app, and after
    Submit's wait StartPolling and polls by Track, which cost the same as with a lost webhook."""
    looks = round(seconds / LOOK_SECONDS) - len(job.of("status"))
    turns, waited = 0, 0.0
    intervals = DEFAULT_POLL_SECONDS
    while (waited := waited + intervals[min(turns, len(intervals) - 1)]) < seconds:
        turns += 1
    turn = model.run("track, asking") + called(lost.of("track, asking")[0].calls)
    turn["state transitions"] += 1
    start = model.run("submit") + called(lost.of("submit")[-1].calls)
    start["state transitions"] += 1
    return model.all_of(job) + _one_look(model, job) * looks + start * min(turns, 1) + turn * turns


def _theirs(model: Model, kind: str, seconds_away: float) -> Usage:
    """A run of one of our functions in the documents' form: with the least memory, and without
    logs and traces except the gateway's."""
    usage = model.sized(kind, DOCUMENTS_MEGABYTES, seconds_away)
    if kind in HTTP:
        usage += Usage({"HTTP API requests": 1, "log bytes": ACCESS_LOG_BYTES})
    return usage


def _documents(model: Model, job: Generation) -> Usage:
    """The usage that both of the documents' designs have once: accept the order and send it to the
    provider in one request, and download the finished video."""
    usage = _theirs(model, "generate", PROVIDER_SECONDS)
    usage += _theirs(model, "migrate", PROVIDER_SECONDS)
    for kind in ("generate", "submit", "migrate"):
        for run in job.of(kind):
            usage += called(run.calls)
    return usage


def _asked_at_each_look(model: Model, job: Generation, seconds: float) -> Usage:
    look = _theirs(model, "status", PROVIDER_SECONDS) + called(job.of("status")[0].calls)
    return _documents(model, job) + look * (seconds / LOOK_SECONDS)


def _loop(model: Model, job: Generation, seconds: float) -> Usage:
    read = called(job.of("status")[0].calls)
    turn = _theirs(model, "track, asking", PROVIDER_SECONDS) + read
    turn["state transitions"] += LOOP_TRANSITIONS
    looks = (_theirs(model, "status", 0) + read) * (seconds / LOOK_SECONDS)
    return _documents(model, job) + turn * (seconds / LOOP_SECONDS) + looks


def _idle(model: Model, sweeps: Sequence[Invocation]) -> list[Figure]:
    """The price of the sweep in a month, with or without jobs."""
    if not sweeps:
        raise NotCounted("no warm sweep")
    usage = model.run("sweep")
    for run in sweeps:
        usage += called(run.calls) * (1 / len(sweeps))
    return [
        Figure(
            "price of a month of sweeps",
            round(dollars(usage * MINUTES_A_MONTH), 2),
            "USD",
            note="once a minute, whether there are jobs or not",
        )
    ]


def _sizes(model: Model) -> list[Figure]:
    """The memory that each function needs, and time and price with more or less memory."""
    figures = []
    for kind in sorted(model.milliseconds):
        function = function_of(kind)
        peak, given = model.peak_megabytes[function], model.megabytes[function]
        choices = []
        for megabytes in SIZES_MEGABYTES:
            usage = model.sized(kind, megabytes)
            milliseconds = usage["Lambda GB-seconds"] * 1024 / megabytes * 1000
            price = dollars(usage) * 1_000_000
            if peak < megabytes:
                mark = "*" if megabytes == given else ""
                choices.append(f"{megabytes:,} MB{mark}: {milliseconds:.0f} ms, ${price:.2f}")
        figures.append(
            Figure(
                f"peak memory of {kind}",
                peak,
                "MB",
                note=f"of {given:,}; a warm run, and a million of them: {'; '.join(choices)}",
            )
        )
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description="AWS calls, transitions and list prices.")
    options.add_argument("--quick", action="store_true", help="shorter generations, fewer of them")
    for figure in measure(options.parse_args().quick):
        over = " OVER" if figure.over_budget else ""
        print(f"{figure.name}: {figure.value} {figure.unit}{over} ({figure.note})")


if __name__ == "__main__":
    main()
