"""What AWS charges for, and how much: one list for every design that is compared.

A `Usage` counts what was used; `dollars` prices it. `benchmarks.cost` says what is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

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
}

VCPU_MEGABYTES = 1769
"""Lambda's memory for one vCPU; less memory is that much less of one."""


class Usage(dict[str, float]):
    """How much of each unit of `DOLLARS`; of a unit that is not there, none."""

    def __missing__(self, unit: str) -> float:
        return 0.0

    def __add__(self, other: Mapping[str, float]) -> Usage:
        return Usage(
            {unit: self[unit] + other.get(unit, 0.0) for unit in self.keys() | other.keys()}
        )

    def __mul__(self, factor: float) -> Usage:
        return Usage({unit: amount * factor for unit, amount in self.items()})


def dollars(usage: Mapping[str, float]) -> float:
    """The list price of what was used. Raises KeyError for a unit that has no price."""
    return sum(amount * DOLLARS[unit] for unit, amount in usage.items())


def lambda_run(
    milliseconds: float, cpu_milliseconds: float, megabytes: int, seconds_away: float = 0
) -> Usage:
    """One warm run of a function, as Lambda would bill it.

    Parameters
    ----------
    milliseconds, cpu_milliseconds
        As measured here. The time on a processor is stretched to the share of a vCPU that the
        memory buys, one of this computer's taken for one of Lambda's; the rest was waiting.
    seconds_away
        Waiting that did not happen here, such as for a provider far away.
    """
    waiting = max(0.0, milliseconds - cpu_milliseconds) + seconds_away * 1000
    billed = waiting + cpu_milliseconds / min(1.0, megabytes / VCPU_MEGABYTES)
    return Usage({"Lambda requests": 1, "Lambda GB-seconds": billed / 1000 * megabytes / 1024})
