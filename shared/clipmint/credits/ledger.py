"""The ledger: accounts and their journals as stored, and the transaction that changes them.

Only `clipmint.credits.holds`, `clipmint.credits.grants` and `clipmint.purchases.payments` change
credits. Each change writes the account and its new journal entries, and the job, reference or
payment that they are about, all or nothing. Each also expires the credits that are due. The
account's sequence number is the optimistic lock: if another transaction has changed the account
since it was read, the transaction is computed again (`retrying`).

A crash leaves nothing before the transaction and everything after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from clipmint import aws, clock, lots, unreadable
from clipmint.credits import account_changes
from clipmint.credits.account import Account, Entry
from clipmint.credits.ledger_items import AccountItem, EntryItem
from clipmint.errors import try_again
from clipmint.lots import CreditKind, Lot
from clipmint.telemetry import CREDITS_EXPIRED, count
from clipmint.values import frozen

MAX_ATTEMPTS = 8
"""Attempts at one transaction when others change the same account. Eight with the pauses below
take about two seconds at worst, which a caller can wait; after that the caller gets 503."""

Change = tuple[Account, Account, list[Entry]]
"""The account as read and after the change, and its new entries."""

Put = tuple[Model, Condition]
Update = tuple[Model, list[Action], Condition]

T = TypeVar("T")


def account_of(user_id: str) -> Account:
    """A user's account as recorded (strongly consistent); an empty one for a user without any.

    Its lots may include some that have ended since the last change; see `balance_of`.
    Raises `TemporarilyUnavailable` if it cannot be read.
    """
    return unreadable.required(lambda: _account_of(user_id), "account", user_id)


def balance_of(user_id: str) -> Account:
    """A user's account without the credits that have ended by now.

    Raises `TemporarilyUnavailable` if it cannot be read.
    """
    account, _ = account_changes.expire(account_of(user_id), clock.now())
    return account


def _account_of(user_id: str) -> Account:
    try:
        item = AccountItem.get(user_id, "ACCOUNT", consistent_read=True)
    except DoesNotExist:
        return Account(user_id)
    plain = item.lots is None
    own_lots = () if plain else lots.from_json(item.lots)
    return Account(
        user_id=item.user_id,
        available=int(item.available if plain else item.purchased) + lots.total(own_lots),
        lots=own_lots,
        debt=int(item.debt or 0),
        plain=plain,
        held=int(item.held),
        sequence=int(item.last_sequence),
        open_jobs=int(item.open_jobs),
        hour=int(item.hour),
        hour_jobs=int(item.hour_jobs),
        open_clips=int(item.open_clips or 0),
    )


@frozen
class EntryPage:
    """Part of a journal, newest first; ``before`` continues it, None at its end."""

    entries: list[Entry]
    before: int | None


def entries_of(user_id: str, *, limit: int, before: int | None) -> EntryPage:
    """A user's journal, newest first, from below the sequence number ``before``, without entries
    that cannot be read."""
    older = EntryItem.sequence < before if before is not None else None
    query = EntryItem.by_sequence.query(
        user_id, older, scan_index_forward=False, consistent_read=True, page_size=limit + 1
    )
    readable = unreadable.readable(query, _entry, "entry", lambda item: f"{user_id} {item.sk}")
    entries = list(itertools.islice(readable, limit + 1))
    more = len(entries) > limit
    return EntryPage(entries[:limit], entries[limit - 1].sequence if more else None)


def entries_about(user_id: str, job_id: str) -> list[Entry]:
    """The entries of a job's holds, of their ends, and of the goodwill for it, oldest first
    (strongly consistent), without those that cannot be read."""
    goodwill = account_changes.grant_id(account_changes.goodwill_reference(job_id))
    found = [
        item
        for prefix in (f"HOLD#{job_id}#", f"RESOLVED#{job_id}#", goodwill)
        for item in EntryItem.query(
            user_id, EntryItem.sk.startswith(f"ENTRY#{prefix}"), consistent_read=True
        )
    ]
    readable = unreadable.readable(found, _entry, "entry", lambda item: f"{user_id} {item.sk}")
    return sorted(readable, key=lambda entry: entry.sequence)


def _entry(item: EntryItem) -> Entry:
    return Entry(
        user_id=item.user_id,
        entry_id=item.sk.removeprefix("ENTRY#"),
        sequence=int(item.sequence),
        kind=item.kind,
        credits=int(item.credits),
        balance_after=int(item.balance_after),
        held_after=int(item.held_after),
        created_at=clock.from_iso(item.created_at),
        job_id=item.job_id,
        stage=item.stage,
        reference=item.reference,
        debt_after=int(item.debt_after or 0),
        lots=lots.from_json(item.lots) if item.lots else (),
        credit_kind=CreditKind(item.credit_kind) if item.credit_kind else None,
        expires_at=clock.from_iso(item.expires_at) if item.expires_at else None,
        reason=item.reason,
    )


def expired_of(user_id: str, is_counted: Callable[[Lot], bool]) -> int:
    """How many credits of such lots the journal records as expired (strongly consistent).

    Raises `TemporarilyUnavailable` if it cannot be read.
    """
    ours = EntryItem.sk.startswith("ENTRY#EXPIRE#")

    def read() -> int:
        return sum(
            lot.credits
            for item in EntryItem.query(user_id, ours, consistent_read=True)
            for lot in lots.from_json(item.lots or "[]")
            if is_counted(lot)
        )

    return unreadable.required(read, "entries", user_id)


def write(change: Change | None, puts: Sequence[Put] = (), updates: Sequence[Update] = ()) -> None:
    """Write a change of an account together with further items, in one transaction.

    Parameters
    ----------
    change
        None if only the further items are written.
    puts, updates
        Further items, each with its condition.

    Raises pynamodb's ``TransactWriteError``. Its reasons are in the order of ``puts``, the items of
    the change, ``updates``; that of a put has the item that exists. Call it in `retrying`, which
    reads everything again.
    """
    with aws.write_transaction(AccountItem) as transaction:
        for item, condition in puts:
            transaction.save(item, condition=condition, return_values="ALL_OLD")
        if change is not None:
            before, after, entries = change
            _save_entries(transaction, entries)
            _save_account(transaction, before, after)
        for item, actions, condition in updates:
            transaction.update(item, actions=actions, condition=condition)
    if change is not None:
        _count_expired(change[2])


def retrying(attempt: Callable[[], T]) -> T:
    """Compute and run a transaction again while others change the same account.

    Raises `TemporarilyUnavailable` after `MAX_ATTEMPTS` attempts.
    """
    return aws.retry_on_conflict(
        attempt,
        attempts=MAX_ATTEMPTS,
        longest_pause=aws.growing_pause,
        otherwise=try_again(
            "The account is busy", details="Nothing was charged; send the same request again"
        ),
    )


def _save_entries(transaction: TransactWrite, entries: list[Entry]) -> None:
    for entry in entries:
        transaction.save(
            EntryItem(
                user_id=entry.user_id,
                sk=f"ENTRY#{entry.entry_id}",
                sequence=entry.sequence,
                kind=entry.kind,
                credits=entry.credits,
                balance_after=entry.balance_after,
                held_after=entry.held_after,
                created_at=clock.iso(entry.created_at),
                job_id=entry.job_id,
                stage=entry.stage,
                reference=entry.reference,
                debt_after=entry.debt_after or None,
                lots=lots.to_json(entry.lots) if entry.lots else None,
                credit_kind=entry.credit_kind.value if entry.credit_kind else None,
                expires_at=clock.iso(entry.expires_at) if entry.expires_at else None,
                reason=entry.reason,
            ),
            # Never overwrite: the journal is append-only, and a hold is resolved once.
            condition=EntryItem.sk.does_not_exist(),
        )


def _save_account(transaction: TransactWrite, before: Account, after: Account) -> None:
    unchanged = (
        AccountItem.last_sequence == before.sequence
        if before.sequence
        else AccountItem.user_id.does_not_exist()
    )
    transaction.save(
        AccountItem(
            user_id=after.user_id,
            available=after.available if after.plain else None,
            purchased=None if after.plain else after.purchased,
            lots=None if after.plain else lots.to_json(after.lots),
            debt=after.debt or None,
            held=after.held,
            last_sequence=after.sequence,
            open_jobs=after.open_jobs,
            hour=after.hour,
            hour_jobs=after.hour_jobs,
            open_clips=after.open_clips,
        ),
        condition=unchanged,
    )


def _count_expired(entries: Sequence[Entry]) -> None:
    if expired := sum(entry.credits for entry in entries if entry.kind == "expire"):
        count(CREDITS_EXPIRED, expired)
