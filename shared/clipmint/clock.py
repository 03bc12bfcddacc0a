"""Time: aware datetimes in memory; ISO text or epoch seconds where a time is stored or sent."""

from __future__ import annotations

from datetime import UTC, datetime

_YEARS = range(2_000, 9_000)
"""Near the first and last possible year, the conversion into another time zone can overflow."""


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def seconds() -> float:
    """The current time in epoch seconds."""
    return now().timestamp()


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. ``2026-11-20T10:00:00.000Z``; sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """The inverse of `iso`."""
    return datetime.fromisoformat(text)


def possible(moment: datetime) -> datetime:
    """The time from a request. Raises ``ValueError`` if another time zone may not have it."""
    if moment.year not in _YEARS:
        raise ValueError("a year from 2000 to 8999")
    return moment


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return int(moment.timestamp())
