"""What an execution did, as Step Functions keeps it for 90 days."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from clipmint import aws
from clipmint.values import frozen

_MOST = 200
"""Events that are read, the newest: one call. A job with a webhook has about thirty, and each poll
has six more."""

_OF_THE_EXECUTION = {
    "ExecutionStarted": "execution started",
    "ExecutionSucceeded": "execution succeeded",
    "ExecutionFailed": "execution failed",
    "ExecutionAborted": "execution aborted",
    "ExecutionTimedOut": "execution timed out",
}


@frozen
class Step:
    """Something that an execution did: ``what``, and in which state or with which error."""

    at: datetime
    what: str
    detail: str


def steps_of(job_id: str) -> list[Step]:
    """The newest steps of a job's execution, oldest first. Empty if there is none (any more).

    Errors are named, without their causes, which can contain a provider's message.
    """
    client = aws.step_functions()
    machine = os.environ["STATE_MACHINE_ARN"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{job_id}"
    try:
        found = client.get_execution_history(
            executionArn=execution,
            maxResults=_MOST,
            reverseOrder=True,
            includeExecutionData=False,
        )
    except client.exceptions.ExecutionDoesNotExist:
        return []
    return list(_steps(found["events"][::-1]))


def _steps(events: list[Any]) -> Iterator[Step]:
    state = ""
    for event in events:
        kind, at = event["type"], event["timestamp"]
        if kind.endswith("StateEntered"):
            state = event["stateEnteredEventDetails"]["name"]
            yield Step(at, "state entered", state)
        elif kind.endswith("StateExited"):
            yield Step(at, "state left", event["stateExitedEventDetails"]["name"])
        elif kind in _OF_THE_EXECUTION:
            yield Step(at, _OF_THE_EXECUTION[kind], _error(event))
        elif kind.endswith(("Failed", "TimedOut")):
            yield Step(at, "attempt failed", f"{state}: {_error(event)}".strip(": "))


def _error(event: Any) -> str:
    details = [value for name, value in event.items() if name.endswith("EventDetails")]
    return next((str(one["error"]) for one in details if "error" in one), "")
