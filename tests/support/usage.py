"""A full recount: what the usage of some days must be, from the items of all jobs.

It shares no code with the product, and keeps each duration instead of a histogram.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.invariants import TERMINAL, has_file, stages_of

Item = Mapping[str, Any]

MAY_BE_BILLED = {"CONTENT_POLICY", "NO_OUTPUT", "NOT_AS_ORDERED"}

PERCENTILES = {"p50_seconds": 50, "p95_seconds": 95}
TOLERANCE, ROUNDING = 0.0489, 0.05
"""The documented relative error of a percentile, and the seconds that rounding to a tenth adds."""


@dataclass
class Group:
    """The jobs of a group: how many ended how, credits, orphans, and the seconds of each."""

    counts: Counter[str] = field(default_factory=Counter)
    cost: Counter[tuple[str, str]] = field(default_factory=Counter)
    usd: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """What the API must answer, without the percentiles."""
        ends = {status: self.counts[status] for status in sorted(TERMINAL)}
        tried = ends["completed"] + ends["failed"]
        return {
            **ends,
            "jobs": sum(ends.values()),
            "success_rate": round(ends["completed"] / tried, 4) if tried else None,
            "credits_captured": self.counts["captured"],
            "credits_released": self.counts["released"],
            "orphans": self.counts["orphans"],
            "provider_cost_unknown": self.counts["unknown"],
            "provider_cost_usd": (
                sum(self.usd) / 1_000_000 if self.usd or not self.counts["unknown"] else None
            ),
            "provider_cost": [
                {"provider": provider, "unit": unit, "amount": micros / 1_000_000}
                for (provider, unit), micros in sorted(self.cost.items())
            ],
        }

    def bill(self, provider: str, cost: Item | None) -> None:
        """Add a generation that a provider bills; ``cost`` is None if it is not known."""
        if cost is not None:
            self.cost[provider, cost["unit"]] += int(cost["micros"])
        if cost is None or "usd_micros" not in cost:
            self.counts["unknown"] += 1
        else:
            self.usd.append(int(cost["usd_micros"]))

    def add(self, other: Group) -> None:
        """Add another group."""
        self.counts += other.counts
        self.cost += other.cost
        self.usd += other.usd
        self.seconds += other.seconds

    def percentile(self, percent: int) -> float | None:
        """By the nearest rank. A duration below a second counts as one."""
        if not self.seconds:
            return None
        return max(1.0, sorted(self.seconds)[math.ceil(len(self.seconds) * percent / 100) - 1])


def last_provider(job: Item) -> str:
    """The provider of the last stage that a job reached."""
    stages = list(stages_of(job).values())
    reached = next((stage for stage in stages if not stage.get("asset")), stages[-1])
    return str(reached["provider"])


BY_JOB: Mapping[str, Callable[[Item], str]] = {
    "day": lambda job: str(job["completed_at"])[:10],
    "model": lambda job: str(job["model_id"]),
    "provider": last_provider,
    "user": lambda job: str(job["user_id"]),
    "outcome": lambda job: str(job["status"]),
}
BY_ORPHAN: Mapping[str, Callable[[Item, Item], str]] = {
    "day": lambda _, orphan: str(orphan["found_at"])[:10],
    "model": lambda job, _: str(job["model_id"]),
    "provider": lambda _, orphan: str(orphan["provider"]),
    "user": lambda job, _: str(job["user_id"]),
    "outcome": lambda _job, _orphan: "orphan",
}


def recount(jobs: Iterable[Item], group_by: str) -> dict[str, Group]:
    """The groups of all jobs that have ended, and of all orphans."""
    groups = defaultdict[str, Group](Group)
    for job in jobs:
        for orphan in job.get("orphans", ()):
            group = groups[BY_ORPHAN[group_by](job, orphan)]
            group.counts["orphans"] += 1
            group.bill(orphan["provider"], orphan.get("cost"))
        if job["status"] in TERMINAL:
            key = BY_JOB[group_by](job)
            _add(groups[key], job)
            for provider, cost in _billed(job):
                groups[provider if group_by == "provider" else key].bill(provider, cost)
    return dict(groups)


def _billed(job: Item) -> Iterator[tuple[str, Item | None]]:
    """The provider and the cost of each generation that succeeded, was billed or may have been."""
    for stage in stages_of(job).values():
        for run in (stage, *stage.get("earlier", ())):
            outcome = run.get("outcome") or {}
            accepted = run.get("request_id") or (run.get("submission") or {}).get("request_id")
            may_be = accepted and outcome.get("code") in MAY_BE_BILLED
            if "media_url" in outcome or "cost" in outcome or may_be:
                yield run["provider"], outcome.get("cost")


def _add(group: Group, job: Item) -> None:
    group.counts[job["status"]] += 1
    for stage in stages_of(job).values():
        group.counts["captured" if has_file(stage) else "released"] += int(stage["credits"])
    if job["status"] == "completed":
        ended, began = (datetime.fromisoformat(job[at]) for at in ("completed_at", "created_at"))
        group.seconds.append((ended - began).total_seconds())


def differences(answer: Mapping[str, Any], jobs: Iterable[Item]) -> Iterator[str]:
    """How the API's answer differs from a recount of these jobs, which are those of its days."""
    by, jobs = answer["group_by"], list(jobs)
    expected = recount(jobs, by)
    found = {group["key"]: group for group in answer["groups"]}
    if by == "day":
        expected = {day: Group() for day in found} | expected
    for key in sorted(expected.keys() | found.keys()):
        if key not in found or key not in expected:
            yield f"usage by {by}: {key} is in {'the recount' if key in expected else 'it'} alone"
        else:
            yield from _different(f"usage by {by}, {key}", found[key], expected[key])
    total = Group()
    for group in expected.values():
        total.add(group)
    yield from _different(f"usage by {by}, totals", answer["totals"], total)


def _different(where: str, found: Mapping[str, Any], expected: Group) -> Iterator[str]:
    for name, value in expected.figures().items():
        if found[name] != value:
            yield f"{where}: {name} is {found[name]}, and {value} in a recount"
    for name, percent in PERCENTILES.items():
        exact, value = expected.percentile(percent), found[name]
        if (exact is None) != (value is None):
            yield f"{where}: {name} is {value}, and {exact} in a recount"
        elif exact is not None and abs(value - exact) > TOLERANCE * exact + ROUNDING:
            yield f"{where}: {name} is {value}, too far from {exact}"
