"""The life of a request at the simulated fal: IN_QUEUE, IN_PROGRESS, COMPLETED.

There are no other states: a failed or cancelled request is COMPLETED too, and only its result shows
the failure. Requests start in the order of acceptance, at most ``concurrency`` at a time.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.fal.errors import Answer, request_error
from local.fal.settings import FalSettings
from local.simulator.control import SettingsHolder
from local.simulator.faults import Event, Fault, FaultBook
from local.simulator.submissions import Submission

IN_QUEUE, IN_PROGRESS, COMPLETED = "IN_QUEUE", "IN_PROGRESS", "COMPLETED"

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class FalRequest(Submission):
    """A submission with fal's members.

    ``app`` is the two-segment path of its status and result, ``options`` are the ``x-fal-`` headers
    of the submission, ``calls`` counts the later requests about it.
    """

    app: str
    run_fault: Fault | None
    webhook_fault: Fault | None
    start_timeout: float | None
    gateway_request_id: str
    options: Mapping[str, str] = field(default_factory=dict)
    logs: list[dict[str, str]] = field(default_factory=list)
    answer: Answer | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    webhook_tried: asyncio.Event = field(default_factory=asyncio.Event)
    calls: dict[str, int] = field(default_factory=dict)

    def log(self, message: str, level: str = "INFO") -> None:
        stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self.logs.append({"message": message, "level": level, "source": "USER", "timestamp": stamp})

    def suffers(self, kind: str) -> Fault | None:
        """The fault of this kind that was selected at acceptance, if any."""
        return next((f for f in (self.run_fault, self.webhook_fault) if f and f.kind == kind), None)

    def as_json(self) -> dict[str, Any]:
        # not super(): a dataclass with slots is a new class, and super() would use the old one
        return {
            **Submission.as_json(self),
            "result_status": self.answer.status if self.answer else None,
            "options": dict(self.options),
            "calls": self.calls,
        }


class Queue:
    """All requests of one simulator, and the asyncio tasks that process them."""

    def __init__(
        self,
        settings: SettingsHolder[FalSettings],
        faults: FaultBook,
        generate: Callable[[FalRequest], Awaitable[Answer]],
        deliver: Callable[[FalRequest], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._generate = generate
        self._deliver = deliver
        self._requests: dict[str, FalRequest] = {}
        self._numbers = itertools.count(1)
        self._waiting: list[FalRequest] = []
        self._running = 0
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        settings.watchers.append(self._wake)

    def accept(
        self,
        endpoint: str,
        document: Any,
        *,
        webhook_url: str | None = None,
        start_timeout: float | None = None,
        options: Mapping[str, str] | None = None,
        submit_fault: Fault | None = None,
    ) -> FalRequest:
        """Accept a submission: it is paid from now on. Every call makes a new request."""
        request_id = str(uuid.uuid4())
        request = FalRequest(
            number=next(self._numbers),
            request_id=request_id,
            endpoint=endpoint,
            input=document,
            webhook_url=webhook_url,
            state=IN_QUEUE,
            app="/".join(endpoint.split("/")[:2]),
            run_fault=None,
            webhook_fault=None,
            start_timeout=start_timeout,
            gateway_request_id=request_id,
            options=options or {},
        )
        event: Event = request.event
        request.run_fault = self._faults.take("run", event)
        request.webhook_fault = self._faults.take("webhook", event)
        struck = (submit_fault, request.run_fault, request.webhook_fault)
        request.faults.extend(fault.kind for fault in struck if fault)
        if request.suffers("webhook_gateway_retry"):
            request.gateway_request_id = str(uuid.uuid4())
        self._requests[request_id] = request
        self._waiting.append(request)
        task = asyncio.create_task(self._live(request))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return request

    def find(self, app: str, request_id: str) -> FalRequest | None:
        request = self._requests.get(request_id)
        return request if request is not None and request.app == app else None

    def position(self, request: FalRequest) -> int:
        """The 0-based queue position: our own requests, and other users', which decrease."""
        settings = self._settings.now
        age = time.time() - request.accepted_at
        left = max(0.0, 1 - age / settings.queue_seconds) if settings.queue_seconds else 0.0
        ours = self._waiting.index(request) if request in self._waiting else 0
        return ours + math.ceil(settings.queue_ahead * left)

    def cancel(self, request: FalRequest) -> None:
        """Cancel a request: at once in the queue, as soon as possible while it runs."""
        request.cancelled.set()
        self._wake()

    def submissions(self) -> list[dict[str, Any]]:
        return [request.as_json() for request in self._requests.values()]

    def clear(self) -> None:
        """Remove every request and stop those that run."""
        for task in self._tasks:
            task.cancel()
        self._requests.clear()
        self._waiting.clear()
        self._numbers = itertools.count(1)

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("the simulator itself failed", exc_info=task.exception())

    async def _live(self, request: FalRequest) -> None:
        try:
            answer = await self._wait_for_turn(request)
        finally:
            if request in self._waiting:
                self._waiting.remove(request)
            self._wake()
        if answer is None:
            self._running += 1
            try:
                answer = await self._run(request)
            finally:
                self._running -= 1
                self._wake()
        request.answer = answer
        request.billed = answer.billed
        request.completed_at = time.time()
        request.state = COMPLETED
        try:
            await self._deliver(request)
        finally:
            request.webhook_tried.set()

    async def _wait_for_turn(self, request: FalRequest) -> Answer | None:
        """Wait until the request may start: returns None then, or its error if it never starts."""
        try:
            async with asyncio.timeout(request.start_timeout):
                dwell = asyncio.create_task(asyncio.sleep(self._settings.now.queue_seconds))
                dwell.add_done_callback(lambda _: self._wake())
                while not request.cancelled.is_set():
                    free = self._settings.now.concurrency - self._running
                    if dwell.done() and request in self._waiting[: max(0, free)]:
                        return None
                    await self._moved.wait()
        except TimeoutError:
            late = request_error("request_timeout", "Request did not start in time")
            headers = {**late.headers, "X-Fal-Request-Timeout-Type": "user"}
            return Answer(504, late.body, headers, late.error, late.error_type)
        return request_error("client_cancelled", "Request was cancelled by the client")

    async def _run(self, request: FalRequest) -> Answer:
        request.state = IN_PROGRESS
        request.started_at = time.time()
        work = asyncio.ensure_future(self._generate(request))
        cancel = asyncio.create_task(request.cancelled.wait())
        heeded = () if request.suffers("cancel_ignored") else (cancel,)
        try:
            await asyncio.wait({work, *heeded}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return request_error("client_cancelled", "Request was cancelled by the client")
            if (error := work.exception()) is not None:
                # Not a planned fault: the request fails, and the console shows the traceback.
                _log.error("the simulated model itself failed", exc_info=error)
                return request_error("internal_error", "Internal error")
            return work.result()
        finally:
            work.cancel()
            cancel.cancel()
