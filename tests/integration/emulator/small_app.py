"""The small application of `app/`, and helpers to call it."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx

from local.deploy import ROOT, Layer, site_packages
from local.stack import Stack, wait_for

APP = Path(__file__).parent / "app"
LAYERS = {
    "OwnLayer": Layer((APP / "layer" / "probe",), site_packages(ROOT / ".envs" / "lambda")),
    "MediaLayer": Layer((), site_packages(ROOT / ".envs" / "lambda-media")),
}


def small_app(**options: object) -> Stack:
    """A stack of the small application, not started."""
    return Stack(
        template=APP / "template.yaml",
        layers=LAYERS,
        simulate=(),
        **options,  # type: ignore[arg-type]
    )


def act(stack: Stack, wish: dict[str, Any], function: str = "Act") -> Any:
    """Invoke a function directly: its result, or its error payload."""
    answer = stack.boto3("lambda").invoke(
        FunctionName=stack.functions[function], Payload=json.dumps(wish)
    )
    return json.loads(answer["Payload"].read())


def request(stack: Stack, method: str, path: str, **options: Any) -> httpx.Response:
    """A request to the HTTP API."""
    return httpx.request(method, stack.api_url + path, timeout=120, **options)


def run(
    stack: Stack,
    states: dict[str, Any],
    given: Any = None,
    *,
    seconds: float = 10.0,
    language: str = "JSONata",
    **top_level: Any,
) -> dict[str, Any]:
    """Execute a state machine made of `states`, from its first state; its final description.

    One that has not ended in time is described as it is, RUNNING, and stopped. `seconds` is how
    long the stock emulator gets to be wrong; ours may be on a busy machine and gets longer.
    """
    client = stack.boto3("stepfunctions")
    arn = start(stack, states, given, language=language, **top_level)
    try:
        wait_for(
            lambda: client.describe_execution(executionArn=arn)["status"] != "RUNNING",
            seconds if stack.stock else 30,
        )
    except TimeoutError:
        described: dict[str, Any] = client.describe_execution(executionArn=arn)
        client.stop_execution(executionArn=arn)
        return described
    ended: dict[str, Any] = client.describe_execution(executionArn=arn)
    return ended


def start(
    stack: Stack,
    states: dict[str, Any],
    given: Any = None,
    *,
    language: str = "JSONata",
    **top_level: Any,
) -> str:
    """Start a state machine made of `states`; the execution's ARN."""
    client = stack.boto3("stepfunctions")
    definition = {
        "QueryLanguage": language,
        "StartAt": next(iter(states)),
        "States": states,
        **top_level,
    }
    machine = client.create_state_machine(
        name=f"probe-{uuid.uuid4().hex}",
        definition=json.dumps(definition),
        roleArn=role(stack),
    )["stateMachineArn"]
    arn: str = client.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))[
        "executionArn"
    ]
    return arn


def role(stack: Stack) -> str:
    """The role of the deployed state machine, for others to use."""
    machines = stack.boto3("stepfunctions")
    described = machines.describe_state_machine(stateMachineArn=stack.state_machine_arn)
    return str(described["roleArn"])


def task(stack: Stack, wish: Any, *, callback: bool = False, **fields: Any) -> dict[str, Any]:
    """A task state that lets Act do something; it ends the execution by default."""
    suffix = ".waitForTaskToken" if callback else ""
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::lambda:invoke{suffix}",
        "Arguments": {"FunctionName": stack.functions["Act"], "Payload": wish},
        **({} if "Next" in fields else {"End": True}),
        **fields,
    }


def outcome(execution: dict[str, Any]) -> Any:
    """An execution's output if it succeeded, its error's name or its status if not."""
    if execution["status"] == "SUCCEEDED":
        return json.loads(execution["output"])
    return execution.get("error") or execution["status"]
