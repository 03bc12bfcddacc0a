"""What a generation costs the owner at AWS: calls, state transitions, and the list price of it all.

    python -m benchmarks.cost [--quick]

Jobs run on the local stack as an app would have them run: one order, then a look every two seconds,
as ``Retry-After`` says, until the video is there. The providers are simulated and take a minute.
There are three ways: fal's webhook comes; fal's webhook is lost, and Track's own question finds the
video; Runway, which has no webhooks, is asked again and again.

**Counted exactly**, from the journal of AWS calls that botocore itself makes: calls by operation,
DynamoDB's capacity units (the emulator computes them by DynamoDB's published rules, indexes and
transactions included; a read of more than 4 KB is scaled up here, which the emulator does not do; a
refused write counts as one unit), requests, transitions from the executions' histories (retries
count), log lines.

Each request that a traced function answers is taken for a trace: X-Ray keeps the first of each
second and a twentieth of the rest, so a busy owner pays less. The file is `VIDEO_BYTES` long.

**Taken from this computer**: how long a function runs (see `prices.lambda_run`). Medians of warm
runs; what Lambda bills for starting functions is a line of its own, with each of a job's functions
starting for it, as an owner with few users has it. Providers are next door here, so a function that
calls one is given `PROVIDER_SECONDS` more.

**Memory**: the most that a worker of each function ever had, against what the template gives it;
and what other sizes would make of its time and price, because memory buys the processor's share.

**Beside it**, by the same prices and the same units, what the documents describe that this system
comes from: a status endpoint that asks the provider at each look of the app and fetches the video
itself when it is done, and a loop that asks every ten seconds for up to thirty minutes. How they
would run at AWS is our reading, at its cheapest: `DOCUMENTS_MEGABYTES` of memory, a turn of the
loop one state transition.

**Prices**: AWS's public pricing pages for us-east-1, on demand and without the free tier, November
2026. Left out: storage, what leaves for the internet (a video of 6 MB costs twice what making it
did), and what is paid by the month whatever happens: about a dollar and a half each for the alarms
and for the sweep's metrics, forty cents for the secret, and the keys DynamoDB asks KMS for.
"""

from __future__ import annotations

import argparse
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
from benchmarks.prices import NotCounted, Usage, cached, called, dollars, lambda_run
from benchmarks.results import Figure
from local.deploy import ROOT, load_template
from local.journal import Invocation
from local.stack import Stack, wait_for

GENERATIONS = 1_000
"""What a price is quoted for."""

PROVIDER_SECONDS = 0.3
"""What a provider's API takes to answer over the internet: an assumption, the same for each design.
"""

PLATFORM_LOG_BYTES = 600
"""Lambda's own lines of a traced run (start and report, as JSON), billed like ours: an assumption.
Where the template asks for warnings only, a run that went well has none."""

VIDEO_BYTES = 6_000_000
"""Eight seconds at six megabits a second: an assumption."""

ACCESS_LOG_BYTES = 376
"""The gateway's line about a request, as the template's format writes it: an assumption."""

DOCUMENTS_MEGABYTES = 256

EVENT_BYTES = 26
"""What CloudWatch Logs adds to each line it bills."""

PROMPT = "A paper boat crosses a still lake at dawn, mist over the water. ".ljust(900, ".")
"""Some words, and then as much as AWS's task tokens are longer than the emulator's 36 characters:
they lie on the job, and DynamoDB bills its writes by the size of the whole item."""
LOOK_SECONDS = 2.0
PAUSE_SECONDS = 1.5
LOOP_SECONDS, LOOP_TRANSITIONS = 10.0, 1
"""The documents' loop: as states, a turn is at least a Task."""
SIZES_MEGABYTES = (256, 512, 1_024, 1_769)
"""Memory to compare for each function; the last buys a whole vCPU."""
LENGTHS_SECONDS = (120.0, 1_800.0)
"""How long generations may take, beside the one that was recorded; the last is when the documents'
loop gives up."""

HTTP = frozenset({"generate", "status", "webhooks"})
TALKS_TO_PROVIDER = frozenset({"submit", "track, asking", "migrate"})
STATES = ("submit", "track", "track, asking", "migrate", "settle")
MINUTES_A_MONTH = 730 * 60
DEFAULT_POLL_SECONDS = (90.0, 30.0, 30.0, 60.0)
"""When Track asks, of a model that says nothing else; the last interval repeats."""

GENERATE_BUDGET, STATUS_BUDGET, TRANSITIONS_BUDGET, DOLLARS_BUDGET = 5, 1, 6, 0.25


@dataclass(frozen=True)
class Way:
    """A way for a job to go: whose model is ordered, and whether its webhook gets lost."""

    name: str
    model_id: str
    lost: bool = False


WEBHOOK = Way("webhook", "veo-3.1")
LOST = Way("lost webhook", "veo-3.1", lost=True)
POLL = Way("no webhooks (Runway)", "gen4.5")
WAYS = (WEBHOOK, LOST, POLL)


class DidNotComplete(Exception):
    """A job of the benchmark ended otherwise."""


@dataclass(frozen=True)
class Generation:
    """A job that is over: the functions that ran for it, its execution's transitions."""

    runs: Sequence[Invocation]
    transitions: int

    def of(self, kind: str) -> list[Invocation]:
        return [run for run in self.runs if kind_of(run) == kind]


def kind_of(run: Invocation) -> str:
    """The function, and for Track whether it asks the provider on this turn."""
    name = run.function.removesuffix("Function").lower()
    return f"{name}, asking" if name == "track" and run.event["turn"] else name


def function_of(kind: str) -> str:
    """The logical id of the function whose runs are of this kind."""
    return f"{kind.partition(',')[0].capitalize()}Function"


class App:
    """One user with credits, and what their app does."""

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
        """Order a video and look every so often until it is there; the job's id."""
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
    """What turns recorded runs into usage: memory and log bytes by function, times by kind.

    ``peak_megabytes`` is the most memory that any run of a function had, cold ones included;
    ``traced`` are the functions whose requests leave a trace, ``import_seconds`` what starting
    each of them takes.
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
        # Of a kind that only ever ran in new workers the cold runs have to do.
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
        """What Lambda bills for one run of this kind with so much memory."""
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
        """What Lambda bills for starting each of these functions once."""
        usage = Usage()
        for function in {function_of(kind) for kind in kinds}:
            seconds = self.import_seconds[function.removesuffix("Function").lower()]
            usage["Lambda GB-seconds"] += seconds * self.megabytes[function] / 1024
        return usage

    def all_of(self, generation: Generation) -> Usage:
        """Everything a generation used."""
        usage = Usage({"state transitions": generation.transitions})
        for run in generation.runs:
            usage += self.run(kind_of(run)) + called(run.calls)
        return usage


def measure(quick: bool) -> list[Figure]:
    """Calls, transitions and prices; see the module's docstring."""
    seconds, each = (12.0, 1) if quick else (60.0, 3)
    simulators = {
        "fal": {"queue_seconds": 0, "generation_seconds": 0.1, "concurrency": 40},
        "runway": {"pending_seconds": 0, "generation_seconds": 0.1, "concurrency": 40},
    }
    # Without preloading: a function's memory is measured, too.
    with Stack(simulate=("fal", "runway"), settings=simulators, preload=False) as stack:
        print("cost: warming up", file=sys.stderr)
        for _ in range(2):  # those of the second round find the first one's workers
            _generate(stack, [WEBHOOK, POLL], every=0.5)
        for simulator in stack.simulators.values():
            simulator.change(generation_seconds=seconds)
        print(f"cost: {each * len(WAYS)} generations of {seconds:g} s", file=sys.stderr)
        found = _generate(stack, [way for way in WAYS for _ in range(each)])
        model = Model.of(stack)
        warm = [run for run in stack.invocations() if run.ended and not run.cold]
    return [
        *_counts(found, warm),
        *_capacity(found),
        *_prices(model, found, seconds),
        *_idle(model, [run for run in warm if kind_of(run) == "sweep"]),
        *_sizes(model),
    ]


def _generate(
    stack: Stack, ways: Sequence[Way], every: float = LOOK_SECONDS
) -> dict[Way, list[Generation]]:
    """Generations side by side, each by a user of its own, once their executions have ended.

    They begin one after the other: at once, each would meet new workers.
    """

    def one(number: int, way: Way) -> tuple[Way, Generation]:
        time.sleep(number * PAUSE_SECONDS)
        job_id = App(stack).generate(way, every)
        execution = stack.execution_arn(job_id)
        steps = stack.boto3("stepfunctions")
        wait_for(
            lambda: steps.describe_execution(executionArn=execution)["status"] != "RUNNING", 60
        )
        events = Counter(event["type"] for event in stack.history(job_id))
        # A retry enters no state, and is billed like one.
        retries = events["TaskScheduled"] - events["TaskStateEntered"]
        runs = [run for run in stack.invocations(about=job_id) if kind_of(run) in (*HTTP, *STATES)]
        return way, Generation(runs, len(stack.transitions(job_id)) + retries)

    found = defaultdict(list)
    with ThreadPoolExecutor(len(ways)) as apps:
        for way, generation in apps.map(one, range(len(ways)), ways):
            found[way].append(generation)
    return dict(found)


def _log_bytes(function: str, lines: Iterable[str]) -> int:
    # Ours are JSON; whatever else is there is the emulator's idea of Lambda's own.
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
        # The catalog, the keys and the circuits are read now and then, whatever is asked.
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
    """Calls per job by operation, without those of the app's looks."""
    made = Counter(
        call.operation
        for job in jobs
        for run in job.runs
        if kind_of(run) != "status"
        for call in run.calls
    )
    return ", ".join(f"{name} {n / len(jobs):g}" for name, n in sorted(made.items()))


def _capacity(found: Mapping[Way, Sequence[Generation]]) -> list[Figure]:
    figures = []
    for way, jobs in found.items():
        usage = Usage()
        for job in jobs:
            for run in job.runs:
                if kind_of(run) != "status":
                    usage += called(run.calls)
        figures += [
            Figure(
                f"{unit}, {way.name}",
                round(usage[unit] / len(jobs), 1),
                "units",
                note="per job, indexes included, without the app's looks",
            )
            for unit in ("DynamoDB write units", "DynamoDB read units")
        ]
    return figures


def _prices(
    model: Model, found: Mapping[Way, Sequence[Generation]], seconds: float
) -> list[Figure]:
    """Ours as recorded and for half an hour, and the documents' designs for the same."""
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
                _price(f"ours, webhook, {length:g} s", _longer(model, ours, length), "computed")
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
    """A look of the app at a job that goes on."""
    return model.run("status") + called(job.of("status")[0].calls)


def _longer(model: Model, job: Generation, seconds: float) -> Usage:
    """Our webhook's way, if the provider takes this long: more looks, and Track asks in between."""
    looks = round(seconds / LOOK_SECONDS) - len(job.of("status"))
    turns, waited = 0, 0.0
    intervals = DEFAULT_POLL_SECONDS
    while (waited := waited + intervals[min(turns, len(intervals) - 1)]) < seconds:
        turns += 1
    turn = model.run("track, asking") + called(job.of("track")[0].calls)
    return (
        model.all_of(job)
        + _one_look(model, job) * looks
        + (turn + Usage({"state transitions": 1})) * turns
    )


def _theirs(model: Model, kind: str, seconds_away: float) -> Usage:
    """A run of one of our functions as the documents' would be: as little memory as will do, and
    nothing logged or traced but by the gateway."""
    usage = model.sized(kind, DOCUMENTS_MEGABYTES, seconds_away)
    if kind in HTTP:
        usage += Usage({"HTTP API requests": 1, "log bytes": ACCESS_LOG_BYTES})
    return usage


def _documents(model: Model, job: Generation) -> Usage:
    """What both of the documents' designs do once: take the order and send it to the provider in
    one request, and fetch the finished video."""
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
    """What the sweep costs in a month, with or without jobs."""
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
    """How much memory each function needs, and what it would be with more or less of it."""
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
