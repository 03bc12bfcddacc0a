"""The ledger: the only place where credits move.

Six transactions change credits, and no other write does: `hold_and_record` (hold), `settle`
(capture or release), `grant`, `claw_back`, `adjust`, and `expire` for an account that nothing else
changes. Each writes the account, the new journal entries, and the job or reference that they are
about, all or nothing. Each also expires the credits that are due. The account's sequence number is
the optimistic lock: if another transaction has changed the account since it was read, the
transaction is computed again.

A crash leaves nothing before the transaction and everything after it. A retry finds the job (same
id) or its end (no longer open) and returns that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from pynamodb.exceptions import DoesNotExist, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from clipmint import aws, clock, lots, unreadable
from clipmint.credits import accounts
from clipmint.credits.accounts import Account, Entry, Limits
from clipmint.credits.ledger_items import AccountItem, EntryItem, ReferenceItem
from clipmint.errors import InvalidRequest, ReferenceReused, try_again
from clipmint.jobs import job_items, job_store
from clipmint.jobs.job import Job
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.verdict import Verdict
from clipmint.lots import CreditKind
from clipmint.telemetry import (
    CREDITS_CAPTURED,
    CREDITS_CLAWED_BACK,
    CREDITS_EXPIRED,
    CREDITS_GRANTED,
    CREDITS_HELD,
    CREDITS_RELEASED,
    JOB_ENDED,
    JOB_FAILED,
    JOB_SECONDS,
    JOB_STARTED,
    count,
    emit,
    logger,
)

MAX_ATTEMPTS = 8
"""Attempts at one transaction when others change the same account. Eight with the pauses below
take about two seconds at worst, which a caller can wait; after that the caller gets 503."""

T = TypeVar("T")


class JobExists(Exception):
    """One of the jobs exists already: ``job``."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.job_id)
        self.job = job


class AlsoWriteRefused(Exception):
    """A condition of `AlsoWrite` does not hold. The caller must read again before it retries."""


@dataclass(frozen=True, slots=True)
class AlsoWrite:
    """Further items that a transaction writes together with new jobs, all or nothing."""

    puts: tuple[tuple[Model, Condition], ...] = ()
    updates: tuple[tuple[Model, list[Action], Condition], ...] = ()


NOTHING_ELSE = AlsoWrite()

AlsoWriteFor = Callable[[int], AlsoWrite]
"""Makes the further items, if they contain the credits that remain available."""


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
    account, _ = accounts.expire(account_of(user_id), clock.now())
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


@dataclass(frozen=True, slots=True)
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


def hold_and_record(
    new: Sequence[Job],
    limits: Limits,
    also_write: AlsoWrite | AlsoWriteFor = NOTHING_ELSE,
    *,
    clips: bool = False,
) -> list[Job]:
    """Hold the price of one user's new jobs and record them, in one transaction.

    Parameters
    ----------
    new
        At least one. A transaction takes 100 items: the account, those of ``also_write``, one entry
        for what expires, and for each job the job itself and one entry per stage.
    also_write
        Further items for the same transaction.
    clips
        Whether they are clips of a project, which have a limit of their own.

    Returns
    -------
    list
        The jobs as recorded, with ``balance_after``: the credits that remain available, and with
        the lots that each hold came from.

    Raises
    ------
    JobExists
        A job with one of these ids exists; nothing was held.
    AlsoWriteRefused
        A condition of ``also_write`` does not hold; nothing was held.
    InsufficientCredits, LimitReached
        Nothing was held.
    TemporarilyUnavailable
        Too many changes to this account at once; nothing was held.
    """
    prices = {job.job_id: job.prices for job in new}

    def attempt() -> tuple[list[Job], list[Entry]]:
        before = account_of(new[0].user_id)
        after, entries = accounts.hold(before, prices, limits, new[0].created_at, clips=clips)
        opened = [_with_lots(replace(job, balance_after=after.available), entries) for job in new]
        also = also_write if isinstance(also_write, AlsoWrite) else also_write(after.available)
        try:
            with _transaction() as transaction:
                for job in opened:
                    transaction.save(
                        job_items.to_item(job),
                        condition=JobItem.job_id.does_not_exist(),
                        return_values="ALL_OLD",
                    )
                for item, condition in also.puts:
                    transaction.save(item, condition=condition)
                _save_entries(transaction, entries)
                _save_account(transaction, before, after)
                for item, actions, condition in also.updates:
                    transaction.update(item, actions=actions, condition=condition)
        except TransactWriteError as error:
            _raise_refusal(error, len(new), also)
            raise
        return opened, entries

    opened, entries = retrying(attempt)
    emit({JOB_STARTED: len(opened), CREDITS_HELD: sum(job.credits for job in opened)})
    _count_expired(entries)
    return opened


def _with_lots(job: Job, entries: Sequence[Entry]) -> Job:
    """The job with the part of its holds that came from lots. The settlement reads it here, so it
    need not read the journal."""
    held = {(entry.job_id, entry.stage): entry.lots for entry in entries if entry.kind == "hold"}
    stages = tuple(
        replace(stage, from_lots=held[job.job_id, stage.name] or None) for stage in job.stages
    )
    return replace(job, stages=stages)


def settle(job_id: str, decide: Callable[[Job], Verdict | None]) -> Job:
    """End a job: capture the stages that succeeded, release the others, in one transaction.

    Parameters
    ----------
    decide
        Returns how the job ends, or None to leave it open. Called again if the job has changed
        meanwhile.

    Returns
    -------
    Job
        The job after the transaction, or unchanged if it had ended before.

    Raises
    ------
    LookupError
        There is no such job.
    TemporarilyUnavailable
        Too many changes to this account or job at once; nothing was written.
    """

    def attempt() -> tuple[Job, list[Entry] | None]:
        job = job_store.get(job_id)
        if job is None:
            raise LookupError(f"no job {job_id}")
        verdict = None if job.is_terminal else decide(job)
        if verdict is None:
            return job, None
        now = clock.now()
        before = account_of(job.user_id)
        after, entries = accounts.resolve(
            before,
            job.job_id,
            job.prices,
            job.captured_stages,
            now,
            clip=job.batch_id is not None,
            from_lots={stage.name: stage.from_lots or () for stage in job.stages},
        )
        ended = replace(
            job,
            status=verdict.status,
            failure=verdict.failure,
            updated_at=now,
            completed_at=now,
            revision=job.revision + 1,
        )
        actions: list[Action] = [
            JobItem.status.set(ended.status.value),
            JobItem.open.remove(),
            JobItem.updated_at.set(clock.iso(now)),
            JobItem.completed_at.set(clock.iso(now)),
            JobItem.revision.set(ended.revision),
        ]
        if verdict.failure is not None:
            actions.append(JobItem.failure.set(verdict.failure.value))
        with _transaction() as transaction:
            _save_entries(transaction, entries)
            # The verdict is about this revision. If an asset or an outcome was recorded since,
            # decide again.
            transaction.update(
                JobItem(job_id),
                actions=actions,
                condition=JobItem.open.exists() & (JobItem.revision == job.revision),
            )
            _save_account(transaction, before, after)
        return ended, entries

    job, entries = retrying(attempt)
    if entries is not None:
        _count_end(job)
        _count_expired(entries)
    return job


def grant(
    user_id: str,
    amount: int,
    reference: str,
    *,
    kind: CreditKind = CreditKind.PURCHASED,
    expires_at: datetime | None = None,
    late: bool = False,
) -> tuple[int, bool]:
    """Give a user credits, once per reference. A debt takes its part first.

    Parameters
    ----------
    amount
        Whole credits, at least 1.
    reference
        What the credits are for, such as a store's transaction id; unique over all users, because
        one purchase belongs to one user.
    expires_at
        From when the credits cannot be spent, to the millisecond. Purchased credits never end.
    late
        Whether credits that have ended may be granted, which expires them: an allowance that was
        paid in time, and reported after its period.

    Returns
    -------
    tuple
        The credits available right after the grant, and whether this is a replay of it.

    Raises
    ------
    InvalidRequest
        Less than one credit, purchased credits with an end, or credits that have ended.
    ReferenceReused
        The reference was used for another user, amount, kind or end.
    TooManyLots
        The user has too many credits with different ends; nothing was granted.
    """
    if amount < 1:
        raise InvalidRequest("A grant is at least one credit", details="amount: at least 1")
    if kind is CreditKind.PURCHASED and expires_at is not None:
        raise InvalidRequest("Purchased credits do not expire", details="expires_at: not allowed")
    ends = None if expires_at is None else clock.from_iso(clock.iso(expires_at))

    def change(before: Account) -> tuple[Account, list[Entry]]:
        now = clock.now()
        if ends is not None and ends <= now and not late:
            raise InvalidRequest("Credits cannot end in the past", details="expires_at: is over")
        return accounts.grant(before, amount, reference, now, kind=kind, expires_at=ends)

    used = ReferenceItem(
        f"REFERENCE#{reference}",
        granted_to=user_id,
        credits=amount,
        credit_kind=None if kind is CreditKind.PURCHASED else kind.value,
        expires_at=None if ends is None else clock.iso(ends),
    )
    written, replayed = _once(used, change)
    if not replayed:
        count(CREDITS_GRANTED, amount)
    return int(written.balance_after), replayed


def claw_back(
    user_id: str, amount: int, reference: str, *, kind: CreditKind = CreditKind.PURCHASED
) -> tuple[int, int, bool]:
    """Take refunded credits back, once per reference: what is available, and the rest as a debt.

    It may come before the grant of the purchase, which then repays the debt.

    Parameters
    ----------
    amount
        Whole credits, at least 1.
    reference
        The refund, such as a store's refund id; unique over all users.
    kind
        The kind of credits that was refunded. Credits of this kind are taken first.

    Returns
    -------
    tuple
        The credits available and the debt right after it, and whether this is a replay.

    Raises
    ------
    InvalidRequest
        Less than one credit.
    ReferenceReused
        The reference was used for another user, amount or kind.
    """
    if amount < 1:
        raise InvalidRequest("A clawback is at least one credit", details="amount: at least 1")

    def change(before: Account) -> tuple[Account, list[Entry]]:
        return accounts.claw_back(before, amount, reference, kind, clock.now())

    used = ReferenceItem(
        f"CLAWBACK#{reference}",
        granted_to=user_id,
        credits=amount,
        credit_kind=None if kind is CreditKind.PURCHASED else kind.value,
    )
    written, replayed = _once(used, change)
    if not replayed:
        count(CREDITS_CLAWED_BACK, amount)
    return int(written.balance_after), int(written.debt_after or 0), replayed


def adjust(user_id: str, amount: int, reference: str, reason: str) -> tuple[int, int, bool]:
    """Correct a user's credits by hand, once per reference.

    Parameters
    ----------
    amount
        Whole credits, not 0. What a negative amount does not find available becomes a debt.
    reason
        For the journal, which the user can read.

    Returns
    -------
    tuple
        The credits available and the debt right after it, and whether this is a replay.

    Raises
    ------
    InvalidRequest
        The amount is 0.
    ReferenceReused
        The reference was used for another user or amount.
    """
    if not amount:
        raise InvalidRequest("An adjustment changes something", details="amount: not 0")

    def change(before: Account) -> tuple[Account, list[Entry]]:
        return accounts.adjust(before, amount, reference, reason, clock.now())

    used = ReferenceItem(f"ADJUST#{reference}", granted_to=user_id, credits=amount)
    written, replayed = _once(used, change)
    return int(written.balance_after), int(written.debt_after or 0), replayed


def expire(user_id: str) -> int:
    """Record the credits of a user that have ended, if no other change of the account has done so.

    Returns the number of credits that expired.
    """

    def attempt() -> list[Entry]:
        before = account_of(user_id)
        after, entries = accounts.expire(before, clock.now())
        if entries:
            with _transaction() as transaction:
                _save_entries(transaction, entries)
                _save_account(transaction, before, after)
        return entries

    return _count_expired(retrying(attempt))


def expired_of(user_id: str, kind: CreditKind, expires_at: datetime) -> int:
    """How many credits of this kind and end the journal records as expired (strongly consistent).

    Raises `TemporarilyUnavailable` if it cannot be read.
    """
    ours = EntryItem.sk.startswith("ENTRY#EXPIRE#")

    def read() -> int:
        return sum(
            lot.credits
            for item in EntryItem.query(user_id, ours, consistent_read=True)
            for lot in lots.from_json(item.lots or "[]")
            if (lot.kind, lot.expires_at) == (kind, expires_at)
        )

    return unreadable.required(read, "entries", user_id)


def write(
    change: tuple[Account, Account, list[Entry]] | None, puts: Sequence[tuple[Model, Condition]]
) -> None:
    """Write a change of an account together with further items, in one transaction.

    Parameters
    ----------
    change
        The account as read and after the change, and its new entries; None for none.
    puts
        Further items, each with its condition.

    Raises pynamodb's ``TransactWriteError``. Call it in `retrying`, which reads everything again.
    """
    with _transaction() as transaction:
        for item, condition in puts:
            transaction.save(item, condition=condition)
        if change is not None:
            before, after, entries = change
            _save_entries(transaction, entries)
            _save_account(transaction, before, after)


def _once(
    used: ReferenceItem, change: Callable[[Account], tuple[Account, list[Entry]]]
) -> tuple[ReferenceItem, bool]:
    """Change an account once per reference: the reference as recorded, and whether it was before.

    Reference, entries and account are one transaction. So a crash cannot leave a reference that is
    used although its credits did not move, nor credits that move again.
    """

    def attempt() -> tuple[ReferenceItem, list[Entry], bool]:
        try:
            found = ReferenceItem.get(used.reference, "REFERENCE", consistent_read=True)
        except DoesNotExist:
            pass
        else:
            if _purpose(found) != _purpose(used):
                raise ReferenceReused("This reference was used for something else")
            return found, [], True
        before = account_of(used.granted_to)
        after, entries = change(before)
        used.balance_after = after.available
        used.debt_after = after.debt or None
        with _transaction() as transaction:
            transaction.save(used, condition=ReferenceItem.reference.does_not_exist())
            _save_entries(transaction, entries)
            _save_account(transaction, before, after)
        return used, entries, False

    written, entries, replayed = retrying(attempt)
    _count_expired(entries)
    return written, replayed


def _purpose(used: ReferenceItem) -> tuple[str, int, str | None, str | None]:
    return used.granted_to, int(used.credits), used.credit_kind, used.expires_at


def _count_expired(entries: Sequence[Entry]) -> int:
    expired = sum(entry.credits for entry in entries if entry.kind == "expire")
    if expired:
        count(CREDITS_EXPIRED, expired)
    return expired


def _count_end(job: Job) -> None:
    """Log a job's end and emit its metrics. Only the call that ended the job does this, so each job
    is counted once."""
    stage = job.current_stage or job.stages[-1]
    # So the owner finds failed jobs without reading the whole table: "Find a job" in the runbook.
    logger.info(
        "job ended",
        extra={
            "job_id": job.job_id,
            "status": job.status.value,
            "failure": job.failure.value if job.failure else "none",
            "provider": stage.provider,
            "model_id": job.model_id,
        },
    )
    seconds = (job.updated_at - job.created_at).total_seconds()
    emit({JOB_ENDED: 1, JOB_SECONDS: seconds}, outcome=job.status.value, provider=stage.provider)
    used = job.credits_used
    emit({CREDITS_CAPTURED: used, CREDITS_RELEASED: job.credits - used})
    if job.failure is not None:
        count(JOB_FAILED, reason=job.failure.value)


def _transaction() -> TransactWrite:
    return aws.write_transaction(AccountItem)


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


def _raise_refusal(error: TransactWriteError, jobs_: int, also: AlsoWrite) -> None:
    """Raise `JobExists` or `AlsoWriteRefused` if that is why DynamoDB cancelled the transaction.

    DynamoDB returns a reason per item, in the order of the request. PynamoDB sends the puts first
    and then the updates, each in the order in which they were added.
    """
    refused = [
        reason if reason and reason.code == "ConditionalCheckFailed" else None
        for reason in error.cancellation_reasons
    ]
    for reason in refused[:jobs_]:
        if reason is not None:
            if reason.raw_item is None:
                raise TypeError("DynamoDB did not return the item that exists")
            raise JobExists(job_store.from_raw(reason.raw_item)) from None
    puts = refused[jobs_ : jobs_ + len(also.puts)]
    updates = refused[len(refused) - len(also.updates) :]
    if any(puts) or any(updates):
        raise AlsoWriteRefused from None


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
