"""The life of a task at the simulated Runway: THROTTLED, PENDING, RUNNING, and one of three ends.

Tasks of one model start in the order of acceptance. A task counts towards its model's concurrency
while it is PENDING or RUNNING. Tasks above the limit are accepted too, and wait as THROTTLED.
Nothing is deduplicated: the same body sent twice is two tasks, and both are charged.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from local.runway.errors import Failure
from local.runway.generation import Output
from local.runway.models import TaskSpec
from local.runway.prices import charged
from local.runway.settings import RunwaySettings
from local.simulator.control import SettingsHolder
from local.simulator.faults import Event, Fault, FaultBook
from local.simulator.media import MediaFile, MediaStore
from local.simulator.submissions import Submission

THROTTLED, PENDING, RUNNING = "THROTTLED", "PENDING", "RUNNING"
SUCCEEDED, FAILED, CANCELLED = "SUCCEEDED", "FAILED", "CANCELLED"
DAY = 24 * 3600

Generate = Callable[[TaskSpec, Fault | None, float], Awaitable[Output | Failure]]

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RunwayTask(Submission):
    """A submission with Runway's members.

    ``cost`` is in credits, and None until the task has ended. A ``deleted`` task is not found any
    more. ``calls`` counts the later requests about the task.
    """

    spec: TaskSpec
    fault: Fault | None = None
    held: bool = False
    expected_seconds: float = 0.0
    failure: Failure | None = None
    output: MediaFile | None = None
    cost: int | None = None
    deleted: bool = False
    work: asyncio.Task[None] | None = None
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def event(self) -> Event:
        """The event that fault rules are matched against."""
        return Event(self.endpoint, self.spec.prompt)

    @property
    def progress(self) -> float:
        """From 0 to just below 1 while RUNNING."""
        elapsed = time.time() - (self.started_at or time.time())
        return round(min(0.99, elapsed / max(self.expected_seconds, 0.01)), 4)

    def suffers(self, kind: str) -> Fault | None:
        """The fault of this kind that was selected at acceptance, if any."""
        return self.fault if self.fault is not None and self.fault.kind == kind else None

    def as_json(self) -> dict[str, Any]:
        # not super(): a dataclass with slots is a new class, and super() would use the old one
        return {
            **Submission.as_json(self),
            "failure_code": self.failure.code if self.failure else None,
            "estimated_credits": self.spec.credits,
            "credits": self.cost,
            "deleted": self.deleted,
            "calls": self.calls,
        }


class Tasks:
    """All tasks of one simulator, and the asyncio tasks that process them."""

    def __init__(
        self,
        settings: SettingsHolder[RunwaySettings],
        faults: FaultBook,
        media: MediaStore,
        generate: Generate,
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._media = media
        self._generate = generate
        self._tasks: dict[str, RunwayTask] = {}
        self._numbers = itertools.count(1)
        self._running: set[asyncio.Task[None]] = set()
        settings.watchers.append(self._promote)

    def accept(
        self, endpoint: str, spec: TaskSpec, document: Any, submit_fault: Fault | None
    ) -> RunwayTask:
        """Create a task: it is paid from now on. Every call makes a new task."""
        task = RunwayTask(
            number=next(self._numbers),
            request_id=str(uuid.uuid4()),
            endpoint=endpoint,
            input=document,
            webhook_url=None,
            state=THROTTLED,
            spec=spec,
        )
        task.fault = self._faults.take("run", task.event)
        task.faults.extend(fault.kind for fault in (submit_fault, task.fault) if fault)
        self._tasks[task.request_id] = task
        if held := task.suffers("throttled"):
            task.held = True
            self._spawn(self._release(task, float(held.params["seconds"])))
        self._promote()
        return task

    def find(self, task_id: str) -> RunwayTask | None:
        task = self._tasks.get(task_id)
        return None if task is None or task.deleted else task

    def delete(self, task: RunwayTask) -> None:
        """Delete a task. If it has not ended, cancel it.

        A task is free only if it had not begun. With the fault ``cancel_ignored`` it is not shown
        any more, but continues and is charged.
        """
        task.deleted = True
        if task.state in {THROTTLED, PENDING, RUNNING} and not task.suffers("cancel_ignored"):
            self._end(task, CANCELLED, task.spec.credits if task.state == RUNNING else 0)
            if task.work is not None:
                task.work.cancel()
            self._promote()

    def balance(self) -> int:
        """The credits that are left if every unfinished task costs its maximum."""
        spent = sum(t.spec.credits if t.cost is None else t.cost for t in self._tasks.values())
        return self._settings.now.credits - spent

    def generations(self, model: str) -> int:
        """Tasks of ``model`` that were created in the last 24 hours."""
        since = time.time() - DAY
        return sum(t.spec.model == model and t.accepted_at > since for t in self._tasks.values())

    def submissions(self) -> list[dict[str, Any]]:
        return [task.as_json() for task in self._tasks.values()]

    def clear(self) -> None:
        """Remove every task and stop those that run."""
        self._tasks.clear()
        for work in self._running:
            work.cancel()
        self._numbers = itertools.count(1)

    def _promote(self) -> None:
        """Start the first waiting tasks of each model, up to its concurrency."""
        active: dict[str, int] = {}
        for task in self._tasks.values():
            active.setdefault(task.spec.model, 0)
            active[task.spec.model] += task.state in {PENDING, RUNNING}
        for task in self._tasks.values():
            free = active[task.spec.model] < self._settings.now.concurrency
            if task.state == THROTTLED and not task.held and free:
                active[task.spec.model] += 1
                task.state = PENDING
                task.work = self._spawn(self._live(task))

    async def _release(self, task: RunwayTask, seconds: float) -> None:
        await asyncio.sleep(seconds)
        task.held = False
        self._promote()

    async def _live(self, task: RunwayTask) -> None:
        settings = self._settings.now
        await asyncio.sleep(settings.pending_seconds)
        task.state = RUNNING
        task.started_at = time.time()
        task.expected_seconds = settings.generation_seconds
        if slow := task.suffers("slow_generation"):
            task.expected_seconds += float(slow.params["seconds"])
        try:
            ended = await self._generate(task.spec, task.fault, task.expected_seconds)
        except Exception:  # noqa: BLE001
            # Not a planned fault: the task fails, and the console shows the traceback.
            _log.exception("the simulated model itself failed")
            ended = Failure("INTERNAL")
        if task.suffers("cancelled_elsewhere"):
            self._end(task, CANCELLED, 0)
        elif isinstance(ended, Failure):
            task.failure = ended
            self._end(task, FAILED, charged(task.spec.credits, ended.code))
        else:
            name = f"{uuid.uuid4()}.{ended.extension}"
            task.output = self._media.put(name, ended.body, task.event, ended.content_type)
            self._end(task, SUCCEEDED, task.spec.credits)
        self._promote()

    def _end(self, task: RunwayTask, state: str, cost: int) -> None:
        task.state = state
        task.cost = cost
        task.billed = cost > 0
        task.completed_at = time.time()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        spawned: asyncio.Task[None] = asyncio.create_task(work)
        self._running.add(spawned)
        spawned.add_done_callback(self._running.discard)
        return spawned
