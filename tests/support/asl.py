"""Checks an Amazon States Language definition (JSONata mode) the way CreateStateMachine would.

`problems` finds: transitions to states that do not exist, states nothing leads to, states that
neither end nor lead on, tasks without a time limit, malformed retriers and catchers, fields a state
type does not have, expressions left open, and variables some path reaches without having assigned
them. The last one AWS itself reports only while a job is running.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

State = Mapping[str, Any]

COMMON = {"Type", "Comment", "QueryLanguage"}
FLOW = {"Next", "End", "Assign", "Output"}
FIELDS = {
    "Task": COMMON
    | FLOW
    | {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds", "Retry", "Catch"}
    | {"Credentials"},
    "Pass": COMMON | FLOW,
    "Wait": COMMON | FLOW | {"Seconds", "Timestamp"},
    "Choice": COMMON | {"Choices", "Default", "Assign", "Output"},
    "Succeed": COMMON | {"Output"},
    "Fail": COMMON | {"Error", "Cause"},
}
RETRIER: Mapping[str, type | tuple[type, ...]] = {
    "ErrorEquals": list,
    "IntervalSeconds": int,
    "BackoffRate": (int, float),
    "MaxDelaySeconds": int,
    "MaxAttempts": int,
    "JitterStrategy": str,
    "Comment": str,
}
CATCHER = {"ErrorEquals", "Next", "Assign", "Output", "Comment"}
RULE = {"Condition", "Next", "Assign", "Output", "Comment"}
LONGEST_DELAY_SECONDS = 31622400
MOST_ATTEMPTS = 99999999

VARIABLE = re.compile(r"\$([A-Za-z_]\w*)\b(?!\s*\()")
STRING_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class Transition:
    """One way out of a state, with the variables assigned on that way."""

    target: str
    assigned: frozenset[str]


def problems(definition: Mapping[str, Any]) -> list[str]:
    """Everything wrong with a definition, one sentence each; empty when nothing is."""
    states: Mapping[str, State] = definition.get("States", {})
    found = []
    if definition.get("QueryLanguage") != "JSONata":
        found.append("QueryLanguage is not JSONata")
    if definition.get("StartAt") not in states:
        found.append(f"StartAt names no state: {definition.get('StartAt')}")
    for name, state in states.items():
        found += [f"{name}: {problem}" for problem in _state_problems(state, states)]
    if not found:
        found += _unreachable(definition)
        found += _unassigned(definition)
    return found


def substitutions(text: str) -> set[str]:
    """Names that DefinitionSubstitutions must provide."""
    return set(re.findall(r"\$\{(\w+)\}", text))


def _state_problems(state: State, states: Mapping[str, State]) -> Iterator[str]:
    kind = str(state.get("Type"))
    if kind not in FIELDS:
        yield f"unknown type {kind}"
        return
    for field in sorted(state.keys() - FIELDS[kind]):
        yield f"a {kind} has no {field}"
    for transition in _transitions(state):
        if transition.target not in states:
            yield f"leads to {transition.target}, which does not exist"
    if kind in {"Task", "Pass", "Wait"} and ("Next" in state) == (state.get("End") is True):
        yield "needs either Next or End: true"
    if kind == "Choice":
        yield from _choice_problems(state)
    if kind == "Task":
        yield from _task_problems(state)
    for text in _texts(state):
        if text.startswith("{%") != text.endswith("%}"):
            yield f"an expression is left open: {text}"


def _choice_problems(state: State) -> Iterator[str]:
    if not state.get("Choices"):
        yield "offers no choice"
    if "Default" not in state:
        yield "has no Default"
    for rule in state.get("Choices", []):
        if not {"Condition", "Next"} <= rule.keys() <= RULE:
            yield f"a rule has {sorted(rule)}"


def _task_problems(state: State) -> Iterator[str]:
    if not str(state.get("Resource", "")).startswith("arn:"):
        yield "has no Resource"
    timeout = state.get("TimeoutSeconds")
    if timeout is None:
        yield "has no TimeoutSeconds"
    elif not isinstance(timeout, str) and (not isinstance(timeout, int) or timeout < 1):
        yield f"TimeoutSeconds is {timeout}"
    for retrier in state.get("Retry", []):
        yield from _retrier_problems(retrier)
    for catcher in state.get("Catch", []):
        if not {"ErrorEquals", "Next"} <= catcher.keys() <= CATCHER:
            yield f"a catcher has {sorted(catcher)}"
    for field in ("Retry", "Catch"):
        yield from _error_problems(field, state.get(field, []))


def _error_problems(field: str, clauses: list[Mapping[str, Any]]) -> Iterator[str]:
    for position, clause in enumerate(clauses, start=1):
        errors = clause.get("ErrorEquals", [])
        if not errors or not all(isinstance(error, str) for error in errors):
            yield f"{field} {position} names no error"
        if "States.ALL" in errors and (len(errors) > 1 or position < len(clauses)):
            yield f"States.ALL must stand alone and last in {field}"


def _retrier_problems(retrier: Mapping[str, Any]) -> Iterator[str]:
    for field, value in retrier.items():
        kind = RETRIER.get(field)
        if kind is None or not isinstance(value, kind) or isinstance(value, bool):
            yield f"a retrier has {field}: {value}"
            return
    interval = retrier.get("IntervalSeconds", 1)
    delay = retrier.get("MaxDelaySeconds", LONGEST_DELAY_SECONDS)
    if interval < 1 or not interval < delay <= LONGEST_DELAY_SECONDS:
        yield f"a retrier waits {interval} s up to {delay} s"
    if retrier.get("BackoffRate", 2) < 1:
        yield "a retrier waits less each time"
    if not 0 <= retrier.get("MaxAttempts", 3) <= MOST_ATTEMPTS:
        yield "a retrier's MaxAttempts is out of range"
    if retrier.get("JitterStrategy", "NONE") not in {"NONE", "FULL"}:
        yield f"a retrier has JitterStrategy: {retrier['JitterStrategy']}"


def _transitions(state: State) -> Iterator[Transition]:
    own = frozenset(state.get("Assign", {}))
    for field in ("Next", "Default"):
        if field in state:
            yield Transition(state[field], own)
    # A rule or a catcher that applies has its own Assign; the state's does not run then.
    for clause in (*state.get("Choices", []), *state.get("Catch", [])):
        if "Next" in clause:
            yield Transition(clause["Next"], frozenset(clause.get("Assign", {})))


def _unreachable(definition: Mapping[str, Any]) -> list[str]:
    states = definition["States"]
    reached, waiting = set(), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [transition.target for transition in _transitions(states[name])]
    return [f"{name}: nothing leads here" for name in states if name not in reached]


def _unassigned(definition: Mapping[str, Any]) -> list[str]:
    """Variables a state reads although some path to it has not assigned them."""
    states = definition["States"]
    every = frozenset(
        variable
        for state in states.values()
        for transition in _transitions(state)
        for variable in transition.assigned
    )
    # Assume that all are assigned everywhere but at the start, and take away until it is true.
    known = dict.fromkeys(states, every) | {definition["StartAt"]: frozenset[str]()}
    changed = True
    while changed:
        changed = False
        for name, state in states.items():
            for transition in _transitions(state):
                certain = known[transition.target] & (known[name] | transition.assigned)
                if certain != known[transition.target]:
                    known[transition.target] = certain
                    changed = True
    return [
        f"{name}: ${variable} may not have been assigned"
        for name, state in states.items()
        for variable in sorted(_variables(state) - known[name])
    ]


def _variables(state: State) -> set[str]:
    expressions = [text for text in _texts(state) if text.startswith("{%")]
    code = (STRING_LITERAL.sub("''", expression) for expression in expressions)
    return {variable for text in code for variable in VARIABLE.findall(text)} - {"states"}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
