"""Step Functions: an execution starts once and ends once.

How upstream differs from AWS:

- `StartExecution` with a running name and the same input is an error instead of the same response.
- A state machine's own `TimeoutSeconds` is ignored.
- A stopped execution continues to wait, and its final status may change.
"""

import contextvars
import json
import threading
from typing import Any

from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import stepfunctions as upstream

from local.emulator.callbacks import Json, engine
from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001


def start(original: Any, request: Json) -> Any:
    """StartExecution, idempotent while the execution runs."""
    given = request.get("input", "{}")
    try:
        json.loads(given)
    except ValueError:
        return error_response_json("InvalidExecutionInput", f"Not JSON: {given!r}", 400)
    machine = upstream._resolve_state_machine_arn(request.get("stateMachineArn", ""))
    if machine and request.get("name"):
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{request['name']}"
        known = upstream._executions.get(arn)
        if known and known["status"] == "RUNNING" and known["input"] == given:
            return json_response({"executionArn": arn, "startDate": known["startDate"]})
    return original(request)


def run(original: Any, arn: str) -> None:
    """Execute until the end or the state machine's timeout."""
    execution = upstream._executions[arn]
    engine.running[arn] = threading.Event()
    machine = upstream._state_machines.get(execution["stateMachineArn"]) or {}
    limit = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
    alarm = None
    if limit is not None:
        in_scope = contextvars.copy_context()
        alarm = threading.Timer(limit, in_scope.run, args=(time_out, execution))
        alarm.daemon = True
        alarm.start()
    try:
        original(arn)
    finally:
        if alarm is not None:
            alarm.cancel()
        engine.end(arn)


def time_out(execution: Json) -> None:
    """End an execution as TIMED_OUT, unless it has ended."""
    if execution["status"] == "RUNNING":
        execution.update(status="TIMED_OUT", stopDate=now_iso())
        details: Json = {"executionTimedOutEventDetails": {}}
        upstream._add_event(execution, "ExecutionTimedOut", details)
        upstream._emit_execution_status_event(execution)
        engine.end(execution["executionArn"])


def fail(original: Any, execution: Json, error: str, cause: str) -> None:
    """End an execution as FAILED, unless it has ended."""
    if execution["status"] == "RUNNING":
        original(execution, error, cause)


def stop(original: Any, request: Json) -> Any:
    """StopExecution, which ends all waits of the execution."""
    response = original(request)
    engine.end(request["executionArn"])
    return response


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    del settings
    corrects(upstream, "_start_execution", digest="9923282fc76c")(start)
    corrects(upstream, "_run_execution", digest="996dff84e0e0")(run)
    corrects(upstream, "_fail_execution", digest="e6da895fa0b7")(fail)
    corrects(upstream, "_stop_execution", digest="44d2d84ccd5c")(stop)
