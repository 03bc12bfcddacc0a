"""Runware as a `Provider`.

Everything is one kind of call: an array of task objects posted to one URL (docs). The array always
holds one task here, so that one task's fate never hangs on another's.

We choose the task's UUID, and Runware refuses a second task of the same UUID (SDK). That makes a
submission safe to send again, and its answer is sorted so:

============================================  ==================================================
the task in ``data``                          `Accepted`
``conflictTaskUUID``, task sent before        `Accepted`: the earlier attempt had arrived
``conflictTaskUUID``, on a first attempt      `Rejected`: somebody else's task has this UUID
no byte left · 429 · 503 · no free server     `Busy`: not accepted; the state machine tries again
401, 402, 403 · key, credits, quota           `Rejected`: the owner's key or funds
any other error of the task, in any status    `Rejected`: by `failures`
the answer is lost or unreadable · 3xx ·      `Unanswered`: maybe accepted, to be sent again with
408, 499 · other 5xx · a time-out or a        the same UUID (`after_unanswered`)
server's failure inside a 200 or 4xx · a
2xx that names no task of ours
============================================  ==================================================

A task that is sent again (`Task.resent`) may have been accepted the first time. Only its UUID in
the answer tells of that: that Runware is busy now, or that the credits are used up now (maybe by
this very task), does not. For such a task these are `Unanswered` too; only what would have been
refused the first time just as well is `Rejected`. How long Runware remembers a UUID is not
documented. *Assumed*: for longer than a job of ours may take.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Literal
from uuid import UUID

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
    WebhookCall,
)
from clipmint.providers.runware import failures, webhooks
from clipmint.providers.runware.envelope import Envelope, task_uuid
from clipmint.providers.runware.failures import Kind
from clipmint.providers.runware.models import task_body
from clipmint.providers.runware.results import read_result
from clipmint.providers.runware.settings import RunwareSettings
from clipmint.providers.transport import SUBMISSION, Answer, Patience, Transport
from clipmint.providers.unfit import UnfitTask

if TYPE_CHECKING:
    import httpx

_BUSY = frozenset({Kind.RATE, Kind.CAPACITY})
_INCONCLUSIVE = frozenset({Kind.TIMEOUT, Kind.SERVER})
_UUID_VERSION = 4  # the one Runware documents


class Runware:
    """Runware's task API. Holds its HTTP client, nothing of any job.

    Parameters
    ----------
    settings
        Key and address.
    transport
        Replaces the network (httpx's own seam), for tests.
    patience
        How long a submission waits for its answer.
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

    def submit(self, task: Task) -> Submitted:
        """Post the task once; see the module's table for what the answer means."""
        submitted = self._submit(task)
        return _doubted(submitted) if task.resent else submitted

    def _submit(self, task: Task) -> Submitted:
        if not self._settings.key:
            return _rejected(FailureCode.OWNER_ACCOUNT, "no usable Runware key is configured")
        task_id = task_uuid(task.task_id)
        if task_id is None or UUID(task_id).version != _UUID_VERSION:
            return _rejected(FailureCode.INTERNAL, "the task's id is no UUID of version 4")
        task = dataclasses.replace(task, task_id=task_id)
        try:
            body = task_body(task)
        except UnfitTask as unfit:
            return Rejected(unfit.failure)
        answer = self._transport.submit(
            self._settings.url,
            patience=self._patience,
            headers=self._headers(),
            content=_array(body),
        )
        return self._submitted(task, answer) if isinstance(answer, Answer) else answer

    def _submitted(self, task: Task, answer: Answer) -> Submitted:
        secrets = (self._settings.key, task.webhook_url or "")
        said = Envelope.read(answer, task.task_id, secrets) or Envelope()
        words = said.words(answer.status)
        accepted = Accepted(Handle(task.task_id))
        if any(error.kind is Kind.CONFLICT for error in said.errors):
            # The id is a random one of ours: on a first attempt, its bytes arrived twice. Sent
            # again, it settles itself.
            return accepted if task.resent else Unanswered(f"known already: {words}")
        if answer.busy:
            return Busy(words)
        if answer.undecided:
            return Unanswered(words)
        if any(item.get("taskUUID") for item in said.items):
            return accepted  # should an error stand beside it, the poll will tell
        if task.resent and not any(error.addressed for error in said.errors):
            # Nothing that is about our task; but maybe about our account.
            of_account = any(error.kind in failures.ACCOUNT for error in said.errors)
            return Unanswered(words, account_refused=of_account or answer.refuses_account)
        return _refused(answer, said)

    def poll(self, handle: Handle) -> Outcome:
        """Ask for the task's results.

        A status Runware invents tomorrow is `Running`: the job's deadline ends it. An error is the
        task's only where it says so; see `clipmint.providers.runware.results`.

        Raises
        ------
        ProviderUnavailable
            No usable answer; ask again later.
        """
        task_id = task_uuid(handle.request_id)
        if task_id is None or not self._settings.key:
            raise ProviderUnavailable("no task UUID, or no Runware key to ask with")
        answer = self._transport.ask(
            "POST",
            self._settings.url,
            headers=self._headers(),
            content=_array({"taskType": "getResponse", "taskUUID": task_id}),
        )
        return read_result(answer, task_id, (self._settings.key,))

    def cancel(self, handle: Handle) -> bool:  # noqa: ARG002  (of the port)
        """False, without a call: Runware documents no way to take a task back."""
        return False

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:  # noqa: ARG002  (of the port)
        """Which task a webhook is about: a hint to poll; see `clipmint.providers.runware.webhooks`.

        Raises
        ------
        WebhookRejected
            Unreadable, or not about one task.
        """
        return webhooks.read(call)

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._settings.key}",
        }


def _array(task: dict[str, object]) -> bytes:
    return json.dumps([task]).encode("ascii")


def _rejected(code: FailureCode, detail: str) -> Rejected:
    return Rejected(Failed(code, detail))


def _refused(answer: Answer, said: Envelope) -> Submitted:
    """What an answer that neither accepts the task nor leaves it open says."""
    words = said.words(answer.status)
    if not said.errors:
        if answer.accepts:
            return Unanswered(f"{words}, naming no task of ours")
        meant = failures.meaning("", answer.status)
        return Rejected(Failed(meant.code, words, transient=meant.transient))
    error = said.errors[0]
    if error.kind in _BUSY:
        return Busy(words)
    return Unanswered(words) if error.kind in _INCONCLUSIVE else Rejected(error.failed)


def _doubted(submitted: Submitted) -> Submitted:
    """What an answer is worth if an earlier attempt at the same task may have been accepted."""
    if isinstance(submitted, Busy):
        return Unanswered(submitted.detail)
    if isinstance(submitted, Rejected):
        failure = submitted.failure
        of_account = failure.code is FailureCode.OWNER_ACCOUNT
        if failure.transient or of_account:
            return Unanswered(failure.detail, account_refused=of_account)
    return submitted
