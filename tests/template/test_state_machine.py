"""The state machine is sound before anybody deploys it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.template import asl
from tests.template.reading import DEFINITION, of_type, written

Definition = dict[str, Any]


def definition() -> Definition:
    loaded = yaml.safe_load(DEFINITION.read_text())
    assert isinstance(loaded, dict)
    return loaded


def machine() -> dict[str, Any]:
    return of_type(written()["Resources"], "AWS::Serverless::StateMachine")[
        "GenerationStateMachine"
    ]


def test_the_definition_has_no_problem() -> None:
    assert asl.problems(definition()) == []


def test_the_template_provides_exactly_what_the_definition_substitutes() -> None:
    assert machine()["DefinitionSubstitutions"].keys() == asl.substitutions(DEFINITION.read_text())


def test_the_machine_is_standard_traced_and_logs_no_execution_data() -> None:
    assert machine()["Type"] == "STANDARD"
    assert machine()["Tracing"] == {"Enabled": True}
    assert machine()["Logging"]["IncludeExecutionData"] is False


@pytest.mark.parametrize("state", ["Submit", "Migrate", "Settle"])
def test_a_function_gives_up_before_its_state_starts_another_attempt(state: str) -> None:
    functions = of_type(written()["Resources"], "AWS::Serverless::Function")
    assert (
        functions[f"{state}Function"]["Timeout"] < definition()["States"][state]["TimeoutSeconds"]
    )


def _leads_nowhere(broken: Definition) -> None:
    broken["States"]["Track"]["Catch"][0]["Next"] = "Setle"


def _starts_nowhere(broken: Definition) -> None:
    broken["StartAt"] = "Begin"


def _is_orphaned(broken: Definition) -> None:
    broken["States"]["NextStage"]["Choices"][0]["Next"] = "Settle"
    broken["States"]["Retired"] = {"Type": "Pass", "Next": "Settle"}


def _neither_ends_nor_leads_on(broken: Definition) -> None:
    del broken["States"]["Settle"]["End"]


def _ends_and_leads_on(broken: Definition) -> None:
    broken["States"]["Submit"]["End"] = True


def _has_no_time_limit(broken: Definition) -> None:
    del broken["States"]["Track"]["TimeoutSeconds"]


def _speaks_jsonpath(broken: Definition) -> None:
    broken["States"]["Submit"]["ResultPath"] = "$.submitted"


def _catches_everything_first(broken: Definition) -> None:
    broken["States"]["Track"]["Catch"].reverse()


def _retries_nothing(broken: Definition) -> None:
    broken["States"]["Settle"]["Retry"][0]["ErrorEquals"] = []


def _misspells_a_retrier(broken: Definition) -> None:
    broken["States"]["Settle"]["Retry"][0]["MaxAttemps"] = 3


def _waits_longer_than_its_longest_wait(broken: Definition) -> None:
    broken["States"]["Settle"]["Retry"][0]["IntervalSeconds"] = 301


def _catches_without_leading_on(broken: Definition) -> None:
    del broken["States"]["Submit"]["Catch"][0]["Next"]


def _chooses_without_a_default(broken: Definition) -> None:
    del broken["States"]["NextStage"]["Default"]


def _leaves_an_expression_open(broken: Definition) -> None:
    broken["States"]["Track"]["Arguments"]["Payload"]["turn"] = "{% $turn"


def _reads_what_one_path_did_not_assign(broken: Definition) -> None:
    del broken["States"]["Submit"]["Catch"][0]["Assign"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_leads_nowhere, "Track: leads to Setle, which does not exist"),
        (_starts_nowhere, "StartAt names no state: Begin"),
        (_is_orphaned, "Retired: nothing leads here"),
        (_neither_ends_nor_leads_on, "Settle: needs either Next or End: true"),
        (_ends_and_leads_on, "Submit: needs either Next or End: true"),
        (_has_no_time_limit, "Track: has no TimeoutSeconds"),
        (_speaks_jsonpath, "Submit: a Task has no ResultPath"),
        (_catches_everything_first, "Track: States.ALL must stand alone and last in Catch"),
        (_retries_nothing, "Settle: Retry 1 names no error"),
        (_misspells_a_retrier, "Settle: a retrier has MaxAttemps: 3"),
        (_waits_longer_than_its_longest_wait, "Settle: a retrier waits 301 s up to 300 s"),
        (_catches_without_leading_on, "Submit: a catcher has ['Assign', 'ErrorEquals']"),
        (_chooses_without_a_default, "NextStage: has no Default"),
        (_leaves_an_expression_open, "Track: an expression is left open: {% $turn"),
        (_reads_what_one_path_did_not_assign, "Settle: $error may not have been assigned"),
    ],
)
def test_a_damaged_definition_is_found_out(
    damage: Callable[[Definition], None], problem: str
) -> None:
    broken = copy.deepcopy(definition())
    damage(broken)
    assert problem in asl.problems(broken)
