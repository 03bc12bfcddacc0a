"""AWS's prices, one list for all compared designs.

A `Usage` counts units; `called` makes one of recorded calls, `dollars` computes its price.
`benchmarks.cost` lists what is not included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from local.journal import Call

DOLLARS: Mapping[str, float] = {
    "HTTP API requests": 1.00 / 1e6,
    "Lambda requests": 0.20 / 1e6,
    "Lambda GB-seconds": 0.0000133334,  # arm64
    "state transitions": 25.00 / 1e6,  # STANDARD; retries count
    "DynamoDB write units": 0.625 / 1e6,
    "DynamoDB read units": 0.125 / 1e6,
    "S3 writes": 5.00 / 1e6,  # PUT, COPY, POST, LIST
    "S3 reads": 0.40 / 1e6,
    "secret reads": 5.00 / 1e6,
    "log bytes": 0.50 / 1e9,
    "traces": 5.00 / 1e6,
    "SQS requests": 0.40 / 1e6,
    "custom events": 1.00 / 1e6,  # EventBridge, for each 64 KB
}

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
S3_WRITES = frozenset(
    {
        "PutObject",
        "CopyObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "ListObjectsV2",
    }
)
S3_READS = frozenset({"GetObject", "HeadObject"})
S3_FREE = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})
BILLED = frozenset({"dynamodb", "events", "s3", "secretsmanager", "sqs", "stepfunctions"})
"""Services that are called; Step Functions bills transitions instead."""

UNIT_OF_EACH_CALL = {
    "secretsmanager": "secret reads",
    "events": "custom events",  # we put one event in each call
    "sqs": "SQS requests",
}

REFUSED_UNITS = 10.0
"""A refused transaction is billed as if it had succeeded; ours have about this size."""

READ_UNIT_BYTES = 4_096

VCPU_MEGABYTES = 1769
"""Lambda's memory for one vCPU; less memory gives a proportional share of one."""


class NotCounted(Exception):
    """A used unit has no price here, or an expected record is missing."""


class Usage(dict[str, float]):
    """The amount of each unit of `DOLLARS`; 0 for a missing unit."""

    def __missing__(self, unit: str) -> float:
        return 0.0

    def __add__(self, other: Mapping[str, float]) -> Usage:
        return Usage(
            {unit: self[unit] + other.get(unit, 0.0) for unit in self.keys() | other.keys()}
        )

    def __mul__(self, factor: float) -> Usage:
        return Usage({unit: amount * factor for unit, amount in self.items()})


def dollars(usage: Mapping[str, float]) -> float:
    """The list price of a usage in USD. Raises KeyError for a unit that has no price."""
    return sum(amount * DOLLARS[unit] for unit, amount in usage.items())


def lambda_run(
    milliseconds: float, cpu_milliseconds: float, megabytes: int, seconds_away: float = 0
) -> Usage:
    """One warm run of a function, as Lambda would bill it.

    Parameters
    ----------
    milliseconds, cpu_milliseconds
        As measured here. The processor time is scaled to the share of a vCPU that the memory buys
        (one of this computer's cores counts as one vCPU); the rest is waiting.
    seconds_away
        Waiting that does not happen here, such as for a provider on the internet.
    """
    waiting = max(0.0, milliseconds - cpu_milliseconds) + seconds_away * 1000
    billed = waiting + cpu_milliseconds / min(1.0, megabytes / VCPU_MEGABYTES)
    return Usage({"Lambda requests": 1, "Lambda GB-seconds": billed / 1000 * megabytes / 1024})


def called(calls: Iterable[Call]) -> Usage:
    """The usage that AWS bills for calls."""
    usage = Usage()
    for call in calls:
        if call.service not in BILLED:
            raise NotCounted(f"{call.service} {call.operation}")
        if call.service == "dynamodb":
            if call.capacity is None and call.error is None:
                raise NotCounted(f"{call.operation} of {call.resource} names no capacity")
            units = REFUSED_UNITS if call.capacity is None else call.capacity
            if call.operation in WRITES:
                usage["DynamoDB write units"] += units
            else:
                kilobytes = math.ceil((call.response_bytes or 1) / READ_UNIT_BYTES)
                usage["DynamoDB read units"] += units * kilobytes
        elif call.service == "s3" and call.operation not in S3_FREE:
            if call.operation not in S3_WRITES | S3_READS:
                raise NotCounted(f"S3 {call.operation}")
            usage["S3 writes" if call.operation in S3_WRITES else "S3 reads"] += 1
        elif call.service in UNIT_OF_EACH_CALL:
            usage[UNIT_OF_EACH_CALL[call.service]] += 1
    return usage


def cached(call: Call) -> bool:
    """Whether a worker caches the response for other jobs: keys, catalog, and circuits. Circuits
    are in the table of the idempotency records, which are never read by a read request."""
    return (
        call.service == "secretsmanager"
        or "ModelsTable" in call.resource
        or (call.operation == "GetItem" and "IdempotencyTable" in call.resource)
    )
