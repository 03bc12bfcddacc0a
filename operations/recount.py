"""`make recount ENV=prod FROM=2026-11-01 TO=2026-11-30`: compare usage with the jobs themselves.

Reads the whole Jobs table, and the counters of these days. Each ended job and each orphan must be
counted. With ``COUNT=missing`` those that are not are counted: the function that counts gets them
as the table's stream would pass them, and leaves out what is counted already. So this can be
repeated, and nothing has to be stopped. With ``COUNT=again`` the counters of these days are deleted
first; use it after the Jobs table was restored, for days before yesterday.

The exit code is 0 if every job is counted and nothing else, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operations.installation import (
    Client,
    DeployedStack,
    NotConfigured,
    account_of,
    client_of,
    read_installation,
    read_stack,
    session_of,
)

RECORDS_PER_CALL = 25
DELETIONS_PER_CALL = 25
COUNTERS = ("completed", "failed", "cancelled", "captured", "released", "orphans")

Item = dict[str, Any]
"""An item, as DynamoDB writes it."""


class CannotCount(Exception):
    """The jobs could not be counted. The message gives the reason."""


@dataclass
class Day:
    """What must be counted on a day, by key; what is counted; and the two sums of the counters."""

    expected: dict[str, Item] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    sums: dict[str, dict[str, int]] = field(default_factory=lambda: {"TOTALS": {}, "USERS": {}})

    @property
    def missing(self) -> set[str]:
        return self.expected.keys() - self.counted

    @property
    def unknown(self) -> set[str]:
        """What is counted although the table has no such job or orphan."""
        return self.counted - self.expected.keys()

    @property
    def agrees(self) -> bool:
        return not self.missing and not self.unknown and self.sums["TOTALS"] == self.sums["USERS"]


class Recount:
    """A recount of some days, both included."""

    def __init__(self, client: Client, stack: DeployedStack, first: date, last: date) -> None:
        self._client = client
        self._jobs = stack.output("JobsTableName").rpartition("/")[2]
        self._usage = stack.output("UsageTableName")
        self._function = stack.output("UsageFunctionArn")
        self._first, self._last = first, last

    def days(self) -> dict[str, Day]:
        """The days of which there is something, by date."""
        days = defaultdict[str, Day](Day)
        for job in self._all_jobs():
            for day, key in keys_of(job):
                if f"{self._first}" <= day <= f"{self._last}":
                    days[day].expected[key] = job
        for item in self._counters():
            counted = days[item["sk"]["S"][:10]]
            counted.counted.update(item.get("counted", {"SS": []})["SS"])
            sums = counted.sums[item["month"]["S"].partition("#")[0]]
            for name in item.keys() & set(COUNTERS):
                sums[name] = sums.get(name, 0) + int(item[name]["N"])
        return dict(sorted(days.items()))

    def count(self, jobs: Sequence[Item]) -> None:
        """Pass these jobs to the function that counts. Raises `CannotCount`."""
        for start in range(0, len(jobs), RECORDS_PER_CALL):
            records = [record_of(job) for job in jobs[start : start + RECORDS_PER_CALL]]
            answer = self._client("lambda").invoke(
                FunctionName=self._function, Payload=json.dumps({"Records": records}).encode()
            )
            if "FunctionError" in answer:
                raise CannotCount(answer["Payload"].read().decode())

    def delete(self) -> None:
        """Delete the counters of these days."""
        keys = [{"month": item["month"], "sk": item["sk"]} for item in self._counters()]
        for start in range(0, len(keys), DELETIONS_PER_CALL):
            left = [{"DeleteRequest": {"Key": key}} for key in keys[start:][:DELETIONS_PER_CALL]]
            while left:
                answer = self._client("dynamodb").batch_write_item(RequestItems={self._usage: left})
                left = answer["UnprocessedItems"].get(self._usage, [])

    def _all_jobs(self) -> Iterator[Item]:
        pages = self._client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=self._jobs, ConsistentRead=True):
            yield from page["Items"]

    def _counters(self) -> Iterator[Item]:
        pages = self._client("dynamodb").get_paginator("query")
        months = sorted({f"{day:%Y-%m}" for day in _days(self._first, self._last)})
        for group in ("TOTALS", "USERS"):
            for month in months:
                for page in pages.paginate(
                    TableName=self._usage,
                    ConsistentRead=True,
                    KeyConditionExpression="#month = :month AND sk BETWEEN :first AND :last",
                    ExpressionAttributeNames={"#month": "month"},
                    ExpressionAttributeValues={
                        ":month": {"S": f"{group}#{month}"},
                        ":first": {"S": f"{self._first}"},
                        ":last": {"S": f"{self._last}~"},
                    },
                ):
                    yield from page["Items"]


def keys_of(job: Item) -> Iterator[tuple[str, str]]:
    """The day and the key of all that is counted of a job: its end, and each of its orphans."""
    if "open" not in job:
        yield job["completed_at"]["S"][:10], job["job_id"]["S"]
    for orphan in job.get("orphans", {"L": []})["L"]:
        parts = orphan["M"]
        names = (job["job_id"]["S"], parts["provider"]["S"], parts["request_id"]["S"])
        yield parts["found_at"]["S"][:10], "#".join(names)


def record_of(job: Item) -> Mapping[str, Any]:
    """A record of the table's stream in which everything about the job is new."""
    change = {"Keys": {"job_id": job["job_id"]}, "NewImage": job, "OldImage": {"open": {"S": "1"}}}
    return {"eventName": "MODIFY", "dynamodb": change}


def recount(client: Client, stack: DeployedStack, first: date, last: date, how: str) -> bool:
    """Compare, after counting what ``how`` names: ``missing``, ``again`` or nothing (empty).

    Returns whether the usage agrees with the jobs. Raises `CannotCount`.
    """
    work = Recount(client, stack, first, last)
    days = work.days()
    if how == "again":
        if last > datetime.now(UTC).date() - timedelta(days=2):
            raise CannotCount("Count only days before yesterday again: the stream still has others")
        work.delete()
        jobs = [job for day in days.values() for job in day.expected.values()]
    else:
        jobs = [day.expected[key] for day in days.values() for key in sorted(day.missing)]
    if how and jobs:
        print(f"Counting {len(jobs)} jobs and orphans")
        work.count(jobs)
        days = work.days()
    for name, day in days.items():
        note = "" if day.sums["TOTALS"] == day.sums["USERS"] else ", and its sums differ"
        print(
            f"{name}: {len(day.expected)} jobs and orphans, {len(day.missing)} not counted,"
            f" {len(day.unknown)} counted without a job{note}"
        )
    agrees = all(day.agrees for day in days.values())
    print("The usage agrees with the jobs." if agrees else "The usage differs from the jobs.")
    return agrees


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(number) for number in range((last - first).days + 1))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operations.recount", description=__doc__)
    parser.add_argument("--env", required=True, help="environment of samconfig.toml")
    parser.add_argument("--first", type=date.fromisoformat, required=True, help="the first day")
    parser.add_argument("--last", type=date.fromisoformat, required=True, help="the last day")
    parser.add_argument("--count", choices=["missing", "again"], default="")
    options = parser.parse_args(arguments)
    try:
        installation = read_installation(options.env)
        session = session_of(installation)
        client = client_of(session)
        name, region = installation.stack_name, str(session.region_name)
        account = account_of(client)
        stack = read_stack(client, name, region, account)
        print(f"Account {account}, region {region}, stack {name}")
        agrees = recount(client, stack, options.first, options.last, options.count)
    except (CannotCount, NotConfigured, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
