"""Executions: start one for a job, resume one that waits. Every call may be repeated.

An execution is named after its job, so a job has at most one, however often it is started.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from clipmint import aws
from clipmint.jobs.job import Stage
from clipmint.jobs.outcomes import Failed


class Started(Enum):
    """What starting an execution found."""

    RUNNING = auto()
    ENDED = auto()


def start(job_id: str) -> Started:
    """Start the job's execution unless it was started before. Idempotent.

    Step Functions recognises a running execution by its name *and* its input. So the input must
    never change: with another input, a running execution would look like one that has ended.
    """
    client = aws.step_functions()
    try:
        client.start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"],
            name=job_id,
            input=json.dumps({"job_id": job_id}),
        )
    except client.exceptions.ExecutionAlreadyExists:
        return Started.ENDED
    return Started.RUNNING


def resume(stage: Stage) -> bool:
    """Resume an execution that waits for this stage, if the stage has an outcome.

    Returns
    -------
    bool
        False if no execution waits: there is no task token yet, or it was used or has timed out.
        No outcome is lost by that: a function that stores a token then looks for an outcome.
    """
    if stage.task_token is None or stage.outcome is None:
        return False
    if isinstance(stage.outcome, Failed):
        return fail_waiting(stage.task_token, stage.outcome)
    return finish(stage.task_token, stage)


def finish(task_token: str, stage: Stage) -> bool:
    """End the wait for a stage whose file exists. False if no execution waits for the token."""
    client = aws.step_functions()
    output = json.dumps({"stage": stage.name})
    return _reached(lambda: client.send_task_success(taskToken=task_token, output=output))


def fail_waiting(task_token: str, failure: Failed) -> bool:
    """Fail a waiting task with ``GenerationFailed``. False if no execution waits for the token."""
    return _fail(task_token, error="GenerationFailed", cause=failure.code.value)


def hand_over(task_token: str, plan: Mapping[str, Any]) -> bool:
    """End Submit's wait with ``PollNeeded``, so that Track polls by the plan. False if no
    execution waits for the token."""
    return _fail(task_token, error="PollNeeded", cause=json.dumps(plan))


def retry_later(task_token: str) -> bool:
    """End Submit's attempt with ``SourceRunning``, which its state retries. False if no execution
    waits for the token. An error of the function would be logged and counted as one."""
    return _fail(task_token, error="SourceRunning")


def _fail(task_token: str, **reason: str) -> bool:
    client = aws.step_functions()
    return _reached(lambda: client.send_task_failure(taskToken=task_token, **reason))


def _reached(send: Callable[[], object]) -> bool:
    """Whether an execution still waited for what ``send`` sends."""
    errors = aws.step_functions().exceptions
    try:
        send()
    except (errors.TaskTimedOut, errors.TaskDoesNotExist, errors.InvalidToken):
        return False
    return True
