"""What Lambda does with a table's stream: the filters of the template, and the records of moto."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from tests.support.reading import written

MAPPINGS = {"JobsTable": "JobsEvents", "LedgerTable": "LedgerEvents"}
"""The event source mapping of each table with a stream that leads to the function events."""

USAGE = "JobsUsage"
"""The mapping of the Jobs table that leads to the function usage."""


@functools.cache
def filters(table: str, low_credits: int = 0, mapping: str | None = None) -> list[dict[str, Any]]:
    """The patterns of a mapping, as deployed with this parameter; by default those of events."""
    declared = written()["Resources"][mapping or MAPPINGS[table]]["Properties"]
    return [
        json.loads(one["Pattern"])
        for each in declared["FilterCriteria"]["Filters"]
        if "Pattern" in (one := _chosen(each, low_credits))
    ]


def _chosen(part: dict[str, Any], low_credits: int) -> dict[str, Any]:
    if "Fn::If" not in part:
        return part
    condition, then, otherwise = part["Fn::If"]
    assert condition == "WatchesCredits"
    chosen: dict[str, Any] = then if low_credits else otherwise
    return chosen


def passes(record: Mapping[str, Any], patterns: list[dict[str, Any]]) -> bool:
    """Whether Lambda passes a record to the function."""
    return any(_matches(record, pattern) for pattern in patterns)


def _matches(value: Any, pattern: Mapping[str, Any]) -> bool:
    """As the documentation of Lambda's event filtering describes it, for what the template uses: a
    list of texts, or ``exists`` at a leaf."""
    for name, wanted in pattern.items():
        found = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(wanted, Mapping):
            if not _matches(found, wanted):
                return False
        elif wanted == [{"exists": True}]:
            if not isinstance(found, str):
                return False
        elif found not in wanted:
            return False
    return True


def records(table: str, region: str, start: int = 0) -> list[dict[str, Any]]:
    """The records of a table's stream so far, without the first ``start``, as Lambda passes
    them."""
    found = dynamodb_backends[DEFAULT_ACCOUNT_ID][region].get_table(table)
    assert found.stream_shard is not None
    return [_as_passed(item.to_json()) for item in found.stream_shard.items[start:]]


def _as_passed(record: Mapping[str, Any]) -> dict[str, Any]:
    written_at = record["dynamodb"]["ApproximateCreationDateTime"].replace(tzinfo=UTC)
    change = {**record["dynamodb"], "ApproximateCreationDateTime": int(written_at.timestamp())}
    return {**record, "dynamodb": change}
