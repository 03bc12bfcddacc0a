"""fal as a `Provider`.

A submission is sent once. The result depends on what the response proves:

===========================================  ===================================================
no byte sent · 429 · 503                     `Busy`: not accepted; the state machine retries
401, 402, 403                                `Rejected`: the owner's key or funds
404, 405                                     `Rejected`: the catalog's endpoint is unknown to fal
other 4xx                                    `Rejected`: by fal's error type
2xx with a request id                        `Accepted`
anything else: the response is lost, cut     `Unanswered`: maybe accepted and paid for
short or unreadable; 3xx; 408, 499; other
5xx; 2xx without a request id
===========================================  ===================================================

fal has no idempotency key. After `Unanswered` the job waits for the webhook (`after_unanswered`):
its URL identifies the job and its body contains the request id.

Headers of a submission that protect the owner's money:

- ``X-Fal-No-Retry: 1``. Without it, fal repeats a failed run up to ten times under new ids that it
  does not report (seen: fal-ai/fal#703): videos that may be paid for and can never be fetched. With
  it, a run that failed costs the owner nothing (docs: 5xx is not billed), and the user is refunded.
- ``X-Fal-Request-Timeout``, where the task has a latest start. A request that is still queued when
  its job has been given up must not start, because the owner would pay for an unused video.
- ``X-Fal-Object-Lifecycle-Preference``: fal's public hosts keep the files for seven days. That is
  far longer than any migration takes; the account's default may be to keep them for ever.

We do not send ``X-Fal-Store-IO: 0``: fal keeps a stored result for days, which helps after a lost
webhook, but an unstored one only for minutes (docs). We do not send ``X-Fal-Queue-Priority``
either: ``normal`` is the default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from clipmint import clock
from clipmint.catalog.templates import Body
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running
from clipmint.providers.base import (
    Accepted,
    AccountRefused,
    Busy,
    Notice,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Task,
    Unanswered,
    UnfitTask,
    WebhookCall,
)
from clipmint.providers.fal import addresses, failures, webhooks
from clipmint.providers.fal.keyset import KeySet
from clipmint.providers.fal.results import read_result
from clipmint.providers.fal.settings import FalSettings
from clipmint.providers.transport import SUBMISSION, Patience, Response, Transport, excerpt

if TYPE_CHECKING:
    import httpx

FILE_LIFE_SECONDS = 7 * 24 * 3600
"""fal promises to keep files at least this long (docs: FAQ); we ask it to keep them no longer."""

_SHORTEST_START = 2  # seconds; the SDK refuses one or less

_NO_SUCH_MODEL = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
# fal has asked a running request to stop (202), or it is already completed (400) (docs).
_TOO_LATE = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.BAD_REQUEST})


class Fal:
    """fal's queue API. Holds its HTTP client and the cached webhook keys, and no state of any job.

    Parameters
    ----------
    settings
        Key and addresses.
    transport
        Replaces the network (httpx's own seam), for tests.
    now
        Epoch seconds, for the age of webhooks and keys.
    patience
        How long a submission waits for its response.
    """

    name = "fal"
    after_unanswered: Literal["wait", "resubmit", "fail"] = "wait"

    def __init__(
        self,
        settings: FalSettings,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = clock.seconds,
        patience: Patience = SUBMISSION,
    ) -> None:
        self._settings = settings
        self._transport = Transport(transport)
        self._now = now
        self._patience = patience
        self._keys = KeySet(settings.jwks_url, self._transport, now)
        self.media_hosts = settings.media_hosts

    def request(self, task: Task) -> tuple[str, Body]:
        """The endpoint and the body: the model's input, without an envelope (docs)."""
        return task.request()

    def submit(self, task: Task) -> Submitted:
        """Post the task once. The table in the module's docstring gives the results."""
        if not self._settings.key:
            return Rejected(Failed(FailureCode.OWNER_ACCOUNT, "no usable fal key is configured"))
        try:
            endpoint, body = self.request(task)
        except UnfitTask as unfit:
            return Rejected(unfit.failure)
        headers = {
            "Content-Type": "application/json",
            "X-Fal-No-Retry": "1",
            "X-Fal-Object-Lifecycle-Preference": json.dumps(
                {"expiration_duration_seconds": FILE_LIFE_SECONDS}
            ),
        }
        if task.start_within_seconds is not None:
            headers["X-Fal-Request-Timeout"] = str(max(_SHORTEST_START, task.start_within_seconds))
        url = addresses.submission_url(self._settings.queue_url, endpoint, task.webhook_url)
        response = self._transport.submit(
            url,
            patience=self._patience,
            headers={**headers, **self._credentials()},
            content=json.dumps(body).encode("ascii"),
        )
        return self._submitted(endpoint, response) if isinstance(response, Response) else response

    def _submitted(self, endpoint: str, response: Response) -> Submitted:
        status, body = response.status, response.json_object()
        detail = f"HTTP {status}: {excerpt(failures.message(body))}"
        if response.is_success:
            # The only field that is always present (seen: a fast runner omits the position).
            request_id = (body or {}).get("request_id")
            if isinstance(request_id, str) and addresses.is_request_id(request_id):
                return Accepted(self._handle(endpoint, request_id, body or {}))
            return Unanswered(f"HTTP {status} without a request id")
        if response.is_busy:
            return Busy(detail)
        if response.is_inconclusive:
            return Unanswered(detail)
        if status in _NO_SUCH_MODEL:
            return Rejected(Failed(FailureCode.INTERNAL, f"{endpoint}: {detail}"))
        types = failures.error_types(body, response.headers)
        return Rejected(failures.failed(types, status, failures.message(body)))

    def _handle(self, endpoint: str, request_id: str, returned: dict[str, object]) -> Handle:
        return addresses.handle(self._settings.queue_url, endpoint, request_id, returned)

    def poll(self, handle: Handle) -> Outcome:
        """Read the status and, once it is COMPLETED, the result.

        Every other status, also a new one of fal's, is `Running`: the job's deadline ends it. An
        error response to the status request itself (401, 404, …) is no outcome either: the request
        may still be running, and a poll with a corrected key will find it.

        Raises
        ------
        ProviderUnavailable
            No usable response; retry later.
        """
        status = self._status(handle)
        if status["status"] == "COMPLETED":
            return read_result(status, self._ask("GET", handle, "result"))
        position = status.get("queue_position")
        if status["status"] == "IN_QUEUE" and type(position) is int and position >= 0:
            return Running(position)
        return Running()

    def cancel(self, handle: Handle) -> bool:
        """Remove the request from fal's queue, if it is still queued.

        We do not cancel a running request: fal only asks it to stop, may finish it anyway and may
        bill it (docs), and the paid video would then be unused. If the request starts between our
        status request and the cancellation, fal responds 202, and a later poll reads the outcome.

        Raises
        ------
        ProviderUnavailable
            No usable response, or fal does not know the request (404): its state is unknown.
        """
        if self._status(handle)["status"] != "IN_QUEUE":
            return False
        response = self._ask("PUT", handle, "cancel")
        body = response.json_object() or {}
        # The published schemas disagree on the body, so the HTTP status decides, unless the body
        # contradicts it.
        if response.status == HTTPStatus.OK:
            return body.get("success") is not False and body.get("status") in (None, "OK")
        if response.status in _TOO_LATE:
            return False
        unusable = AccountRefused if response.is_account_error else ProviderUnavailable
        raise unusable(f"fal responded {response.status} to a cancellation")

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:
        """Verify and read a webhook; see `clipmint.providers.fal.webhooks`.

        Raises
        ------
        WebhookRejected
            Forged, stale or unreadable.
        ProviderUnavailable
            fal's public keys are not available now. fal has to deliver the webhook again.
        """
        proven_id = webhooks.prove(call, self._keys, self._now())
        request_id, outcome = webhooks.read(call.body, proven_id)
        return Notice(self._handle(endpoint, request_id, {}), outcome)

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Key {self._settings.key}"}

    def _status(self, handle: Handle) -> dict[str, object]:
        response = self._ask("GET", handle, "status")
        body = response.json_object()
        # 202 while it runs, 200 when it is completed (docs); only the body decides.
        if response.status in (200, 202) and body and isinstance(body.get("status"), str):
            return body
        unusable = AccountRefused if response.is_account_error else ProviderUnavailable
        message = excerpt(failures.message(body))
        raise unusable(f"fal responded {response.status} to a status request: {message}")

    def _ask(self, method: str, handle: Handle, which: str) -> Response:
        url = addresses.url_of(handle, which)
        # Checked again: the handle comes from storage, and the request carries our key.
        if not self._settings.key or not addresses.is_ours(
            url, self._settings.queue_url, handle.request_id
        ):
            raise ProviderUnavailable(f"no {which} URL on fal's queue host, or no key for it")
        return self._transport.ask(method, url, headers=self._credentials())
