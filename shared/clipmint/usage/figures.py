"""What is counted about jobs: numbers, credits, and a histogram of their durations.

A histogram has a bucket for each power of `RATIO` seconds. So a percentile of it is wrong by at
most `ERROR` for all durations, and histograms can be added up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from clipmint.catalog.costs import MILLION, Cost

RATIO = 1.1
"""The upper bound of a bucket divided by its lower bound."""

ERROR = math.sqrt(RATIO) - 1
"""The largest relative error of a percentile: 0.0488. A duration below a second counts as one."""

_LAST_BUCKET = 160
"""About fifty days, longer than any job can take."""

ENDS = ("completed", "failed", "cancelled")
"""The statuses of ended jobs. Each is the name of a counter."""

CAPTURED, RELEASED, ORPHANS = "captured", "released", "orphans"
"""Names of counters: credits, credits, and orphans."""

_BUCKET = "s"
"""The beginning of the name of a histogram's counter."""

_COST, _USD, _UNKNOWN = "cost", "usd", "unknown"
"""The beginnings of ``cost#provider#unit`` (millionths of the unit), ``usd#provider`` (millionths
of a USD) and ``unknown#provider`` (generations whose cost in USD is not known)."""

Adds = Mapping[str, int]
"""Counters by name, and what is added to each."""


def bucket_of(seconds: float) -> str:
    """The name of the counter of jobs that took about this long."""
    number = int(math.log(max(seconds, 1.0), RATIO))
    return f"{_BUCKET}{min(number, _LAST_BUCKET)}"


def _seconds_in(number: int) -> float:
    """The duration that stands for a bucket: the middle of it, on a logarithmic scale."""
    return float(RATIO ** (number + 0.5))


def cost_of(provider: str, cost: Cost | None) -> dict[str, int]:
    """The counters of a generation that is billed. ``cost`` is None if it is not known."""
    if cost is None:
        return {f"{_UNKNOWN}#{provider}": 1}
    usd = cost.usd_micros
    in_usd = {f"{_UNKNOWN}#{provider}": 1} if usd is None else {f"{_USD}#{provider}": usd}
    return {f"{_COST}#{provider}#{cost.unit}": cost.micros, **in_usd}


def by_provider(counters: Adds, own: str) -> dict[str, dict[str, int]]:
    """Counters apart by provider: a cost belongs to the one who bills it, the rest to ``own``."""
    found: dict[str, dict[str, int]] = {}
    for name, value in counters.items():
        kind, _, rest = name.partition("#")
        provider = rest.partition("#")[0] if kind in {_COST, _USD, _UNKNOWN} else own
        found.setdefault(provider, {})[name] = value
    return found


@dataclass
class Figures:
    """The sum of counters.

    Attributes
    ----------
    seconds
        The histogram of completed jobs, by bucket.
    cost
        What each provider bills, in millionths of each unit.
    usd
        The same in millionths of a USD, as far as it is known.
    unknown
        Of how many generations it is not known.
    """

    jobs: Counter[str] = field(default_factory=Counter)
    captured: int = 0
    released: int = 0
    orphans: int = 0
    seconds: Counter[int] = field(default_factory=Counter)
    cost: Counter[tuple[str, str]] = field(default_factory=Counter)
    usd: int | None = None
    unknown: int = 0

    def add(self, counters: Mapping[str, int]) -> None:
        """Add counters. A counter of a newer version is ignored."""
        for name, value in counters.items():
            if name in ENDS:
                self.jobs[name] += value
            elif name == CAPTURED:
                self.captured += value
            elif name == RELEASED:
                self.released += value
            elif name == ORPHANS:
                self.orphans += value
            elif name[:1] == _BUCKET and name[1:].isdecimal():
                self.seconds[int(name[1:])] += value
            else:
                self._add_cost(*name.split("#", 2), value=value)

    def _add_cost(self, kind: str, provider: str = "", unit: str = "", *, value: int) -> None:
        if kind == _COST:
            self.cost[provider, unit] += value
        elif kind == _USD:
            self.usd = (self.usd or 0) + value
        elif kind == _UNKNOWN:
            self.unknown += value

    @property
    def cost_usd(self) -> float | None:
        """What the providers bill, in USD, as far as it is known. None if nothing of it is."""
        if self.usd is None:
            return None if self.unknown else 0.0
        return self.usd / MILLION

    @property
    def ended(self) -> int:
        """All jobs that ended."""
        return self.jobs.total()

    @property
    def success_rate(self) -> float | None:
        """The part of the jobs that completed, of those that completed or failed."""
        tried = self.jobs["completed"] + self.jobs["failed"]
        return self.jobs["completed"] / tried if tried else None

    def percentile(self, percent: int) -> float | None:
        """The seconds from the order to the end that so many percent of the completed jobs took at
        most (nearest rank). None without completed jobs."""
        rank = math.ceil(self.seconds.total() * percent / 100)
        for number in sorted(self.seconds):
            rank -= self.seconds[number]
            if rank <= 0:
                return _seconds_in(number)
        return None
