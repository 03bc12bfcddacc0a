"""A sample of the crash matrix, and proof that it can fail; ``make proof`` runs all of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipmint.api.audit_trail import AuditItem
from clipmint.credits import ledger
from clipmint.events import bus
from clipmint.events.changes import VIDEO_COMPLETED, Event
from clipmint.execution import submission
from clipmint.execution.sending import Sending
from clipmint.jobs import job_search
from clipmint.providers import circuit
from clipmint.providers.base import Submitted
from clipmint.usage import counting
from tests.proof import memory
from tests.proof.__main__ import write
from tests.proof.boundary import Effect, Point
from tests.proof.matrix import Matrix, Run, effects_table, play, points_of, run_matrix, table
from tests.proof.scenarios import SCENARIOS
from tests.support import moto_aws

aws_clients = moto_aws.aws_clients

PUT = Effect("events", "EventBridge PutEvents")

SAMPLE = ("fal, webhook", "Runway, polled", "not started", "deleted", "video declined once")
"""Enough to crash each function."""

FUNCTIONS = {
    *("generate", "webhooks", "submit", "track", "migrate", "settle", "cancel", "sweep"),
    *("events", "usage"),
}


@pytest.fixture(scope="module")
def rehearsals(aws_clients: moto_aws.Clients) -> dict[str, Run]:
    return {name: play(SCENARIOS[name], aws_clients) for name in SAMPLE}


@pytest.mark.parametrize("name", SAMPLE)
def test_an_undisturbed_scenario_ends_as_it_declares(rehearsals: dict[str, Run], name: str) -> None:
    assert rehearsals[name].found == ()
    assert rehearsals[name].ends == SCENARIOS[name].ends


def test_every_function_that_writes_is_crashed(rehearsals: dict[str, Run]) -> None:
    effects = {effect for run in rehearsals.values() for effect in run.effects}
    assert {effect.function for effect in effects} == FUNCTIONS


def test_a_scenario_has_the_same_side_effects_every_time(
    aws_clients: moto_aws.Clients, rehearsals: dict[str, Run]
) -> None:
    again = play(SCENARIOS["deleted"], aws_clients)
    assert again.effects == rehearsals["deleted"].effects


@pytest.mark.parametrize("name", ["fal, webhook", "video declined once"])
def test_a_crash_breaks_nothing(
    aws_clients: moto_aws.Clients, rehearsals: dict[str, Run], name: str
) -> None:
    for point in list(points_of(rehearsals[name]))[::11]:
        run = play(SCENARIOS[name], aws_clients, (point,))
        assert run.found == (), (point, run.log)


def test_what_was_available_only_within_a_transaction_is_no_event(
    aws_clients: moto_aws.Clients,
) -> None:
    """A grant and the refund that came before it are written together."""
    assert play(SCENARIOS["a full refund before its payment"], aws_clients).found == ()


@pytest.mark.slow
def test_a_submit_that_calls_before_it_records_is_detected(
    aws_clients: moto_aws.Clients, rehearsals: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: Submit calls the provider before it records that it will."""

    def careless(self: Sending) -> Submitted | circuit.Open:
        answer = self.provider.submit(self.task())
        self.begin()
        return answer

    monkeypatch.setattr(Sending, "send", careless)
    called = Effect("submit", "runway POST")
    number = play(SCENARIOS["Runway, polled"], aws_clients).effects.index(called) + 1
    run = play(SCENARIOS["Runway, polled"], aws_clients, (Point(number, called, "after"),))
    assert any("was paid for 2 times" in sentence for sentence in run.found)


def _lost(_: Event) -> None:
    return None


def _with_any_id(event: Event) -> Event:
    return replace(event, event_id=uuid.uuid4().hex)


def _untrue(event: Event) -> Event:
    return replace(event, type="video.failed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mutation", "found"),
    [
        (_lost, "there was no event video.completed"),
        (_with_any_id, "has 2 ids"),
        (_untrue, "is about nothing that was committed"),
    ],
)
def test_events_that_differ_from_what_was_committed_are_detected(
    aws_clients: moto_aws.Clients,
    monkeypatch: pytest.MonkeyPatch,
    mutation: Callable[[Event], Event | None],
    found: str,
) -> None:
    """A deliberate mutation of the event about a job's end."""
    original = bus.put

    def put(event: Event, name: str) -> None:
        changed = mutation(event) if event.type == VIDEO_COMPLETED else event
        if changed is not None:
            original(changed, name)

    monkeypatch.setattr(bus, "put", put)
    # A deliberate mutation is no memory of a function.
    monkeypatch.setattr(memory, "_AT_IMPORT", memory.taken())
    effects = play(SCENARIOS["fal, webhook"], aws_clients).effects
    last = max(n for n, effect in enumerate(effects, 1) if effect == PUT)
    run = play(SCENARIOS["fal, webhook"], aws_clients, (Point(last, PUT, "after"),))
    assert any(found in sentence for sentence in run.found), run.found


@pytest.mark.slow
def test_a_job_that_is_not_found_by_its_ids_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the entries under a job's ids are not written."""
    monkeypatch.setattr(job_search, "remember", lambda _: None)
    monkeypatch.setattr(memory, "_AT_IMPORT", memory.taken())
    run = play(SCENARIOS["fal, webhook"], aws_clients)
    assert any("is not found by its id" in sentence for sentence in run.found), run.found


@pytest.mark.slow
def test_an_action_that_happens_before_it_is_recorded_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the entry of the audit trail is written after the action."""

    scenario = SCENARIOS["the owner cancels"]
    whole = play(scenario, aws_clients)
    assert whole.found == ()
    save = AuditItem.save

    def late(item: AuditItem, actions: Any) -> None:
        item.state = "done"
        save(item)

    monkeypatch.setattr(AuditItem, "save", lambda _: None)
    monkeypatch.setattr(AuditItem, "update", late)
    monkeypatch.setattr(memory, "_AT_IMPORT", memory.taken())
    found = [
        sentence
        for point in points_of(play(scenario, aws_clients))
        if point.effect.function == "actions"
        for sentence in play(scenario, aws_clients, (point,)).found
    ]
    assert any("is not in the audit trail" in sentence for sentence in found), found


@pytest.mark.slow
def test_a_job_that_is_counted_twice_or_not_at_all_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: usage does not find what it has counted, or does not count it."""
    monkeypatch.setattr(memory, "_AT_IMPORT", memory.taken())
    scenario = SCENARIOS["fal, webhook"]
    with monkeypatch.context() as patch:
        patch.setattr(counting, "user_key", lambda _: ("USERS#2026-11", str(uuid.uuid4())))
        found = play(scenario, aws_clients).found
        assert "usage by outcome, completed: completed is 2, and 1 in a recount" in found
    monkeypatch.setattr(counting, "count_once", lambda _: None)
    found = play(scenario, aws_clients).found
    assert "usage by outcome: completed is in the recount alone" in found


@pytest.mark.slow
def test_memory_that_outlives_its_process_is_detected(
    aws_clients: moto_aws.Clients, rehearsals: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: a module keeps something that the crash does not take away."""
    attempts = set[str]()
    original = Sending.send

    def remembering(self: Sending) -> Submitted | circuit.Open:
        attempts.add(self.job.job_id)
        return original(self)

    monkeypatch.setattr(submission, "_attempts", attempts, raising=False)
    monkeypatch.setattr(memory, "_AT_IMPORT", memory.taken())
    monkeypatch.setattr(Sending, "send", remembering)
    called = Effect("submit", "fal POST")
    number = rehearsals["fal, webhook"].effects.index(called) + 1
    run = play(SCENARIOS["fal, webhook"], aws_clients, (Point(number, called, "after"),))
    assert "clipmint.execution.submission._attempts survived a crash" in run.found


def test_a_crash_after_one_side_effect_equals_a_crash_before_the_next() -> None:
    effects = (Effect("a", "1"), Effect("a", "2"), Effect("b", "3"))
    rehearsal = Run("two functions", (), ("completed",), (), effects, owners=(1, 1, 2))
    assert [(point.number, point.moment) for point in points_of(rehearsal)] == [
        (1, "before"),
        (2, "before"),
        (2, "after"),
        (3, "before"),
        (3, "after"),
    ]


@pytest.mark.slow
def test_a_crash_in_a_copy_of_the_process_equals_one_in_a_run_of_its_own(
    aws_clients: moto_aws.Clients,
) -> None:
    name = "a payment, three events"
    matrix = run_matrix([name], processes=1)
    [whole] = matrix.rehearsals
    assert {point for run in matrix.runs for point in run.points} == {*points_of(whole)}
    assert matrix.runs == [play(SCENARIOS[name], aws_clients, run.points) for run in matrix.runs]


EFFECT = Effect("settle", "DynamoDB TransactWriteItems")
RUNS = [
    Run("one way", (Point(1, EFFECT, "before"),), ("failed",), (), seconds=70),
    Run("one way", (Point(1, EFFECT, "after"),), ("lost",), ("something is wrong",)),
]
MATRIX = Matrix([Run("one way", (), ("completed",), (), (EFFECT,), (1,), seconds=9)], RUNS)


def test_the_tables_count_crashes_and_their_violations() -> None:
    assert table(MATRIX)[2:] == [
        "| one way | 1 | 2 (**1** broken) | 2 (**1** broken) | 1 failed, 1 lost | 9 s | 70 s |",
        "| **all** | 1 | 2 (**1** broken) | 2 (**1** broken) |  |  |  |",
    ]
    assert effects_table(MATRIX)[2:] == ["| settle: DynamoDB TransactWriteItems | 1 | 2 | 1 |"]


def test_the_tables_replace_what_stood_between_the_markers(tmp_path: Path) -> None:
    document = tmp_path / "guarantees.md"
    document.write_text("before\n\n<!-- matrix -->\nold\n<!-- /matrix -->\n\nafter\n")
    write(document, "matrix", ["new"])
    write(document, "matrix", ["newer"])
    assert document.read_text() == (
        "before\n\n<!-- matrix -->\n\nnewer\n\n<!-- /matrix -->\n\nafter\n"
    )
    document.write_text("no markers")
    with pytest.raises(ValueError, match="has no line"):
        write(document, "matrix", ["new"])


@pytest.mark.slow
def test_a_payment_that_is_seen_before_it_is_credited_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the payment and its credits are written one after the other."""
    scenario = SCENARIOS["a payment, three events"]
    whole = play(scenario, aws_clients)
    assert whole.found == ()
    for point in points_of(whole):
        assert play(scenario, aws_clients, (point,)).found == ()
    write = ledger.write

    def in_two_steps(change: Any, puts: Any = (), updates: Any = ()) -> None:
        write(None, puts, updates)
        write(change)

    monkeypatch.setattr(ledger, "write", in_two_steps)
    found = [
        sentence
        for point in points_of(play(scenario, aws_clients))
        for sentence in play(scenario, aws_clients, (point,)).found
    ]
    assert any("the journal has" in sentence for sentence in found), found
