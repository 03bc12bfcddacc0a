"""When a delivery is attempted again, and when an endpoint is disabled: pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta

PAUSES = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Seconds before each attempt, counted from the one before. After the last one the delivery has
failed: 28 hours after the event."""

JITTER = 0.1
"""Up to this share of a pause is added, so that the deliveries of an outage are spread."""

MOST_RETRY_AFTER = 3_600
"""The most seconds of a ``Retry-After`` that are respected."""

FAILING = timedelta(days=5)
"""An endpoint at which every attempt has failed for so long is disabled."""


def pause_before(attempt: int, retry_after: float | None, chance: float) -> float | None:
    """Seconds until an attempt, counted from 0; None if there is no such attempt.

    Parameters
    ----------
    retry_after
        What the endpoint asked for, in seconds.
    chance
        At least 0 and less than 1, for the jitter.
    """
    if attempt >= len(PAUSES):
        return None
    asked = min(retry_after or 0, MOST_RETRY_AFTER)
    return max(PAUSES[attempt] * (1 + JITTER * chance), asked)


def has_failed_for_long(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint that fails again is disabled."""
    return failing_since is not None and now - failing_since >= FAILING
