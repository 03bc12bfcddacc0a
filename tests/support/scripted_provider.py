"""A provider that answers by a script and records its calls: the port, without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from clipmint.catalog.templates import Body
from clipmint.jobs.job import Handle
from clipmint.jobs.outcomes import Outcome, Running
from clipmint.providers.base import Accepted, Notice, Submitted, Task, WebhookCall

T = TypeVar("T")
Script = list[T | BaseException | Callable[[], T]]

HANDLE = Handle("request-1", {"status": "https://queue.fal.run/fal-ai/veo3.1/requests/request-1"})

ACCEPTED: Submitted = Accepted(HANDLE)
RUNNING: Outcome = Running()


@dataclass
class ScriptedProvider:
    """Implements `clipmint.providers.base.Provider`, and nothing of webhooks.

    Each script is used up from the front; an exception in it is raised, a function is called (so
    that something can happen while the provider thinks). Polls beyond the script are `Running`.
    """

    submissions: Script[Submitted] = field(default_factory=list)
    polls: Script[Outcome] = field(default_factory=list)
    cancellations: Script[bool] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    polled: list[Handle] = field(default_factory=list)
    cancelled: list[Handle] = field(default_factory=list)
    name: str = "fal"
    after_unanswered: Literal["wait", "resubmit", "fail"] = "wait"
    media_hosts: tuple[str, ...] = (".fal.media",)

    def request(self, task: Task) -> tuple[str, Body]:
        return task.request()

    def submit(self, task: Task) -> Submitted:
        self.tasks.append(task)
        return _next(self.submissions, ACCEPTED)

    def poll(self, handle: Handle) -> Outcome:
        self.polled.append(handle)
        return _next(self.polls, RUNNING)

    def cancel(self, handle: Handle) -> bool:
        self.cancelled.append(handle)
        return _next(self.cancellations, False)


@dataclass
class ScriptedWebhookSender(ScriptedProvider):
    """A scripted provider that sends webhooks, too: implements `WebhookSender`."""

    notices: Script[Notice] = field(default_factory=list)
    calls: list[WebhookCall] = field(default_factory=list)

    def read_webhook(self, call: WebhookCall, endpoint: str) -> Notice:
        del endpoint
        self.calls.append(call)
        return _next(self.notices, Notice(HANDLE, None))


def scripted_providers() -> dict[str, ScriptedProvider]:
    """A double for each real provider, by name: each handles a lost response, and sends webhooks or
    not, as the real one does.
    """
    return {
        "fal": ScriptedWebhookSender(),
        "runway": ScriptedProvider(name="runway", after_unanswered="fail"),
        "runware": ScriptedWebhookSender(name="runware", after_unanswered="resubmit"),
    }


def _next(script: Script[T], otherwise: T) -> T:
    answer = script.pop(0) if script else otherwise
    if isinstance(answer, BaseException):
        raise answer
    return answer() if callable(answer) else answer
