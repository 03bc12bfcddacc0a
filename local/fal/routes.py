"""fal's HTTP routes: submit, status, status stream, result, cancel, and the JWKS.

A submission goes to the full endpoint id. All later requests about it use only the first two
segments of that id; below the full id they return 405, because only POST exists there.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.fal.faults import NOT_ACCEPTED
from local.fal.models import APPS
from local.fal.settings import FalSettings
from local.fal.tasks import COMPLETED, IN_PROGRESS, IN_QUEUE, FalRequest, Queue
from local.simulator.control import SettingsHolder
from local.simulator.faults import Event, Fault, FaultBook
from local.simulator.wire import CutBody, NoAnswer, ResetConnection, nginx_error

LOCKED = (
    "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
)
Handler = Callable[[Request, FalRequest], Awaitable[Response]]


def refusal(status: int, detail: str, **members: str) -> JSONResponse:
    return JSONResponse({"detail": detail, **members}, status)


class FalRoutes:
    """The routes over one queue."""

    def __init__(
        self,
        base_url: str,
        settings: SettingsHolder[FalSettings],
        faults: FaultBook,
        queue: Queue,
        jwks: dict[str, Any],
    ) -> None:
        self._base_url = base_url
        self._settings = settings
        self._faults = faults
        self._queue = queue
        self._jwks = jwks
        request = "/{owner}/{alias}/requests/{request_id}"
        self.routes = [
            Route("/.well-known/jwks.json", self._publish_keys, methods=["GET"]),
            Route(request, self._of(self._result, "result"), methods=["GET"]),
            # the newer form of response_url
            Route(f"{request}/response", self._of(self._result, "result"), methods=["GET"]),
            Route(f"{request}/status", self._of(self._status, "status"), methods=["GET"]),
            Route(f"{request}/status/stream", self._of(self._stream, "stream"), methods=["GET"]),
            Route(f"{request}/cancel", self._of(self._cancel, "cancel"), methods=["PUT"]),
            Route("/{endpoint:path}", self._submit, methods=["POST"]),
        ]

    async def _publish_keys(self, _: Request) -> Response:
        return JSONResponse(self._jwks, headers={"cache-control": "max-age=86400"})

    def _unauthorized(self, request: Request) -> Response | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        # assumption: a missing header gets the same response as a malformed one
        if scheme != "Key" or ":" not in key:
            return refusal(
                401,
                "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'.",
            )
        if key != self._settings.now.key:
            return refusal(401, "No user found for Key ID and Secret")
        return None

    async def _submit(self, request: Request) -> Response:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        endpoint = request.path_params["endpoint"]
        if self._settings.now.locked:  # assumption: requests about old submissions still work
            return refusal(403, LOCKED)
        if "/".join(endpoint.split("/")[:2]) not in APPS:
            # assumption: the text; only the runner detects an unknown path below a known app
            return refusal(404, f"Application '{endpoint}' not found")
        try:
            document = json.loads(await request.body())
        except ValueError:
            # assumption: a body that is not JSON is rejected before the queue
            return refusal(400, "Request body is not valid JSON", error_type="bad_request")
        prompt = document.get("prompt") if isinstance(document, dict) else None
        event = Event(endpoint, prompt if isinstance(prompt, str) else "")
        fault = self._faults.take("submit", event)
        if fault is not None and fault.kind in NOT_ACCEPTED:
            return _rejection(fault)
        accepted = self._queue.accept(
            endpoint,
            document,
            webhook_url=request.query_params.get("fal_webhook"),
            start_timeout=_seconds(request.headers.get("x-fal-request-timeout")),
            options={n: v for n, v in request.headers.items() if n.startswith("x-fal-")},
            submit_fault=fault,
        )
        return await self._acknowledge(accepted, fault)

    async def _acknowledge(self, accepted: FalRequest, fault: Fault | None) -> Response:
        kind = fault.kind if fault else None
        document = {
            "status": IN_QUEUE,
            **self._links(accepted),
            "queue_position": self._queue.position(accepted),
        }
        if kind == "submit_reset_after":
            return ResetConnection()
        if kind == "submit_timeout_after":
            return NoAnswer()
        if kind == "submit_garbled":
            body = json.dumps(document).encode()
            return CutBody(body[: len(body) // 2], len(body), {"content-type": "application/json"})
        if fault is not None and kind == "submit_slow":
            await asyncio.sleep(float(fault.params["seconds"]))
        if kind == "submit_in_progress":
            document["status"] = IN_PROGRESS
            del document["queue_position"]
        if accepted.suffers("webhook_early"):
            await accepted.webhook_tried.wait()
        return JSONResponse(document, headers={"x-fal-request-id": accepted.request_id})

    def _of(self, handler: Handler, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The common part of status, result and cancel: the key, the request, the poll faults."""

        async def handle(request: Request) -> Response:
            if (refused := self._unauthorized(request)) is not None:
                return refused
            path = request.path_params
            found = self._queue.find(f"{path['owner']}/{path['alias']}", path["request_id"])
            if found is None:
                if name == "cancel":
                    return JSONResponse({"status": "NOT_FOUND"}, 404)
                return refusal(404, "Request not found")  # assumption: the text
            found.calls[name] = found.calls.get(name, 0) + 1
            if name != "cancel" and (fault := self._faults.take("poll", found.event)):
                if fault.kind != "poll_unknown_status":
                    return _faulty_response(fault)
                if name == "status":
                    document = self._document(found, with_logs=False)
                    return JSONResponse({**document, "status": fault.params["status"]}, 202)
            return await handler(request, found)

        return handle

    async def _status(self, request: Request, found: FalRequest) -> Response:
        document = self._document(found, with_logs=_truth(request.query_params.get("logs")))
        return JSONResponse(document, 200 if document["status"] == COMPLETED else 202)

    async def _stream(self, request: Request, found: FalRequest) -> Response:
        with_logs = _truth(request.query_params.get("logs"))

        async def events() -> AsyncIterator[str]:
            last: dict[str, Any] | None = None
            while last is None or last["status"] != COMPLETED:
                document = self._document(found, with_logs=with_logs)
                if document != last:
                    yield f"data: {json.dumps(document)}\n\n"
                last = document
                await asyncio.sleep(0.05)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _result(self, _: Request, found: FalRequest) -> Response:
        if found.answer is None:
            return refusal(400, "Request is still in progress")
        return JSONResponse(
            found.answer.body(),
            found.answer.status,
            headers={"x-fal-request-id": found.request_id, **found.answer.headers},
        )

    async def _cancel(self, _: Request, found: FalRequest) -> Response:
        if found.state == COMPLETED:
            return refusal(400, f"Request {found.request_id} is already completed.")
        queued = found.state == IN_QUEUE
        self._queue.cancel(found)
        if queued:
            return JSONResponse({"status": "OK"})
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    def _links(self, found: FalRequest) -> dict[str, Any]:
        base = f"{self._base_url}/{found.app}/requests/{found.request_id}"
        return {
            "request_id": found.request_id,
            "response_url": base,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }

    def _document(self, found: FalRequest, *, with_logs: bool) -> dict[str, Any]:
        document: dict[str, Any] = {"status": found.state, **self._links(found)}
        if found.state == IN_QUEUE:
            return {**document, "queue_position": self._queue.position(found)}
        document["logs"] = list(found.logs) if with_logs else None
        if found.state == COMPLETED and found.answer is not None:
            begun = found.started_at or found.completed_at or 0.0
            document["metrics"] = {"inference_time": round((found.completed_at or 0.0) - begun, 3)}
            if found.answer.error is not None:
                document["error"] = found.answer.error
                document["error_type"] = found.answer.error_type
        return document


def _rejection(fault: Fault) -> Response:
    match fault.kind:
        case "submit_429":
            headers = {"X-Fal-Needs-Retry": "1"}
            body = {"detail": "Too many requests", "error_type": "concurrent_requests_limit"}
            return JSONResponse(body, 429, headers)
        case "submit_503":
            return refusal(503, "No runner available", error_type="runner_scheduling_failure")
        case "submit_502_html":
            return nginx_error(int(fault.params["status"]))
        case "submit_locked":
            return refusal(403, LOCKED)
        case _:
            return ResetConnection()


def _faulty_response(fault: Fault) -> Response:
    match fault.kind:
        case "poll_reset":
            return ResetConnection()
        case "poll_timeout":
            return NoAnswer()
        case "poll_gone":
            return refusal(404, "Request not found")
        case _:
            status = int(fault.params["status"])
            return nginx_error(status) if 502 <= status <= 504 else refusal(status, "Try again")


def _truth(value: str | None) -> bool:
    return (value or "").lower() in {"1", "true", "yes"}


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and math.isfinite(seconds) and seconds > 0 else None
