"""Credits: an independent model of the ledger must agree with it after every step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from clipmint.credits import accounts
from clipmint.credits.accounts import Account, Entry, Limits
from clipmint.errors import InsufficientCredits, LimitReached

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIMITS = Limits(open_jobs=3, jobs_per_hour=5)

prices = st.dictionaries(
    st.sampled_from(["image", "video"]), st.integers(1, 50), min_size=1, max_size=2
)


class Ledger(RuleBasedStateMachine):
    """Grants, holds and resolutions in any order, while time passes."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.account = Account("user-1")
        self.journal: list[Entry] = []
        self.now = NOON
        self.open: dict[str, dict[str, int]] = {}
        self.granted = self.captured = self.started = 0
        self.starts: list[datetime] = []

    @rule(amount=st.integers(1, 100))
    def grant(self, amount: int) -> None:
        reference = f"purchase-{len(self.journal)}"
        self.account, entry = accounts.grant(self.account, amount, reference, self.now)
        self.journal.append(entry)
        self.granted += amount

    @rule(target=jobs, asked=prices)
    def hold(self, asked: dict[str, int]) -> object:
        job_id = f"job-{self.started}"
        before = self.account
        this_hour = [at for at in self.starts if at.hour == self.now.hour]
        affordable = sum(asked.values()) <= before.available
        within = len(self.open) < LIMITS.open_jobs and len(this_hour) < LIMITS.jobs_per_hour
        try:
            self.account, entries = accounts.hold(before, {job_id: asked}, LIMITS, self.now)
        except InsufficientCredits:
            assert not affordable
            return multiple()
        except LimitReached:
            assert affordable
            assert not within
            return multiple()
        assert affordable
        assert within
        assert [entry.credits for entry in entries] == list(asked.values())
        self.started += 1
        self.starts.append(self.now)
        self.open[job_id] = asked
        self.journal += entries
        return job_id

    @rule(job_id=consumes(jobs), succeeded=st.sets(st.sampled_from(["image", "video"])))
    def resolve(self, job_id: str, succeeded: set[str]) -> None:
        held = self.open.pop(job_id)
        self.account, entries = accounts.resolve(
            self.account, job_id, held, frozenset(succeeded), self.now
        )
        self.journal += entries
        self.captured += sum(price for stage, price in held.items() if stage in succeeded)
        assert {entry.stage: entry.kind for entry in entries} == {
            stage: "capture" if stage in succeeded else "release" for stage in held
        }

    @rule(minutes=st.integers(1, 59))
    def time_passes(self, minutes: int) -> None:
        # Within one day, so that an hour's number names one hour.
        if (self.now + timedelta(minutes=minutes)).date() == NOON.date():
            self.now += timedelta(minutes=minutes)

    @invariant()
    def nobody_owes_anything(self) -> None:
        assert self.account.available >= 0

    @invariant()
    def what_is_held_is_the_sum_of_the_open_holds(self) -> None:
        assert self.account.held == sum(sum(held.values()) for held in self.open.values())
        assert self.account.open_jobs == len(self.open)

    @invariant()
    def no_credit_appears_or_vanishes(self) -> None:
        assert self.account.available + self.account.held + self.captured == self.granted

    @invariant()
    def each_entry_continues_the_one_before(self) -> None:
        available = held = 0
        for number, entry in enumerate(self.journal, start=1):
            available += {"grant": 1, "hold": -1, "capture": 0, "release": 1}[
                entry.kind
            ] * entry.credits
            held += {"grant": 0, "hold": 1, "capture": -1, "release": -1}[
                entry.kind
            ] * entry.credits
            assert (entry.sequence, entry.balance_after, entry.held_after) == (
                number,
                available,
                held,
            )
        assert (self.account.sequence, self.account.available, self.account.held) == (
            len(self.journal),
            available,
            held,
        )

    @invariant()
    def no_two_entries_share_an_id(self) -> None:
        ids = [entry.entry_id for entry in self.journal]
        assert len(ids) == len(set(ids))


TestTheLedgerAgreesWithItsModel = Ledger.TestCase
TestTheLedgerAgreesWithItsModel.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None
)


def test_a_hold_reports_what_is_available_held_and_needed() -> None:
    account = Account("user-1", available=7, held=20, sequence=3, open_jobs=1)
    with pytest.raises(InsufficientCredits) as refused:
        accounts.hold(account, {"job": {"image": 2, "video": 6}}, LIMITS, NOON)
    assert refused.value.extras == {
        "current_credits": 7,
        "held_credits": 20,
        "required_credits": 8,
    }


def test_the_last_credit_can_be_spent() -> None:
    after, _ = accounts.hold(Account("user-1", available=8), {"job": {"video": 8}}, LIMITS, NOON)
    assert (after.available, after.held) == (0, 8)


def test_the_hours_count_starts_again_with_the_next_clock_hour() -> None:
    account = Account("user-1", available=1_000)
    unhurried = replace(LIMITS, open_jobs=100)
    end_of_hour = NOON + timedelta(minutes=59, seconds=59)
    for number in range(LIMITS.jobs_per_hour):
        account, _ = accounts.hold(account, {f"job-{number}": {"video": 1}}, unhurried, NOON)
    with pytest.raises(LimitReached) as refused:
        accounts.hold(account, {"one-more": {"video": 1}}, unhurried, end_of_hour)
    assert refused.value.headers == {
        "Retry-After": "1",
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1",
    }
    account, _ = accounts.hold(
        account, {"one-more": {"video": 1}}, unhurried, end_of_hour + timedelta(seconds=1)
    )
    assert account.hour_jobs == 1


def test_a_job_that_ends_makes_room_for_another_but_not_in_the_hour() -> None:
    account = Account("user-1", available=1_000)
    account, _ = accounts.hold(account, {"first": {"video": 1}}, Limits(1, 2), NOON)
    with pytest.raises(LimitReached) as refused:
        accounts.hold(account, {"second": {"video": 1}}, Limits(1, 2), NOON)
    assert refused.value.headers["X-RateLimit-Limit"] == "1"
    account, _ = accounts.resolve(account, "first", {"video": 1}, frozenset(), NOON)
    account, _ = accounts.hold(account, {"second": {"video": 1}}, Limits(1, 2), NOON)
    assert (account.open_jobs, account.hour_jobs) == (1, 2)


def test_capture_and_release_of_one_hold_share_one_id() -> None:
    account, _ = accounts.hold(Account("user-1", available=5), {"job": {"video": 5}}, LIMITS, NOON)
    _, [captured] = accounts.resolve(account, "job", {"video": 5}, frozenset({"video"}), NOON)
    _, [released] = accounts.resolve(account, "job", {"video": 5}, frozenset(), NOON)
    assert (captured.kind, released.kind) == ("capture", "release")
    assert captured.entry_id == released.entry_id
