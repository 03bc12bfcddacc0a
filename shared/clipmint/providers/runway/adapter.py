"""Runway as a `Provider`.

A submission is sent once. The result depends on what the response proves:

===========================================  ===================================================
no byte sent · 429 · 503                     `Busy`: not accepted; the state machine retries
400 for lack of credits, 401, 402, 403       `Rejected`: the owner's funds or key
other 4xx                                    `Rejected`: by what is wrong with the body
2xx with a task id                           `Accepted`
anything else: the response is lost, cut     `Unanswered`: maybe accepted and paid for
short or unreadable; 3xx; 408, 499; other
5xx; 2xx without a task id
===========================================  ===================================================

Runway has no idempotency key, no webhook, and no way to list tasks. A task whose id we never
received can neither be found nor requested again, so `after_unanswered` is ``"fail"``. (Runway's
documentation calls 502 and 504 load shedding that may be retried. But a gateway sends the same
status when a backend accepts the task and then crashes, and the owner would pay for both tasks.)

Runway accepts tasks beyond the organisation's concurrency too; they wait as THROTTLED. A 429
therefore means that a day's quota is used up, or comes from the gateway (docs).

Runway asks clients not to poll a task more than once in five seconds. The catalog sets how often we
poll.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from clipmint.catalog.costs import PROVIDER_CREDIT, Cost, reported
from clipmint.catalog.templates import Body
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running, Succeeded
from clipmint.providers.base import (
    Accepted,
    AccountRefused,
    Busy,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Task,
    Unanswered,
    UnfitTask,
)
from clipmint.providers.runway import failures
from clipmint.providers.runway.settings import API_VERSION, CREDIT_USD_MICROS, RunwaySettings
from clipmint.providers.transport import SUBMISSION, Patience, Response, Transport, excerpt
from clipmint.providers.urls import usable_media_url

if TYPE_CHECKING:
    import httpx

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # UUIDs; strict, because they go into paths
_WAITING = frozenset({"PENDING", "THROTTLED"})
_GONE = HTTPStatus.NOT_FOUND


class Runway:
    """Runway's API. Holds its HTTP client, and no state of any job.

    Parameters
    ----------
    settings
        Key and address.
    transport
        Replaces the network (httpx's own seam), for tests.
    patience
        How long a submission waits for its response.
    """

    name = "runway"
    after_unanswered: Literal["wait", "resubmit", "fail"] = "fail"

    def __init__(
        self,
        settings: RunwaySettings,
        transport: httpx.BaseTransport | None = None,
        patience: Patience = SUBMISSION,
    ) -> None:
        self._settings = settings
        self._transport = Transport(transport)
        self._patience = patience
        self.media_hosts = settings.media_hosts

    def request(self, task: Task) -> tuple[str, Body]:
        """The path to post to, such as ``/v1/image_to_video``, and the body.

        An endpoint is a path and a model, such as ``image_to_video/gen4_turbo``. Runway rejects a
        body with a field that it does not know (docs).
        """
        endpoint, body = task.request()
        path, slash, model = endpoint.partition("/")
        if not slash:
            raise UnfitTask(FailureCode.INTERNAL, f"{endpoint}: not a path and a model")
        return f"/v1/{path}", {"model": model, **body}

    def submit(self, task: Task) -> Submitted:
        """Post the task once. The table in the module's docstring gives the results.

        Runway takes neither a webhook nor a latest start; the task's values are not sent.
        """
        if not self._settings.key:
            return Rejected(Failed(FailureCode.OWNER_ACCOUNT, "no usable Runway key is configured"))
        try:
            path, body = self.request(task)
        except UnfitTask as unfit:
            return Rejected(unfit.failure)
        response = self._transport.submit(
            self._settings.url + path,
            patience=self._patience,
            headers={"Content-Type": "application/json", **self._headers()},
            content=json.dumps(body).encode("ascii"),
        )
        return self._submitted(response) if isinstance(response, Response) else response

    def _submitted(self, response: Response) -> Submitted:
        status, body = response.status, response.json_object()
        if response.is_success:
            task_id = (body or {}).get("id")
            if isinstance(task_id, str) and _TASK_ID.fullmatch(task_id):
                return Accepted(Handle(task_id))
            return Unanswered(f"HTTP {status} without a task id")
        message = self._message(response)
        if response.is_busy:
            return Busy(f"HTTP {status}: {message}")
        if response.is_inconclusive:
            return Unanswered(f"HTTP {status}: {message}")
        return Rejected(failures.of_refusal(status, body, message))

    def poll(self, handle: Handle) -> Outcome:
        """Read the task. A success has a newly signed URL; each is valid for a day or two (docs).
        An ended task states its cost, also a failed one: a refused input is billed (docs).

        Every status except three is `Running`, also a new one of Runway's: the job's deadline ends
        it. An error response to the poll is no outcome, not even 404. Runway responds 404 for a
        deleted task, but also for a task of another organisation: if the secret held the wrong
        organisation's key for a minute, every running video would be refunded and lost. A task that
        we deleted is recorded as cancelled, at the latest when the user cancels again.

        Raises
        ------
        ProviderUnavailable
            No usable response; retry later.
        """
        response = self._ask("GET", handle)
        task = self._task(response)
        match task["status"]:
            case "SUCCEEDED":
                return _output(task.get("output"), _cost(task))
            case "FAILED":
                failed = failures.of_task(task.get("failureCode"), task.get("failure"))
                return replace(failed, cost=_cost(task))
            case "CANCELLED":
                return Failed(FailureCode.CANCELLED, "CANCELLED", cost=_cost(task))
            case _:
                return Running()

    def cancel(self, handle: Handle) -> bool:
        """Delete the task, if it has not started.

        We do not delete a running task: Runway would not refund it, might still run it, and its
        video could never be fetched (docs). We do not delete a finished task either: its video
        would be deleted too.

        A task may start between our GET and the DELETE, and Runway does not report that. We still
        return True: the video cannot be fetched any more. The owner may have paid for it.

        If Runway does not know the task (404), an earlier call of ours deleted it and the response
        was lost, or its video is out of reach for another reason. In both cases there is nothing to
        wait for, and a user who cancels gets the credits back.

        Raises
        ------
        ProviderUnavailable
            No usable response; the state of the task is unknown.
        """
        current = self._ask("GET", handle)
        if current.status == _GONE:
            return True
        status = self._task(current)["status"]
        if status not in _WAITING:
            return status == "CANCELLED"
        response = self._ask("DELETE", handle)
        if response.is_success or response.status == _GONE:
            return True
        raise self._unusable(response)

    def _task(self, response: Response) -> dict[str, object]:
        task = response.json_object()
        if response.status == HTTPStatus.OK and task and isinstance(task.get("status"), str):
            return task
        raise self._unusable(response)

    def _ask(self, method: str, handle: Handle) -> Response:
        # Checked again: the handle comes from storage, and the request carries our key.
        if not self._settings.key or not _TASK_ID.fullmatch(handle.request_id):
            raise ProviderUnavailable("not a task id of Runway's, or no key is configured")
        url = f"{self._settings.url}/v1/tasks/{handle.request_id}"
        return self._transport.ask(method, url, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._settings.key}",
            "X-Runway-Version": API_VERSION,
        }

    def _message(self, response: Response) -> str:
        """Runway's message for a log line. Runway does not document its message about a bad key; if
        it quotes the key, we remove it."""
        message = failures.message(response.json_object())
        return excerpt(message.replace(self._settings.key, "[key]"))

    def _unusable(self, response: Response) -> ProviderUnavailable:
        message = self._message(response)
        unusable = AccountRefused if response.is_account_error else ProviderUnavailable
        return unusable(f"Runway responded {response.status} to a request about a task: {message}")


def _cost(task: Mapping[str, object]) -> Cost | None:
    cost = task.get("cost")
    amount = cost.get("credits") if isinstance(cost, dict) else None
    return reported(amount, PROVIDER_CREDIT, CREDIT_USD_MICROS)


def _output(output: object, cost: Cost | None) -> Outcome:
    """The first of the task's files; we never request more than one."""
    urls = output if isinstance(output, list) else []
    url = next(filter(None, map(usable_media_url, urls)), None)
    if url is None:
        detail = "SUCCEEDED without a usable output URL"
        return Failed(FailureCode.PROVIDER_ERROR, detail, cost=cost)
    return Succeeded(url, cost)
