"""The audit: every account is added up against its journal once a day, by whoever sweeps.

The ledger's conditions make drift impossible; this is what would tell if that were wrong, or if
somebody had edited a table by hand. Each minute's sweep reads one slice of the Ledger table, by a
parallel scan of as many segments as a day has minutes. So nothing has to be remembered from one
sweep to the next, and no sweep reads more than a 1,440th of the table.

What it costs: a gigabyte of ledger (about two million generations) is read once a day with
consistent reads, 8 million read units a month or about one dollar (us-east-1, on demand). An empty
table is 43,200 read units a month, half a cent.

A scan is no snapshot: an account may be read before a transaction and its journal after it. So a
slice only raises a suspicion. `look_again` then reads that one account, waits for longer than any
transaction takes, and reads it again: only an account that has not moved and still does not add up
has drifted. One that keeps moving is left for another day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clipmint import clock
from clipmint.credits import ledger
from clipmint.credits.accounts import Account
from clipmint.credits.journal import Journal, drift
from clipmint.jobs import job_store
from clipmint.tables import AccountItem, EntryItem
from clipmint.telemetry import logger

SLICES = 1_440

LOOKS = 4
PAUSE_SECONDS = 0.5

_Item = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Audit:
    """What a slice came to: accounts looked at, and credits that are off in all of them."""

    accounts: int
    drift: int


def slice_at(moment: datetime) -> int:
    """Which slice is due in this minute."""
    return clock.epoch(moment) // 60 % SLICES


def audit(which: int, slices: int, has_time: Callable[[], bool]) -> Audit:
    """Add up the accounts of one slice of the table.

    Parameters
    ----------
    has_time
        Whether there is time for another page; without, the rest of the slice waits for tomorrow.
    """
    accounts = off = 0
    for account, journal in _books(which, slices, has_time):
        if not has_time():
            break
        accounts += 1
        if drift(account, journal, _ended(journal)):
            off += look_again(account.user_id)
    return Audit(accounts, off)


def look_again(user_id: str) -> int:
    """By how many credits an account is off that was suspected to be, for certain; else 0."""
    seen: tuple[Account, int] | None = None
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE_SECONDS)
        # The account first: all entries up to its sequence number were written with it or before.
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
            journal.add(item.kind, int(item.credits), item.job_id or "", item.stage or "")
    return journal


def _ended(journal: Journal) -> frozenset[str]:
    """The jobs of open holds that have ended; a user has a handful of open holds at most."""
    named = {job_id for job_id, _ in journal.open_holds}
    found = {job_id: job_store.get(job_id) for job_id in named}
    return frozenset(job_id for job_id, job in found.items() if job is None or job.is_terminal)


def _books(
    which: int, slices: int, has_time: Callable[[], bool]
) -> Iterator[tuple[Account, Journal]]:
    """Accounts with their journals. DynamoDB hands out a partition's items together, in order."""
    user_id, account, journal = "", Account(""), Journal()
    for item in _items(which, slices, has_time):
        sort_key = item["sk"]["S"]
        if sort_key != "ACCOUNT" and not sort_key.startswith("ENTRY#"):
            continue  # a grant's reference
        if item["user_id"]["S"] != user_id:
            if user_id:
                yield account, journal
            user_id = item["user_id"]["S"]
            account, journal = Account(user_id), Journal()
        if sort_key == "ACCOUNT":
            account = Account(
                user_id,
                available=_int(item, "available"),
                held=_int(item, "held"),
                sequence=_int(item, "last_sequence"),
            )
        else:
            job_id, stage = _text(item, "job_id"), _text(item, "stage")
            journal.add(_text(item, "kind"), _int(item, "credits"), job_id, stage)
    if user_id:
        yield account, journal


def _items(which: int, slices: int, has_time: Callable[[], bool]) -> Iterator[_Item]:
    # Raw: items of three kinds lie in this table, and a model reads one.
    table, start = AccountItem._get_connection(), None  # noqa: SLF001
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


def _text(item: _Item, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))
