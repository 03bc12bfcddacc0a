"""By how many credits an account is off its journal."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipmint.credits import account_changes
from clipmint.credits.account import Account, Entry, EntryKind, Limits
from clipmint.credits.journal import HELD, IN_LOTS, OWNED, Journal, drift
from clipmint.lots import CreditKind

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIMITS = Limits(open_jobs=100, jobs_per_hour=100)


def journal_of(entries: list[Entry]) -> Journal:
    journal = Journal()
    for entry in entries:
        journal.add(entry.kind, entry.credits, entry.job_id or "", entry.stage or "", entry.lots)
    return journal


def books(*, grant: int = 100, ends: str = "capture release open") -> tuple[Account, list[Entry]]:
    """An account with a two-stage job per word, and its journal."""
    account, entries = account_changes.grant(Account("ada"), grant, "receipt", NOW)
    for number, end in enumerate(ends.split()):
        job_id, prices = f"job-{number}", {"image": 3, "video": 10}
        account, more = account_changes.hold(account, {job_id: prices}, LIMITS, NOW)
        entries += more
        if end != "open":
            captured = {"capture": {"image", "video"}, "release": set[str](), "image": {"image"}}
            account, more = account_changes.resolve(
                account, job_id, prices, frozenset(captured[end]), NOW
            )
            entries += more
    return account, entries


@given(st.lists(st.sampled_from(["capture", "release", "image", "open"]), max_size=7), st.randoms())
def test_what_the_ledger_writes_adds_up_in_any_order(
    ends: list[str], chance: random.Random
) -> None:
    account, entries = books(ends=" ".join(ends))
    chance.shuffle(entries)
    assert drift(account, journal_of(entries)) == 0


@pytest.mark.parametrize(
    ("edit", "off"),
    [
        ({"available": 78}, 4),
        ({"held": 12}, 2),  # neither held nor the sum of both is right
        ({"available": 75, "held": 12}, 1),
        ({"sequence": 0}, 11),
    ],
)
def test_an_edited_account_is_off_by_what_was_edited(edit: dict[str, int], off: int) -> None:
    account, entries = books()
    assert (account.available, account.held, account.sequence) == (74, 13, 11)
    edited = replace(account, **edit)  # type: ignore[arg-type]
    assert drift(edited, journal_of(entries)) == off


@given(st.integers(0, 10))
def test_a_missing_line_is_detected_for_every_kind(which: int) -> None:
    account, entries = books()
    del entries[which]
    assert drift(account, journal_of(entries)) > 0


def test_a_hold_and_its_release_that_are_both_missing_show_too() -> None:
    account, entries = books()
    kept = [entry for entry in entries if entry.job_id != "job-1"]
    assert drift(account, journal_of(kept)) == 4


def test_credits_held_for_a_job_that_has_ended_are_stuck() -> None:
    account, entries = books()
    assert drift(account, journal_of(entries), frozenset({"job-2"})) == 13
    assert drift(account, journal_of(entries), frozenset({"job-0"})) == 0


def test_a_hold_resolved_twice_is_detected() -> None:
    account, entries = books(ends="capture")
    again = replace(entries[-1], sequence=account.sequence + 1)
    assert drift(replace(account, sequence=again.sequence), journal_of([*entries, again])) > 0


def test_the_audit_knows_every_kind_of_entry() -> None:
    assert set(get_args(EntryKind)) == OWNED.keys() == HELD.keys() == IN_LOTS.keys()


def with_lots() -> tuple[Account, list[Entry]]:
    """An account with a lot, a part of which was spent, and its journal."""
    account, entries = account_changes.grant(
        Account("ada"), 20, "bonus", NOW, kind=CreditKind.PROMO, expires_at=NOW + timedelta(days=1)
    )
    account, more = account_changes.grant(account, 30, "receipt", NOW)
    account, held = account_changes.hold(account, {"job": {"video": 8}}, LIMITS, NOW)
    return account, [*entries, *more, *held]


def test_a_lot_is_compared_with_its_entries() -> None:
    account, entries = with_lots()
    assert drift(account, journal_of(entries)) == 0
    [lot] = account.lots
    assert drift(replace(account, lots=(replace(lot, credits=15),)), journal_of(entries)) == 3
    assert drift(replace(account, lots=()), journal_of(entries)) == 12


def test_a_debt_beside_available_credits_is_drift() -> None:
    account, entries = with_lots()
    edited = replace(account, debt=5)
    assert drift(edited, journal_of(entries)) == 5 + 5
