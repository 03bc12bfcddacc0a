"""Step Functions for code that runs in process: moto's executions, and Track's task tokens.

moto does not support task tokens, so calls about them are answered here, at the events of the
client that the code uses. `Executions` records which tokens are waited for and which were answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

STATE_MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:clipmint-generation"


@dataclass
class Executions:
    """Step Functions: what was started, which tokens are waited for, and how each was answered.

    An answer to a token that is not (or no longer) waited for gets the same error as at AWS.
    ``broken`` makes StartExecution fail that many times.
    """

    client: SFNClient
    sleeping: set[str] = field(default_factory=set)
    responses: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    attempts_to_start: int = 0
    broken: int = 0

    def hooks(self) -> dict[str, Callable[..., Any]]:
        """What to do at which of botocore's events."""
        return {
            "provide-client-params.stepfunctions.SendTaskSuccess": self._remember,
            "provide-client-params.stepfunctions.SendTaskFailure": self._remember,
            "before-call.stepfunctions.SendTaskSuccess": self._respond,
            "before-call.stepfunctions.SendTaskFailure": self._respond,
            "before-call.stepfunctions.StartExecution": self._start,
        }

    def started(self) -> list[dict[str, Any]]:
        """Name and input of every execution."""
        listed = self.client.list_executions(stateMachineArn=STATE_MACHINE)["executions"]
        return [
            {
                "name": found["name"],
                "input": json.loads(
                    self.client.describe_execution(executionArn=found["executionArn"])["input"]
                ),
            }
            for found in listed
        ]

    def end(self, job_id: str) -> None:
        """Stop the job's execution, as an operator can."""
        for found in self.client.list_executions(stateMachineArn=STATE_MACHINE)["executions"]:
            if found["name"] == job_id:
                self.client.stop_execution(executionArn=found["executionArn"])

    def _remember(self, params: dict[str, Any], **_: Any) -> None:
        self._params = dict(params)

    def _respond(self, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        response = dict(self._params)
        token = response.pop("taskToken")
        if token not in self.sleeping:
            return answer(400, "TaskTimedOut")
        self.sleeping.discard(token)
        self.responses.append((token, response))
        return answer(200)

    def _start(self, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        self.attempts_to_start += 1
        if self.broken:
            self.broken -= 1
            return answer(400, "ThrottlingException")
        return None


def answer(status: int, error: str = "") -> tuple[AWSResponse, dict[str, Any]]:
    parsed: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": status}}
    if error:
        parsed["Error"] = {"Code": error, "Message": error}
    return AWSResponse("https://states.example.com", status, HTTPHeaders(), None), parsed
