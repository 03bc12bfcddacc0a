"""Usage of some days, by one dimension: the sum of the counters of these days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from enum import StrEnum

from clipmint.errors import InvalidRequest
from clipmint.usage.figures import Figures, by_provider
from clipmint.usage.usage_items import TOTALS, USERS, items_between
from clipmint.values import frozen

MAX_DAYS = 92
MAX_ITEMS = 20_000
"""The most items that are read for one report. There is one for each hour in which a user had jobs,
so this limits the days of a report by user. Reading that many takes about five seconds."""

MAX_GROUPS = 200
"""The most groups of a report; only users can be more."""


class Grouping(StrEnum):
    """What the jobs of a group have in common."""

    DAY = "day"
    MODEL = "model"
    PROVIDER = "provider"
    USER = "user"
    OUTCOME = "outcome"


@frozen
class Report:
    """``groups`` by day in the order of time, otherwise the largest first. ``left_out``: how many
    groups are not among them. ``totals`` is the sum of all groups."""

    groups: dict[str, Figures]
    left_out: int
    totals: Figures


def report(first: date, last: date, grouping: Grouping) -> Report:
    """The usage of the days from ``first`` to ``last``, both included.

    Raises
    ------
    InvalidRequest
        There are no such days, too many days, or too much in them.
    """
    days = (last - first).days + 1
    if days < 1:
        raise InvalidRequest("The first day is after the last", details="from: at most to")
    if days > MAX_DAYS:
        raise InvalidRequest(f"At most {MAX_DAYS} days", details=f"from, to: {days} days")
    groups, totals = defaultdict[str, Figures](Figures), Figures()
    if grouping is Grouping.DAY:
        for number in range(days):
            groups[str(first + timedelta(number))] = Figures()
    for name, counters in _counters(first, last, grouping):
        by_cost = grouping is Grouping.PROVIDER
        parts = by_provider(counters, name) if by_cost else {name: counters}
        for part, of_part in parts.items():
            groups[part].add(of_part)
        totals.add(counters)
    shown = [*groups]
    if grouping is not Grouping.DAY:
        shown.sort(key=lambda name: (-groups[name].ended, -groups[name].orphans, name))
    chosen = {name: groups[name] for name in shown[:MAX_GROUPS]}
    return Report(chosen, len(groups) - len(chosen), totals)


def _counters(
    first: date, last: date, grouping: Grouping
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The name of the group and the counters of each item."""
    of = USERS if grouping is Grouping.USER else TOTALS
    for number, item in enumerate(items_between(of, first, last)):
        if number == MAX_ITEMS:
            raise InvalidRequest("There is too much in these days", details="to: an earlier day")
        yield item.user_id or _group_of(item.sk, grouping), item.counters


def _group_of(sk: str, grouping: Grouping) -> str:
    day, outcome, provider, model = sk.split("#", 3)
    by = {
        Grouping.DAY: day,
        Grouping.MODEL: model,
        Grouping.PROVIDER: provider,
        Grouping.OUTCOME: outcome,
    }
    return by[grouping]
