"""Runway as a `Provider`.

A submission is sent once and its answer sorted by what it proves:

===========================================  ==================================================
no byte left · 429 · 503                     `Busy`: not accepted; the state machine tries again
400 for want of credits, 401, 402, 403       `Rejected`: the owner's funds or key
other 4xx                                    `Rejected`: by what is wrong with the body
2xx naming a task                            `Accepted`
anything else: the answer is lost, cut       `Unanswered`: maybe accepted and paid for
short or unreadable; 3xx; 408, 499; other
5xx; 2xx naming no task
===========================================  ==================================================

Runway has no idempotency key, no webhook, and no way to list tasks: a task whose id we never
learned can neither be found nor asked for again, so `after_unanswered` is to give up. (Its
documentation calls 502 and 504 load shedding that may be retried. A gateway says the same of a
backend that took the task and then died, and the owner would pay for both.)

Every task beyond the organisation's concurrency is accepted all the same and waits as THROTTLED, so
429 means a day's quota is used up, or the gateway (docs).

Runway asks not to be polled more than once in five seconds per task; how often we ask is the
catalog's business.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

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
)
from clipmint.providers.runway import failures, models
from clipmint.providers.runway.settings import API_VERSION, RunwaySettings
from clipmint.providers.transport import SUBMISSION, Answer, Patience, Transport, excerpt
from clipmint.providers.unfit import UnfitTask
from clipmint.providers.urls import usable_media_url

if TYPE_CHECKING:
    import httpx

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")  # UUIDs; they go into paths, so nothing exotic
_WAITING = frozenset({"PENDING", "THROTTLED"})
_GONE = HTTPStatus.NOT_FOUND


class Runway:
    """Runway's API. Holds its HTTP client, nothing of any job.

    Parameters
    ----------
    settings
        Key and address.
    transport
        Replaces the network (httpx's own seam), for tests.
    patience
        How long a submission waits for its answer.
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

    def submit(self, task: Task) -> Submitted:
        """Post the task once; see the module's table for what the answer means.

        Runway cannot be told a webhook or a latest start; a task's are not sent.
        """
        if not self._settings.key:
            return Rejected(Failed(FailureCode.OWNER_ACCOUNT, "no usable Runway key is configured"))
        try:
            path, body = models.request(task)
        except UnfitTask as unfit:
            return Rejected(unfit.failure)
        answer = self._transport.submit(
            self._settings.url + path,
            patience=self._patience,
            headers={"Content-Type": "application/json", **self._headers()},
            content=json.dumps(body).encode("ascii"),
        )
        return self._submitted(answer) if isinstance(answer, Answer) else answer

    def _submitted(self, answer: Answer) -> Submitted:
        status, body = answer.status, answer.json_object()
        if answer.accepts:
            task_id = (body or {}).get("id")
            if isinstance(task_id, str) and _TASK_ID.fullmatch(task_id):
                return Accepted(Handle(task_id))
            return Unanswered(f"HTTP {status} naming no task")
        words = self._words(answer)
        if answer.busy:
            return Busy(f"HTTP {status}: {words}")
        if answer.undecided:
            return Unanswered(f"HTTP {status}: {words}")
        return Rejected(failures.of_refusal(status, body, words))

    def poll(self, handle: Handle) -> Outcome:
        """Ask for the task. A success carries a URL signed anew: each lives a day or two (docs).

        Every status but three is `Running`, also one Runway invents tomorrow: the job's deadline
        ends it. A refused question is no outcome. Not even 404, which a deleted task answers for
        ever, but also somebody else's: with the wrong organisation's key in the secret for a
        minute, every video under way would be refunded and lost. What we deleted ourselves is
        recorded as cancelled, if need be when the user asks again.

        Raises
        ------
        ProviderUnavailable
            No usable answer; ask again later.
        """
        answer = self._ask("GET", handle)
        said = self._task(answer)
        match said["status"]:
            case "SUCCEEDED":
                return _output(said.get("output"))
            case "FAILED":
                return failures.of_task(said.get("failureCode"), said.get("failure"))
            case "CANCELLED":
                return Failed(FailureCode.CANCELLED, "CANCELLED")
            case _:
                return Running()

    def cancel(self, handle: Handle) -> bool:
        """Take the task back, if it has not begun.

        A running task is left alone: deleted, it is not refunded, may run on all the same, and can
        never be fetched (docs). Nor is one deleted that has ended: its video would go with it.

        Between the question and the deletion a task may begin, and Runway does not tell. It is
        cancelled then all the same, since nobody can have its video any more, and the owner may
        have paid for it.

        A task Runway does not know (404) was taken back before, by a call of ours whose answer was
        lost; or its video is beyond reach in some other way. Either way nothing is left to wait
        for, and the user who asks for the credits back gets them.

        Raises
        ------
        ProviderUnavailable
            No usable answer; nothing is known.
        """
        asked = self._ask("GET", handle)
        if asked.status == _GONE:
            return True
        status = self._task(asked)["status"]
        if status not in _WAITING:
            return status == "CANCELLED"
        answer = self._ask("DELETE", handle)
        if answer.accepts or answer.status == _GONE:
            return True
        raise self._unusable(answer)

    def _task(self, answer: Answer) -> dict[str, object]:
        said = answer.json_object()
        if answer.status == HTTPStatus.OK and said and isinstance(said.get("status"), str):
            return said
        raise self._unusable(answer)

    def _ask(self, method: str, handle: Handle) -> Answer:
        # Checked again: a handle comes from storage, and our key goes with the question.
        if not self._settings.key or not _TASK_ID.fullmatch(handle.request_id):
            raise ProviderUnavailable("no task id of Runway's, or no key to ask with")
        url = f"{self._settings.url}/v1/tasks/{handle.request_id}"
        return self._transport.ask(method, url, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._settings.key}",
            "X-Runway-Version": API_VERSION,
        }

    def _words(self, answer: Answer) -> str:
        """Runway's words for a log. What it says of a bad key is not documented: should it quote
        the key, we do not."""
        said = failures.message(answer.json_object())
        return excerpt(said.replace(self._settings.key, "[key]"))

    def _unusable(self, answer: Answer) -> ProviderUnavailable:
        words = self._words(answer)
        unusable = AccountRefused if answer.refuses_account else ProviderUnavailable
        return unusable(f"Runway answered {answer.status} about a task: {words}")


def _output(output: object) -> Outcome:
    """The first of the task's files; we only ever ask for one."""
    urls = output if isinstance(output, list) else []
    url = next(filter(None, map(usable_media_url, urls)), None)
    if url is None:
        return Failed(FailureCode.PROVIDER_ERROR, "SUCCEEDED without a usable output URL")
    return Succeeded(url)
