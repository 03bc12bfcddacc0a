"""The transactions that move credits, against tables made from the template."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pynamodb.exceptions import TransactWriteError

from clipmint import clock
from clipmint.credits import account_changes, grants, holds, ledger
from clipmint.credits.account import Limits
from clipmint.errors import (
    InsufficientCredits,
    InvalidRequest,
    LimitReached,
    ReferenceReused,
    TemporarilyUnavailable,
)
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Handle, Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.lots import CreditKind
from tests.support.clock import Clock
from tests.support.jobs import TASK_ID, assert_adds_up, begin_sending, journal, new_job, open_job
from tests.support.moto_aws import Aws

LIMITS = Limits()
PROMO, PURCHASED = CreditKind.PROMO, CreditKind.PURCHASED
COMPLETED = Verdict(JobStatus.COMPLETED)
FAILED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)
ASSET = Asset("bucket", "key", "video/mp4", 1_000, "0" * 64, 1_280, 720, 8.0, "thumbnail")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, recorded instead of slept."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted


def conflict() -> str:
    return "TransactionConflict"


def stored(job: Job) -> Job:
    """The job with its file in the bucket."""
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, Handle("request-1"))
    return job_store.record_asset(job.job_id, "video", ASSET)


# ── Holding ──────────────────────────────────────────────────────────────────────────────────────


def test_opening_a_job_holds_its_price_and_records_it_at_once(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    asked = new_job(credits_=32)
    opened = holds.hold_and_record([asked], LIMITS)[0]
    assert opened == replace(asked, balance_after=68)
    assert job_store.get(asked.job_id) == opened
    account = assert_adds_up("user-1")
    assert (account.available, account.held, account.open_jobs, account.hour_jobs) == (68, 32, 1, 1)
    [_, hold] = journal("user-1")
    assert (hold.kind, hold.job_id, hold.stage, hold.credits) == ("hold", asked.job_id, "video", 32)


def test_an_entry_of_the_journal_is_never_overwritten(aws: Aws) -> None:
    def hold(price: int) -> None:
        before = ledger.account_of("user-1")
        jobs = {"job-1": {"video": price}}
        ledger.write((before, *account_changes.hold(before, jobs, LIMITS, clock.now())))

    grants.grant("user-1", 100, "purchase-1")
    hold(32)
    with pytest.raises(TransactWriteError) as refused:
        hold(5)
    reasons = [reason.code for reason in refused.value.cancellation_reasons if reason]
    assert reasons == ["ConditionalCheckFailed"]
    assert [entry.credits for entry in journal("user-1")] == [100, 32]
    assert ledger.account_of("user-1").held == 32


def test_the_same_job_opened_again_is_found_and_held_once(aws: Aws) -> None:
    first = open_job()
    again = new_job(job_id=first.job_id, prompt="another")
    grants.grant("user-1", 100, "more")
    with pytest.raises(holds.JobExists) as found:
        holds.hold_and_record([again], LIMITS)
    assert found.value.job == job_store.get(first.job_id)
    assert found.value.job.prompt == first.prompt
    assert assert_adds_up("user-1").held == first.credits


def test_without_enough_credits_nothing_is_written(aws: Aws) -> None:
    grants.grant("user-1", 31, "purchase-1")
    with pytest.raises(InsufficientCredits) as refused:
        holds.hold_and_record([new_job(credits_=32)], LIMITS)
    assert refused.value.extras == {
        "current_credits": 31,
        "held_credits": 0,
        "required_credits": 32,
    }
    assert aws.items("JOBS_TABLE") == []
    assert [entry.kind for entry in journal("user-1")] == ["grant"]


def test_a_user_without_an_account_has_no_credits(aws: Aws) -> None:
    with pytest.raises(InsufficientCredits) as refused:
        holds.hold_and_record([new_job("newcomer")], LIMITS)
    assert refused.value.extras["current_credits"] == 0
    assert aws.items("LEDGER_TABLE") == []


def test_limits_hold_until_a_job_ends_or_the_hour_is_over(aws: Aws, hands: Clock) -> None:
    hands.to_next_hour()
    grants.grant("user-1", 1_000, "purchase-1")
    limits = Limits(open_jobs=2, jobs_per_hour=3)
    first = holds.hold_and_record([new_job()], limits)[0]
    holds.hold_and_record([new_job()], limits)
    with pytest.raises(LimitReached) as refused:
        holds.hold_and_record([new_job()], limits)
    assert refused.value.headers["X-RateLimit-Limit"] == "2"
    holds.settle(first.job_id, lambda _: FAILED)
    third = holds.hold_and_record([new_job()], limits)[0]
    holds.settle(third.job_id, lambda _: FAILED)
    hands.forward(minutes=59)
    with pytest.raises(LimitReached) as refused:
        holds.hold_and_record([new_job()], limits)
    assert refused.value.headers["Retry-After"] == "60"
    hands.forward(minutes=1)
    assert holds.hold_and_record([new_job()], limits)[0]
    assert assert_adds_up("user-1").held == 64


def test_a_hold_is_computed_again_when_another_change_came_first(
    aws: Aws, pauses: list[float]
) -> None:
    grants.grant("user-1", 40, "purchase-1")

    def another_purchase() -> None:
        grants.grant("user-1", 60, "purchase-2")

    aws.before_each_transaction(another_purchase)
    opened = holds.hold_and_record([new_job(credits_=32)], LIMITS)[0]
    assert opened.balance_after == 68
    assert assert_adds_up("user-1").available == 68
    assert len(pauses) == 1


def test_two_jobs_cannot_spend_the_same_credits(aws: Aws) -> None:
    grants.grant("user-1", 32, "purchase-1")

    def the_other() -> None:
        holds.hold_and_record([new_job()], LIMITS)

    aws.before_each_transaction(the_other)
    with pytest.raises(InsufficientCredits) as refused:
        holds.hold_and_record([new_job()], LIMITS)
    assert refused.value.extras["held_credits"] == 32
    assert len(aws.items("JOBS_TABLE")) == 1
    assert assert_adds_up("user-1").available == 0


def test_a_quicker_duplicate_is_found_and_not_paid_again(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    job = new_job()

    def the_twin() -> None:
        holds.hold_and_record([job], LIMITS)

    aws.before_each_transaction(the_twin)
    with pytest.raises(holds.JobExists) as found:
        holds.hold_and_record([job], LIMITS)
    assert found.value.job.balance_after == 68
    assert assert_adds_up("user-1").held == 32


def test_a_few_conflicts_are_waited_out(aws: Aws, pauses: list[float]) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.before_each_transaction(conflict, conflict, conflict)
    assert holds.hold_and_record([new_job()], LIMITS)[0].balance_after == 68
    assert len(pauses) == 3
    assert assert_adds_up("user-1").held == 32


def test_many_conflicts_ask_the_caller_to_retry_and_hold_nothing(
    aws: Aws, pauses: list[float]
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    before = aws.transactions
    aws.before_each_transaction(*[conflict] * ledger.MAX_ATTEMPTS)
    with pytest.raises(TemporarilyUnavailable) as refused:
        holds.hold_and_record([new_job()], LIMITS)
    assert refused.value.headers == {"Retry-After": "1"}
    assert aws.transactions - before == ledger.MAX_ATTEMPTS
    assert sum(pauses) < 3
    assert aws.items("JOBS_TABLE") == []
    assert assert_adds_up("user-1").available == 100


@pytest.mark.parametrize(
    "reason",
    ["ValidationError", "AccessDenied", "ItemCollectionSizeLimitExceeded"],
)
def test_a_permanent_cancellation_of_a_transaction_is_not_retried(
    aws: Aws, pauses: list[float], reason: str
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.before_each_transaction(lambda: reason)
    with pytest.raises(TransactWriteError):
        holds.hold_and_record([new_job()], LIMITS)
    assert pauses == []
    assert assert_adds_up("user-1").held == 0


@pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_throttled_transaction_is_waited_out(aws: Aws, pauses: list[float], reason: str) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.before_each_transaction(lambda: reason, lambda: reason)
    holds.hold_and_record([new_job(credits_=32)], LIMITS)
    assert len(pauses) == 2
    assert assert_adds_up("user-1").held == 32


# ── Settling ─────────────────────────────────────────────────────────────────────────────────────


def test_a_completed_job_is_captured(aws: Aws) -> None:
    job = stored(open_job(credits_=32))
    ended = holds.settle(job.job_id, lambda found: verdict(found, None))
    assert ended.status is JobStatus.COMPLETED
    assert ended.credits_used == 32
    assert job_store.get(job.job_id) == replace(
        ended,
        updated_at=ended.updated_at.replace(
            microsecond=ended.updated_at.microsecond // 1000 * 1000
        ),
        completed_at=ended.updated_at.replace(
            microsecond=ended.updated_at.microsecond // 1000 * 1000
        ),
    )
    account = assert_adds_up("user-1")
    assert (account.available, account.held, account.open_jobs) == (0, 0, 0)
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "capture"]


def test_a_failed_job_is_free(aws: Aws) -> None:
    job = open_job(credits_=32)
    ended = holds.settle(job.job_id, lambda _: FAILED)
    assert (ended.status, ended.failure) == (JobStatus.FAILED, FailureCode.PROVIDER_ERROR)
    assert ended.credits_used == 0
    account = assert_adds_up("user-1")
    assert (account.available, account.held, account.open_jobs) == (32, 0, 0)
    assert "open" not in aws.job_item(job.job_id)


def test_a_job_is_settled_once_however_often_it_is_settled(aws: Aws) -> None:
    job = open_job()
    ended = holds.settle(job.job_id, lambda _: FAILED)
    decisions: list[Verdict | None] = [COMPLETED, FAILED, None]
    while decisions:
        again = holds.settle(job.job_id, lambda _: decisions[0])
        decisions.pop(0)
        assert (again.status, again.revision) == (ended.status, ended.revision)
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "release"]
    assert assert_adds_up("user-1").available == 32


def test_of_two_concurrent_settlements_one_wins(aws: Aws) -> None:
    job = stored(open_job())

    def the_sweep() -> None:
        holds.settle(job.job_id, lambda _: COMPLETED)

    aws.before_each_transaction(the_sweep)
    ended = holds.settle(job.job_id, lambda _: FAILED)
    assert ended.status is JobStatus.COMPLETED
    assert [entry.kind for entry in journal("user-1")] == ["grant", "hold", "capture"]
    assert assert_adds_up("user-1").open_jobs == 0


def test_the_verdict_is_reached_again_when_the_file_arrives_meanwhile(aws: Aws) -> None:
    job = open_job()
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, Handle("request-1"))

    def the_file_arrives() -> None:
        job_store.record_asset(job.job_id, "video", ASSET)

    aws.before_each_transaction(the_file_arrives)
    judged: list[Job] = []

    def decide(found: Job) -> Verdict:
        judged.append(found)
        return verdict(found, "DeadlineExceeded")

    ended = holds.settle(job.job_id, decide)
    assert ended.status is JobStatus.COMPLETED
    assert [found.captured_stages for found in judged] == [frozenset(), frozenset({"video"})]
    assert assert_adds_up("user-1").available == 0


def test_settle_leaves_the_job_open_without_a_verdict(aws: Aws) -> None:
    job = open_job()
    assert holds.settle(job.job_id, lambda _: None).status is JobStatus.PENDING
    assert assert_adds_up("user-1").held == 32


def test_conflicts_while_settling_lose_nothing(aws: Aws) -> None:
    job = open_job()
    aws.before_each_transaction(*[conflict] * ledger.MAX_ATTEMPTS)
    with pytest.raises(TemporarilyUnavailable):
        holds.settle(job.job_id, lambda _: FAILED)
    assert assert_adds_up("user-1").held == 32
    assert holds.settle(job.job_id, lambda _: FAILED).status is JobStatus.FAILED
    assert assert_adds_up("user-1").available == 32


def test_an_unknown_job_cannot_be_settled(aws: Aws) -> None:
    with pytest.raises(LookupError):
        holds.settle("no-such-job", lambda _: FAILED)


# ── Granting ─────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_happens_once_per_reference(aws: Aws) -> None:
    assert grants.grant("user-1", 100, "purchase-1") == (100, False)
    assert grants.grant("user-1", 50, "purchase-2") == (150, False)
    assert grants.grant("user-1", 100, "purchase-1") == (100, True)
    assert assert_adds_up("user-1").available == 150
    assert [entry.reference for entry in journal("user-1")] == ["purchase-1", "purchase-2"]


@pytest.mark.parametrize(("user_id", "amount"), [("user-2", 100), ("user-1", 101)])
def test_a_reference_belongs_to_one_user_and_one_amount(
    aws: Aws, user_id: str, amount: int
) -> None:
    grants.grant("user-1", 100, "purchase-1")
    with pytest.raises(ReferenceReused):
        grants.grant(user_id, amount, "purchase-1")
    assert assert_adds_up("user-1").available == 100
    assert ledger.account_of("user-2").available == 0


def test_two_grants_of_one_purchase_at_once_are_one(aws: Aws) -> None:
    def the_twin() -> None:
        grants.grant("user-1", 100, "purchase-1")

    aws.before_each_transaction(the_twin)
    assert grants.grant("user-1", 100, "purchase-1") == (100, True)
    assert assert_adds_up("user-1").available == 100


def test_one_purchase_given_to_two_users_at_once_goes_to_the_first(aws: Aws) -> None:
    def the_other() -> None:
        grants.grant("user-2", 100, "purchase-1")

    aws.before_each_transaction(the_other)
    with pytest.raises(ReferenceReused):
        grants.grant("user-1", 100, "purchase-1")
    assert assert_adds_up("user-2").available == 100
    assert journal("user-1") == []


@pytest.mark.parametrize("amount", [0, -5])
def test_a_grant_gives_something(aws: Aws, amount: int) -> None:
    with pytest.raises(InvalidRequest):
        grants.grant("user-1", amount, "purchase-1")
    assert aws.items("LEDGER_TABLE") == []


# ── Credits that end, refunds and corrections ────────────────────────────────────────────────────


def account_item(aws: Aws, user_id: str = "user-1") -> dict[str, Any]:
    [item] = [
        item
        for item in aws.items("LEDGER_TABLE")
        if (item["user_id"], item["sk"]) == ({"S": user_id}, {"S": "ACCOUNT"})
    ]
    return item


def kinds(user_id: str = "user-1") -> list[str]:
    return [entry.kind for entry in journal(user_id)]


def promo(amount: int, hands: Clock, minutes: int = 10) -> None:
    """Promotional credits that end after so many minutes."""
    ends = clock.now() + timedelta(minutes=minutes)
    grants.grant("user-1", amount, f"promo-{amount}-{minutes}", kind=PROMO, expires_at=ends)


def test_a_hold_records_the_lots_it_came_from_in_its_entry_and_on_the_job(
    aws: Aws, hands: Clock
) -> None:
    promo(20, hands)
    grants.grant("user-1", 100, "purchase-1")
    before = ledger.account_of("user-1")
    job = holds.hold_and_record([new_job(credits_=32)], LIMITS)[0]
    assert job_store.get(job.job_id) == job
    [part] = job.stages[0].from_lots or ()
    assert (part.kind, part.credits, part.expires_at) == (PROMO, 20, before.lots[0].expires_at)
    assert journal("user-1")[-1].lots == job.stages[0].from_lots
    after = assert_adds_up("user-1")
    assert (after.available, after.purchased, after.held, after.lots) == (88, 88, 32, ())
    holds.settle(job.job_id, lambda _: FAILED)
    assert assert_adds_up("user-1").lots == before.lots


def test_a_release_into_a_lot_that_has_ended_expires_in_the_same_transaction(
    aws: Aws, hands: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    promo(20, hands)
    grants.grant("user-1", 100, "purchase-1")
    job = holds.hold_and_record([new_job(credits_=32)], LIMITS)[0]
    hands.forward(minutes=10)
    before = aws.transactions
    holds.settle(job.job_id, lambda _: FAILED)
    assert aws.transactions == before + 1
    assert kinds() == ["grant", "grant", "hold", "release", "expire"]
    assert assert_adds_up("user-1").available == 100
    assert '"CreditsExpired":[20.0]' in capsys.readouterr().out.replace(" ", "")


def test_a_captured_stage_keeps_credits_that_have_ended_meanwhile(aws: Aws, hands: Clock) -> None:
    promo(32, hands)
    job = stored(holds.hold_and_record([new_job(credits_=32)], LIMITS)[0])
    hands.forward(minutes=10)
    assert holds.settle(job.job_id, lambda _: COMPLETED).credits_used == 32
    assert kinds() == ["grant", "hold", "capture"]


def test_what_has_ended_cannot_be_spent_and_is_recorded_with_the_next_change(
    aws: Aws, hands: Clock
) -> None:
    promo(20, hands)
    assert ledger.balance_of("user-1").available == 20
    hands.forward(minutes=10)
    assert ledger.balance_of("user-1").available == 0
    with pytest.raises(InsufficientCredits):
        holds.hold_and_record([new_job(credits_=20)], LIMITS)
    assert kinds() == ["grant"]
    grants.grant("user-1", 40, "purchase-1")
    assert holds.hold_and_record([new_job()], LIMITS)[0].balance_after == 8
    assert kinds() == ["grant", "expire", "grant", "hold"]


def test_expiry_is_recorded_once_also_when_two_want_to(aws: Aws, hands: Clock) -> None:
    promo(20, hands)
    hands.forward(minutes=10)
    aws.before_each_transaction(lambda: str(grants.expire("user-1")) and None)
    assert grants.expire("user-1") == 0
    assert kinds() == ["grant", "expire"]
    assert assert_adds_up("user-1").available == 0


def test_a_refund_is_taken_back_once_and_what_was_spent_is_owed(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    job = stored(holds.hold_and_record([new_job(credits_=80)], LIMITS)[0])
    holds.settle(job.job_id, lambda _: COMPLETED)
    running = holds.hold_and_record([new_job(credits_=15)], LIMITS)[0]
    assert grants.claw_back("user-1", 100, "refund-1") == (0, 95, False)
    assert grants.claw_back("user-1", 100, "refund-1") == (0, 95, True)
    account = assert_adds_up("user-1")
    assert (account.available, account.held, account.debt) == (0, 15, 95)
    with pytest.raises(InsufficientCredits) as refused:
        holds.hold_and_record([new_job(credits_=1)], LIMITS)
    assert refused.value.extras["debt_credits"] == 95
    holds.settle(running.job_id, lambda _: FAILED)
    assert grants.grant("user-1", 100, "purchase-2") == (20, False)
    assert assert_adds_up("user-1").debt == 0


@pytest.mark.parametrize(
    ("user_id", "amount", "kind"),
    [("user-2", 5, PURCHASED), ("user-1", 6, PURCHASED), ("user-1", 5, PROMO)],
)
def test_a_refund_belongs_to_one_user_amount_and_kind(
    aws: Aws, user_id: str, amount: int, kind: CreditKind
) -> None:
    grants.claw_back("user-1", 5, "refund-1")
    with pytest.raises(ReferenceReused):
        grants.claw_back(user_id, amount, "refund-1", kind=kind)
    # A purchase and its refund may have the same reference.
    assert grants.grant("user-1", 5, "refund-1") == (0, False)


def test_two_refunds_of_one_reference_at_once_are_one(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.before_each_transaction(lambda: grants.claw_back("user-1", 60, "refund-1") and None)
    assert grants.claw_back("user-1", 60, "refund-1") == (40, 0, True)
    assert assert_adds_up("user-1").available == 40


def test_a_correction_has_a_reason_and_happens_once(aws: Aws) -> None:
    grants.grant("user-1", 10, "purchase-1")
    assert grants.adjust("user-1", 5, "ticket-1", "A video was unusable") == (15, 0, False)
    assert grants.adjust("user-1", -20, "ticket-2", "Granted twice by hand") == (0, 5, False)
    assert grants.adjust("user-1", -20, "ticket-2", "Granted twice by hand") == (0, 5, True)
    assert [(entry.kind, entry.credits, entry.reason) for entry in journal("user-1")][1:] == [
        ("adjust", 5, "A video was unusable"),
        ("adjust", -20, "Granted twice by hand"),
    ]
    assert assert_adds_up("user-1").debt == 5


def test_a_grant_belongs_to_one_kind_and_end(aws: Aws, hands: Clock) -> None:
    ends = clock.now() + timedelta(minutes=10)
    terms: dict[str, Any] = {"kind": PROMO, "expires_at": ends}
    assert grants.grant("user-1", 5, "bonus", **terms) == (5, False)
    for other in (
        {"kind": PROMO},
        {"kind": CreditKind.ALLOWANCE, "expires_at": ends},
        {"kind": PROMO, "expires_at": ends + timedelta(milliseconds=1)},
        {},
    ):
        with pytest.raises(ReferenceReused):
            grants.grant("user-1", 5, "bonus", **other)
    hands.forward(minutes=11)
    assert grants.grant("user-1", 5, "bonus", **terms) == (5, True)
    with pytest.raises(InvalidRequest, match="in the past"):
        grants.grant("user-1", 5, "another", **terms)
    assert grants.grant("user-1", 5, "late", late=True, **terms) == (0, False)
    assert kinds() == ["grant", "expire", "grant", "expire"]
    with pytest.raises(InvalidRequest, match="do not expire"):
        grants.grant("user-1", 5, "bought", expires_at=ends)


def test_conflicts_while_a_refund_is_taken_back_lose_nothing(aws: Aws) -> None:
    grants.grant("user-1", 100, "purchase-1")
    aws.before_each_transaction(*[conflict] * ledger.MAX_ATTEMPTS)
    with pytest.raises(TemporarilyUnavailable):
        grants.claw_back("user-1", 60, "refund-1")
    assert assert_adds_up("user-1").available == 100
    assert grants.claw_back("user-1", 60, "refund-1") == (40, 0, False)


# ── Accounts and jobs of the previous release ────────────────────────────────────────────────────


def test_an_account_with_purchased_credits_is_stored_as_the_previous_release_reads_it(
    aws: Aws,
) -> None:
    job = open_job(credits_=32)
    assert account_item(aws).keys() == {
        *("user_id", "sk", "available", "held", "last_sequence"),
        *("open_jobs", "hour", "hour_jobs", "open_clips"),
    }
    assert "from_lots" not in aws.job_item(job.job_id)["video"]["M"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: grants.grant("user-1", 1, "promo", kind=PROMO),
        lambda: grants.claw_back("user-1", 1, "refund"),
        lambda: grants.adjust("user-1", -1_000, "ticket", "An error"),
    ],
)
def test_an_account_with_lots_a_refund_or_a_debt_cannot_be_read_by_the_previous_release(
    aws: Aws, change: Callable[[], Any]
) -> None:
    # It would write the account again without them.
    job = open_job(credits_=32)
    change()
    assert "available" not in account_item(aws)
    holds.settle(job.job_id, lambda _: FAILED)
    grants.grant("user-1", 1_000, "purchase")
    assert "available" not in account_item(aws)
    assert_adds_up("user-1")


def test_a_running_job_of_the_previous_release_returns_purchased_credits(
    aws: Aws, hands: Clock
) -> None:
    grants.grant("user-1", 40, "purchase-1")
    job = holds.hold_and_record([new_job(credits_=32)], LIMITS)[0]  # without lots
    promo(20, hands)
    hands.forward(minutes=20)
    holds.settle(job.job_id, lambda _: FAILED)
    account = assert_adds_up("user-1")
    assert (account.available, account.purchased, account.held) == (40, 40, 0)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────


def test_the_journal_is_paged_newest_first_and_stays_put_while_it_grows(aws: Aws) -> None:
    for number in range(1, 8):
        grants.grant("user-1", number, f"purchase-{number}")
    page = ledger.entries_of("user-1", limit=3, before=None)
    assert [entry.sequence for entry in page.entries] == [7, 6, 5]
    grants.grant("user-1", 8, "purchase-8")
    page = ledger.entries_of("user-1", limit=3, before=page.before)
    assert [entry.sequence for entry in page.entries] == [4, 3, 2]
    page = ledger.entries_of("user-1", limit=3, before=page.before)
    assert ([entry.sequence for entry in page.entries], page.before) == ([1], None)


def test_a_page_that_ends_exactly_at_the_end_of_the_journal_is_the_last(aws: Aws) -> None:
    for number in range(4):
        grants.grant("user-1", 1, f"purchase-{number}")
    page = ledger.entries_of("user-1", limit=4, before=None)
    assert (len(page.entries), page.before) == (4, None)


def test_the_account_and_the_references_are_not_in_the_journal(aws: Aws) -> None:
    open_job("user-1")
    open_job("user-2")
    kinds = [entry.kind for entry in journal("user-1")]
    assert kinds == ["grant", "hold"]
    items: list[dict[str, Any]] = aws.items("LEDGER_TABLE")
    assert len(items) == 2 * (1 + 1 + 2)
