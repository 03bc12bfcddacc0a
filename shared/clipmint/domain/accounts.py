"""Credits: what holding, capturing and releasing do to an account.

Two-phase, as card payments are: starting a job *holds* its price, the end of the job either
*captures* the hold or *releases* it. Each change yields the new account and the journal's new
entries together; neither is ever written without the other. An entry's id follows from what it is
for, and capture and release of one hold share one id, so of any race between them one wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from clipmint.domain import clock
from clipmint.domain.errors import InsufficientCredits, LimitReached

EntryKind = Literal["grant", "hold", "capture", "release"]

SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one user may do at once and per clock hour."""

    open_jobs: int = 5
    jobs_per_hour: int = 60


@dataclass(frozen=True, slots=True)
class Account:
    """A user's credits, in whole credits, and the counters their limits need.

    ``sequence`` numbers the last journal entry; it changes with every change of the account, so a
    writer who still sees the same number still sees the same account.
    """

    user_id: str
    available: int = 0
    held: int = 0
    sequence: int = 0
    open_jobs: int = 0
    hour: int = 0
    hour_jobs: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One immutable line of the journal. ``credits`` is positive; the kind says which way."""

    user_id: str
    entry_id: str
    sequence: int
    kind: EntryKind
    credits: int
    balance_after: int
    held_after: int
    created_at: datetime
    job_id: str | None = None
    stage: str | None = None
    reference: str | None = None


def hold_id(job_id: str, stage: str) -> str:
    """Journal id of the hold of one stage of one job."""
    return f"HOLD#{job_id}#{stage}"


def resolution_id(job_id: str, stage: str) -> str:
    """Journal id of what became of that hold: the same for capture and release."""
    return f"RESOLVED#{job_id}#{stage}"


def grant_id(reference: str) -> str:
    """Journal id of a grant."""
    return f"GRANT#{reference}"


def grant(account: Account, amount: int, reference: str, now: datetime) -> tuple[Account, Entry]:
    """Give credits."""
    after = replace(account, available=account.available + amount, sequence=account.sequence + 1)
    return after, _entry(after, "grant", grant_id(reference), amount, now, reference=reference)


def hold(
    account: Account, job_id: str, prices: Mapping[str, int], limits: Limits, now: datetime
) -> tuple[Account, list[Entry]]:
    """Set aside the price of every stage of a new job, all or nothing.

    Raises
    ------
    InsufficientCredits
        ``available`` does not cover the sum.
    LimitReached
        Too many jobs open, or too many this hour.
    """
    required = sum(prices.values())
    if required > account.available:
        raise InsufficientCredits(
            "Insufficient credits",
            details=f"{required} credits are needed, {account.available} are available",
            extras={
                "current_credits": account.available,
                "held_credits": account.held,
                "required_credits": required,
            },
        )
    hour = clock.epoch(now) // SECONDS_PER_HOUR
    hour_jobs = account.hour_jobs if account.hour == hour else 0
    _check_limits(account.open_jobs, hour_jobs, limits, now)

    after = replace(account, open_jobs=account.open_jobs + 1, hour=hour, hour_jobs=hour_jobs + 1)
    entries = []
    for stage, price in prices.items():
        after = replace(
            after,
            available=after.available - price,
            held=after.held + price,
            sequence=after.sequence + 1,
        )
        entry_id = hold_id(job_id, stage)
        entries.append(_entry(after, "hold", entry_id, price, now, job_id=job_id, stage=stage))
    return after, entries


def resolve(
    account: Account,
    job_id: str,
    prices: Mapping[str, int],
    captured_stages: frozenset[str],
    now: datetime,
) -> tuple[Account, list[Entry]]:
    """End a job's holds: capture those of the stages that succeeded, release the others."""
    after = replace(account, open_jobs=account.open_jobs - 1)
    entries = []
    for stage, price in prices.items():
        kind: EntryKind = "capture" if stage in captured_stages else "release"
        after = replace(
            after,
            available=after.available + (price if kind == "release" else 0),
            held=after.held - price,
            sequence=after.sequence + 1,
        )
        entry_id = resolution_id(job_id, stage)
        entries.append(_entry(after, kind, entry_id, price, now, job_id=job_id, stage=stage))
    return after, entries


def _check_limits(open_jobs: int, hour_jobs: int, limits: Limits, now: datetime) -> None:
    into_hour = clock.epoch(now) % SECONDS_PER_HOUR
    if hour_jobs >= limits.jobs_per_hour:
        wait = SECONDS_PER_HOUR - into_hour
        raise LimitReached(
            "Too many generations this hour",
            details=f"At most {limits.jobs_per_hour} an hour",
            headers={
                "Retry-After": str(wait),
                "X-RateLimit-Limit": str(limits.jobs_per_hour),
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(wait),
            },
        )
    if open_jobs >= limits.open_jobs:
        # When a running job will end is not known; half a minute is a fair time to look again.
        raise LimitReached(
            "Too many generations at once",
            details=f"At most {limits.open_jobs} at a time",
            headers={
                "Retry-After": "30",
                "X-RateLimit-Limit": str(limits.open_jobs),
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "30",
            },
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
    )
