"""Runware as a `Provider`.

There is one kind of call: an array of task objects, posted to one URL (docs). Our arrays always
hold one task, so that no task's outcome depends on another's.

We choose the task's UUID, and Runware rejects a second task with the same UUID (SDK). A submission
is therefore safe to send again. Its result depends on the response:

============================================  ===================================================
the task in ``data``                          `Accepted`
``conflictTaskUUID``, task sent before        `Accepted`: the earlier attempt had arrived
``conflictTaskUUID``, on a first attempt      `Unanswered`: the request may have arrived twice
no byte sent · 429 · 503 · no free server     `Busy`: not accepted; the state machine retries
401, 402, 403 · key, credits, quota           `Rejected`: the owner's key or funds
any other error of the task, in any status    `Rejected`: by `failures`
the response is lost or unreadable · 3xx ·    `Unanswered`: maybe accepted; resubmitted with the
408, 499 · other 5xx · a time-out or a        same UUID (`after_unanswered`)
server error inside a 200 or 4xx · a 2xx
that names no task of ours
============================================  ===================================================

A task that is sent again (`Task.resent`) may have been accepted the first time. Only a response
that names its UUID proves that. "Busy now" or "no credits now" (maybe used by this same task)
proves nothing about the first attempt, so it is `Unanswered` for such a task. `Rejected` is only an
error that the first attempt must have received too. Runware does not document how long it remembers
a UUID. *Assumed*: for longer than one of our jobs can take.

A latest start (`Task.start_within_seconds`) cannot be passed to Runware. A task that waits too long
there may still run after its job has been given up, and the owner pays for it.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from clipmint.catalog.templates import Body
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome
from clipmint.providers.base import (
    Accepted,
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
from clipmint.providers.runware import failures, webhooks
from clipmint.providers.runware.envelope import Envelope, task_uuid
from clipmint.providers.runware.failures import Kind
from clipmint.providers.runware.results import read_result
from clipmint.providers.runware.settings import RunwareSettings
from clipmint.providers.transport import SUBMISSION, Patience, Response, Transport

if TYPE_CHECKING:
    import httpx

FILE_LIFE_SECONDS = 7 * 24 * 3600
"""How long a result stays at its URL. Runware's default is not documented; we retry the migration
of a file for a day."""

_BUSY = frozenset({Kind.RATE, Kind.CAPACITY})
_INCONCLUSIVE = frozenset({Kind.TIMEOUT, Kind.SERVER})
_UUID_VERSION = 4  # the version that Runware documents


class Runware:
    """Runware's task API. Holds its HTTP client, and no state of any job.

    Parameters
    ----------
    settings
        Key and address.
    transport
        Replaces the network (httpx's own seam), for tests.
    patience
        How long a submission waits for its response.
    """

    name = "runware"
    after_unanswered: Literal["wait", "resubmit", "fail"] = "resubmit"

    def __init__(
        self,
        settings: RunwareSettings,
        transport: httpx.BaseTransport | None = None,
        patience: Patience = SUBMISSION,
    ) -> None:
        self._settings = settings
        self._transport = Transport(transport)
        self._patience = patience
        self.media_hosts = settings.media_hosts

    def request(self, task: Task) -> tuple[str, Body]:
        """The model, and the object of the task. (A call carries an array of them.) Its kind, a
        video unless the template states another, and the members that every task has (docs)."""
        endpoint, body = task.request()
        envelope: Body = {
            "taskType": "videoInference",
            **body,
            "taskUUID": task.task_id,
            "model": endpoint,
            # The hold covers one result.
            "numberResults": 1,
            "outputType": "URL",
            # Images can be returned by the same call, but a lost response would lose the image.
            "deliveryMethod": "async",
            "includeCost": True,
            "ttl": FILE_LIFE_SECONDS,
        }
        if task.webhook_url is not None:
            envelope["webhookURL"] = task.webhook_url
        return endpoint, envelope

    def submit(self, task: Task) -> Submitted:
        """Post the task once. The table in the module's docstring gives the results."""
        submitted = self._submit(task)
        return _proven_for_both_attempts(submitted) if task.resent else submitted

    def _submit(self, task: Task) -> Submitted:
        if not self._settings.key:
            return _rejected(FailureCode.OWNER_ACCOUNT, "no usable Runware key is configured")
        task_id = task_uuid(task.task_id)
        if task_id is None or UUID(task_id).version != _UUID_VERSION:
            return _rejected(FailureCode.INTERNAL, "the task's id is not a UUID of version 4")
        task = dataclasses.replace(task, task_id=task_id)
        try:
            _, body = self.request(task)
        except UnfitTask as unfit:
            return Rejected(unfit.failure)
        response = self._transport.submit(
            self._settings.url,
            patience=self._patience,
            headers=self._headers(),
            content=_array(body),
        )
        return self._submitted(task, response) if isinstance(response, Response) else response

    def _submitted(self, task: Task, response: Response) -> Submitted:
        secrets = (self._settings.key, task.webhook_url or "")
        envelope = Envelope.read(response, task.task_id, secrets) or Envelope()
        summary = envelope.summary(response.status)
        accepted = Accepted(Handle(task.task_id))
        if any(error.kind is Kind.CONFLICT for error in envelope.errors):
            # We chose this id at random: on a first attempt, the request must have arrived twice.
            # The resubmission will be `Accepted`.
            return accepted if task.resent else Unanswered(f"known already: {summary}")
        if response.is_busy:
            return Busy(summary)
        if response.is_inconclusive:
            return Unanswered(summary)
        if any(item.get("taskUUID") for item in envelope.items):
            return accepted  # if there is an error too, a later poll reads it
        if task.resent and not any(error.addressed for error in envelope.errors):
            # No error concerns our task; one may concern our account.
            of_account = any(error.kind in failures.ACCOUNT for error in envelope.errors)
            return Unanswered(summary, account_refused=of_account or response.is_account_error)
        return _refused(response, envelope)

    def poll(self, handle: Handle) -> Outcome:
        """Read the task's results.

        A status that we do not know is `Running`: the job's deadline ends it. An error is the
        task's only if it states so; see `clipmint.providers.runware.results`.

        Raises
        ------
        ProviderUnavailable
            No usable response; retry later.
        """
        task_id = task_uuid(handle.request_id)
        if task_id is None or not self._settings.key:
            raise ProviderUnavailable("not a task UUID, or no Runware key is configured")
        response = self._transport.ask(
            "POST",
            self._settings.url,
            headers=self._headers(),
            content=_array({"taskType": "getResponse", "taskUUID": task_id}),
        )
        return read_result(response, task_id, (self._settings.key,))

    def cancel(self, handle: Handle) -> bool:  # noqa: ARG002  (of the port)
        """False, without a call: Runware documents no way to cancel a task."""
        return False

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:  # noqa: ARG002  (of the port)
        """The task that a webhook concerns, as a hint to poll. See `webhooks.read`.

        Raises
        ------
        WebhookRejected
            Unreadable, or not about exactly one task.
        """
        return webhooks.read(call)

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._settings.key}",
        }


def _array(task: Body) -> bytes:
    return json.dumps([task]).encode("ascii")


def _rejected(code: FailureCode, detail: str) -> Rejected:
    return Rejected(Failed(code, detail))


def _refused(response: Response, envelope: Envelope) -> Submitted:
    """The result of a response that contains no accepted task and is not inconclusive."""
    summary = envelope.summary(response.status)
    if not envelope.errors:
        if response.is_success:
            return Unanswered(f"{summary}, without our task")
        meant = failures.meaning("", response.status)
        return Rejected(Failed(meant.code, summary, transient=meant.transient))
    error = envelope.errors[0]
    if error.kind in _BUSY:
        return Busy(summary)
    return Unanswered(summary) if error.kind in _INCONCLUSIVE else Rejected(error.failed)


def _proven_for_both_attempts(submitted: Submitted) -> Submitted:
    """`Unanswered` where the result proves nothing about an earlier attempt at the same task."""
    if isinstance(submitted, Busy):
        return Unanswered(submitted.detail)
    if isinstance(submitted, Rejected):
        failure = submitted.failure
        of_account = failure.code is FailureCode.OWNER_ACCOUNT
        if failure.transient or of_account:
            return Unanswered(failure.detail, account_refused=of_account)
    return submitted
