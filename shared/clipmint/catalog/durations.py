"""How long recent generations took, and when to poll for the next one. Pure.

An estimate is about one model with one provider and the settings that matter most. Only polls
change it: a provider without webhooks does not report when it finished.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from clipmint.catalog.templates import Value
from clipmint.values import frozen

POLL_EVERY = 5
"""Seconds between polls once the result is likely. Runway asks for no more (docs); the others allow
it."""

LONGEST_FIRST_WAIT = 170
"""Submit waits itself for a stage whose first interval is longer, see `clipmint.execution.waiting`:
then no poll would be due when the result is likely."""

_NEW_SHARE = 0.25
"""The weight of the newest generation in an estimate."""

_TO_THE_FRONT = 2
"""Seconds by which the first poll moves earlier after one that found an old result."""

_MOST_POLLS = 40
"""Polls every `POLL_EVERY` seconds. After them the model's own last interval repeats."""

_NOISE = 1.5
"""Seconds of deviation that polls cause by themselves."""

MOST_ESTIMATES = 200
"""Kept in one item. The least recently changed one is dropped."""


@frozen
class Estimate:
    """Seconds from the submission to the result, and how much recent ones differ from that."""

    seconds: float
    deviation: float

    @classmethod
    def stated(cls, seconds: int) -> Estimate:
        """An estimate of the owner's, before any generation was observed."""
        return cls(float(seconds), seconds / 8)

    def after(self, earliest: float, latest: float) -> Estimate:
        """The estimate after one more generation, which ended between two polls; ``earliest`` is 0
        if the first poll found it."""
        if latest - earliest <= 2 * POLL_EVERY:
            observed = (earliest + latest) / 2
        else:
            # It may have been there for long. So the first poll moves to the front until it is too
            # early.
            observed = min(max(self.seconds, earliest), latest) - _TO_THE_FRONT
        error = observed - self.seconds
        deviation = self.deviation + _NEW_SHARE * (abs(error) - self.deviation)
        return Estimate(max(1.0, self.seconds + _NEW_SHARE * error), deviation)


def first(earliest: float, latest: float) -> Estimate:
    """The estimate after the first generation, which ended between two polls."""
    return Estimate((earliest + latest) / 2, (latest - earliest) / 2)


def key_of(model_id: str, provider: str, settings: Mapping[str, Value]) -> str:
    """What an estimate is of."""
    matters = [settings.get(name) for name in ("duration", "resolution", "audio")]
    return json.dumps([model_id, provider, *matters])


def intervals(poll_seconds: Sequence[int], estimate: Estimate | None) -> tuple[int, ...]:
    """The seconds between polls; the last interval repeats.

    Without an estimate, and for a model that waits for webhooks first, they are the model's own.
    """
    if estimate is None or poll_seconds[0] > LONGEST_FIRST_WAIT:
        return tuple(poll_seconds)
    spread = max(0.0, estimate.deviation - _NOISE)
    begin = max(POLL_EVERY, round(estimate.seconds - 2.5 * spread) + 1)
    waits = _parts(begin)
    until = estimate.seconds + 4 * spread + 2 * POLL_EVERY
    polls = min(_MOST_POLLS, math.ceil((until - begin) / POLL_EVERY))
    return (*waits, *[POLL_EVERY] * polls, poll_seconds[-1])


def _parts(seconds: int) -> list[int]:
    """The time until the first useful poll, in equal waits that are not too long."""
    count = -(-seconds // LONGEST_FIRST_WAIT)
    return [seconds * (part + 1) // count - seconds * part // count for part in range(count)]


def read(text: str | None) -> dict[str, Estimate]:
    """The stored estimates, by key. Those that cannot be read are left out."""
    try:
        stored = json.loads(text or "{}")
        return {key: Estimate(float(one[0]), float(one[1])) for key, one in stored.items()}
    except (AttributeError, IndexError, TypeError, ValueError):
        return {}


def write(estimates: Mapping[str, Estimate], key: str, newest: Estimate) -> str:
    """The estimates with a new one, as they are stored."""
    others = [(name, one) for name, one in estimates.items() if name != key]
    kept = [*others[-(MOST_ESTIMATES - 1) :], (key, newest)]
    return json.dumps(
        {name: [round(one.seconds, 1), round(one.deviation, 1)] for name, one in kept}
    )
