"""Step Functions: a task fails, is retried and caught as on AWS.

How upstream differs from AWS; each difference could hide a defect:

- An exception of a `waitForTaskToken` function is ignored and the execution hangs; here it fails
  the task, unless the callback came first.
- `HeartbeatSeconds` is ignored, and so is a `TimeoutSeconds` written as JSONata.
- All attempts of a task share one token; here each has its own, and a token ends with its attempt.
- `MaxDelaySeconds` and `JitterStrategy` are ignored, waits are cut at 60 seconds, and `States.ALL`
  catches errors that AWS documents as not caught.
- `Assign` evaluates each expression with the variables that earlier ones assigned.

History has the events AWS records around a task (scheduled, started, submitted, failed, timed out).
Activities are not supported: nothing here uses them, and their tokens are upstream's.
"""

import contextvars
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import stepfunctions as upstream

from local.emulator.callbacks import Callback, Json, StepError, engine
from local.emulator.identity import role_allows
from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

CALLBACK = ".waitForTaskToken"
TOKEN_CHARACTERS = 850
"""About as long as AWS's tokens (an assumption; 2,048 are allowed). They are stored on the job, and
DynamoDB bills writes by the size of the whole item."""
DEFAULT_TIMEOUT_SECONDS = 99_999_999
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
UNCATCHABLE_BY_ALL = {"States.DataLimitExceeded", "States.Runtime"}
TIMEOUTS = {"States.Timeout", "States.HeartbeatTimeout"}


@dataclass(frozen=True)
class Task:
    """A task state that is being executed, with the data that its fields are evaluated against."""

    state: Json
    input: Any
    execution: Json
    context: Json
    enforce_iam: bool = False

    @property
    def resource(self) -> str:
        return str(self.state["Resource"])

    @property
    def speaks_jsonata(self) -> bool:
        return bool(upstream._state_query_language(self.state, self.context) == "JSONata")

    def attempt(self) -> tuple[Any, str | None]:
        """Run once: the state's output and the next state, or the error that ends the attempt."""
        self.must_be_running()
        if CALLBACK in self.resource:
            self.context["Task"] = {"Token": new_uuid().ljust(TOKEN_CHARACTERS, "A")}
        arguments = self._arguments()
        timeout = self._seconds("TimeoutSeconds") or DEFAULT_TIMEOUT_SECONDS
        self.record("TaskScheduled", parameters=json.dumps(arguments), timeoutInSeconds=timeout)
        self._must_be_allowed(arguments)
        self.record("TaskStarted")
        if CALLBACK in self.resource:
            result = self._wait_for_callback(arguments, timeout)
        else:
            result = upstream._invoke_resource_with_timeout(self.resource, arguments, timeout)
        self.must_be_running()
        self.record("TaskSucceeded", output=json.dumps(result))
        return self._output(result), upstream._next_or_end(self.state)

    def must_be_running(self) -> None:
        if self.execution["status"] != "RUNNING":
            raise StepError("States.Runtime", "the execution has ended")

    def _must_be_allowed(self, arguments: Any) -> None:
        """Raise what AWS raises if the state machine's role may not invoke the function."""
        if self.enforce_iam and ":::lambda:invoke" in self.resource:
            machine = upstream._state_machines[self.execution["stateMachineArn"]]
            role, function = machine["roleArn"], arguments["FunctionName"]
            if not role_allows(role, "lambda:InvokeFunction", function):
                message = f"User: {role} is not authorized to perform: lambda:InvokeFunction"
                raise StepError("Lambda.AWSLambdaException", f"{message} on resource: {function}")

    def record(self, kind: str, **details: Any) -> None:
        service, action = self.resource.split(":")[-2:]
        described = {"resourceType": service, "resource": action, **details}
        name = f"{kind[0].lower()}{kind[1:]}EventDetails"
        upstream._add_event(self.execution, kind, {name: described})

    def _arguments(self) -> Any:
        if self.speaks_jsonata:
            return upstream._apply_jsonata_arguments(self.state, self.input, self.context)
        given = upstream._apply_input_path(self.state, self.input, self.context)
        return upstream._apply_parameters(self.state, given, self.context)

    def _seconds(self, name: str) -> float | None:
        """A duration field in any of its forms: number, JSONata expression, path."""
        if f"{name}Path" in self.state:
            path = self.state[f"{name}Path"]
            return float(upstream._resolve_path_or_ctx(path, self.input, self.context))
        value = self.state.get(name)
        if isinstance(value, str):
            value = upstream._jsonata_state_field(
                self.state, name, "number", self.input, self.context
            )
        return None if value is None else float(value)

    def _wait_for_callback(self, arguments: Any, timeout: float) -> Any:
        token = self.context["Task"]["Token"]
        heartbeat = self._seconds("HeartbeatSeconds")
        callback = engine.open(token, self.execution)
        service = self.resource.replace(CALLBACK, "")

        def submit() -> None:
            try:
                upstream._invoke_resource(service, arguments)
            except Exception as error:  # noqa: BLE001 - every exception fails the task
                if engine.close(token):
                    callback.failure = error
                    callback.done.set()
            else:
                self.record("TaskSubmitted")

        # A callback may come before the function returns, so begin the wait before that.
        threading.Thread(target=contextvars.copy_context().run, args=(submit,), daemon=True).start()
        try:
            self._wait(callback, timeout, heartbeat)
        finally:
            engine.close(token)
        self.must_be_running()
        if callback.failure is not None:
            raise callback.failure
        return json.loads(callback.output or "null")

    @staticmethod
    def _wait(callback: Callback, timeout: float, heartbeat: float | None) -> None:
        remaining = timeout
        while heartbeat is not None and heartbeat < remaining and not callback.done.is_set():
            callback.beat.clear()
            started = time.monotonic()
            if not callback.beat.wait(heartbeat) and not callback.done.is_set():
                raise StepError("States.HeartbeatTimeout", f"No heartbeat for {heartbeat} seconds")
            remaining -= time.monotonic() - started
        if not callback.done.wait(max(0.0, remaining)):
            raise StepError("States.Timeout", f"No callback within {timeout} seconds")

    def _output(self, result: Any) -> Any:
        if self.speaks_jsonata:
            output = upstream._apply_jsonata_output(
                self.state, self.input, self.context, result=result, default=result
            )
            upstream._apply_state_assign(self.state, self.input, self.context, result=result)
            return output
        selected = upstream._apply_result_selector(self.state, result)
        placed = upstream._apply_result_path(self.state, self.input, selected)
        return upstream._apply_output_path(self.state, placed, self.context)


def run_task(task: Task) -> tuple[Any, str | None]:
    """Run a task state with its retriers and catchers. Returns its output and the next state."""
    retriers = task.state.get("Retry", [])
    used: dict[int, int] = {}
    while True:
        task.context["State"]["RetryCount"] = sum(used.values())
        try:
            return task.attempt()
        except StepError as error:
            task.must_be_running()
            timed_out = error.error in TIMEOUTS
            task.record(
                "TaskTimedOut" if timed_out else "TaskFailed", error=error.error, cause=error.cause
            )
            retrier, index = find_retrier(retriers, error.error, used)
            if retrier is None:
                return caught(task, error)
            delay = delay_seconds(retrier, used.get(index, 0))
            used[index] = used.get(index, 0) + 1
            ended = engine.running.get(task.execution["executionArn"])
            if ended is not None:
                ended.wait(delay)


def find_retrier(retriers: list[Json], error: str, used: dict[int, int]) -> tuple[Json | None, int]:
    """The first retrier that names the error, or None if its attempts are used up; its index."""
    for index, retrier in enumerate(retriers):
        if named(retrier["ErrorEquals"], error):
            left = used.get(index, 0) < retrier.get("MaxAttempts", 3)
            return (retrier, index) if left else (None, -1)
    return None, -1


def named(names: list[str], error: str) -> bool:
    """Whether `ErrorEquals` covers an error. A heartbeat's timeout is a timeout too."""
    if error in names:
        return True
    if error == "States.HeartbeatTimeout" and "States.Timeout" in names:
        return True
    if error in UNCATCHABLE_BY_ALL:
        return False
    return "States.ALL" in names or ("States.TaskFailed" in names and error not in TIMEOUTS)


def delay_seconds(
    retrier: Json, count: int, pick: Callable[[float, float], float] = random.uniform
) -> float:
    """How long to wait before retry number `count` (from 0)."""
    # The largest delay is reached long before this power, and a float ends at 1e308.
    growth = retrier.get("BackoffRate", 2.0) ** min(count, 100)
    delay = retrier.get("IntervalSeconds", 1) * growth
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    return float(pick(0.0, delay) if retrier.get("JitterStrategy") == "FULL" else delay)


def caught(task: Task, error: Any) -> tuple[Any, str]:
    """The output and next state of the first catcher that names the error; or raises the error."""
    for catcher in task.state.get("Catch", []):
        if named(catcher["ErrorEquals"], error.error):
            language = upstream._state_query_language(task.state, task.context)
            described = {"Error": error.error, "Cause": error.cause}
            output = upstream._apply_catcher(catcher, task.input, task.context, language, described)
            return output, catcher["Next"]
    raise error


def assign(
    original: Any,
    state: Json,
    raw_input: Any,
    context: Json,
    **states: Any,
) -> None:
    """Set the variables of an `Assign`, all of them evaluated before any is set."""
    if upstream._state_query_language(state, context) != "JSONata":
        return
    before = context["variables"]
    assigned = {}
    for name, template in (state.get("Assign") or {}).items():
        alone = {**context, "variables": dict(before)}
        original({**state, "Assign": {name: template}}, raw_input, alone, **states)
        assigned[name] = alone["variables"][name]
    before.update(assigned)


def apply(settings: Settings) -> None:
    """Put the corrections in place."""

    @corrects(upstream, "_execute_task", digest="53c818d247db")
    def execute_task(
        _original: Any, state: Json, raw_input: Any, execution: Json, context: Json
    ) -> tuple[Any, str | None]:
        task = Task(state, raw_input, execution, context, settings.enforce_iam)
        return run_task(task)

    corrects(upstream, "_apply_state_assign", digest="f9cc15f006a0")(assign)
