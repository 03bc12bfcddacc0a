"""Whether an account agrees with its journal: what is right, and by how many credits it is off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clipmint.credits.accounts import Account

# What an entry does to the credits a user owns, on hold or not, and to those on hold. An adjustment
# carries its own sign.
OWNED: Mapping[str, int] = {"grant": 1, "hold": 0, "capture": -1, "release": 0, "adjust": 1}
HELD: Mapping[str, int] = {"grant": 0, "hold": 1, "capture": -1, "release": -1, "adjust": 0}


@dataclass(slots=True)
class Journal:
    """A user's entries added up, one by one and in any order."""

    entries: int = 0
    owned: int = 0
    holds: dict[tuple[str, str], int] = field(default_factory=dict)
    """What is left of each hold, by job and stage; zero once it was resolved for what it held."""

    def add(self, kind: str, credits_: int, job_id: str, stage: str) -> None:
        """Add one entry. One of a kind there is not moves nothing, and so shows as drift."""
        self.entries += 1
        self.owned += OWNED.get(kind, 0) * credits_
        if held := HELD.get(kind, 0):
            key = (job_id, stage)
            self.holds[key] = self.holds.get(key, 0) + held * credits_

    @property
    def open_holds(self) -> dict[tuple[str, str], int]:
        """Holds that are not resolved, or not for what they held."""
        return {key: left for key, left in self.holds.items() if left}


def drift(account: Account, journal: Journal, ended_jobs: frozenset[str] = frozenset()) -> int:
    """By how many credits an account is off; 0 for one that adds up.

    ``held`` must be the sum of the open holds of jobs that go on, and ``available + held`` what was
    granted and not captured; what both are off is added. A line of the journal that is missing or
    one too many counts as a credit, so that it shows whatever it was about.

    Parameters
    ----------
    ended_jobs
        Jobs that have ended, or that there are not: what is held for them is stuck.
    """
    open_holds = journal.open_holds
    held = sum(left for (job_id, _), left in open_holds.items() if job_id not in ended_jobs)
    return (
        abs(account.held - held)
        + sum(-left for left in open_holds.values() if left < 0)
        + abs(account.available + account.held - journal.owned)
        + abs(account.sequence - journal.entries)
    )
