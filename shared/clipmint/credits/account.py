"""What an account, an entry of its journal, and the limits of a user are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from clipmint import lots
from clipmint.lots import CreditKind, Lots
from clipmint.values import frozen

EntryKind = Literal["grant", "hold", "capture", "release", "expire", "clawback", "adjust"]

MAX_USER_BYTES = 1_024
"""Of a user's id, wherever one is stated. DynamoDB accepts keys of up to 2,048 bytes; no issuer's
subject needs half of that."""


@frozen
class Limits:
    """Limits of one user: open jobs, open clips, and jobs per clock hour.

    One call may start dozens of clips, so they are counted separately from single jobs. The limit
    per hour counts both.
    """

    open_jobs: int = 5
    jobs_per_hour: int = 60
    open_clips: int = 50


@frozen
class Account:
    """A user's credits, in whole credits, and the counters for the limits.

    ``sequence`` is the number of the last journal entry. It changes with every change of the
    account: if a writer finds the same number again, the account has not changed.

    ``available`` includes the credits of ``lots``; what is in no lot was purchased. If there is a
    ``debt``, nothing is available. ``plain``: there have only been purchased credits and no refund,
    so the account is stored as earlier releases store and read it.
    """

    user_id: str
    available: int = 0
    held: int = 0
    sequence: int = 0
    open_jobs: int = 0
    hour: int = 0
    hour_jobs: int = 0
    open_clips: int = 0
    lots: Lots = ()
    debt: int = 0
    plain: bool = True

    @property
    def purchased(self) -> int:
        """The available credits that belong to no lot."""
        return self.available - lots.total(self.lots)


@frozen
class Entry:
    """One immutable line of the journal.

    ``credits`` is positive, except that of an adjustment; ``kind`` gives the direction: an
    `EntryKind`, or what another version has recorded. ``lots`` is the part of the credits that went
    into lots or came out of them; the rest was purchased, or changed the debt.
    """

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
    debt_after: int = 0
    lots: Lots = ()
    credit_kind: CreditKind | None = None
    expires_at: datetime | None = None
    reason: str | None = None
