"""What a provider bills for one generation: amount, unit, and where the amount comes from.

Users never see it: they pay the price of the model, in credits. Amounts are integers, in millionths
of their unit, so that sums are exact. Nothing is converted silently: the USD are kept beside the
amount, and only where the rate of the unit is published.
"""

from __future__ import annotations

import math

from clipmint.values import frozen

MILLION = 1_000_000

USD = "USD"
PROVIDER_CREDIT = "provider_credit"
"""A unit of the provider's own, which it sells."""

REPORTED = "reported"
"""The provider stated the amount with the result."""

LIST = "list"
"""The provider stated nothing. The amount is the list price in the catalog."""

_MOST = MILLION
"""More units than any generation costs. A larger number is no cost."""


@frozen
class Cost:
    """What a provider bills for one generation.

    Attributes
    ----------
    micros
        The amount, in millionths of ``unit``.
    unit
        Such as `USD` or `PROVIDER_CREDIT`.
    source
        `REPORTED` or `LIST`.
    usd_micros
        The same amount in millionths of a USD; None if the rate of the unit is not known.
    """

    micros: int
    unit: str
    source: str
    usd_micros: int | None = None

    @property
    def usd(self) -> float | None:
        """In USD, for a metric."""
        return None if self.usd_micros is None else self.usd_micros / MILLION


def cost(micros: int, unit: str, source: str, unit_usd_micros: int | None = None) -> Cost:
    """A cost, with its USD if the unit is USD or the rate of the unit is stated.

    Parameters
    ----------
    unit_usd_micros
        What one unit costs, in millionths of a USD, as the provider publishes it.
    """
    rate = MILLION if unit == USD else unit_usd_micros
    return Cost(micros, unit, source, None if rate is None else micros * rate // MILLION)


def reported(amount: object, unit: str, unit_usd_micros: int | None = None) -> Cost | None:
    """The cost that a provider stated as a JSON number of ``unit``; None if it is none."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return None
    if not (math.isfinite(amount) and 0 <= amount <= _MOST):
        return None
    return cost(round(amount * MILLION), unit, REPORTED, unit_usd_micros)
