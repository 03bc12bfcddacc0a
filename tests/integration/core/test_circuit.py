"""The circuit breaker: a provider that keeps failing is not called, but only for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base as breaker
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from clipmint.jobs.job import Handle
from clipmint.jobs.job_store import JobFinished
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.providers import circuit
from clipmint.providers.base import Accepted, Busy, Rejected, Submitted, Unanswered
from clipmint.providers.circuit import FAILURES_TO_OPEN, SECONDS_OPEN, Open
from tests.support.clock import Clock
from tests.support.moto_aws import Aws, forget_circuits, hooked

ACCEPTED = Accepted(Handle("request-1"))
BUSY = Busy("503")
NO_FUNDS = Rejected(Failed(FailureCode.OWNER_ACCOUNT, "exhausted balance"))
DECLINED = Rejected(Failed(FailureCode.CONTENT_POLICY, "flagged"))


class Line:
    """The provider that answers the call, if it is made at all."""

    def __init__(self) -> None:
        self.calls = 0

    def ask(self, answer: Submitted, provider: str = "fal") -> Submitted | Open:
        def submit() -> Submitted:
            self.calls += 1
            return answer

        return circuit.guarded(provider, submit, timeout_counts=True)


@pytest.fixture
def line(aws: Aws, hands: Clock) -> Line:
    return Line()


def open_circuit(line: Line) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert line.ask(BUSY) is BUSY
    line.calls = 0


def in_another_process() -> None:
    """As in another process: nothing is known except the content of the table."""
    forget_circuits()
    breaker._PROBE_OWNER.pid = None  # noqa: SLF001


@pytest.mark.parametrize("failure", [BUSY, Unanswered("reset"), NO_FUNDS])
def test_after_too_many_failures_in_a_row_the_provider_is_not_called(
    line: Line, failure: Submitted
) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert line.ask(failure) is failure
    assert line.ask(ACCEPTED) == Open()
    in_another_process()
    assert line.ask(ACCEPTED) == Open()
    assert line.calls == FAILURES_TO_OPEN


def test_an_open_circuit_does_not_affect_another_provider(line: Line) -> None:
    open_circuit(line)
    assert line.ask(ACCEPTED, "runware") is ACCEPTED


@pytest.mark.parametrize("good", [ACCEPTED, DECLINED])
def test_any_response_of_a_working_provider_resets_the_count(line: Line, good: Submitted) -> None:
    for answer in [*[BUSY] * (FAILURES_TO_OPEN - 1), good, *[BUSY] * (FAILURES_TO_OPEN - 1)]:
        assert line.ask(answer) is answer
    assert line.ask(ACCEPTED) is ACCEPTED


def test_after_a_while_one_trial_call_is_made_and_its_success_closes_the_circuit(
    line: Line, hands: Clock
) -> None:
    open_circuit(line)
    hands.forward(seconds=SECONDS_OPEN - 1)
    assert line.ask(ACCEPTED) == Open()
    hands.forward(seconds=1)
    assert line.ask(ACCEPTED) is ACCEPTED
    for answer in (BUSY, ACCEPTED):
        assert line.ask(answer) is answer
    in_another_process()
    assert line.ask(ACCEPTED) is ACCEPTED
    assert line.calls == 4


def test_a_failed_trial_call_keeps_the_circuit_open_for_another_period(
    line: Line, hands: Clock
) -> None:
    open_circuit(line)
    hands.forward(seconds=SECONDS_OPEN)
    assert line.ask(BUSY) is BUSY
    hands.forward(seconds=SECONDS_OPEN - 1)
    assert line.ask(ACCEPTED) == Open()
    hands.forward(seconds=1)
    assert line.ask(ACCEPTED) is ACCEPTED
    assert line.calls == 2


def test_during_a_trial_call_other_processes_skip_the_provider(line: Line, hands: Clock) -> None:
    open_circuit(line)
    hands.forward(seconds=SECONDS_OPEN)
    meanwhile: list[object] = []

    def probe() -> Submitted:
        in_another_process()
        meanwhile.append(line.ask(ACCEPTED))
        return ACCEPTED

    assert circuit.guarded("fal", probe, timeout_counts=True) is ACCEPTED
    assert meanwhile == [Open()]
    assert line.calls == 0


def test_a_process_that_crashes_during_its_trial_call_does_not_keep_the_circuit_open(
    line: Line, hands: Clock
) -> None:
    open_circuit(line)
    hands.forward(seconds=SECONDS_OPEN)

    def crash() -> Submitted:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        circuit.guarded("fal", crash, timeout_counts=True)
    in_another_process()
    assert line.ask(ACCEPTED) == Open()
    in_another_process()
    hands.forward(seconds=SECONDS_OPEN)
    assert line.ask(ACCEPTED) is ACCEPTED


def test_what_is_raised_before_the_call_does_not_count_against_the_provider(line: Line) -> None:
    def job_ended() -> Submitted:
        raise JobFinished("before it was sent")

    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(JobFinished):
            circuit.guarded("fal", job_ended, timeout_counts=True)
    assert line.ask(ACCEPTED) is ACCEPTED


@contextmanager
def table_trouble(*operations: str) -> Iterator[None]:
    """These operations of the circuit's table are refused."""

    def refuse(**_: Any) -> Any:
        parsed = {
            "ResponseMetadata": {"HTTPStatusCode": 400},
            "Error": {"Code": "AccessDeniedException", "Message": "no"},
        }
        return AWSResponse("https://dynamodb.example.com", 400, HTTPHeaders(), None), parsed

    forget_circuits()
    hooks = {f"before-call.dynamodb.{operation}": refuse for operation in operations}
    with hooked(circuit.store().client, hooks):
        yield


@pytest.mark.parametrize(
    ("operations", "failures"),
    [(["GetItem"], FAILURES_TO_OPEN - 1), (["GetItem", "PutItem"], 2 * FAILURES_TO_OPEN)],
)
def test_an_error_of_the_circuits_table_never_blocks_a_submission(
    line: Line, operations: list[str], failures: int
) -> None:
    open_circuit(line)
    with table_trouble(*operations):
        answers: list[Submitted] = [ACCEPTED, *[BUSY] * failures, ACCEPTED]
        for answer in answers:
            assert line.ask(answer) is answer


def test_a_trial_call_that_cannot_be_recorded_is_made_anyway(line: Line, hands: Clock) -> None:
    open_circuit(line)
    hands.forward(seconds=SECONDS_OPEN)
    with table_trouble("PutItem"):
        assert line.ask(ACCEPTED) is ACCEPTED


def test_every_change_is_counted_by_provider(
    line: Line, hands: Clock, metrics: Callable[[str], list[dict[str, Any]]]
) -> None:
    open_circuit(line)
    hands.forward(seconds=SECONDS_OPEN)
    line.ask(ACCEPTED)
    assert [(counted["provider"], counted["to"]) for counted in metrics("Circuit")] == [
        ("fal", "OPEN"),
        ("fal", "HALF_OPEN"),
        ("fal", "CLOSED"),
    ]


def test_a_slow_host_of_one_users_image_opens_no_circuit_for_all_users(line: Line) -> None:
    for _ in range(2 * FAILURES_TO_OPEN):
        answer = circuit.guarded("fal", lambda: Unanswered("slow"), timeout_counts=False)
        assert isinstance(answer, Unanswered)
    assert line.ask(ACCEPTED) is ACCEPTED
