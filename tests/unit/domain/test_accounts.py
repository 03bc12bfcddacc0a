"""Credits: an independent model of the ledger must agree with it after every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from clipmint import lots
from clipmint.credits import account_changes
from clipmint.credits.account import Account, Entry, Limits
from clipmint.credits.account_changes import MAX_LOTS
from clipmint.credits.journal import Journal, drift
from clipmint.errors import InsufficientCredits, LimitReached, TooManyLots
from clipmint.lots import CreditKind, Lot, Lots
from tests.support.single_credits import Credit, Credits

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIMITS = Limits(open_jobs=3, jobs_per_hour=5)

with_ends = st.tuples(
    st.sampled_from([CreditKind.PROMO, CreditKind.ALLOWANCE]),
    st.sampled_from([None, 0, 30, 30, 90, 240]),
)
"""A kind of credits, and when they end, in minutes after noon: often at the same time."""

kinds = st.one_of(st.just((CreditKind.PURCHASED, None)), with_ends)

prices = st.dictionaries(
    st.sampled_from(["image", "video"]), st.integers(1, 50), min_size=1, max_size=2
)


class Ledger(RuleBasedStateMachine):
    """Grants, holds, resolutions, refunds and corrections in any order, while time passes."""

    jobs = Bundle("jobs")
    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.account = Account("user-1")
        self.journal: list[Entry] = []
        self.now = NOON
        self.open: dict[str, dict[str, int]] = {}
        self.from_lots: dict[str, dict[str, Lots]] = {}
        self.model = Credits()
        self.started = 0
        self.starts: list[datetime] = []

    def _changed(self, change: tuple[Account, list[Entry]]) -> list[Entry]:
        """Keep a change, and return its entries without those of what has expired."""
        self.account, entries = change
        self.journal += entries
        return [entry for entry in entries if entry.kind != "expire"]

    @rule(amount=st.integers(1, 100), credit=kinds)
    def grant(self, amount: int, credit: tuple[CreditKind, int | None]) -> None:
        kind, minutes = credit
        ends = None if minutes is None else NOON + timedelta(minutes=minutes)
        reference = f"purchase-{len(self.journal)}"
        change = account_changes.grant(
            self.account, amount, reference, self.now, kind=kind, expires_at=ends
        )
        [entry] = self._changed(change)
        assert (entry.kind, entry.credits) == ("grant", amount)
        self.model.grant(self.now, amount, Credit(kind.value, ends))

    @rule(target=payments, amount=st.integers(1, 100), credit=with_ends)
    def pay(self, amount: int, credit: tuple[CreditKind, int | None]) -> object:
        """A grant with a lot of its own."""
        kind, minutes = credit
        ends = None if minutes is None else NOON + timedelta(minutes=minutes)
        self._changed(account_changes.expire(self.account, self.now))
        number = self.account.sequence + 1
        self._changed(
            account_changes.grant(
                self.account,
                amount,
                f"payment-{number}",
                self.now,
                kind=kind,
                expires_at=ends,
                lot=number,
            )
        )
        self.model.grant(self.now, amount, Credit(kind.value, ends, number))
        return number, kind

    @rule(amount=st.integers(1, 60), payment=payments)
    def refund(self, amount: int, payment: tuple[int, CreditKind]) -> None:
        number, kind = payment
        reference = f"refund-{len(self.journal)}"
        self._changed(
            account_changes.claw_back(self.account, amount, reference, kind, self.now, lot=number)
        )
        self.model.take_back(self.now, amount, kind.value, number)

    @rule(amount=st.integers(1, 60), kind=st.sampled_from(CreditKind))
    def claw_back(self, amount: int, kind: CreditKind) -> None:
        reference = f"refund-{len(self.journal)}"
        self._changed(account_changes.claw_back(self.account, amount, reference, kind, self.now))
        self.model.take_back(self.now, amount, kind.value)

    @rule(amount=st.integers(-40, 40).filter(bool))
    def adjust(self, amount: int) -> None:
        reference = f"correction-{len(self.journal)}"
        [entry] = self._changed(
            account_changes.adjust(self.account, amount, reference, "why", self.now)
        )
        assert (entry.credits, entry.reason) == (amount, "why")
        if amount > 0:
            self.model.grant(self.now, amount)
        else:
            self.model.take_back(self.now, -amount, None)

    @rule(target=jobs, asked=prices)
    def hold(self, asked: dict[str, int]) -> object:
        job_id = f"job-{self.started}"
        before = self.account
        this_hour = [at for at in self.starts if at.hour == self.now.hour]
        affordable = self.model.can_hold(self.now, sum(asked.values()))
        within = len(self.open) < LIMITS.open_jobs and len(this_hour) < LIMITS.jobs_per_hour
        try:
            change = account_changes.hold(before, {job_id: asked}, LIMITS, self.now)
        except InsufficientCredits:
            assert not affordable
            return multiple()
        except LimitReached:
            assert affordable
            assert not within
            return multiple()
        assert affordable
        assert within
        entries = self._changed(change)
        assert [entry.credits for entry in entries] == list(asked.values())
        self.started += 1
        self.starts.append(self.now)
        self.open[job_id] = asked
        self.from_lots[job_id] = {str(entry.stage): entry.lots for entry in entries}
        for stage, price in asked.items():
            self.model.hold(self.now, (job_id, stage), price)
        return job_id

    @rule(job_id=consumes(jobs), succeeded=st.sets(st.sampled_from(["image", "video"])))
    def resolve(self, job_id: str, succeeded: set[str]) -> None:
        held = self.open.pop(job_id)
        change = account_changes.resolve(
            self.account,
            job_id,
            held,
            frozenset(succeeded),
            self.now,
            from_lots=self.from_lots.pop(job_id),
        )
        entries = self._changed(change)
        assert {entry.stage: entry.kind for entry in entries} == {
            stage: "capture" if stage in succeeded else "release" for stage in held
        }
        for stage in held:
            if stage in succeeded:
                self.model.capture((job_id, stage))
            else:
                self.model.release(self.now, (job_id, stage))

    @rule(minutes=st.integers(1, 59))
    def time_passes(self, minutes: int) -> None:
        # Within one day, so that an hour's number names one hour.
        if (self.now + timedelta(minutes=minutes)).date() == NOON.date():
            self.now += timedelta(minutes=minutes)

    @invariant()
    def the_model_is_right_itself(self) -> None:
        assert self.model.problems() == []

    @invariant()
    def the_account_has_what_the_model_has(self) -> None:
        account, _ = account_changes.expire(self.account, self.now)
        model = self.model
        model.expire(self.now)
        assert (account.available, account.held, account.debt) == (
            model.available,
            model.held,
            model.debt,
        )
        by_end: Counter[Credit] = Counter()
        for lot in account.lots:
            of = lot.lot if lot.own else None
            by_end[Credit(lot.kind.value, lot.expires_at, of)] += lot.credits
        by_end[Credit()] += account.purchased
        assert +by_end == model.by_end
        assert account.open_jobs == len(self.open)

    @invariant()
    def the_audit_finds_no_drift(self) -> None:
        journal = Journal()
        for entry in self.journal:
            journal.add(
                entry.kind, entry.credits, entry.job_id or "", entry.stage or "", entry.lots
            )
        assert drift(self.account, journal) == 0

    @invariant()
    def each_entry_continues_the_one_before(self) -> None:
        owned = held = 0
        for number, entry in enumerate(self.journal, start=1):
            owned += _OWNED[entry.kind] * entry.credits
            held += _HELD.get(entry.kind, 0) * entry.credits
            after = entry.balance_after + entry.held_after - entry.debt_after
            assert (entry.sequence, after, entry.held_after) == (number, owned, held)
            assert min(entry.balance_after, entry.debt_after) == 0 or entry.kind in {
                "grant",  # of credits that have ended; the next entry expires them
                "release",
            }
        assert self.account.sequence == len(self.journal)
        if self.journal:
            last = self.journal[-1]
            assert (self.account.available, self.account.held, self.account.debt) == (
                last.balance_after,
                last.held_after,
                last.debt_after,
            )

    @invariant()
    def no_two_entries_share_an_id(self) -> None:
        ids = [entry.entry_id for entry in self.journal]
        assert len(ids) == len(set(ids))

    @invariant()
    def what_is_stored_is_read_again(self) -> None:
        assert lots.from_json(lots.to_json(self.account.lots)) == self.account.lots


_OWNED = {"grant": 1, "capture": -1, "expire": -1, "clawback": -1, "adjust": 1} | dict.fromkeys(
    ("hold", "release"), 0
)
_HELD = {"hold": 1, "capture": -1, "release": -1}

TestTheLedgerAgreesWithItsModel = Ledger.TestCase
TestTheLedgerAgreesWithItsModel.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None
)


def test_a_hold_reports_what_is_available_held_and_needed() -> None:
    account = Account("user-1", available=7, held=20, sequence=3, open_jobs=1)
    with pytest.raises(InsufficientCredits) as refused:
        account_changes.hold(account, {"job": {"image": 2, "video": 6}}, LIMITS, NOON)
    assert refused.value.extras == {
        "current_credits": 7,
        "held_credits": 20,
        "required_credits": 8,
    }


def test_the_last_credit_can_be_spent() -> None:
    after, _ = account_changes.hold(
        Account("user-1", available=8), {"job": {"video": 8}}, LIMITS, NOON
    )
    assert (after.available, after.held) == (0, 8)


def test_the_hours_count_starts_again_with_the_next_clock_hour() -> None:
    account = Account("user-1", available=1_000)
    unhurried = replace(LIMITS, open_jobs=100)
    end_of_hour = NOON + timedelta(minutes=59, seconds=59)
    for number in range(LIMITS.jobs_per_hour):
        account, _ = account_changes.hold(account, {f"job-{number}": {"video": 1}}, unhurried, NOON)
    with pytest.raises(LimitReached) as refused:
        account_changes.hold(account, {"one-more": {"video": 1}}, unhurried, end_of_hour)
    assert refused.value.headers == {
        "Retry-After": "1",
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1",
    }
    account, _ = account_changes.hold(
        account, {"one-more": {"video": 1}}, unhurried, end_of_hour + timedelta(seconds=1)
    )
    assert account.hour_jobs == 1


def test_a_job_that_ends_makes_room_for_another_but_not_in_the_hour() -> None:
    account = Account("user-1", available=1_000)
    account, _ = account_changes.hold(account, {"first": {"video": 1}}, Limits(1, 2), NOON)
    with pytest.raises(LimitReached) as refused:
        account_changes.hold(account, {"second": {"video": 1}}, Limits(1, 2), NOON)
    assert refused.value.headers["X-RateLimit-Limit"] == "1"
    account, _ = account_changes.resolve(account, "first", {"video": 1}, frozenset(), NOON)
    account, _ = account_changes.hold(account, {"second": {"video": 1}}, Limits(1, 2), NOON)
    assert (account.open_jobs, account.hour_jobs) == (1, 2)


def test_capture_and_release_of_one_hold_share_one_id() -> None:
    account, _ = account_changes.hold(
        Account("user-1", available=5), {"job": {"video": 5}}, LIMITS, NOON
    )
    _, [captured] = account_changes.resolve(
        account, "job", {"video": 5}, frozenset({"video"}), NOON
    )
    _, [released] = account_changes.resolve(account, "job", {"video": 5}, frozenset(), NOON)
    assert (captured.kind, released.kind) == ("capture", "release")
    assert captured.entry_id == released.entry_id


# ── Credits that end, and refunds ────────────────────────────────────────────────────────────────

PROMO, ALLOWANCE, PURCHASED = CreditKind.PROMO, CreditKind.ALLOWANCE, CreditKind.PURCHASED
LATER = NOON + timedelta(hours=1)


def granted(*grants: tuple[int, CreditKind, datetime | None]) -> Account:
    """An account after these grants at noon."""
    account = Account("user-1")
    for number, (amount, kind, ends) in enumerate(grants):
        account, _ = account_changes.grant(
            account, amount, f"g{number}", NOON, kind=kind, expires_at=ends
        )
    return account


def held(account: Account, price: int, now: datetime = NOON) -> tuple[Account, Lots]:
    """The account with a job of that price, and what it took from lots."""
    account, entries = account_changes.hold(account, {"job": {"video": price}}, LIMITS, now)
    return account, entries[-1].lots


def released(account: Account, price: int, parts: Lots, now: datetime) -> tuple[Account, list[str]]:
    """The account after the job has failed, and the kinds of the new entries."""
    after, entries = account_changes.resolve(
        account, "job", {"video": price}, frozenset(), now, from_lots={"video": parts}
    )
    return after, [entry.kind for entry in entries]


def test_what_ends_first_is_spent_first_then_promotions_then_allowances_then_purchases() -> None:
    account = granted(
        (1, PURCHASED, None),
        (1, ALLOWANCE, None),
        (1, PROMO, None),
        (1, PROMO, LATER + timedelta(minutes=1)),
        (1, ALLOWANCE, LATER),
        (1, PROMO, LATER),
    )
    spent = []
    for _ in range(5):
        account, [lot] = held(replace(account, open_jobs=0), 1)
        spent.append((lot.kind, lot.expires_at))
    assert spent == [
        (PROMO, LATER),
        (ALLOWANCE, LATER),
        (PROMO, LATER + timedelta(minutes=1)),
        (PROMO, None),
        (ALLOWANCE, None),
    ]
    assert (account.available, account.purchased, account.lots) == (1, 1, ())


def test_a_release_returns_credits_to_the_lots_they_came_from() -> None:
    before = granted((5, PROMO, LATER), (5, PURCHASED, None))
    account, parts = held(before, 8)
    assert [(lot.kind, lot.credits) for lot in parts] == [(PROMO, 5)]
    account, kinds_ = released(account, 8, parts, NOON)
    assert kinds_ == ["release"]
    assert (account.lots, account.purchased, account.held) == (before.lots, 5, 0)


@pytest.mark.parametrize("late", [timedelta(), timedelta(milliseconds=1), timedelta(days=9)])
def test_what_has_ended_while_it_was_held_expires_with_its_release(late: timedelta) -> None:
    account, parts = held(granted((5, PROMO, LATER), (5, PURCHASED, None)), 8)
    account, kinds_ = released(account, 8, parts, LATER + late)
    assert kinds_ == ["release", "expire"]
    assert (account.available, account.held, account.lots) == (5, 0, ())


def test_credits_can_be_spent_until_the_instant_at_which_they_end() -> None:
    account = granted((5, PROMO, LATER))
    assert held(account, 5, LATER - timedelta(milliseconds=1))[0].held == 5
    with pytest.raises(InsufficientCredits) as refused:
        held(account, 1, LATER)
    assert refused.value.extras["current_credits"] == 0


def test_a_refund_takes_what_is_left_and_nothing_that_is_held() -> None:
    # 100 granted, 80 captured, 15 held, refund of 100: 0 + 15 - 95 = 100 - 80 - 100.
    account, _ = held(granted((100, PURCHASED, None)), 80)
    account, _ = account_changes.resolve(account, "job", {"video": 80}, frozenset({"video"}), NOON)
    account, _ = held(account, 15)
    account, [line] = account_changes.claw_back(account, 100, "refund", PURCHASED, NOON)
    assert (account.available, account.held, account.debt) == (0, 15, 95)
    assert (line.entry_id, line.credits, line.balance_after, line.debt_after) == (
        "CLAWBACK#refund",
        100,
        0,
        95,
    )
    account, _ = released(account, 15, (), NOON)
    assert (account.available, account.held, account.debt) == (0, 0, 80)
    with pytest.raises(InsufficientCredits) as refused:
        held(account, 1)
    assert refused.value.extras["debt_credits"] == 80
    assert "80 credits of a refunded purchase" in str(refused.value.details)
    account, _ = account_changes.grant(account, 100, "again", NOON)
    assert (account.available, account.debt) == (20, 0)


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (PURCHASED, [(PROMO, 5), (ALLOWANCE, 5)]),
        (ALLOWANCE, [(PROMO, 5), (PURCHASED, 5)]),
        (PROMO, [(ALLOWANCE, 5), (PURCHASED, 5)]),
    ],
)
def test_a_refund_takes_credits_of_its_own_kind_first(
    kind: CreditKind, left: list[tuple[CreditKind, int]]
) -> None:
    account = granted((5, PROMO, LATER), (5, ALLOWANCE, LATER), (5, PURCHASED, None))
    account, _ = account_changes.claw_back(account, 5, "refund", kind, NOON)
    found = [(lot.kind, lot.credits) for lot in account.lots]
    found += [(PURCHASED, account.purchased)] if account.purchased else []
    assert found == left


def test_a_refund_before_its_purchase_is_repaid_by_the_purchase() -> None:
    account, _ = account_changes.claw_back(Account("user-1"), 100, "refund", PURCHASED, NOON)
    assert account.debt == 100
    account, [line] = account_changes.grant(account, 100, "purchase", NOON)
    assert (account.available, account.debt, line.credits) == (0, 0, 100)


def test_credits_that_have_ended_repay_no_debt() -> None:
    account, parts = held(granted((10, PROMO, LATER)), 10)
    account, _ = account_changes.claw_back(account, 4, "refund", PURCHASED, NOON)
    after, kinds_ = released(account, 10, parts, LATER)
    assert (after.available, after.debt, kinds_) == (0, 4, ["release", "expire"])
    after, _ = account_changes.grant(account, 10, "late", LATER, kind=PROMO, expires_at=LATER)
    assert (after.available, after.debt) == (0, 4)


def test_an_allowance_whose_payment_is_reported_after_its_end_is_granted_and_expires() -> None:
    account, entries = account_changes.grant(
        Account("user-1"), 10, "late", LATER, kind=ALLOWANCE, expires_at=LATER
    )
    assert [entry.kind for entry in entries] == ["grant", "expire"]
    assert (account.available, account.lots) == (0, ())


def test_purchased_credits_have_no_end() -> None:
    with pytest.raises(ValueError, match="do not end"):
        account_changes.grant(Account("user-1"), 1, "g", NOON, expires_at=LATER)


def test_credits_of_one_kind_and_end_are_one_lot() -> None:
    account = granted((5, PROMO, LATER), (6, PROMO, LATER), (7, ALLOWANCE, LATER))
    assert account.lots == (Lot(1, PROMO, 11, LATER), Lot(3, ALLOWANCE, 7, LATER))


def test_an_account_has_a_limited_number_of_lots_and_room_when_one_ends() -> None:
    ends = [LATER + timedelta(minutes=number) for number in range(MAX_LOTS + 1)]
    account = granted(*[(1, PROMO, end) for end in ends[:-1]])
    with pytest.raises(TooManyLots):
        account_changes.grant(account, 1, "more", NOON, kind=PROMO, expires_at=ends[-1])
    assert account_changes.grant(account, 1, "same", NOON, kind=PROMO, expires_at=ends[0])
    assert account_changes.grant(account, 1, "bought", NOON)[0].available == MAX_LOTS + 1
    after, _ = account_changes.grant(account, 1, "more", LATER, kind=PROMO, expires_at=ends[-1])
    assert len(after.lots) == MAX_LOTS


def test_a_hold_of_an_earlier_release_is_returned_as_purchased_credits() -> None:
    account = Account("user-1", available=2, held=8, sequence=2, open_jobs=1)
    after, _ = account_changes.resolve(account, "job", {"video": 8}, frozenset(), NOON)
    assert (after.available, after.purchased, after.held, after.plain) == (10, 10, 0, True)
