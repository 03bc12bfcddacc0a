"""Runway's HTTP routes: three to create a task, one to read and one to delete it.

There are no webhooks, no list of tasks, and no idempotency key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.runway.faults import NOT_ACCEPTED
from local.runway.models import MODELS, TaskSpec
from local.runway.settings import RunwaySettings
from local.runway.tasks import CANCELLED, FAILED, RUNNING, SUCCEEDED, RunwayTask, Tasks
from local.runway.validation import DOCS_URL, check, refusal
from local.simulator.control import SettingsHolder
from local.simulator.faults import Event, Fault, FaultBook
from local.simulator.media import MediaStore
from local.simulator.wire import CutBody, NoAnswer, ResetConnection, nginx_error

VERSION = "2024-11-06"
"""The only current value of X-Runway-Version."""

NO_CREDITS = "You do not have enough credits to run this task."
NOT_FOUND = "Could not find Task"
DAILY_QUOTA = "You have reached the daily generation limit of this model."

Handler = Callable[[Request], Awaitable[Response]]


def wrong(status: int, error: str, **members: object) -> JSONResponse:
    return JSONResponse({"error": error, **members}, status)


class RunwayRoutes:
    """The routes over one set of tasks."""

    def __init__(
        self,
        settings: SettingsHolder[RunwaySettings],
        faults: FaultBook,
        tasks: Tasks,
        media: MediaStore,
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._tasks = tasks
        self._media = media
        self.routes = [
            *(
                Route(f"/v1/{endpoint}", self._guarded(self._creating(endpoint)), methods=["POST"])
                for endpoint in MODELS
            ),
            Route("/v1/tasks/{task_id}", self._guarded(self._retrieve), methods=["GET"]),
            Route("/v1/tasks/{task_id}", self._guarded(self._delete), methods=["DELETE"]),
            Route("/v1/organization", self._guarded(self._organization), methods=["GET"]),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        """Check key and version first. assumption: the order, the texts, and the 400."""

        async def handle(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or key != self._settings.now.key:
                return wrong(401, "The API key you provided is invalid.")
            version = request.headers.get("x-runway-version")
            if version != VERSION:
                fault = "is missing" if version is None else f"is not supported: {version}"
                return wrong(400, f"X-Runway-Version {fault}", docUrl=DOCS_URL)
            return await handler(request)

        return handle

    def _creating(self, endpoint: str) -> Handler:
        async def create(request: Request) -> Response:
            try:
                document = json.loads(
                    await request.body(), parse_float=_number, parse_constant=_no_number
                )
            except ValueError:
                return wrong(400, "Request body is not valid JSON", docUrl=DOCS_URL)
            spec = check(endpoint, document)
            if isinstance(spec, list):
                return JSONResponse(refusal(spec), 400)
            name = f"{endpoint}/{spec.model}"
            fault = self._faults.take("submit", Event(name, spec.prompt))
            if fault is not None and fault.kind in NOT_ACCEPTED:
                return _rejection(fault)
            if (limited := self._over_limits(spec)) is not None:
                return limited
            return await _acknowledge(self._tasks.accept(name, spec, document, fault), fault)

        return create

    def _over_limits(self, spec: TaskSpec) -> Response | None:
        quota = self._settings.now.daily_generations
        if quota is not None and self._tasks.generations(spec.model) >= quota:
            return _rejection(Fault("submit_daily_quota", {}))
        if self._tasks.balance() < spec.credits:
            return _rejection(Fault("submit_no_credits", {}))
        return None

    async def _retrieve(self, request: Request) -> Response:
        task = self._tasks.find(request.path_params["task_id"])
        if task is None:
            return wrong(404, NOT_FOUND)
        task.calls["retrieve"] = task.calls.get("retrieve", 0) + 1
        fault = self._faults.take("poll", task.event)
        return (
            JSONResponse(self._document(task))
            if fault is None
            else self._faulty_response(fault, task)
        )

    def _faulty_response(self, fault: Fault, task: RunwayTask) -> Response:
        match fault.kind:
            case "poll_reset":
                answer: Response = ResetConnection()
            case "poll_timeout":
                answer = NoAnswer()
            case "poll_garbled":
                answer = _garbled(self._document(task))
            case "poll_gone":
                answer = wrong(404, NOT_FOUND)
            case "poll_unknown_status":
                answer = JSONResponse({**_about(task), "status": fault.params["status"]})
            case _:
                status = int(fault.params["status"])
                ingress = 502 <= status <= 504
                answer = nginx_error(status) if ingress else wrong(status, "Try again")
        return answer

    async def _delete(self, request: Request) -> Response:
        task = self._tasks.find(request.path_params["task_id"])
        if task is None:
            return wrong(404, NOT_FOUND)
        task.calls["delete"] = task.calls.get("delete", 0) + 1
        self._tasks.delete(task)
        return Response(status_code=204)

    async def _organization(self, _: Request) -> Response:
        settings = self._settings.now
        models = sorted(frozenset().union(*MODELS.values()))
        limits = {
            "maxConcurrentGenerations": settings.concurrency,
            "maxDailyGenerations": settings.daily_generations,
        }
        return JSONResponse(
            {
                "creditBalance": self._tasks.balance(),
                "tier": {
                    "maxMonthlyCreditSpend": settings.credits,
                    "models": dict.fromkeys(models, limits),
                },
                "usage": {
                    "models": {m: {"dailyGenerations": self._tasks.generations(m)} for m in models}
                },
            }
        )

    def _document(self, task: RunwayTask) -> dict[str, Any]:
        document = _about(task)
        if task.state not in {SUCCEEDED, FAILED, CANCELLED}:
            document["estimatedCost"] = {"credits": task.spec.credits}
            if task.state == RUNNING:
                document["progress"] = task.progress
            return document
        if task.output is not None:
            document["output"] = [self._media.url_of(task.output)]
        if task.failure is not None:
            document["failure"] = task.failure.text
            if task.failure.code is not None:
                document["failureCode"] = task.failure.code
        return {**document, "cost": {"credits": task.cost}}


def _about(task: RunwayTask) -> dict[str, Any]:
    created = datetime.fromtimestamp(task.accepted_at, UTC).isoformat(timespec="milliseconds")
    return {
        "id": task.request_id,
        "status": task.state,
        "createdAt": created.replace("+00:00", "Z"),
    }


async def _acknowledge(task: RunwayTask, fault: Fault | None) -> Response:
    document: dict[str, Any] = {
        "id": task.request_id,
        "estimatedCost": {"credits": task.spec.credits},
    }
    match fault:
        case Fault("submit_reset_after"):
            return ResetConnection()
        case Fault("submit_timeout_after"):
            return NoAnswer()
        case Fault("submit_504_after"):
            return nginx_error(504)
        case Fault("submit_garbled"):
            return _garbled(document)
        case Fault("submit_slow", params):
            await asyncio.sleep(float(params["seconds"]))
        case Fault("submit_bare"):
            del document["estimatedCost"]
    return JSONResponse(document)


def _rejection(fault: Fault) -> Response:
    match fault.kind:
        case "submit_429":
            return JSONResponse({"message": "Too Many Requests"}, 429)
        case "submit_daily_quota":
            return wrong(429, DAILY_QUOTA, docUrl=DOCS_URL)  # assumption: the text
        case "submit_503":
            return wrong(503, "Service temporarily unavailable")  # assumption: the text
        case "submit_502_html":
            return nginx_error(int(fault.params["status"]))
        case "submit_no_credits":
            return wrong(400, NO_CREDITS, docUrl=DOCS_URL)
        case _:
            return ResetConnection()


def _garbled(document: dict[str, Any]) -> Response:
    body = json.dumps(document).encode()
    return CutBody(body[: len(body) // 2], len(body), {"content-type": "application/json"})


def _number(text: str) -> int | float:
    """A number as in JavaScript, where 5.0 is 5."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")
