"""The items of the Usage table: counters by day.

======================  ==========================================  ===============================
``month``               ``sk``                                      counts
======================  ==========================================  ===============================
``TOTALS#2026-11``      ``2026-11-28#outcome#provider#model``       the jobs of a day with all of
                                                                    these in common
``USERS#2026-11``       ``2026-11-28T09#user``                      the jobs of a user in an hour;
                                                                    has ``counted`` and ``user_id``
======================  ==========================================  ===============================

The counters are attributes of an item, with the names in `usage.figures`. The keys of what was
counted are in ``counted`` permanently, so nothing is ever counted twice, however late it is passed
again. An item per hour keeps that set small: a user has at most 60 jobs in an hour unless the owner
allows more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from pynamodb.attributes import UnicodeAttribute, UnicodeSetAttribute
from pynamodb.models import Model

from clipmint import aws
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.usage.facts import Fact

TOTALS, USERS = "TOTALS", "USERS"
"""The two groups of items. Each has all jobs."""

Key = tuple[str, str]
"""``month`` and ``sk``."""

_LONGEST_USER_BYTES = 900
"""A sort key has at most 1,024 bytes, and a user's id can have as many."""


class UsageItem(Model):
    """Counters. Their attributes are not declared, because there is one for each duration."""

    class Meta(TableMeta):
        table_name = FromEnvironment("USAGE_TABLE")

    month = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    counted = UnicodeSetAttribute(null=True)
    user_id = UnicodeAttribute(null=True)


class Counted(NamedTuple):
    """An item as it is read. ``user_id`` is None for a total."""

    sk: str
    user_id: str | None
    counters: Mapping[str, int]


def total_key(fact: Fact) -> Key:
    """The item of the day, outcome, provider and model of a fact."""
    sk = f"{fact.at:%Y-%m-%d}#{fact.outcome}#{fact.provider}#{fact.model_id}"
    return f"{TOTALS}#{fact.at:%Y-%m}", sk


def user_key(fact: Fact) -> Key:
    """The item of the hour and user of a fact."""
    user, encoded = fact.user_id, fact.user_id.encode()
    if len(encoded) > _LONGEST_USER_BYTES:
        user = hashlib.sha256(encoded).hexdigest()
    return f"{USERS}#{fact.at:%Y-%m}", f"{fact.at:%Y-%m-%dT%H}#{user}"


def items_between(group: str, first: date, last: date) -> Iterator[Counted]:
    """The items of a group and of these days, in the order of time."""
    table = aws.table(UsageItem)
    for month in _months(first, last):
        position: Mapping[str, Any] | None = None
        while True:
            page = table.query(
                f"{group}#{month}",
                # A day's keys begin with it, and "~" sorts behind all of them.
                UsageItem.sk.between(f"{first}", f"{last}~"),
                exclusive_start_key=position,
            )
            for raw in page["Items"]:
                user_id = raw["user_id"]["S"] if "user_id" in raw else None
                yield Counted(raw["sk"]["S"], user_id, _counters(raw))
            position = page.get("LastEvaluatedKey")
            if position is None:
                break


def _months(first: date, last: date) -> Iterator[str]:
    """The months of these days, such as ``2026-11``."""
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        yield f"{number // 12:04}-{number % 12 + 1:02}"


def _counters(raw: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in raw.items() if "N" in value}
