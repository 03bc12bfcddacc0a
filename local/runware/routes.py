"""Runware over REST: one URL, one POST, an array of tasks."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.runware.dispatch import Dispatcher, Reply, read_tasks
from local.runware.errors import TaskError
from local.runware.validation import Document
from local.simulator.faults import Fault
from local.simulator.wire import CutBody, NoAnswer, ResetConnection, nginx_error

PATH = "/v1"


class Rest:
    """The route of one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
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
        return self._respond(await self._dispatcher.serve(tasks, dry_run=dry_run))

    def _authenticated(self, request: Request, tasks: list[Document]) -> list[Document]:
        """Check the key, in the header or in the first element. Returns the other elements."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if tasks and tasks[0].get("taskType") == "authentication":
            first, *tasks = tasks
            self._dispatcher.authenticate(first.get("apiKey"))
        else:
            self._dispatcher.authenticate(key if scheme == "Bearer" else None)
        return tasks

    def _refused(self, error: TaskError, about: Document) -> Response:
        reply = Reply()
        reply.refuse(error, about)
        return self._respond(reply)

    def _respond(self, reply: Reply) -> Response:
        status = reply.status(errors_in_200=self._dispatcher.errors_in_200)
        if reply.fault is not None:
            return _faulty_response(reply.fault, reply, status)
        return JSONResponse(reply.document(), status)


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
