"""The state machine in a second interpreter, written by others: LocalStack's, as moto contains it.

Its JSONata runs on a JVM that moto does not start, so a Python implementation evaluates the
expressions. Its Lambda client is replaced by a function of the test.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import boto3
from jsonata import Jsonata
from moto import mock_aws
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.jsonata import jsonata as jsonata_of_moto
from moto.stepfunctions.responses import StepFunctionResponse

PATIENCE_SECONDS = 60
ROLE = "arn:aws:iam::123456789012:role/generation"

Payload = dict[str, Any]
Answer = Callable[[str, Payload], Any]
"""Gets a function's name and its event; returns its result, or a `Failed`."""


@dataclass(frozen=True)
class Failed:
    """The function, or Lambda, fails with an error of this name."""

    error: str


@dataclass
class Lambda:
    """Stands in for boto3's client of Lambda."""

    answer: Answer
    calls: list[tuple[str, Payload]] = field(default_factory=list)

    # The names of boto3's parameters.
    def invoke(self, FunctionName: str, Payload: str, **_: object) -> dict[str, Any]:  # noqa: N803
        name, event = FunctionName.split(":")[6], json.loads(Payload)
        shown = {key: value for key, value in event.items() if key != "task_token"}
        self.calls.append((name, shown))
        result = self.answer(name, event)
        failed = isinstance(result, Failed)
        body = {"errorType": result.error, "errorMessage": ""} if failed else result
        return {
            "StatusCode": 200,
            "ExecutedVersion": "1",
            "Payload": io.BytesIO(json.dumps(body).encode()),
            "ResponseMetadata": {"HTTPHeaders": {}, "HTTPStatusCode": 200, "RequestId": "1"},
            **({"FunctionError": "Unhandled"} if failed else {}),
        }


def _evaluate(expression: str) -> Any:
    program = Jsonata(expression)
    # LocalStack writes Step Functions' $parse as $eval, which this implementation gives no input.
    program.register_lambda("eval", json.loads)
    return program.evaluate(None)


def _send_task_failure(request: StepFunctionResponse) -> ActionResult:
    """As moto's, which forgets the cause."""
    token, error, cause = map(request._get_param, ("taskToken", "error", "cause"))  # noqa: SLF001
    backend: Any = request.stepfunction_backend
    backend.send_task_failure(token, error=error, cause=cause)
    return EmptyResult()


@contextmanager
def interpreter(answer: Answer) -> Iterator[tuple[Any, Lambda]]:
    """A client of Step Functions, and the function calls that its executions make."""
    lambda_ = Lambda(answer)
    with (
        mock_aws(config={"stepfunctions": {"execute_state_machine": True}}),
        mock.patch.object(jsonata_of_moto, "_eval_jsonata", _evaluate),
        mock.patch.object(StepFunctionResponse, "send_task_failure", _send_task_failure),
        mock.patch.object(lambda_eval_utils, "boto_client_for", return_value=lambda_),
    ):
        yield boto3.client("stepfunctions", region_name="us-east-1"), lambda_


def run(client: Any, definition: dict[str, Any], given: dict[str, Any]) -> tuple[str, list[str]]:
    """Execute a definition: the final status, and the states it entered."""
    machine = client.create_state_machine(
        name=uuid.uuid4().hex, definition=json.dumps(definition), roleArn=ROLE
    )["stateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (status := client.describe_execution(executionArn=arn)["status"]) == "RUNNING":
        if time.monotonic() > deadline:
            client.stop_execution(executionArn=arn)
            break
        time.sleep(0.05)
    events = client.get_execution_history(executionArn=arn, maxResults=1000)["events"]
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for event in events
        if event["type"].endswith("StateEntered")
    ]
    return status, entered
