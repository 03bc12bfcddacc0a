"""The state machine is checked before it is deployed."""

from __future__ import annotations

import copy
import inspect
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from clipmint.execution import identical, sending, waiting, workflow
from clipmint.execution.sending import LEAST_SECONDS
from clipmint.execution.sweeping import DEADLINE_GRACE
from clipmint.jobs import job_store
from clipmint.media import files
from clipmint.orders.new_jobs import SOURCE_SECONDS
from clipmint.providers import registry
from clipmint.stages import STAGES
from tests.support import asl
from tests.support.reading import DEFINITION, ROOT, of_type, written

Definition = dict[str, Any]
Retrier = dict[str, Any]

# Evaluates one expression per line of input, with the variables beside it.
EVALUATE = """
import json, sys
from jsonata import Jsonata
for line in sys.stdin:
    asked = json.loads(line)
    expression = Jsonata(asked["expression"])
    expression.register_lambda("parse", json.loads)  # one of Step Functions' own
    for name, value in asked["variables"].items():
        expression.assign(name, value)
    print(json.dumps(expression.evaluate(None)))
"""
NOON = datetime(2026, 11, 20, 12, 0, 0, 750_000, tzinfo=UTC)


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


@pytest.mark.parametrize("state", ["Submit", "StartPolling", "Migrate", "Settle"])
def test_a_function_gives_up_before_its_state_starts_another_attempt(state: str) -> None:
    functions = of_type(written()["Resources"], "AWS::Serverless::Function")
    invoked = "Submit" if state == "StartPolling" else state
    assert (
        functions[f"{invoked}Function"]["Timeout"] < definition()["States"][state]["TimeoutSeconds"]
    )


def test_the_code_knows_how_long_submit_waits() -> None:
    assert definition()["States"]["Submit"]["TimeoutSeconds"] == waiting.SUBMIT_SECONDS


def test_an_executions_input_is_nothing_but_the_jobs_id() -> None:
    # StartExecution compares it: with another input a running execution would look like an ended
    # one.
    expressions = json.dumps(definition())
    read = set(re.findall(r"Execution\.Input\.(\w+)", expressions))
    assert read == {"job_id"}


# ── How long Track waits ─────────────────────────────────────────────────────────────────────────


def evaluated(expression: str, *variables: dict[str, Any]) -> list[Any]:
    """What a third-party JSONata implementation returns, for each set of variables."""
    code = expression.strip().removeprefix("{%").removesuffix("%}").strip()
    asked = [json.dumps({"expression": code, "variables": given}) for given in variables]
    done = subprocess.run(
        [ROOT / ".envs/emulator/bin/python", "-c", EVALUATE],
        input="\n".join(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def waits(*turns: tuple[list[int], int, int]) -> list[Any]:
    """Seconds that Track waits, given the model's intervals, the turn, and the seconds to the
    deadline.
    """
    return evaluated(
        definition()["States"]["Track"]["TimeoutSeconds"],
        *(
            {
                "poll_seconds": intervals,
                "turn": turn,
                "deadline": int(NOON.timestamp()) + left,
                "states": {"context": {"State": {"EnteredTime": "2026-11-20T12:00:00.750Z"}}},
            }
            for intervals, turn, left in turns
        ),
    )


def test_track_waits_for_the_models_intervals_and_the_last_one_repeats() -> None:
    intervals = [90, 30, 30, 60]
    far = 86_400
    assert waits(*((intervals, turn, far) for turn in range(7))) == [90, 30, 30, 60, 60, 60, 60]
    assert waits(([45], 0, far), ([45], 1, far), ([45], 2_000, far)) == [45, 45, 45]


def test_tracks_last_turn_comes_right_after_the_deadline() -> None:
    lefts = [89, 60, 2, 1, 0]
    for left, waited in zip(lefts, waits(*(([90], 3, left) for left in lefts)), strict=True):
        # The state was entered within a second: the deadline has passed, by two seconds at most.
        assert left < waited + NOON.microsecond / 1_000_000 <= left + 2
    assert waits(([90], 0, 90), ([90], 0, 89), ([90], 0, 88)) == [90, 90, 89]


@pytest.mark.parametrize("left", [-1, -2, -3_600])
def test_after_the_deadline_the_function_has_all_its_time(left: int) -> None:
    # Otherwise another turn would begin, and poll, while this one waits for the provider's
    # response.
    seconds = of_type(written()["Resources"], "AWS::Serverless::Function")["TrackFunction"][
        "Timeout"
    ]
    assert waits(([90, 30], 0, left), ([90, 30], 5, left)) == [seconds, seconds]


def test_a_wait_is_never_shorter_than_the_second_that_step_functions_asks_for() -> None:
    assert waits(([90, 30], 0, 0), ([90, 30], 5, 0)) == [1, 1]


def test_a_wait_is_a_whole_number() -> None:
    for waited in waits(([90, 30], 0, 3_600), ([90, 30], 0, 10), ([90, 30], 1, -10)):
        assert isinstance(waited, int)


def test_the_sweep_waits_for_tracks_last_turn() -> None:
    functions = of_type(written()["Resources"], "AWS::Serverless::Function")
    a_wait_beyond_the_deadline = 2
    assert (
        a_wait_beyond_the_deadline + functions["TrackFunction"]["Timeout"]
        <= DEADLINE_GRACE.total_seconds()
    )


def test_track_gets_the_plan_that_submit_hands_over() -> None:
    plan = {"stage": "video", "poll_seconds": [30, 20], "deadline": 1_795_176_600}
    [catcher] = [
        clause
        for clause in definition()["States"]["Submit"]["Catch"]
        if clause["ErrorEquals"] == ["PollNeeded"]
    ]
    found = {"states": {"errorOutput": {"Error": "PollNeeded", "Cause": json.dumps(plan)}}}
    read = {
        name: evaluated(expression, found)[0]
        for name, expression in catcher["Assign"].items()
        if isinstance(expression, str)
    }
    assert read == plan
    assert catcher["Assign"].keys() - read.keys() == {"turn"}


# ── What is retried, and for how long ────────────────────────────────────────────────────────────


def retrier(state: str, error: str) -> Retrier:
    """The first retrier that is about this error, as Step Functions would pick it."""
    found = next(
        retrier
        for retrier in definition()["States"][state]["Retry"]
        if {error, "States.ALL"} & set(retrier["ErrorEquals"])
    )
    assert isinstance(found, dict)
    return found


def longest_seconds(found: Retrier) -> int:
    """The longest possible sum of the pauses between all attempts."""
    return sum(
        min(
            # A float ends at 1e308; the longest delay is reached long before.
            found["IntervalSeconds"] * found["BackoffRate"] ** min(attempt, 100),
            found.get("MaxDelaySeconds", asl.LONGEST_DELAY_SECONDS),
        )
        for attempt in range(found["MaxAttempts"])
    )


def test_a_file_on_an_unknown_host_waits_a_day_for_the_owner() -> None:
    assert retrier("Migrate", "HostNotListed") == retrier("Migrate", "SourceUnavailable")


def test_a_broken_url_is_given_up_within_hours_and_an_unreachable_bucket_is_not() -> None:
    expired, other = retrier("Migrate", "SourceExpired"), retrier("Migrate", "SourceUnavailable")
    assert expired["ErrorEquals"] == ["SourceExpired"]
    assert other["ErrorEquals"] == ["States.ALL"]
    # Full jitter halves the pauses on average.
    assert 1_800 <= longest_seconds(expired) / 2 <= 3 * 3_600
    assert longest_seconds(other) / 2 >= 10 * 3_600


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("Submit", "SubmissionRejected"),
        ("Submit", "ImageExpired"),
        ("Submit", "JobFinished"),
        ("Submit", "DeadlineExceeded"),
        ("Submit", "ProviderNotConfigured"),
        ("Submit", "SourceFailed"),
        ("Submit", "GenerationFailed"),
        ("Submit", "PollNeeded"),
        ("Submit", "States.Timeout"),
        ("StartPolling", "SubmissionRejected"),
        ("StartPolling", "ImageExpired"),
        ("StartPolling", "JobFinished"),
        ("StartPolling", "DeadlineExceeded"),
        ("StartPolling", "ProviderNotConfigured"),
        ("StartPolling", "SourceFailed"),
        ("Track", "GenerationFailed"),
        ("Track", "JobFinished"),
        ("Migrate", "JobFinished"),
        ("Migrate", "SourceNotAllowed"),
    ],
)
def test_a_permanent_error_is_not_retried(state: str, error: str) -> None:
    assert retrier(state, error)["MaxAttempts"] == 0


# Where a state's own errors come from: classes Lambda names the error after, and what wakes Track.
RAISED_IN = {
    "Submit": (sending, job_store, registry, identical),
    "StartPolling": (sending, job_store, registry, identical),
    "Track": (job_store,),
    "Migrate": (files, job_store),
    "Settle": (),
}
WAKING_ERRORS = set(re.findall(r"error=\"(\w+)\"", inspect.getsource(workflow)))


@pytest.mark.parametrize("state", RAISED_IN)
def test_every_error_a_state_names_is_one_the_code_raises(state: str) -> None:
    clauses = [
        clause
        for field in ("Retry", "Catch")
        for clause in definition()["States"][state].get(field, [])
    ]
    named = {error for clause in clauses for error in clause["ErrorEquals"]}
    assert "States.ALL" in named
    raised = {
        kind.__name__
        for module in RAISED_IN[state]
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    waking = WAKING_ERRORS if state in {"Submit", "Track"} else set()
    by_aws = ("States.", "Lambda.")
    assert {error for error in named if not error.startswith(by_aws)} <= raised | waking


@pytest.mark.parametrize("state", ["Submit", "StartPolling"])
def test_a_job_waits_for_its_source_until_its_own_deadline(state: str) -> None:
    found = retrier(state, "SourceRunning")
    assert found["ErrorEquals"] == ["SourceRunning"]
    assert found["MaxDelaySeconds"] <= 60
    longest_of_a_model = 86_400
    assert longest_seconds(found) >= longest_of_a_model + SOURCE_SECONDS
    assert found["MaxAttempts"] * EVENTS_OF_A_POLL <= MOST_EVENTS


def test_every_end_of_a_submission_is_known_to_the_state_machine() -> None:
    ends = {
        name
        for name, kind in vars(sending).items()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and kind.__module__ == sending.__name__
    }
    by_name = {
        error
        for clause in definition()["States"]["Submit"]["Retry"]
        for error in clause["ErrorEquals"]
    }
    # A doubt is retried for as long as any unexpected error.
    assert ends - by_name == {"SubmissionInDoubt"}
    assert retrier("Submit", "SubmissionInDoubt")["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize(
    "error",
    ["SubmissionInDoubt", "JobMoved", "Lambda.Unknown", "Sandbox.Timedout"],
)
def test_submit_is_tried_again_until_it_has_seen_how_far_the_job_is(error: str) -> None:
    # Giving up here refunds a job that may have been paid for, so the retries outlast a disturbance
    # of 15 minutes. Submit itself refuses a job that has no time left.
    assert longest_seconds(retrier("Submit", error)) / 2 > 900
    assert LEAST_SECONDS > 0


# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
NOT_RUN = (
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
)
EVENTS_OF_A_THROTTLED_ATTEMPT = 3
EVENTS_OF_A_POLL = 6
MOST_EVENTS = 25_000


@pytest.mark.parametrize("error", NOT_RUN)
@pytest.mark.parametrize("state", ["Submit", "StartPolling", "Track", "Migrate", "Settle"])
def test_a_function_that_lambda_did_not_run_is_retried_soon_and_for_hours(
    state: str, error: str
) -> None:
    found = retrier(state, error)
    assert set(found["ErrorEquals"]) == set(NOT_RUN)
    # A new account has ten slots: what waits for one must not miss it, nor wait in step.
    assert found["IntervalSeconds"] == 1
    assert found["MaxDelaySeconds"] <= 30
    assert found["JitterStrategy"] == "FULL"
    # Full jitter halves the pauses on average.
    assert longest_seconds(found) / 2 >= 8 * 3_600


def test_a_job_may_be_polled_as_often_as_possible_and_then_be_throttled_for_hours() -> None:
    polls = 2 * sum(kind.max_polls or 0 for kind in STAGES.values())
    throttled = max(retrier(state, NOT_RUN[0])["MaxAttempts"] for state in RAISED_IN)
    events = polls * EVENTS_OF_A_POLL + throttled * EVENTS_OF_A_THROTTLED_ATTEMPT
    assert events <= MOST_EVENTS


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
    broken["States"]["Settle"]["Retry"][-1]["ErrorEquals"] = []


def _misspells_a_retrier(broken: Definition) -> None:
    broken["States"]["Settle"]["Retry"][-1]["MaxAttemps"] = 3


def _waits_longer_than_its_longest_wait(broken: Definition) -> None:
    broken["States"]["Settle"]["Retry"][-1]["IntervalSeconds"] = 301


def _catches_without_leading_on(broken: Definition) -> None:
    del broken["States"]["Submit"]["Catch"][-1]["Next"]


def _chooses_without_a_default(broken: Definition) -> None:
    del broken["States"]["NextStage"]["Default"]


def _leaves_an_expression_open(broken: Definition) -> None:
    broken["States"]["Track"]["Arguments"]["Payload"]["turn"] = "{% $turn"


def _reads_what_one_path_did_not_assign(broken: Definition) -> None:
    del broken["States"]["Submit"]["Catch"][-1]["Assign"]


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
        (_retries_nothing, "Settle: Retry 2 names no error"),
        (_misspells_a_retrier, "Settle: a retrier has MaxAttemps: 3"),
        (_waits_longer_than_its_longest_wait, "Settle: a retrier waits 301 s up to 300 s"),
        (_catches_without_leading_on, "Submit: a catcher has ['Assign', 'ErrorEquals']"),
        (_chooses_without_a_default, "NextStage: has no Default"),
        (_leaves_an_expression_open, "Track: an expression is left open: {% $turn"),
        (_reads_what_one_path_did_not_assign, "Settle: $error may not have been assigned"),
    ],
)
def test_a_damaged_definition_is_detected(
    damage: Callable[[Definition], None], problem: str
) -> None:
    broken = copy.deepcopy(definition())
    damage(broken)
    assert problem in asl.problems(broken)
