"""fal as a `Provider`.

A submission is sent once and its answer sorted by what it proves:

===========================================  ==================================================
no byte left · 429 · 503                     `Busy`: not accepted; the state machine tries again
401, 402, 403                                `Rejected`: the owner's key or funds
404, 405                                     `Rejected`: the catalog names what fal does not have
other 4xx                                    `Rejected`: by fal's error type
2xx naming a request                         `Accepted`
anything else: the answer is lost, cut       `Unanswered`: maybe accepted and paid for
short or unreadable; 3xx; 408, 499; other
5xx; 2xx naming no request
===========================================  ==================================================

fal has no idempotency key, so `Unanswered` means waiting for the webhook (`after_unanswered`),
whose URL says which job it is for and whose body says the request id.

Headers of a submission that guard the owner's money:

- ``X-Fal-No-Retry: 1``. fal would repeat a broken run up to ten times, under new ids that are told
  to nobody (seen: fal-ai/fal#703): videos that may be paid for and can never be fetched. A run that
  failed is refunded instead, and costs the owner nothing (docs: 5xx is not billed).
- ``X-Fal-Request-Timeout``, where the task says how late it may start: a request still queued when
  its job has been given up must not begin, and cost, for nobody.
- ``X-Fal-Object-Lifecycle-Preference``: files live seven days on fal's public hosts. That is far
  longer than any migration takes, and not for ever, as the account's default may be.

``X-Fal-Store-IO: 0`` is not sent: a stored result can be fetched for days after a lost webhook, an
unstored one for minutes (docs). ``X-Fal-Queue-Priority`` neither: ``normal`` is the default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from clipmint import clock
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
    WebhookCall,
)
from clipmint.providers.fal import addresses, failures, webhooks
from clipmint.providers.fal.keyset import KeySet
from clipmint.providers.fal.models import model_input
from clipmint.providers.fal.results import read_result
from clipmint.providers.fal.settings import FalSettings
from clipmint.providers.transport import SUBMISSION, Answer, Patience, Transport, excerpt
from clipmint.providers.unfit import UnfitTask

if TYPE_CHECKING:
    import httpx

FILE_LIFE_SECONDS = 7 * 24 * 3600
"""What fal promises at least (docs: FAQ), made a most."""

_SHORTEST_START = 2  # seconds; the SDK refuses one or less

_NO_SUCH_MODEL = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
# A running request was asked to stop; it is already completed (docs).
_TOO_LATE = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.BAD_REQUEST})


class Fal:
    """fal's queue API. Holds its HTTP client and the cached webhook keys, nothing of any job.

    Parameters
    ----------
    settings
        Key and addresses.
    transport
        Replaces the network (httpx's own seam), for tests.
    now
        Epoch seconds, for the age of webhooks and keys.
    patience
        How long a submission waits for its answer.
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

    def submit(self, task: Task) -> Submitted:
        """Post the task once; see the module's table for what the answer means."""
        if not self._settings.key:
            return Rejected(Failed(FailureCode.OWNER_ACCOUNT, "no usable fal key is configured"))
        try:
            content = json.dumps(model_input(task)).encode("ascii")
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
        url = addresses.submission_url(self._settings.queue_url, task.endpoint, task.webhook_url)
        answer = self._transport.submit(
            url,
            patience=self._patience,
            headers={**headers, **self._credentials()},
            content=content,
        )
        return self._submitted(task.endpoint, answer) if isinstance(answer, Answer) else answer

    def _submitted(self, endpoint: str, answer: Answer) -> Submitted:
        status, body = answer.status, answer.json_object()
        words = f"HTTP {status}: {excerpt(failures.message(body))}"
        if answer.accepts:
            # The one field that is always there (seen: a fast runner leaves out the position).
            request_id = (body or {}).get("request_id")
            if isinstance(request_id, str) and addresses.is_request_id(request_id):
                return Accepted(self._handle(endpoint, request_id, body or {}))
            return Unanswered(f"HTTP {status} naming no request")
        if answer.busy:
            return Busy(words)
        if answer.undecided:
            return Unanswered(words)
        if status in _NO_SUCH_MODEL:
            return Rejected(Failed(FailureCode.INTERNAL, f"{endpoint}: {words}"))
        types = failures.error_types(body, answer.headers)
        return Rejected(failures.failed(types, status, failures.message(body)))

    def _handle(self, endpoint: str, request_id: str, returned: dict[str, object]) -> Handle:
        return addresses.handle(self._settings.queue_url, endpoint, request_id, returned)

    def poll(self, handle: Handle) -> Outcome:
        """Ask for the status and, once it is COMPLETED, for the result.

        Every other status, also one fal invents tomorrow, is `Running`: the job's deadline ends it.
        What the status question itself is refused with (401, 404, …) is no outcome either: the
        request may well be running, and a mended key will find it.

        Raises
        ------
        ProviderUnavailable
            No usable answer; ask again later.
        """
        said = self._status(handle)
        if said["status"] == "COMPLETED":
            return read_result(said, self._ask("GET", handle, "result"))
        position = said.get("queue_position")
        if said["status"] == "IN_QUEUE" and type(position) is int and position >= 0:
            return Running(position)
        return Running()

    def cancel(self, handle: Handle) -> bool:
        """Take the request out of the queue, if it is still in it.

        A running request is left alone: fal would only be asked to stop it, may finish all the same
        and may bill it (docs), and then nobody would want a video that was paid for. Should it
        begin between the question and the request, fal answers 202 and the poll will tell.

        Raises
        ------
        ProviderUnavailable
            No usable answer, or fal does not know the request (404): nothing is known.
        """
        if self._status(handle)["status"] != "IN_QUEUE":
            return False
        answer = self._ask("PUT", handle, "cancel")
        body = answer.json_object() or {}
        # The published schemas disagree on the body, so the HTTP status speaks; but a body that
        # contradicts it is believed.
        if answer.status == HTTPStatus.OK:
            return body.get("success") is not False and body.get("status") in (None, "OK")
        if answer.status in _TOO_LATE:
            return False
        unusable = AccountRefused if answer.refuses_account else ProviderUnavailable
        raise unusable(f"fal answered {answer.status} to a cancellation")

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:
        """Prove and read a webhook; see `clipmint.providers.fal.webhooks`.

        Raises
        ------
        WebhookRejected
            Forged, stale or unreadable.
        ProviderUnavailable
            fal's public keys could not be had; fal shall deliver again.
        """
        proven_id = webhooks.prove(call, self._keys, self._now())
        request_id, outcome = webhooks.read(call.body, proven_id)
        return Notice(self._handle(endpoint, request_id, {}), outcome)

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Key {self._settings.key}"}

    def _status(self, handle: Handle) -> dict[str, object]:
        answer = self._ask("GET", handle, "status")
        said = answer.json_object()
        # 202 while it runs, 200 when it is completed (docs); the body is what counts.
        if answer.status in (200, 202) and said and isinstance(said.get("status"), str):
            return said
        unusable = AccountRefused if answer.refuses_account else ProviderUnavailable
        words = excerpt(failures.message(said))
        raise unusable(f"fal answered {answer.status} to a question for a status {words}")

    def _ask(self, method: str, handle: Handle, which: str) -> Answer:
        url = handle.urls.get(which, "")
        # Checked again: a handle comes from storage, and our key goes with the question.
        if not self._settings.key or not addresses.is_ours(
            url, self._settings.queue_url, handle.request_id
        ):
            raise ProviderUnavailable(f"no {which} URL on fal's queue host, or no key for it")
        return self._transport.ask(method, url, headers=self._credentials())
