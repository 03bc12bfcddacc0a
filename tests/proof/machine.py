"""Step Functions, as far as our state machine needs it: the real definition, in virtual time.

Interprets Amazon States Language in JSONata mode (Task, Choice and Pass states; `Retry`, `Catch`,
`Assign`, `Output`, `TimeoutSeconds`; ``lambda:invoke`` with and without ``waitForTaskToken``), and
answers the four API calls that the functions make, as AWS does. Anything else in the definition
raises an error here: support for it must be added first.

Expressions are evaluated by jsonata-python, a library of a third party.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from jsonata import Jsonata

from tests.proof.timeline import Timeline, Timer

Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
State = Mapping[str, Any]

WAITING = ".waitForTaskToken"


class FunctionFailed(Exception):
    """A Lambda function ended in an error: its name and its message."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class Refused(Exception):
    """An API call that is answered with an error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Sleep:
    """Continue after that many seconds."""

    seconds: float


@dataclass(frozen=True)
class UntilCallback:
    """Continue when the token is answered, or fail when the time is up."""

    token: str
    seconds: float


Wait = Sleep | UntilCallback
Steps = Generator[Wait, Any, Any]


@dataclass
class Execution:
    """One execution; ``error`` is the reason of its failure."""

    name: str
    input: Any
    status: Status = "RUNNING"
    error: str = ""
    history: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    steps: Steps | None = None
    waiting_for: str | None = None
    timers: list[Timer] = field(default_factory=list)


class Machine:
    """All executions of one definition. ``throttles`` is how many more StartExecution calls are
    throttled.

    Parameters
    ----------
    invoke
        Calls a Lambda function by name with an event; raises `FunctionFailed`.
    on_failure
        Called with every execution that did not succeed.
    """

    def __init__(
        self,
        definition: State,
        timeline: Timeline,
        invoke: Callable[[str, Any], Any],
        on_failure: Callable[[Execution], None],
    ) -> None:
        self.executions: dict[str, Execution] = {}
        self.throttles = 0
        self._definition, self._timeline = definition, timeline
        self._invoke, self._on_failure = invoke, on_failure
        self._tokens: dict[str, tuple[Execution, list[Any]]] = {}
        self._numbers = itertools.count(1)

    def follow(self, definition: State) -> None:
        """Start executions by this definition from now on."""
        self._definition = definition

    # What the functions call.

    def answer(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """One API call. Raises `Refused`."""
        match operation:
            case "StartExecution":
                return self._start(params["name"], params["input"])
            case "SendTaskSuccess":
                return self._call_back(params["taskToken"], json.loads(params["output"]))
            case "SendTaskFailure":
                failure = FunctionFailed(params["error"], params.get("cause", ""))
                return self._call_back(params["taskToken"], failure)
            case "StopExecution":
                self.abort(params["executionArn"].rpartition(":")[2])
                return {}
        raise NotImplementedError(operation)

    def abort(self, name: str) -> None:
        """Stop an execution, as an operator can in the console."""
        if self.executions[name].status == "RUNNING":
            self._end(self.executions[name], "ABORTED")

    def running(self) -> bool:
        return any(found.status == "RUNNING" for found in self.executions.values())

    def _start(self, name: str, text: str) -> dict[str, Any]:
        if self.throttles:
            self.throttles -= 1
            raise Refused("ThrottlingException")
        found = self.executions.get(name)
        if found is None:
            found = self.executions[name] = Execution(name, json.loads(text))
            found.steps = self._run(found)
            self._after(found, 0, lambda: self._go_on(found))
            lifetime = self._definition["TimeoutSeconds"]
            self._after(found, lifetime, lambda: self._end(found, "TIMED_OUT"))
        elif found.status != "RUNNING" or found.input != json.loads(text):
            raise Refused("ExecutionAlreadyExists")
        return {"executionArn": f"arn:aws:states:::execution:{name}"}

    def _call_back(self, token: str, callback: Any) -> dict[str, Any]:
        execution, answers = self._tokens.get(token, (None, []))
        if execution is None or execution.status != "RUNNING" or answers:
            raise Refused("TaskTimedOut")
        answers.append(callback)
        self._after(execution, 0, lambda: self._wake(execution, token))
        return {}

    # How an execution goes on.

    def _after(self, execution: Execution, seconds: float, action: Callable[[], None]) -> None:
        execution.timers.append(self._timeline.after(seconds, action))

    def _end(self, execution: Execution, status: Status) -> None:
        execution.status = status
        for timer in execution.timers:
            timer.call_off()
        if status != "SUCCEEDED":
            self._on_failure(execution)

    def _wake(self, execution: Execution, token: str) -> None:
        """Continue after a wait for this token, if the execution is waiting for it."""
        waiting = self._tokens.get(token)
        if waiting and waiting[1] and execution.waiting_for == token:
            self._go_on(execution, waiting[1][0])

    def _time_out(self, execution: Execution, token: str) -> None:
        if execution.waiting_for == token:
            self._go_on(execution, FunctionFailed("States.Timeout"))

    def _go_on(self, execution: Execution, callback: Any = None) -> None:
        assert execution.steps
        if execution.waiting_for is not None:
            del self._tokens[execution.waiting_for]
            execution.waiting_for = None
        try:
            wait = execution.steps.send(callback)
        except StopIteration:
            self._end(execution, "SUCCEEDED")
            return
        except FunctionFailed as failed:
            execution.error = failed.error
            self._end(execution, "FAILED")
            return
        if isinstance(wait, Sleep):
            self._after(execution, wait.seconds, lambda: self._go_on(execution))
            return
        execution.waiting_for = wait.token
        self._after(execution, 0, lambda: self._wake(execution, wait.token))
        self._after(execution, wait.seconds, lambda: self._time_out(execution, wait.token))

    # Interpreting the definition.

    def _run(self, execution: Execution) -> Steps:
        name: str | None = self._definition["StartAt"]
        data = execution.input
        while name is not None:
            execution.history.append(name)
            state = self._definition["States"][name]
            match state["Type"]:
                case "Task":
                    name, data = yield from self._task(execution, name, state, data)
                case "Choice":
                    name, data = self._choice(execution, state, data)
                case "Pass":
                    name, data = self._leave(execution, state, {"input": data}, data)
                case kind:
                    raise NotImplementedError(kind)

    def _choice(self, execution: Execution, state: State, data: Any) -> tuple[str | None, Any]:
        for rule in state["Choices"]:
            if self._value(execution, rule["Condition"], {"input": data}) is True:
                return self._leave(execution, rule, {"input": data}, data)
        return self._leave(execution, {**state, "Next": state["Default"]}, {"input": data}, data)

    def _leave(
        self, execution: Execution, clause: State, states: Mapping[str, Any], otherwise: Any
    ) -> tuple[str | None, Any]:
        """The next state of a state, a rule or a catcher, and its input."""
        output = self._value(execution, clause["Output"], states) if "Output" in clause else None
        assigned = self._value(execution, clause.get("Assign", {}), states)
        execution.variables.update(assigned)
        if "Next" not in clause and not clause.get("End"):
            raise ValueError("a state that leads nowhere")
        return clause.get("Next"), output if "Output" in clause else otherwise

    def _task(
        self, execution: Execution, name: str, state: State, data: Any
    ) -> Generator[Wait, Any, tuple[str | None, Any]]:
        entered = datetime.fromtimestamp(self._timeline.now(), UTC)
        text = entered.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        retries = Counter[int]()
        while True:
            states = {
                "input": data,
                "context": {
                    "Execution": {"Name": execution.name, "Input": execution.input},
                    "State": {
                        "Name": name,
                        "EnteredTime": text,
                        "RetryCount": retries.total(),
                    },
                    "Task": {"Token": f"token-{next(self._numbers)}-of-{execution.name}"},
                },
            }
            try:
                result = yield from self._attempt(execution, state, states)
                return self._leave(execution, state, states | {"result": result}, result)
            except FunctionFailed as failed:
                delay = _delay(state, failed.error, retries)
                if delay is not None:
                    yield Sleep(delay)
                    continue
                catcher = _matching(state.get("Catch", []), failed.error)
                if catcher is None:
                    raise
                error = {"Error": failed.error, "Cause": failed.cause}
                clause = state["Catch"][catcher]
                return self._leave(execution, clause, states | {"errorOutput": error}, error)

    def _attempt(self, execution: Execution, state: State, states: Mapping[str, Any]) -> Steps:
        arguments = self._value(execution, state["Arguments"], states)
        seconds = float(self._value(execution, state["TimeoutSeconds"], states))
        if not state["Resource"].endswith(WAITING):
            if not state["Resource"].endswith("lambda:invoke"):
                raise NotImplementedError(state["Resource"])
            payload = self._invoke(arguments["FunctionName"], arguments["Payload"])
            return {"Payload": payload, "StatusCode": 200}
        token = states["context"]["Task"]["Token"]
        answers: list[Any] = []
        self._tokens[token] = (execution, answers)
        try:
            self._invoke(arguments["FunctionName"], arguments["Payload"])
        except FunctionFailed:
            # If the token was answered before the function failed, the task has succeeded.
            if not answers:
                del self._tokens[token]
                raise
        callback = yield UntilCallback(token, seconds)
        if isinstance(callback, FunctionFailed):
            raise callback
        return callback

    def _value(self, execution: Execution, written: Any, states: Mapping[str, Any]) -> Any:
        """The value of a part of the definition now."""
        if isinstance(written, Mapping):
            return {name: self._value(execution, part, states) for name, part in written.items()}
        if isinstance(written, list):
            return [self._value(execution, part, states) for part in written]
        if not (isinstance(written, str) and written.lstrip().startswith("{%")):
            return written
        expression = _parsed(written.strip().removeprefix("{%").removesuffix("%}").strip())
        for name, value in {**execution.variables, "states": states}.items():
            expression.assign(name, value)
        return expression.evaluate(None)


@functools.cache
def _parsed(text: str) -> Jsonata:
    expression = Jsonata(text)
    expression.register_lambda("parse", json.loads)  # one of Step Functions' own
    return expression


def _matching(clauses: list[State], error: str) -> int | None:
    for number, clause in enumerate(clauses):
        if {error, "States.ALL"} & set(clause["ErrorEquals"]):
            return number
    return None


def _delay(state: State, error: str, retries: Counter[int]) -> float | None:
    """Seconds until the next attempt; None if there is none. With jitter the longest possible wait,
    because nothing is random here.
    """
    number = _matching(state.get("Retry", []), error)
    if number is None:
        return None
    retrier = state["Retry"][number]
    if retries[number] >= retrier.get("MaxAttempts", 3):
        return None
    delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2) ** retries[number]
    retries[number] += 1
    return float(min(delay, retrier.get("MaxDelaySeconds", delay)))
