"""Time: aware datetimes in memory; ISO text or epoch seconds where a time is stored or sent."""

from __future__ import annotations

from datetime import UTC, datetime


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


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return int(moment.timestamp())
