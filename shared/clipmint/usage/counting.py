"""Counting: ended jobs and orphans, from the stream of the Jobs table, each exactly once.

What is counted and the note that it was counted are one transaction. A record that is passed again
finds its key in the note and changes nothing; if we crash before the transaction, the stream passes
the record again. So no lock, and no order of the records, is needed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from clipmint import aws, unreadable
from clipmint.jobs.job_items import JobItem, to_job
from clipmint.telemetry import logger
from clipmint.usage import facts
from clipmint.usage.facts import Fact
from clipmint.usage.usage_items import Key, UsageItem, total_key, user_key

Record = Mapping[str, Any]

FACTS_PER_TRANSACTION = 50
"""A transaction has at most 100 items, and a fact changes two."""

MAX_ATTEMPTS = 8


class NotCounted(Exception):
    """Too many concurrent updates. The stream passes the records again."""


def count_all(records: Iterable[Record]) -> None:
    """Count what these records of the stream of the Jobs table are about.

    Raises
    ------
    NotCounted
        Or an error of DynamoDB. What was counted by then is not counted again.
    """
    found = {fact.key: fact for record in records for fact in _readable(record)}
    everything = [*found.values()]
    for start in range(0, len(everything), FACTS_PER_TRANSACTION):
        count_once(everything[start : start + FACTS_PER_TRANSACTION])


def _readable(record: Record) -> list[Fact]:
    """The facts in a record. One that cannot be read is reported, and must not stop the others:
    it stays unreadable. `operations/recount.py` counts it later."""
    try:
        return [*facts_in(record)]
    except unreadable.UNREADABLE as error:
        unreadable.report("stream record", str(record["dynamodb"]["Keys"]), error)
        return []


def facts_in(record: Record) -> Iterator[Fact]:
    """What one record adds: the end of its job, and the orphans that were recorded.

    A job ends once: only then does the item lose the attribute ``open``.

    Raises
    ------
    One of `unreadable.UNREADABLE`
        The record cannot be read.
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    if not new or not old:
        return  # a new job, or a deleted item
    job = to_job(JobItem.from_raw_data(new))
    if "open" in old and "open" not in new and job.is_terminal:
        yield facts.of_end(job)
    # Orphans are only ever appended.
    known = len(old["orphans"]["L"]) if "orphans" in old else 0
    for orphan in job.orphans[known:]:
        yield facts.of_orphan(job, orphan)


def count_once(found: Sequence[Fact]) -> None:
    """Count these facts, except those that were counted before: all or none of them.

    Parameters
    ----------
    found
        At most `FACTS_PER_TRANSACTION`, with different keys.

    Raises
    ------
    NotCounted
    """
    counted = set[str]()

    def attempt() -> None:
        new = [fact for fact in found if fact.key not in counted]
        if not new:
            return
        try:
            _write(new)
        except TransactWriteError as error:
            counted.update(_counted_before(error))
            raise
        logger.info("usage counted", extra={"facts": len(new)})

    aws.retry_on_conflict(
        attempt,
        attempts=MAX_ATTEMPTS,
        longest_pause=aws.growing_pause,
        otherwise=NotCounted(f"{len(found)} facts"),
    )


def _write(new: Sequence[Fact]) -> None:
    users, totals = defaultdict[Key, list[Fact]](list), defaultdict[Key, list[Fact]](list)
    for fact in new:
        users[user_key(fact)].append(fact)
        totals[total_key(fact)].append(fact)
    with aws.write_transaction(UsageItem) as transaction:
        for key, group in users.items():
            keys = {fact.key for fact in group}
            transaction.update(
                UsageItem(*key),
                actions=[
                    UsageItem.counted.add(keys),
                    UsageItem.user_id.set(group[0].user_id),
                    *_adds(group),
                ],
                condition=reduce(and_, (~UsageItem.counted.contains(one) for one in sorted(keys))),
                return_values="ALL_OLD",
            )
        for key, group in totals.items():
            transaction.update(UsageItem(*key), actions=_adds(group))


def _adds(group: Collection[Fact]) -> list[Action]:
    total = Counter[str]()
    for fact in group:
        total.update(fact.adds)
    return [Path([name]).add({"N": str(value)}) for name, value in sorted(total.items())]


def _counted_before(error: TransactWriteError) -> set[str]:
    """The keys in the items that refused a transaction because a key of it was in them."""
    items = (reason.raw_item for reason in error.cancellation_reasons if reason)
    return {key for item in items if item for key in item["counted"]["SS"]}
