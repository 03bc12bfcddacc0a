"""The results of a benchmark: figures, some with a budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One number: its name, its unit and its budget.

    `budget` is the maximum, or with `at_least` the minimum; without one the figure is information
    only. `note` has the facts that a reader needs to judge the number.
    """

    name: str
    value: float
    unit: str
    budget: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def over_budget(self) -> bool:
        if self.budget is None:
            return False
        # Negated, so that NaN is over budget.
        kept = self.value >= self.budget if self.at_least else self.value <= self.budget
        return not kept
