"""A sample of the table of payments, and proof that it can fail; ``make proof`` plays all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clipmint.credits import account_changes, ledger
from clipmint.purchases import payments as code
from clipmint.purchases.payment import Payment, Refunded, Withdrawn
from clipmint.purchases.payment_items import to_item
from tests.proof.payment_cases import CASES, Case
from tests.proof.payments import Played, play, table
from tests.support import moto_aws

aws_clients = moto_aws.aws_clients

BY_NAME = {(case.store, case.name): case for case in CASES}
SAMPLE = [
    BY_NAME["Stripe", "payment, first without its user, and a refund of 50 %"],
    BY_NAME["RevenueCat", "purchase of an anonymous user; refund, the owner applies the purchase"],
    BY_NAME["App Store", "purchase, full refund"],
]
PARTS = BY_NAME["Stripe", "payment, refunds of 25 % and 50 %"]
DISPUTE = BY_NAME["Stripe", "payment, won dispute"]
REFUND = BY_NAME["RevenueCat", "purchase, refund"]
REVERSAL = BY_NAME["RevenueCat", "purchase; a job holds 120; refund, reversal"]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.store)
def test_all_orders_and_crashes_end_alike(aws_clients: moto_aws.Clients, case: Case) -> None:
    played = play(case, aws_clients)
    assert played.found == []
    assert played.ends == {case.ends}
    assert played.crashes >= 2 * len(case.steps)


def test_the_names_of_the_cases_differ() -> None:
    assert len(BY_NAME) == len(CASES)


@pytest.mark.slow
def test_a_payment_that_keeps_the_last_report_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: the last reported refund counts, and not the largest."""

    def after(payment: Payment, fact: Refunded | Withdrawn) -> Payment:
        assert isinstance(fact, Refunded)
        return replace(payment, refunded=fact.part, refunded_of=fact.whole)

    monkeypatch.setattr(Payment, "after", after)
    assert "and not with (250, 0, 0)" in str(play(PARTS, aws_clients).found)


@pytest.mark.slow
def test_a_dispute_whose_last_report_counts_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: a dispute that is reported after it was won takes the credits."""

    def after(payment: Payment, fact: Refunded | Withdrawn) -> Payment:
        assert isinstance(fact, Withdrawn)
        return replace(payment, cases={fact.case: (0, fact.returned)})

    monkeypatch.setattr(Payment, "after", after)
    assert "and not with (500, 0, 0)" in str(play(DISPUTE, aws_clients).found)


@pytest.mark.slow
def test_a_payment_that_is_recorded_before_it_is_credited_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: two transactions instead of one."""
    write = ledger.write

    def in_two(change: Any, puts: Any, *rest: Any, **named: Any) -> None:
        write(None, puts, *rest, **named)
        if change is not None:
            write(change, [], *rest, **named)

    monkeypatch.setattr(ledger, "write", in_two)
    assert "differs after a crash" in str(play(REFUND, aws_clients).found)


@pytest.mark.slow
def test_a_payment_that_forgets_what_was_taken_is_detected(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: a reversal returns nothing, because nothing seems to be taken."""

    def forgetful(payment: Payment) -> Any:
        return to_item(replace(payment, taken=0))

    monkeypatch.setattr(code, "to_item", forgetful)
    assert "and not with (380, 120, 0)" in str(play(REVERSAL, aws_clients).found)


def test_a_violation_is_shown_in_the_table() -> None:
    played = Played(PARTS.store, PARTS.name, orders=2, ends={(250, 0, 0), (0, 0, 0)})
    assert "**differs**" in table([played])[2]


@pytest.mark.slow
def test_the_invariants_are_checked_after_each_step(
    aws_clients: moto_aws.Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deliberate mutation: a grant that the account does not have."""
    grant = account_changes.grant

    def generous(*parts: Any, **named: Any) -> Any:
        account, entries = grant(*parts, **named)
        return replace(account, available=account.available + 1), entries

    monkeypatch.setattr(account_changes, "grant", generous)
    assert "its journal" in str(play(REFUND, aws_clients).found)
