"""The audit of the ledger's table: it finds every drift, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from clipmint import clock
from clipmint.aws import table
from clipmint.credits import audit, grants, holds, ledger
from clipmint.credits.ledger_items import AccountItem, EntryItem
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.lots import CreditKind
from tests.support.clock import Clock
from tests.support.jobs import assert_adds_up, journal, open_job
from tests.support.moto_aws import Aws, client_of, hooked

FAILED = Verdict(JobStatus.FAILED, FailureCode.INTERNAL)


def whole(has_time: Callable[[], bool] = lambda: True) -> audit.Audit:
    return audit.audit(0, 1, has_time)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """What happens in the pauses between two reads, in turn; without a name, nothing."""
    events: list[Callable[[], Any]] = []

    def sleep(_: float) -> None:
        if events:
            events.pop(0)()

    monkeypatch.setattr(time, "sleep", sleep)
    return events


@pytest.fixture
def books(aws: Aws) -> dict[str, Job]:
    """Users with an open job each, and one who has only just been granted something."""
    grants.grant("zoe", 7, "receipt")
    opened = {name: open_job(name) for name in ("ada", "bob", "eve")}
    holds.settle(opened["bob"].job_id, lambda _: FAILED)
    return opened


def edit(aws: Aws, user_id: str, **numbers: int) -> None:
    for name, value in numbers.items():
        aws.dynamodb.update_item(
            TableName="LedgerTable",
            Key={"user_id": {"S": user_id}, "sk": {"S": "ACCOUNT"}},
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": {"N": str(value)}},
        )


def test_books_that_add_up_are_counted_and_left_alone(aws: Aws, books: dict[str, Job]) -> None:
    before = sorted(map(str, aws.items("LEDGER_TABLE")))
    assert whole() == audit.Audit(accounts=4, drift=0)
    assert sorted(map(str, aws.items("LEDGER_TABLE"))) == before


def test_an_edited_account_is_off_by_the_edited_amount(
    aws: Aws, books: dict[str, Job], caplog: pytest.LogCaptureFixture
) -> None:
    edit(aws, "zoe", available=12)
    edit(aws, "eve", held=30)
    assert whole() == audit.Audit(accounts=4, drift=5 + 4)
    found = {record.__dict__["user_id"]: record.__dict__["drift"] for record in caplog.records}
    assert found == {"zoe": 5, "eve": 4}


def test_what_has_ended_is_recorded_by_the_audit(
    aws: Aws, books: dict[str, Job], hands: Clock
) -> None:
    ends = clock.now() + timedelta(minutes=10)
    grants.grant("zoe", 5, "bonus", kind=CreditKind.PROMO, expires_at=ends)
    assert whole() == audit.Audit(accounts=4, drift=0)
    assert ledger.account_of("zoe").available == 12
    hands.forward(minutes=10)
    assert whole() == audit.Audit(accounts=4, drift=0)
    assert [entry.kind for entry in journal("zoe")] == ["grant", "grant", "expire"]
    assert assert_adds_up("zoe").available == 7
    assert whole() == audit.Audit(accounts=4, drift=0)


def test_lots_and_a_debt_are_audited(aws: Aws, books: dict[str, Job]) -> None:
    grants.grant("zoe", 5, "bonus", kind=CreditKind.PROMO)
    grants.claw_back("eve", 3, "refund")
    assert whole() == audit.Audit(accounts=4, drift=0)
    edit(aws, "zoe", purchased=8)
    edit(aws, "eve", debt=4)
    assert whole().drift == 1 + 1


def test_a_missing_journal_entry_is_detected(aws: Aws, books: dict[str, Job]) -> None:
    key = {"user_id": {"S": "ada"}, "sk": {"S": f"ENTRY#HOLD#{books['ada'].job_id}#video"}}
    aws.dynamodb.delete_item(
        TableName="LedgerTable", Key=key, ConditionExpression="attribute_exists(sk)"
    )
    assert whole().drift == 32 + 1


def test_a_hold_that_outlived_its_job_is_found(aws: Aws, books: dict[str, Job]) -> None:
    aws.dynamodb.delete_item(TableName="JobsTable", Key={"job_id": {"S": books["ada"].job_id}})
    assert whole().drift == 32


def test_an_account_that_moved_between_two_looks_is_not_accused(
    aws: Aws, books: dict[str, Job], pauses: list[Callable[[], Any]]
) -> None:
    edit(aws, "zoe", available=12)
    pauses.append(lambda: edit(aws, "zoe", available=7))
    assert whole().drift == 0
    # Off at each read, and each time another account: it is busy, and left for another day.
    edit(aws, "zoe", available=12)
    pauses += [partial(edit, aws, "zoe", available=13 + n) for n in range(audit.MAX_READS)]
    assert whole().drift == 0
    assert len(pauses) == 1, "the last look is followed by no pause"


def test_a_job_that_ends_between_account_and_job_is_not_drift(
    aws: Aws, books: dict[str, Job]
) -> None:
    def settle(**_: Any) -> None:
        holds.settle(books["ada"].job_id, lambda _: FAILED)

    # Right after the journal was read.
    with hooked(client_of(EntryItem), {"after-call.dynamodb.Query": settle}):
        assert audit.confirmed_drift("ada") == 0
    assert not ledger.account_of("ada").held
    assert whole().drift == 0


def test_without_time_the_rest_waits_for_another_day(aws: Aws, books: dict[str, Job]) -> None:
    assert whole(lambda: False) == audit.Audit(0, 0)


def test_a_journal_longer_than_a_page_is_one_journal(
    aws: Aws, books: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger_table = table(AccountItem)
    scan = ledger_table.scan
    monkeypatch.setattr(ledger_table, "scan", lambda **how: scan(limit=1, **how))
    assert whole() == audit.Audit(accounts=4, drift=0)


def test_a_day_has_a_minute_for_every_slice() -> None:
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    due = [audit.slice_at(midnight + timedelta(minutes=n, seconds=59)) for n in range(1_440)]
    assert sorted(due) == list(range(audit.SLICES))
