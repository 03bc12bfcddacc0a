"""The crash matrix: every side effect of every scenario, with a crash before and after it.

A scenario is run once to record its side effects. Then it is run again for each of them and each
side, in a new world, identically up to that point. There the function crashes, and production
continues. What is broken afterwards, or right after the crash, is a violation.
"""

from __future__ import annotations

import math
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from clipmint import clock
from tests.proof.boundary import Effect, Point
from tests.proof.scenarios import SCENARIOS, Scenario
from tests.proof.world import CallerResponse, World, new_world
from tests.support.moto_aws import Clients, functions_environment

OF_OTHERS = ("/v1/admin/", "/webhooks/purchases/")
DOORS = ("/openai/", "/api/", "/functions/")
"""The beginnings of the paths of compatible endpoints."""


@dataclass(frozen=True)
class Run:
    """One run: where it crashed (nowhere in a rehearsal), how the jobs ended, and the violations.

    ``owners`` number the invocation that each side effect belongs to. ``seconds`` is the time, by
    the world's clock, from the order to the end of the slowest job.
    """

    scenario: str
    points: tuple[Point, ...]
    ends: tuple[str, ...]
    found: tuple[str, ...]
    effects: tuple[Effect, ...] = ()
    owners: tuple[int, ...] = ()
    log: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class Matrix:
    """All runs: without a crash, with one, and some with two."""

    rehearsals: list[Run]
    runs: list[Run]
    twice: list[Run] = field(default_factory=list)

    @property
    def broken(self) -> list[Run]:
        return [run for run in [*self.rehearsals, *self.runs, *self.twice] if run.found]


def play(scenario: Scenario, clients: Clients, points: tuple[Point, ...] = ()) -> Run:
    """Run a scenario with crashes at these points."""
    with new_world(clients, points, scenario.settings) as world:
        scenario.play(world)
        world.run()
        found = [*world.found, *_false_responses(scenario, world, points)]
        return Run(
            scenario=scenario.name,
            points=points,
            ends=tuple(sorted_ends(world)),
            found=tuple(found),
            effects=tuple(world.boundary.effects),
            owners=tuple(world.boundary.owners),
            log=tuple(world.log) if found else (),
            seconds=max(map(_lifetime, world.jobs()), default=0.0),
        )


def sorted_ends(world: World) -> Iterator[str]:
    return (str(job["status"]) for job in world.jobs_in_order())


def _lifetime(job: Mapping[str, Any]) -> float:
    if not job.get("completed_at"):
        return math.inf
    ended, began = (clock.from_iso(job[name]) for name in ("completed_at", "created_at"))
    return (ended - began).total_seconds()


def _false_responses(scenario: Scenario, world: World, points: tuple[Point, ...]) -> Iterator[str]:
    ends = tuple(sorted_ends(world))
    if not points and ends != scenario.ends:
        yield f"undisturbed, the jobs ended as {ends}"
    if not scenario.gives_up:
        if len(ends) != len(scenario.ends):
            yield f"there are {len(ends)} jobs, not {len(scenario.ends)}"
        yield from _untrue(world)
    with_webhook = {(job_id, stage) for job_id, stage, made in world.billed() if made["deliveries"]}
    by_id = {job["job_id"]: job for job in world.jobs()}
    for expected, job in zip(scenario.ends, world.jobs_in_order(), strict=False):
        # One crash must not cost a user the video. Exceptions: it cannot be known whether the video
        # was ordered (the provider's response is lost, and it sends no webhook), or the user
        # cancelled, and only because of the crash was the cancellation early enough.
        stage = "image" if "asset" not in job.get("image", {"asset": None}) else "video"
        allowed = {"SUBMIT_UNKNOWN"} if (job["job_id"], stage) not in with_webhook else set()
        if "cancel" in scenario.name:
            allowed.add("CANCELLED")
        source = by_id.get(job.get("source_job_id", ""))
        if source is not None and source["status"] != "completed":
            allowed.add("PROVIDER_ERROR")  # the source is one of these jobs itself
        if (
            len(points) == 1
            and expected == "completed" != job["status"]
            and job.get("failure") not in allowed
        ):
            yield f"job {job['job_id']} would have completed: {job['status']} {job.get('failure')}"
    if len(world.boundary.crashed) != len(points):
        yield f"{len(world.boundary.crashed)} of {len(points)} deaths happened"


def _untrue(world: World) -> Iterator[str]:
    """Final responses to users that are not true."""
    jobs = {job["job_id"]: job for job in world.jobs()}
    # The scenario itself looks at the answers that the owner and stores get.
    for response in (
        response for response in world.responses if not response.path.startswith(OF_OTHERS)
    ):
        what, status = f"{response.method} {response.path}", response.answer.status
        job = next((job for job_id, job in jobs.items() if job_id in response.path), None)
        if response.path.endswith("/cancel") and job:
            if (status, job["status"] == "cancelled") not in {(200, True), (409, False)}:
                yield f"{what} was answered {status}, and the job is {job['status']}"
        elif response.method == "DELETE" and job:
            if (status, bool(job.get("deleted"))) not in {(204, True), (409, False)}:
                yield f"{what} was answered {status}"
        elif response.path == "/v1/images":
            if status != 201:
                yield f"{what} was answered {status}"
        elif response.method == "POST":
            named, accepted = _named(response), 200 if response.path.startswith(DOORS) else 202
            if status != accepted or not named <= jobs.keys():
                yield f"{what} was answered {status}, naming {named}"


def _named(response: CallerResponse) -> set[str]:
    """The jobs that the response to an order names."""
    body = response.answer.body
    clips = body.get("clips", [])
    ids = clips if isinstance(clips, dict) else [clip["job_id"] for clip in clips]
    return {*ids, *(body[name] for name in ("job_id", "task_id", "id") if name in body)}


def points_of(rehearsal: Run) -> Iterator[Point]:
    """The points at which a scenario can crash.

    A crash after one side effect of an invocation and a crash before its next one are the same
    crash, because only memory changes between the two. It is played once.
    """
    nexts = (*rehearsal.owners[1:], None)
    for number, (effect, owner, following) in enumerate(
        zip(rehearsal.effects, rehearsal.owners, nexts, strict=True), start=1
    ):
        yield Point(number, effect, "before")
        if following != owner:
            yield Point(number, effect, "after")


def later_points(run: Run) -> list[Point]:
    """The points at which a run with a crash can crash again."""
    return [point for point in points_of(run) if point.number > run.points[-1].number]


_clients: Clients | None = None
_stack = ExitStack()


def _enter() -> None:
    """Once per worker process."""
    global _clients  # noqa: PLW0603
    _clients = _stack.enter_context(functions_environment())


def _work(task: tuple[str, tuple[Point, ...]]) -> Run:
    assert _clients is not None
    name, points = task
    return play(SCENARIOS[name], _clients, points)


def run_matrix(
    names: Sequence[str],
    *,
    processes: int = 2,
    every: int = 1,
    twice: int = 0,
    report: Callable[[Run, int, int], None] = lambda _run, _done, _all: None,
) -> Matrix:
    """Rehearse these scenarios and crash them everywhere.

    Parameters
    ----------
    every
        Crash at each n-th point only.
    twice
        Crash each n-th of these runs again, at some later point; 0 for none.
    tell
        Called with each run with a crash, its number, and the number of runs.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_enter) as pool:
        rehearsals = pool.map(_work, [(name, ()) for name in names], chunksize=1)
        tasks = [
            (rehearsal.scenario, (point,))
            for rehearsal in rehearsals
            for point in points_of(rehearsal)
        ][::every]
        runs = []
        for run in pool.imap(_work, tasks, chunksize=4):
            runs.append(run)
            report(run, len(runs), len(tasks))
        matrix = Matrix(rehearsals, runs)
        if twice:
            again = [
                (run.scenario, (*run.points, *_one_of(later_points(run), number)))
                for number, run in enumerate(runs[::twice])
            ]
            matrix.twice += pool.imap(_work, again, chunksize=4)
    return matrix


def _one_of(points: list[Point], number: int) -> list[Point]:
    """One of them, a different one for each number, and always the same."""
    return [points[number * 7 % len(points)]] if points else []


def table(matrix: Matrix) -> list[str]:
    """Scenarios down, functions across, in Markdown: how often each crashed, how jobs ended, how
    soon without a crash, and how late at most.
    """
    functions = sorted({point.effect.function for run in matrix.runs for point in run.points})
    rows = [
        ["scenario", "side effects", *functions, "deaths", "jobs ended", "within", "at most"],
        ["---", *["--:"] * (len(functions) + 2), "---", "--:", "--:"],
    ]
    for rehearsal in matrix.rehearsals:
        runs = [run for run in matrix.runs if run.scenario == rehearsal.scenario]
        rows.append(
            [
                rehearsal.scenario,
                str(len(rehearsal.effects)),
                *(_cell(runs, function) for function in functions),
                _cell(runs),
                _ends(runs),
                f"{rehearsal.seconds:.0f} s",
                f"{max((run.seconds for run in runs), default=0):.0f} s",
            ]
        )
    rows.append(
        [
            "**all**",
            str(sum(len(rehearsal.effects) for rehearsal in matrix.rehearsals)),
            *(_cell(matrix.runs, function) for function in functions),
            _cell(matrix.runs),
            "",
            "",
            "",
        ]
    )
    return ["| " + " | ".join(row) + " |" for row in rows]


def effects_table(matrix: Matrix) -> list[str]:
    """Each kind of side effect, in Markdown: in how many scenarios it occurs, and how often a run
    crashed at it.
    """
    kinds = sorted({point.effect for run in matrix.runs for point in run.points})
    rows = [["side effect", "scenarios", "deaths", "violations"], ["---", "--:", "--:", "--:"]]
    for kind in kinds:
        runs = [run for run in matrix.runs if any(point.effect == kind for point in run.points)]
        where = {run.scenario for run in runs}
        broken = sum(bool(run.found) for run in runs)
        rows.append([str(kind), str(len(where)), str(len(runs)), str(broken)])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _cell(runs: Sequence[Run], function: str | None = None) -> str:
    """How many crashes, and how many of them caused a violation."""
    here = [
        run
        for run in runs
        if function is None or any(point.effect.function == function for point in run.points)
    ]
    broken = sum(bool(run.found) for run in here)
    if not here:
        return ""
    return f"{len(here)} (**{broken}** broken)" if broken else str(len(here))


def _ends(runs: Sequence[Run]) -> str:
    counted = Counter(" + ".join(run.ends) or "never began" for run in runs)
    return ", ".join(f"{times} {end}" for end, times in sorted(counted.items()))
