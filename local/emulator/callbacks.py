"""Step Functions: task tokens. Each token belongs to one attempt of one task.

Upstream differs from AWS: it answers `TaskDoesNotExist` to used, expired and invented tokens, where
AWS answers `TaskTimedOut` to the first two and `InvalidToken` to the last; it accepts an output
that is not JSON; and a heartbeat changes nothing.
"""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import stepfunctions as upstream

from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

Json = dict[str, Any]
StepError = upstream._ExecutionError


@dataclass
class Callback:
    """One attempt of a task that waits until its token is used."""

    execution: str
    machine: str
    done: threading.Event = field(default_factory=threading.Event)
    beat: threading.Event = field(default_factory=threading.Event)
    output: str | None = None
    failure: Exception | None = None

    def wake(self) -> None:
        """End the wait at once."""
        self.done.set()
        self.beat.set()


@dataclass
class Engine:
    """The open callbacks, the used tokens and the running executions."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: dict[str, Callback] = field(default_factory=dict)
    # The used tokens and their state machines. A day of polling needs a few megabytes.
    spent: dict[str, str] = field(default_factory=dict)
    running: dict[str, threading.Event] = field(default_factory=dict)

    def open(self, token: str, execution: Json) -> Callback:
        with self.lock:
            self.waiting[token] = callback = Callback(
                execution["executionArn"], execution["stateMachineArn"]
            )
            return callback

    def machine_of(self, token: str) -> str | None:
        """The state machine that issued a token, or None for an unknown token."""
        waiting = self.waiting.get(token)
        return waiting.machine if waiting is not None else self.spent.get(token)

    def close(self, token: str) -> Callback | None:
        """Take a token out of use; None if it is not in use."""
        with self.lock:
            callback = self.waiting.pop(token, None)
            if callback is not None:
                self.spent[token] = callback.machine
            return callback

    def end(self, execution: str) -> None:
        """End all waits of an execution, which has set its status before."""
        ended = self.running.pop(execution, None)
        if ended is not None:
            ended.set()
        with self.lock:
            orphans = [c for c in self.waiting.values() if c.execution == execution]
        for callback in orphans:
            callback.wake()


engine = Engine()


def unusable(token: str) -> Any:
    """The response to a token that no task waits for."""
    if token in engine.spent:
        message = "Task Timed Out: 'Provided task does not exist anymore'"
        return error_response_json("TaskTimedOut", message, 400)
    return error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)


def send_success(_original: Any, request: Json) -> Any:
    """SendTaskSuccess: the first response to a token wins, later ones are rejected."""
    output = request.get("output", "")
    try:
        json.loads(output)
    except ValueError:
        return error_response_json("InvalidOutput", f"Not JSON: {output!r}", 400)
    callback = engine.close(request["taskToken"])
    if callback is None:
        return unusable(request["taskToken"])
    callback.output = output
    callback.wake()
    return json_response({})


def send_failure(_original: Any, request: Json) -> Any:
    """SendTaskFailure: the task fails with the error's name."""
    callback = engine.close(request["taskToken"])
    if callback is None:
        return unusable(request["taskToken"])
    callback.failure = StepError(request.get("error", ""), request.get("cause", ""))
    callback.wake()
    return json_response({})


def send_heartbeat(_original: Any, request: Json) -> Any:
    """SendTaskHeartbeat: restarts the heartbeat timeout."""
    callback = engine.waiting.get(request["taskToken"])
    if callback is None:
        return unusable(request["taskToken"])
    callback.beat.set()
    return json_response({})


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings
    corrects(upstream, "_send_task_success", digest="12eff48bce57")(send_success)
    corrects(upstream, "_send_task_failure", digest="c2a489b4ed33")(send_failure)
    corrects(upstream, "_send_task_heartbeat", digest="56879a4655d1")(send_heartbeat)
