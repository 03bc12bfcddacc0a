"""The life of a task at the simulated Runware: processing, then its results or its error.

The client chooses the taskUUID. While a task is known, another task with its UUID is rejected, so a
task that is sent again is neither made nor paid twice. There is no visible queue and no cancel.
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

from local.runware.errors import TaskError
from local.runware.settings import RunwareSettings
from local.runware.validation import Document, TaskSpec
from local.simulator.control import SettingsHolder
from local.simulator.faults import Event, Fault, FaultBook
from local.simulator.media import MediaFile
from local.simulator.submissions import Submission

PROCESSING, SUCCESS, ERROR = "processing", "success", "error"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Result:
    """One video or image of a task. ``file`` is None if no URL was requested.

    ``gone`` is the URL of an expired file; no new URL is made for it.
    """

    body: bytes
    content_type: str
    seed: int
    file: MediaFile | None = None
    gone: str | None = None
    result_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True, kw_only=True)
class RunwareTask(Submission):
    """A submission with Runware's members; ``request_id`` is the taskUUID, ``endpoint`` the AIR id.

    ``calls`` counts the later requests: getResponse, getTaskDetails, and conflict (the same task
    sent again).
    """

    spec: TaskSpec
    run_fault: Fault | None = None
    webhook_fault: Fault | None = None
    results: list[Result] = field(default_factory=list)
    error: TaskError | None = None
    progress: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    webhook_tried: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def event(self) -> Event:
        return event_of(self.input)

    def suffers(self, kind: str) -> Fault | None:
        """The fault of this kind that was selected at acceptance, if any."""
        return next((f for f in (self.run_fault, self.webhook_fault) if f and f.kind == kind), None)

    def count(self, call: str) -> None:
        self.calls[call] = self.calls.get(call, 0) + 1

    def as_json(self) -> dict[str, Any]:
        # not super(): a dataclass with slots is a new class, and super() would use the old one
        return {
            **Submission.as_json(self),
            "error": self.error.code if self.error else None,
            "cost": round(self.spec.usd * len(self.results), 4) if self.billed else 0,
            "calls": self.calls,
        }


def event_of(task: Document) -> Event:
    """The event of a task for fault rules. The task may be invalid."""
    model, prompt = task.get("model"), task.get("positivePrompt")
    return Event(model if isinstance(model, str) else "", prompt if isinstance(prompt, str) else "")


class Tasks:
    """All tasks of one simulator, and the asyncio tasks that process them."""

    def __init__(
        self,
        settings: SettingsHolder[RunwareSettings],
        faults: FaultBook,
        generate: Callable[[RunwareTask], Awaitable[None]],
        deliver: Callable[[RunwareTask], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._generate = generate
        self._deliver = deliver
        self._log: list[RunwareTask] = []
        self._known: dict[str, RunwareTask] = {}
        self._numbers = itertools.count(1)
        self._running: set[asyncio.Task[None]] = set()

    def accept(self, document: Document, spec: TaskSpec, submit_fault: Fault | None) -> RunwareTask:
        """Accept a task: it is paid from now on.

        Raises `TaskError` if its UUID is in use or the queue is at capacity.
        """
        task_uuid = str(document["taskUUID"])
        if (earlier := self._find(task_uuid)) is not None:
            earlier.count("conflict")
            raise TaskError("conflictTaskUUID", parameter="taskUUID")
        if sum(not task.ended.is_set() for task in self._log) >= self._settings.now.capacity:
            raise TaskError("rateLimitExceeded")
        task = RunwareTask(
            number=next(self._numbers),
            request_id=task_uuid,
            endpoint=spec.model.air,
            input=dict(document),
            webhook_url=document.get("webhookURL"),
            state=PROCESSING,
            spec=spec,
        )
        task.run_fault = self._faults.take("run", task.event)
        task.webhook_fault = self._faults.take("webhook", task.event)
        struck = (submit_fault, task.run_fault, task.webhook_fault)
        task.faults.extend(fault.kind for fault in struck if fault)
        self._log.append(task)
        self._known[task_uuid.lower()] = task
        living = asyncio.create_task(self._live(task))
        self._running.add(living)
        living.add_done_callback(self._over)
        return task

    def find(self, task_uuid: object) -> RunwareTask | None:
        """The task as getResponse finds it: None if it is unknown or has the fault forgotten."""
        task = self._find(task_uuid)
        return None if task is None or task.suffers("forgotten") else task

    def submissions(self) -> list[dict[str, Any]]:
        return [task.as_json() for task in self._log]

    def clear(self) -> None:
        """Remove every task and stop those that run."""
        for living in self._running:
            living.cancel()
        self._log.clear()
        self._known.clear()
        self._numbers = itertools.count(1)

    def _find(self, task_uuid: object) -> RunwareTask | None:
        task = self._known.get(task_uuid.lower()) if isinstance(task_uuid, str) else None
        if task is None or task.completed_at is None:
            return task
        fresh = time.time() - task.completed_at < self._settings.now.known_seconds
        return task if fresh else None

    def _over(self, living: asyncio.Task[None]) -> None:
        self._running.discard(living)
        if not living.cancelled() and living.exception() is not None:
            _log.error("the simulator itself failed", exc_info=living.exception())

    async def _live(self, task: RunwareTask) -> None:
        task.started_at = time.time()
        try:
            await self._generate(task)
        except TaskError as error:
            task.error = error
        except Exception as error:
            # Not a planned fault: the task fails, and the console shows the traceback.
            _log.exception("the simulated model itself failed")
            task.error = TaskError("inferenceError")
            raise error from None
        finally:
            task.state = ERROR if task.error else SUCCESS
            task.billed = task.error is None
            task.completed_at = time.time()
            task.ended.set()
        try:
            await self._deliver(task)
        finally:
            task.webhook_tried.set()
