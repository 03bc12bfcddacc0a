"""Runware's one HTTP route: a POST of an array of tasks.

Every request is an array of task objects, and every response is ``{"data": […]}``, with a member
``"errors"`` if a task failed. Errors are per task: the other tasks of the array are served.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.runware.errors import TaskError, invalid
from local.runware.faults import CUT_OFF, REFUSALS
from local.runware.responses import Item, ResponseWriter
from local.runware.settings import RunwareSettings
from local.runware.tasks import RunwareTask, Tasks, event_of
from local.runware.validation import Document, check
from local.simulator.control import SettingsHolder
from local.simulator.faults import Fault, FaultBook
from local.simulator.wire import CutBody, NoAnswer, ResetConnection, nginx_error

PATH = "/v1"
INFERENCES = frozenset({"videoInference", "imageInference"})
POLL_CUT = frozenset({"poll_502_html", "poll_reset", "poll_timeout"})
"""Poll faults that affect the whole response."""

_REFUSAL_CODES: Mapping[str, str] = {
    "submit_401": "invalidApiKey",
    "submit_402": "insufficientCredits",
    "submit_429": "rateLimitExceeded",
    "submit_503": "noAvailableServer",
    "submit_504": "timeoutProvider",
}


@dataclass(slots=True)
class Reply:
    """The content of a response, and the fault that affects the whole response, if any.

    ``statuses`` are the HTTP statuses of the errors, in the same order.
    """

    data: list[Item] = field(default_factory=list)
    errors: list[Item] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    fault: Fault | None = None

    def refuse(self, error: TaskError, task: Document) -> None:
        self.errors.append(error.as_json(task.get("taskType"), task.get("taskUUID")))
        self.statuses.append(error.status)

    def document(self) -> dict[str, Any]:
        return {"data": self.data, "errors": self.errors} if self.errors else {"data": self.data}

    def status(self, *, errors_in_200: bool) -> int:
        """assumption: a response with any data is a 200."""
        if self.data or not self.errors or errors_in_200:
            return 200
        return self.statuses[0]


def read_tasks(document: object) -> list[Document]:
    """The tasks of a request. Raises `TaskError` if it is not an array of objects."""
    if not isinstance(document, list) or not all(isinstance(task, dict) for task in document):
        # assumption: the code and the text
        raise TaskError("invalidRequestBody", "The request body must be an array of task objects")
    return document


class RunwareRoutes:
    """The route over one set of tasks."""

    def __init__(
        self,
        settings: SettingsHolder[RunwareSettings],
        faults: FaultBook,
        tasks: Tasks,
        writer: ResponseWriter,
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._tasks = tasks
        self._writer = writer
        self.routes = [Route(PATH, self._post, methods=["POST"])]

    async def _post(self, request: Request) -> Response:
        try:
            tasks = read_tasks(json.loads(await request.body()))
            tasks = self._authenticated(request, tasks)
        except TaskError as error:
            about = {"taskType": "authentication"} if error.status == 401 else {}
            return self._refused(error, about)
        except ValueError:
            # assumption: the code and the text
            return self._refused(TaskError("invalidJSON", "The request body is not valid JSON"), {})
        dry_run = request.headers.get("x-runware-dry-run") == "1"
        return self._respond(await self._serve(tasks, dry_run=dry_run))

    def _authenticated(self, request: Request, tasks: list[Document]) -> list[Document]:
        """Check the key, in the header or in the first element. Returns the other elements."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        key = bearer if scheme == "Bearer" else None
        if tasks and tasks[0].get("taskType") == "authentication":
            first, *tasks = tasks
            key = first.get("apiKey")
        if key != self._settings.now.key:
            raise TaskError("invalidApiKey", parameter="apiKey")
        return tasks

    def _refused(self, error: TaskError, about: Document) -> Response:
        reply = Reply()
        reply.refuse(error, about)
        return self._respond(reply)

    def _respond(self, reply: Reply) -> Response:
        status = reply.status(errors_in_200=self._settings.now.errors_in_200)
        if reply.fault is not None:
            return _faulty_response(reply.fault, reply, status)
        return JSONResponse(reply.document(), status)

    async def _serve(self, tasks: Sequence[Document], *, dry_run: bool) -> Reply:
        """Serve ``tasks``. Returns after the slowest synchronous one has ended."""
        drawn = [
            self._faults.take("submit", event_of(task))
            if task.get("taskType") in INFERENCES and not dry_run
            else None
            for task in tasks
        ]
        for fault in drawn:
            if fault is not None and fault.kind in CUT_OFF:
                return Reply(fault=fault)
        reply = Reply()
        waiting: list[RunwareTask] = []
        for task, fault in zip(tasks, drawn, strict=True):
            try:
                self._dispatch(task, fault, reply, waiting, dry_run=dry_run)
            except TaskError as error:
                reply.refuse(error, task)
            if fault is not None and fault.kind not in REFUSALS:
                reply.fault = fault
        await self._finish(waiting, reply)
        if reply.fault is not None and reply.fault.kind == "submit_slow":
            await asyncio.sleep(float(reply.fault.params["seconds"]))
        return reply

    def _dispatch(
        self,
        task: Document,
        fault: Fault | None,
        reply: Reply,
        waiting: list[RunwareTask],
        *,
        dry_run: bool,
    ) -> None:
        match task.get("taskType"):
            case "getResponse":
                self._get_response(task, reply)
            case "getTaskDetails":
                reply.data.append(self._details(task))
            case "videoInference" | "imageInference":
                self._infer(task, fault, reply, waiting, dry_run=dry_run)
            case _:
                raise invalid("taskType")

    def _infer(
        self,
        task: Document,
        fault: Fault | None,
        reply: Reply,
        waiting: list[RunwareTask],
        *,
        dry_run: bool,
    ) -> None:
        if fault is not None and fault.kind in REFUSALS:
            raise _refusal(fault)
        spec = check(task)
        if dry_run:
            # assumption: the form of the response; it is documented that nothing is charged
            cost = round(spec.usd * spec.results, 4)
            reply.data.append({"taskType": spec.kind, "taskUUID": task["taskUUID"], "cost": cost})
            return
        if self._settings.now.out_of_credits:
            raise TaskError("insufficientCredits")
        accepted = self._tasks.accept(task, spec, fault)
        if spec.sync or accepted.suffers("webhook_early"):
            waiting.append(accepted)
        if not spec.sync:
            reply.data.append(self._writer.acknowledgement(accepted))

    async def _finish(self, waiting: Sequence[RunwareTask], reply: Reply) -> None:
        """Wait for the tasks that the response must contain after their end."""
        for task in waiting:
            if task.suffers("webhook_early"):
                await task.webhook_tried.wait()
            await task.ended.wait()
            if not task.spec.sync:
                continue
            if task.error is None:
                reply.data.extend(self._writer.items(task))
            else:
                reply.errors.append(self._writer.failure(task))
                reply.statuses.append(task.error.status)

    def _get_response(self, question: Document, reply: Reply) -> None:
        """getResponse: the items and errors of a task so far; nothing for an unknown task."""
        task = self._tasks.find(question.get("taskUUID"))
        if task is None:
            return
        task.count("getResponse")
        fault = self._faults.take("poll", task.event)
        kind = fault.kind if fault else None
        if kind == "poll_gone":
            return
        if fault is not None and kind in POLL_CUT:
            reply.fault = fault
            return
        if fault is not None and kind == "poll_error":
            code, status = fault.params["code"], int(fault.params["status"])
            raise TaskError(code, status=status)
        if fault is not None and kind == "poll_unknown_status":
            item = self._writer.acknowledgement(task)
            reply.data.append({**item, "status": fault.params["status"]})
            return
        reply.fault = fault or reply.fault
        settings = self._settings.now
        reply.data.extend(self._writer.items(task, status=settings.success_status))
        if task.error is not None and settings.failures_as == "item":
            reply.data.append(self._writer.failed_item(task))
        elif task.error is not None:
            reply.errors.append(self._writer.failure(task))
            reply.statuses.append(200)  # the getResponse itself has succeeded
        elif not task.ended.is_set():
            reply.data.append(self._writer.processing(task))

    def _details(self, question: Document) -> Item:
        """getTaskDetails: the archived request and response of a finished task."""
        task = self._tasks.find(question.get("taskUUID"))
        if task is None or not task.ended.is_set():
            raise TaskError("taskNotFound", "The task was not found", status=404)
        task.count("getTaskDetails")
        response: Item = {"data": self._writer.items(task)}
        if task.error is not None:
            response = {"errors": [self._writer.failure(task)]}
        return {
            "taskType": "getTaskDetails",
            "taskUUID": task.request_id,
            "request": [task.input],
            "response": response,
        }


def _refusal(fault: Fault) -> TaskError:
    if fault.kind == "submit_error":
        return TaskError(fault.params["code"], status=int(fault.params["status"]))
    return TaskError(_REFUSAL_CODES[fault.kind])


def _faulty_response(fault: Fault, reply: Reply, status: int) -> Response:
    """The response with its fault."""
    match fault.kind:
        case "submit_reset_before" | "submit_reset_after" | "poll_reset":
            return ResetConnection()
        case "submit_timeout_after" | "poll_timeout":
            return NoAnswer()
        case "submit_502_html" | "poll_502_html":
            return nginx_error(int(fault.params["status"]))
        case "submit_504_after":
            return nginx_error(504)
        case "submit_garbled" | "poll_garbled":
            body = json.dumps(reply.document()).encode()
            return CutBody(body[: len(body) // 2], len(body), {"content-type": "application/json"})
        case _:
            return JSONResponse(reply.document(), status)
