"""The audit: the sweep compares every account with its journal once a day.

It also records what has expired of accounts that nothing else changes.

The ledger's conditions make drift impossible. The audit would detect an error in them, or a table
that was edited by hand. Each minute's sweep reads one slice of the Ledger table, by a parallel scan
with as many segments as a day has minutes. So the sweep needs no state between runs, and no run
reads more than a 1,440th of the table.

Cost: a gigabyte of ledger (about two million generations) is read once a day with consistent reads.
That is 8 million read units a month, or about one dollar (us-east-1, on demand). An empty table
takes 43,200 read units a month, half a cent.

A scan is not a snapshot: it may read an account before a transaction and its journal after it. So a
slice only raises a suspicion. `confirmed_drift` then reads that account, waits for longer than any
transaction takes, and reads it again. Only an account that has not changed and still does not agree
with its journal has drifted. An account that keeps changing is left for another day.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from clipmint import aws, clock, lots, unreadable
from clipmint.credits import grants, ledger
from clipmint.credits.account import Account
from clipmint.credits.journal import Journal, drift
from clipmint.credits.ledger_items import AccountItem, EntryItem
from clipmint.errors import TemporarilyUnavailable
from clipmint.jobs import job_store
from clipmint.telemetry import logger
from clipmint.values import frozen

SLICES = 1_440

MAX_READS = 4
PAUSE_SECONDS = 0.5

_Item = dict[str, dict[str, Any]]


@frozen
class Audit:
    """The result of one slice: the number of accounts, and the sum of their drift in credits."""

    accounts: int
    drift: int


def slice_at(moment: datetime) -> int:
    """The slice to audit in this minute."""
    return clock.epoch(moment) // 60 % SLICES


def audit(which: int, slices: int, has_time: Callable[[], bool]) -> Audit:
    """Audit the accounts of one slice of the table.

    Parameters
    ----------
    has_time
        Whether there is time for another page. If not, the rest of the slice waits for the next
        day.
    """
    accounts = off = 0
    for account, journal in _books(which, slices, has_time):
        if not has_time():
            break
        accounts += 1
        with suppress(TemporarilyUnavailable):  # it cannot be read or is busy: another day
            if any(lot.is_due(clock.now()) for lot in account.lots):
                grants.expire(account.user_id)
            if drift(account, journal, _ended(journal)):
                off += confirmed_drift(account.user_id)
    return Audit(accounts, off)


def confirmed_drift(user_id: str) -> int:
    """The drift of a suspected account in credits, if two reads confirm it; else 0."""
    seen: tuple[Account, int] | None = None
    for read in range(MAX_READS):
        if read:
            time.sleep(PAUSE_SECONDS)
        # Read the account first: all entries up to its sequence number were written with it or
        # earlier.
        account = ledger.account_of(user_id)
        journal = _journal(user_id, account.sequence)
        off = drift(account, journal, _ended(journal))
        if not off:
            return 0
        if seen == (account, off):
            logger.error(
                "account does not add up",
                extra={
                    "user_id": user_id,
                    "drift": off,
                    "available": account.available,
                    "held": account.held,
                    "last_sequence": account.sequence,
                    "journal_entries": journal.entries,
                    "journal_owned": journal.owned,
                    "open_holds": {"/".join(key): left for key, left in journal.open_holds.items()},
                },
            )
            return off
        seen = (account, off)
    return 0


def _journal(user_id: str, through: int) -> Journal:
    journal = Journal()
    ours = EntryItem.sk.startswith("ENTRY#")
    for item in EntryItem.query(user_id, ours, consistent_read=True):
        if item.sequence <= through:
            own_lots = lots.from_json(item.lots) if item.lots else ()
            journal.add(item.kind, int(item.credits), item.job_id or "", item.stage or "", own_lots)
    return journal


def _ended(journal: Journal) -> frozenset[str]:
    """The jobs of open holds that have ended. A user has only a few open holds."""
    return frozenset(
        job_id for job_id in {of for of, _ in journal.open_holds} if _has_ended(job_id)
    )


def _has_ended(job_id: str) -> bool:
    try:
        job = job_store.get(job_id)
    except TemporarilyUnavailable:
        return False  # it cannot be read, which was reported
    return job is None or job.is_terminal


def _books(
    which: int, slices: int, has_time: Callable[[], bool]
) -> Iterator[tuple[Account, Journal]]:
    """Accounts with their journals. DynamoDB returns a partition's items together, in order.

    An account that cannot be read, or whose journal cannot, is left out.
    """
    items = _items(which, slices, has_time)
    ours = (item for item in items if _text(item, "sk").startswith(("ACCOUNT", "ENTRY#")))
    by_user = itertools.groupby(ours, lambda item: _text(item, "user_id"))
    return unreadable.readable(
        by_user, lambda group: _book(*group), "account", lambda group: group[0]
    )


def _book(user_id: str, items: Iterable[_Item]) -> tuple[Account, Journal]:
    account, journal = Account(user_id), Journal()
    for item in items:
        sort_key = _text(item, "sk")
        if sort_key == "ACCOUNT":
            own_lots = _lots(item)
            plain = "lots" not in item
            account = Account(
                user_id,
                available=_int(item, "available" if plain else "purchased") + lots.total(own_lots),
                held=_int(item, "held"),
                sequence=_int(item, "last_sequence"),
                lots=own_lots,
                debt=_int(item, "debt") if "debt" in item else 0,
            )
        elif sort_key.startswith("ENTRY#"):
            job_id, stage = _text(item, "job_id"), _text(item, "stage")
            journal.add(_text(item, "kind"), _int(item, "credits"), job_id, stage, _lots(item))
    return account, journal


def _items(which: int, slices: int, has_time: Callable[[], bool]) -> Iterator[_Item]:
    # Raw items: this table contains three kinds of items, and a model reads only one kind.
    table, start = aws.table(AccountItem), None
    while has_time():
        page = table.scan(
            segment=which,
            total_segments=slices,
            consistent_read=True,
            exclusive_start_key=start,
        )
        yield from page["Items"]
        start = page.get("LastEvaluatedKey")
        if not start:
            return
    logger.warning("the audit ran out of time", extra={"slice": which})


def _int(item: _Item, name: str) -> int:
    return int(item[name]["N"])


def _lots(item: _Item) -> lots.Lots:
    return lots.from_json(_text(item, "lots") or "[]")


def _text(item: _Item, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))
