"""Compares an account with its journal, and computes the difference in credits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clipmint.credits.account import Account
from clipmint.lots import Lots

# The effect of an entry on the credits that a user owns (available and held, without the debt), on
# those held, and on the lots that it names. An adjustment has its own sign; it adds to no lot.
OWNED: Mapping[str, int] = {
    "grant": 1,
    "hold": 0,
    "capture": -1,
    "release": 0,
    "expire": -1,
    "clawback": -1,
    "adjust": 1,
}
HELD: Mapping[str, int] = {
    "grant": 0,
    "hold": 1,
    "capture": -1,
    "release": -1,
    "expire": 0,
    "clawback": 0,
    "adjust": 0,
}
IN_LOTS: Mapping[str, int] = {
    "grant": 1,
    "hold": -1,
    "capture": 0,
    "release": 1,
    "expire": -1,
    "clawback": -1,
    "adjust": -1,
}


@dataclass(slots=True)
class Journal:
    """The sums of a user's entries, which may be added in any order."""

    entries: int = 0
    owned: int = 0
    holds: dict[tuple[str, str], int] = field(default_factory=dict)
    """The rest of each hold, by job and stage: 0 after a capture or release of the same amount."""
    lots: dict[int, int] = field(default_factory=dict)
    """What is left of each lot, by its number."""

    def add(self, kind: str, credits_: int, job_id: str, stage: str, lots: Lots = ()) -> None:
        """Add one entry. An unknown kind changes no balance, so it is reported as drift."""
        self.entries += 1
        for lot in lots:
            moved = IN_LOTS.get(kind, 0) * lot.credits
            self.lots[lot.lot] = self.lots.get(lot.lot, 0) + moved
        self.owned += OWNED.get(kind, 0) * credits_
        if held := HELD.get(kind, 0):
            key = (job_id, stage)
            self.holds[key] = self.holds.get(key, 0) + held * credits_

    @property
    def open_holds(self) -> dict[tuple[str, str], int]:
        """Holds without a capture or release, or with one of another amount."""
        return {key: left for key, left in self.holds.items() if left}


def drift(account: Account, journal: Journal, ended_jobs: frozenset[str] = frozenset()) -> int:
    """The difference between an account and its journal, in credits; 0 if they agree.

    ``held`` must be the sum of the open holds of running jobs, ``available + held - debt`` the
    credits that were granted and neither captured, expired nor clawed back, and each lot what its
    entries leave. With a debt, nothing may be available. The absolute differences are added. Each
    missing or superfluous entry counts as one more credit, so that it shows even if its amount does
    not.

    Parameters
    ----------
    ended_jobs
        Jobs that have ended or do not exist: their holds are stuck.
    """
    open_holds = journal.open_holds
    held = sum(left for (job_id, _), left in open_holds.items() if job_id not in ended_jobs)
    left = {lot.lot: lot.credits for lot in account.lots}
    return (
        abs(account.held - held)
        + sum(-left for left in open_holds.values() if left < 0)
        + abs(account.available + account.held - account.debt - journal.owned)
        + abs(account.sequence - journal.entries)
        + sum(
            abs(left.get(lot, 0) - journal.lots.get(lot, 0)) for lot in left.keys() | journal.lots
        )
        + min(account.available, account.debt)
    )
