"""The crash matrix: every side effect of every scenario, with a crash before and after it.

A scenario is run once. At each point where it can crash, the process is copied (`os.fork`): in the
copy the function crashes, and production continues. What is broken afterwards, or right after the
crash, is a violation. So a run with a crash is identical to the undisturbed one up to its crash,
and does not have to repeat it.
"""

from __future__ import annotations

import functools
import gc
import math
import multiprocessing
import os
import pickle
import threading
import traceback
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
        return _played(scenario, world)


def _played(scenario: Scenario, world: World) -> Run:
    """Run a scenario in this world."""
    scenario.play(world)
    world.run()
    points = world.boundary.points
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


def play_with_crashes(
    scenario: Scenario, clients: Clients, *, every: int = 1, first: int = 0
) -> tuple[Run, list[Run]]:
    """Run a scenario undisturbed, and crash it at every n-th of its points from ``first`` on.

    The first result is the undisturbed run. The process may have no other thread now: a copy of it
    would not have it. At a point where the scenario itself has threads (an upload in parts) no copy
    is made, and the scenario is run again with the crash.
    """
    copies = _Copies(every, first)
    try:
        with new_world(clients, (), scenario.settings) as world:
            world.boundary.reached = functools.partial(copies.crash_at, world)
            rehearsal = _played(scenario, world)
            copies.finish(rehearsal)
    except BaseException:
        copies.fail()
        raise
    expected = {*points_of(rehearsal)}
    assert {*copies.reached} == expected, {*copies.reached} ^ expected
    again = [play(scenario, clients, (point,)) for point in copies.left]
    return rehearsal, [*copies.runs, *again]


@dataclass
class _Copies:
    """The copies of a process that runs a scenario, each of which crashes at another point.

    ``left`` are the points where no copy could be made.
    """

    every: int
    first: int
    reached: list[Point] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    left: list[Point] = field(default_factory=list)
    _output: int | None = None
    """In a copy, where its result goes."""

    def crash_at(self, world: World, point: Point) -> bool:
        """Whether to crash here. Returns twice where a copy is made: in the copy it is true."""
        if self._output is not None:
            return False  # a copy has crashed once
        chosen = (len(self.reached) - self.first) % self.every == 0
        self.reached.append(point)
        if not chosen:
            return False
        if threading.active_count() > 1:
            self.left.append(point)
            return False
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            # A collection would touch, and so copy, the memory of all that is loaded.
            gc.disable()
            self._output = writing
            world.boundary.points = (point,)
            return True
        os.close(writing)
        with os.fdopen(reading, "rb") as result:
            sent = result.read()
        os.waitpid(pid, 0)
        run: Run | str = pickle.loads(sent) if sent else "nothing came"  # noqa: S301 - our own copy
        if isinstance(run, str):
            raise RuntimeError(f"the copy that crashed at {point}: {run}")  # noqa: TRY004
        self.runs.append(run)
        return False

    def finish(self, run: Run) -> None:
        """In a copy: send its run, and end it."""
        self._send(run)

    def fail(self) -> None:
        """In a copy: send the exception that is being handled, and end it."""
        self._send(traceback.format_exc())

    def _send(self, result: Run | str) -> None:
        if self._output is None:
            return
        try:
            with os.fdopen(self._output, "wb") as output:
                pickle.dump(result, output)
        finally:
            os._exit(0)


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
        yield f"{len(world.boundary.crashed)} of {len(points)} crashes happened"


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
    """The points at which a scenario can crash (see `tests.proof.boundary`)."""
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


def _crash_everywhere(task: tuple[str, int, int]) -> tuple[Run, list[Run]]:
    assert _clients is not None
    name, every, first = task
    return play_with_crashes(SCENARIOS[name], _clients, every=every, first=first)


def _work(task: tuple[str, tuple[Point, ...]]) -> Run:
    assert _clients is not None
    name, points = task
    return play(SCENARIOS[name], _clients, points)


def run_matrix(
    names: Sequence[str],
    *,
    processes: int = 2,
    every: int = 1,
    first: int = 0,
    twice: int = 0,
    report: Callable[[Run, int], None] = lambda _run, _done: None,
) -> Matrix:
    """Run these scenarios undisturbed, and crash them everywhere.

    Parameters
    ----------
    every
        Crash at each n-th point only.
    first
        Which points these are: any ``every`` successive numbers choose all of them. In each
        scenario the first one is another.
    twice
        Crash each n-th of these runs again, at some later point; 0 for none.
    report
        Called with each run with a crash, and its number.
    """
    context = multiprocessing.get_context("spawn")
    tasks = [(name, every, (first + number) % every) for number, name in enumerate(names)]
    matrix = Matrix([], [])
    with context.Pool(processes, initializer=_enter) as pool:
        for rehearsal, runs in pool.imap(_crash_everywhere, tasks):
            matrix.rehearsals.append(rehearsal)
            for run in runs:
                matrix.runs.append(run)
                report(run, len(matrix.runs))
        if twice:
            again = [
                (run.scenario, (*run.points, *_one_of(later_points(run), number)))
                for number, run in enumerate(matrix.runs[::twice])
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
        ["scenario", "side effects", *functions, "crashes", "jobs ended", "within", "at most"],
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
    rows = [["side effect", "scenarios", "crashes", "violations"], ["---", "--:", "--:", "--:"]]
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
