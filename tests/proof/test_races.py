"""The races find defects, and find them again from the seed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pynamodb.exceptions import DoesNotExist
from pynamodb.transactions import TransactWrite

from clipmint import aws
from clipmint.credits import account_changes, ledger
from clipmint.credits.ledger_items import AccountItem, EntryItem, ReferenceItem
from clipmint.execution import cancellation
from clipmint.execution import sweeping as sweep
from clipmint.jobs.job import JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from tests.proof import credit_rounds, project_rounds
from tests.proof import emulated as emulated_account
from tests.proof.credit_rounds import play_credits, play_payments
from tests.proof.emulated import Emulated, emulated
from tests.proof.project_rounds import play_grants, play_project
from tests.proof.rounds import KINDS, Kind, play

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def account() -> Iterator[Emulated]:
    with emulated() as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_is_the_same_from_the_same_seed(account: Emulated, kind: Kind) -> None:
    first, second = (play(account, kind, "again", conflicts=0.2) for _ in range(2))
    assert first.found == second.found == []
    assert first.outcomes == second.outcomes
    assert [_ID.sub("", line) for line in first.log] == [_ID.sub("", line) for line in second.log]
    assert len(first.log) > 5


@pytest.mark.slow
def test_a_cancellation_that_ignores_the_record_is_detected(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: cancel ends the job without regard to what has been recorded."""
    always = Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED)
    monkeypatch.setattr(cancellation, "_verdict", lambda _: always)
    assert _is_found(account, "the job is cancelled, and its provider has", "blind", 3)


def _is_found(account: Emulated, sentence: str, seed: str, first: int) -> bool:
    """Whether rounds of one stage find it. The first does; the others are for later changes of our
    code that make other calls, and so other rounds of the same seeds.
    """
    return any(
        sentence in what
        for number in range(first, first + 500)
        for what in play(account, "one stage", f"{seed} {number}").found
    )


class _Unlocked(TransactWrite):
    """Ends a job without regard to what has been recorded since it was read."""

    def update(
        self, model: Any, actions: Any, condition: Any = None, *others: Any, **named: Any
    ) -> None:
        if isinstance(model, JobItem):
            condition = JobItem.open.exists()
        super().update(model, actions, condition, *others, **named)


@pytest.mark.slow
def test_a_job_ended_as_it_was_read_is_found_by_a_function_that_outlives_its_execution(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the ledger ends a job without regard to what was recorded since it was
    read.
    """
    monkeypatch.setattr(aws, "TransactWrite", _Unlocked)
    assert _is_found(account, "the hold of video is a release, its file is there", "unlocked", 693)


@pytest.mark.slow
def test_a_sweep_that_trusts_the_index_is_detected(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the sweep does not read the deadline again in the job itself."""
    settle = sweep.settle
    monkeypatch.setattr(sweep, "settle", lambda *given, **_: settle(*given))
    monkeypatch.setattr(emulated_account, "LAG", 1.0)
    assert _is_found(account, "its video was there to be fetched", "late", 241)


@pytest.mark.slow
def test_an_account_written_without_its_condition_is_detected(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the account's sequence number is no condition of the transaction."""

    def save(transaction: Any, before: Any, after: Any) -> None:
        del before
        transaction.save(
            AccountItem(
                user_id=after.user_id,
                available=after.available,
                held=after.held,
                last_sequence=after.sequence,
                open_jobs=after.open_jobs,
                hour=after.hour,
                hour_jobs=after.hour_jobs,
                open_clips=after.open_clips,
            )
        )

    monkeypatch.setattr(ledger, "_save_account", save)
    assert any(
        "the account says" in what or "should be line" in what
        for n in range(50)  # the ids of jobs are random, and they decide the order of some calls
        for what in play_project(account, f"unseen {n}", 0.0)[1]
    )


@pytest.mark.slow
def test_a_grant_reference_that_is_not_recorded_is_detected(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: a grant does not find its reference, so two can write it."""

    def never_found(*_: Any, **__: Any) -> Any:
        raise DoesNotExist

    monkeypatch.setattr(project_rounds, "GRANTS", 8)
    monkeypatch.setattr(ReferenceItem, "get", never_found)
    monkeypatch.setattr(ReferenceItem, "reference", EntryItem.reference)
    _, found = play_grants(account, "forgetful", 0.0)
    assert found


@pytest.mark.parametrize("likely", [0.0, 0.3])
def test_credits_end_and_are_refunded_once_beside_many_orders(
    account: Emulated, likely: float
) -> None:
    for seed in range(2):
        outcomes, found = play_credits(account, f"credits {seed}", likely)
        assert found == []
        assert outcomes["order"] + outcomes["order: 402"] <= credit_rounds.HOLDS
        assert outcomes["expired"]


@pytest.mark.slow
def test_a_release_that_forgets_where_credits_came_from_is_detected(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: credits that ended while they were held become purchased ones."""
    resolve = account_changes.resolve

    def forgets(*parts: Any, **named: Any) -> Any:
        return resolve(*parts, **named | {"from_lots": {}})

    monkeypatch.setattr(account_changes, "resolve", forgets)
    rounds = (play_credits(account, f"forgetful {seed}", 0.0) for seed in range(8))
    assert any("returns only" in what for _, found in rounds for what in found)


@pytest.mark.slow
def test_a_refund_reference_that_is_not_recorded_is_detected(
    account: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: a refund is taken back as often as it is reported."""

    def never_found(*_: Any, **__: Any) -> Any:
        raise DoesNotExist

    monkeypatch.setattr(ReferenceItem, "get", never_found)
    monkeypatch.setattr(ReferenceItem, "reference", EntryItem.reference)
    monkeypatch.setattr(account_changes, "clawback_id", lambda _: f"CLAWBACK#{uuid.uuid4()}")
    assert any("taken back" in what for what in play_credits(account, "forgetful", 0.0)[1])


@pytest.mark.parametrize("likely", [0.0, 0.3])
def test_a_payment_is_credited_once_however_many_deliveries_there_are(
    account: Emulated, likely: float
) -> None:
    _, found = play_payments(account, "fifty deliveries", likely)
    assert found == []
