"""Credits: how a grant, a hold, its end, an expiry and a refund change an account.

Charging has two phases, like a card payment: the start of a job *holds* its price, and the end of
the job *captures* or *releases* the hold. Each change returns the new account together with the new
journal entries; neither is ever written without the other. An entry's id is derived from its
purpose. Capture and release of one hold have the same id, so exactly one of them can be written.

Allowances and promotional credits are lots (`clipmint.lots`) that may end. The clock decides when:
each change first expires the lots that are due. Credits on hold do not end, because they were spent
in time; a released part of a lot that has ended meanwhile expires with the release. A refund takes
what is available and nothing that is held; the rest is a debt, which later grants and releases
repay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from clipmint import clock, lots
from clipmint.credits.account import Account, Entry, EntryKind, Limits
from clipmint.errors import InsufficientCredits, TooManyLots, limit_reached
from clipmint.lots import CreditKind, Lots

SECONDS_PER_HOUR = 3_600

MAX_LOTS = 32
"""Lots of one account, so that its item stays small: every order writes it. Grants of the same kind
and end have one lot; a payment whose credits end has its own."""


def hold_id(job_id: str, stage: str) -> str:
    """Journal id of the hold of one stage of one job."""
    return f"HOLD#{job_id}#{stage}"


def resolution_id(job_id: str, stage: str) -> str:
    """Journal id of the end of that hold, the same for capture and release."""
    return f"RESOLVED#{job_id}#{stage}"


GOODWILL = "goodwill:"
"""How references of goodwill begin, and no others."""


def goodwill_reference(job_id: str) -> str:
    """The reference of the credits that the owner grants for a job: there is one grant per job."""
    return f"{GOODWILL}{job_id}"


def grant_id(reference: str) -> str:
    """Journal id of a grant."""
    return f"GRANT#{reference}"


def clawback_id(reference: str) -> str:
    """Journal id of a clawback."""
    return f"CLAWBACK#{reference}"


def adjustment_id(reference: str) -> str:
    """Journal id of an adjustment."""
    return f"ADJUST#{reference}"


def expire(account: Account, now: datetime) -> tuple[Account, list[Entry]]:
    """End the lots that are due: one entry for all of them, none if there are none."""
    due = tuple(lot for lot in account.lots if lot.is_due(now))
    if not due:
        return account, []
    ended = lots.total(due)
    after = replace(
        account,
        available=account.available - ended,
        lots=tuple(lot for lot in account.lots if not lot.is_due(now)),
        sequence=account.sequence + 1,
    )
    # One change of an account expires once at most, after the entry that is before it.
    entry = _entry(after, "expire", f"EXPIRE#{after.sequence}", ended, now)
    return after, [replace(entry, lots=due)]


def grant(
    account: Account,
    amount: int,
    reference: str,
    now: datetime,
    *,
    kind: CreditKind = CreditKind.PURCHASED,
    expires_at: datetime | None = None,
    job_id: str | None = None,
    reason: str | None = None,
    lot: int | None = None,
    limited: bool = True,
) -> tuple[Account, list[Entry]]:
    """Add credits, of which the debt takes its part first.

    Credits that have ended before they are granted, such as an allowance whose payment was reported
    late, are granted and expire.

    Parameters
    ----------
    job_id
        The job that the credits are goodwill for.
    reason
        For the journal, which the user can read.
    lot
        The number of the payment's own lot: that of the entry that grants it. None: credits of the
        same kind and end have one lot.
    limited
        Whether `MAX_LOTS` applies. It does not to credits that a store returns: those cannot wait.

    Raises
    ------
    ValueError
        Purchased credits with an end.
    TooManyLots
        The account has `MAX_LOTS` other lots.
    """
    if kind is CreditKind.PURCHASED and expires_at is not None:
        raise ValueError("purchased credits do not end")
    after, entries = expire(account, now)
    ended = expires_at is not None and expires_at <= now
    repaid = 0 if ended else min(after.debt, amount)
    sequence = after.sequence + 1
    added: Lots = ()
    if kind is not CreditKind.PURCHASED:
        if amount > repaid:
            terms = (kind, expires_at, False)
            alike = (one.lot for one in after.lots if (one.kind, one.expires_at, one.own) == terms)
            number = next(alike, sequence) if lot is None else lot
            own = lot is not None
            added = (lots.Lot(number, kind, amount - repaid, expires_at, own),)
        after = replace(after, plain=False)
    after = replace(
        after,
        available=after.available + amount - repaid,
        debt=after.debt - repaid,
        lots=lots.put(after.lots, added),
        sequence=sequence,
    )
    new = added and not ended and added[0].lot == sequence
    if limited and new and len(after.lots) > MAX_LOTS:
        raise TooManyLots(
            "The user has too many credits with different ends",
            details=f"At most {MAX_LOTS}; grant purchased credits, or credits that end with others",
        )
    entry = _entry(after, "grant", grant_id(reference), amount, now, reference=reference)
    entries.append(
        replace(
            entry,
            lots=added,
            credit_kind=None if kind is CreditKind.PURCHASED else kind,
            expires_at=expires_at,
            job_id=job_id,
            reason=reason,
        )
    )
    after, ended_at_once = expire(after, now)
    return after, entries + ended_at_once


def claw_back(
    account: Account,
    amount: int,
    reference: str,
    kind: CreditKind,
    now: datetime,
    *,
    lot: int | None = None,
) -> tuple[Account, list[Entry]]:
    """Take credits back that were refunded: first those of the payment's own ``lot``, then credits
    of their kind, then others, each in the order in which they are spent. What is not available
    becomes a debt. Credits on hold are not touched.
    """
    after, entries = expire(account, now)
    nearest = sorted(after.lots, key=lambda one: (one.lot != lot, one.kind is not kind))
    from_purchased = min(after.purchased, amount) if kind is CreditKind.PURCHASED else 0
    taken, left = lots.take(nearest, amount - from_purchased)
    after = _take(after, amount, left, plain=False)
    after = replace(after, sequence=after.sequence + 1)
    entry = _entry(after, "clawback", clawback_id(reference), amount, now, reference=reference)
    credit_kind = None if kind is CreditKind.PURCHASED else kind
    return after, [*entries, replace(entry, lots=taken, credit_kind=credit_kind)]


def adjust(
    account: Account, amount: int, reference: str, reason: str, now: datetime
) -> tuple[Account, list[Entry]]:
    """Correct an account by hand.

    Parameters
    ----------
    amount
        Positive: purchased credits, of which the debt takes its part first. Negative: taken in the
        order in which credits are spent; what is not available becomes a debt.
    """
    after, entries = expire(account, now)
    taken: Lots = ()
    if amount > 0:
        repaid = min(after.debt, amount)
        after = replace(
            after, available=after.available + amount - repaid, debt=after.debt - repaid
        )
    else:
        taken, left = lots.take(after.lots, -amount)
        after = _take(after, -amount, left, plain=after.plain)
    after = replace(after, sequence=after.sequence + 1)
    entry = _entry(after, "adjust", adjustment_id(reference), amount, now, reference=reference)
    return after, [*entries, replace(entry, lots=taken, reason=reason)]


def _take(account: Account, amount: int, left: Lots, *, plain: bool) -> Account:
    """An account after so many credits were taken, with the lots that are left; a debt if they were
    not available."""
    available = min(account.available, amount)
    debt = account.debt + amount - available
    return replace(
        account,
        available=account.available - available,
        lots=lots.in_order(left),
        debt=debt,
        plain=plain and not debt,
    )


def hold(
    account: Account,
    jobs: Mapping[str, Mapping[str, int]],
    limits: Limits,
    now: datetime,
    *,
    clips: bool = False,
) -> tuple[Account, list[Entry]]:
    """Hold the price of every stage of new jobs, all or nothing.

    The entry of each hold contains the part that came from lots; a release needs it.

    Parameters
    ----------
    jobs
        By job id, the credits of each of its stages.
    clips
        Whether the jobs are clips of a project.

    Raises
    ------
    InsufficientCredits
        ``available`` does not cover the sum, or there is a debt.
    LimitReached
        Too many open jobs, or too many jobs in this hour.
    """
    account, entries = expire(account, now)
    required = sum(sum(prices.values()) for prices in jobs.values())
    if account.debt or required > account.available:
        raise _insufficient(account, required)
    hour = clock.epoch(now) // SECONDS_PER_HOUR
    hour_jobs = account.hour_jobs if account.hour == hour else 0
    wait = SECONDS_PER_HOUR - clock.epoch(now) % SECONDS_PER_HOUR
    _check_limit("an hour", limits.jobs_per_hour, hour_jobs, len(jobs), wait)
    # We do not know when a running job will end; half a minute is a reasonable time to retry.
    if clips:
        _check_limit("clips at a time", limits.open_clips, account.open_clips, len(jobs), 30)
    else:
        _check_limit("at a time", limits.open_jobs, account.open_jobs, len(jobs), 30)

    after = _opened(account, len(jobs), clips=clips)
    after = replace(after, hour=hour, hour_jobs=hour_jobs + len(jobs))
    for job_id, prices in jobs.items():
        for stage, price in prices.items():
            taken, left = lots.take(after.lots, price)
            after = replace(
                after,
                available=after.available - price,
                held=after.held + price,
                lots=left,
                sequence=after.sequence + 1,
            )
            entry_id = hold_id(job_id, stage)
            entry = _entry(after, "hold", entry_id, price, now, job_id=job_id, stage=stage)
            entries.append(replace(entry, lots=taken))
    return after, entries


def _insufficient(account: Account, required: int) -> InsufficientCredits:
    details = f"{required} credits are needed, {account.available} are available"
    extras = {
        "current_credits": account.available,
        "held_credits": account.held,
        "required_credits": required,
    }
    if account.debt:
        details = f"{account.debt} credits of a refunded purchase were spent and are owed"
        extras["debt_credits"] = account.debt
    return InsufficientCredits("Insufficient credits", details=details, extras=extras)


def resolve(
    account: Account,
    job_id: str,
    prices: Mapping[str, int],
    captured_stages: frozenset[str],
    now: datetime,
    *,
    clip: bool = False,
    from_lots: Mapping[str, Lots] = MappingProxyType({}),
) -> tuple[Account, list[Entry]]:
    """End a job's holds: capture those of ``captured_stages``, release the others.

    A release repays the debt first, with what has not ended, and returns the rest to the same lots.
    What belongs to a lot that has ended expires immediately.

    Parameters
    ----------
    from_lots
        By stage, the part of its hold that came from lots.
    """
    after = _opened(account, -1, clips=clip)
    entries = []
    for stage, price in prices.items():
        after = replace(after, held=after.held - price, sequence=after.sequence + 1)
        kind: EntryKind = "capture" if stage in captured_stages else "release"
        returned: Lots = ()
        if kind == "release":
            after, returned = _returned(after, price, from_lots.get(stage, ()), now)
        entry_id = resolution_id(job_id, stage)
        entry = _entry(after, kind, entry_id, price, now, job_id=job_id, stage=stage)
        entries.append(replace(entry, lots=returned))
    after, expired = expire(after, now)
    return after, entries + expired


def _returned(account: Account, price: int, parts: Lots, now: datetime) -> tuple[Account, Lots]:
    """The account with the credits of a released hold, and the part of them that went into lots."""
    due = tuple(part for part in parts if part.is_due(now))
    repaid = min(account.debt, price - lots.total(due))
    _, rest = lots.take((part for part in parts if not part.is_due(now)), repaid)
    returned = (*due, *rest)
    after = replace(
        account,
        available=account.available + price - repaid,
        debt=account.debt - repaid,
        lots=lots.put(account.lots, returned),
    )
    return after, returned


def _opened(account: Account, jobs: int, *, clips: bool) -> Account:
    if clips:
        return replace(account, open_clips=account.open_clips + jobs)
    return replace(account, open_jobs=account.open_jobs + jobs)


def _check_limit(per: str, limit: int, used: int, wanted: int, wait: int) -> None:
    if used + wanted > limit:
        raise limit_reached(
            "Too many generations",
            details=f"At most {limit} {per}; {used} are counted, {wanted} more were asked for",
            limit=limit,
            used=used,
            wait_seconds=wait,
        )


def _entry(
    after: Account,
    kind: EntryKind,
    entry_id: str,
    credits_: int,
    now: datetime,
    *,
    job_id: str | None = None,
    stage: str | None = None,
    reference: str | None = None,
) -> Entry:
    return Entry(
        user_id=after.user_id,
        entry_id=entry_id,
        sequence=after.sequence,
        kind=kind,
        credits=credits_,
        balance_after=after.available,
        held_after=after.held,
        created_at=now,
        job_id=job_id,
        stage=stage,
        reference=reference,
        debt_after=after.debt,
    )
