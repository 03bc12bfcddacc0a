"""Credits: how a hold, a capture and a release change an account.

Charging has two phases, like a card payment: the start of a job *holds* its price, and the end of
the job *captures* or *releases* the hold. Each change returns the new account together with the new
journal entries; neither is ever written without the other. An entry's id is derived from its
purpose. Capture and release of one hold have the same id, so exactly one of them can be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from clipmint import clock
from clipmint.errors import InsufficientCredits, limit_reached

EntryKind = Literal["grant", "hold", "capture", "release"]

SECONDS_PER_HOUR = 3_600

MAX_USER_BYTES = 1_024
"""Of a user's id, wherever one is stated. DynamoDB accepts keys of up to 2,048 bytes; no issuer's
subject needs half of that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one user: open jobs, open clips, and jobs per clock hour.

    One call may start dozens of clips, so they are counted separately from single jobs. The limit
    per hour counts both.
    """

    open_jobs: int = 5
    jobs_per_hour: int = 60
    open_clips: int = 50


@dataclass(frozen=True, slots=True)
class Account:
    """A user's credits, in whole credits, and the counters for the limits.

    ``sequence`` is the number of the last journal entry. It changes with every change of the
    account: if a writer finds the same number again, the account has not changed.
    """

    user_id: str
    available: int = 0
    held: int = 0
    sequence: int = 0
    open_jobs: int = 0
    hour: int = 0
    hour_jobs: int = 0
    open_clips: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One immutable line of the journal. ``credits`` is positive; ``kind`` gives the direction: an
    `EntryKind`, or what another version has recorded."""

    user_id: str
    entry_id: str
    sequence: int
    kind: str
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
    """Journal id of the end of that hold, the same for capture and release."""
    return f"RESOLVED#{job_id}#{stage}"


def grant_id(reference: str) -> str:
    """Journal id of a grant."""
    return f"GRANT#{reference}"


def grant(account: Account, amount: int, reference: str, now: datetime) -> tuple[Account, Entry]:
    """Add credits."""
    after = replace(account, available=account.available + amount, sequence=account.sequence + 1)
    return after, _entry(after, "grant", grant_id(reference), amount, now, reference=reference)


def hold(
    account: Account,
    jobs: Mapping[str, Mapping[str, int]],
    limits: Limits,
    now: datetime,
    *,
    clips: bool = False,
) -> tuple[Account, list[Entry]]:
    """Hold the price of every stage of new jobs, all or nothing.

    Parameters
    ----------
    jobs
        By job id, the credits of each of its stages.
    clips
        Whether the jobs are clips of a project.

    Raises
    ------
    InsufficientCredits
        ``available`` does not cover the sum.
    LimitReached
        Too many open jobs, or too many jobs in this hour.
    """
    required = sum(sum(prices.values()) for prices in jobs.values())
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
    wait = SECONDS_PER_HOUR - clock.epoch(now) % SECONDS_PER_HOUR
    _check_limit("an hour", limits.jobs_per_hour, hour_jobs, len(jobs), wait)
    # We do not know when a running job will end; half a minute is a reasonable time to retry.
    if clips:
        _check_limit("clips at a time", limits.open_clips, account.open_clips, len(jobs), 30)
    else:
        _check_limit("at a time", limits.open_jobs, account.open_jobs, len(jobs), 30)

    after = _opened(account, len(jobs), clips=clips)
    after = replace(after, hour=hour, hour_jobs=hour_jobs + len(jobs))
    entries = []
    for job_id, prices in jobs.items():
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
    *,
    clip: bool = False,
) -> tuple[Account, list[Entry]]:
    """End a job's holds: capture those of ``captured_stages``, release the others."""
    after = _opened(account, -1, clips=clip)
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
    )
