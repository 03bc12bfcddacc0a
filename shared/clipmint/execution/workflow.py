"""Executions: start one for a job, wake one that sleeps. All of it may be done twice.

An execution is named after its job, so a job has one at most, whoever starts it and however often.
"""

from __future__ import annotations

import json
import os
from enum import Enum, auto
from typing import TYPE_CHECKING

import boto3  # noqa: F401  (as the function starts: whoever imports this module calls AWS)

from clipmint import aws
from clipmint.jobs.job import Stage
from clipmint.jobs.outcomes import Failed

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class Started(Enum):
    """What starting an execution found."""

    RUNNING = auto()
    ENDED = auto()


def start(job_id: str) -> Started:
    """Make sure that the job's execution was started. Idempotent.

    A running execution is recognised by its name *and* its input, so the input must stay what it
    is: with another, a running execution would look like one that has ended.
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


def wake(stage: Stage) -> bool:
    """Tell a sleeping execution its stage's outcome, if both are there.

    Returns
    -------
    bool
        False if there is nobody to wake: no token yet, or one that was used or has timed out.
        That is no loss, because Track looks for an outcome whenever it starts to sleep.
    """
    if stage.task_token is None or stage.outcome is None:
        return False
    if isinstance(stage.outcome, Failed):
        return release(stage.task_token, stage.outcome)
    client = aws.step_functions()
    try:
        client.send_task_success(
            taskToken=stage.task_token, output=json.dumps({"stage": stage.name})
        )
    except _nobody_there(client):
        return False
    return True


def release(task_token: str, failure: Failed) -> bool:
    """End a sleeping Track, so that its execution goes on to Settle. False if nobody sleeps."""
    client = aws.step_functions()
    try:
        client.send_task_failure(
            taskToken=task_token, error="GenerationFailed", cause=failure.code.value
        )
    except _nobody_there(client):
        return False
    return True


def _nobody_there(client: SFNClient) -> tuple[type[Exception], ...]:
    errors = client.exceptions
    return errors.TaskTimedOut, errors.TaskDoesNotExist, errors.InvalidToken
