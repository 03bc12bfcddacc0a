"""What a benchmark has to say: figures, and the budgets some of them have to keep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One number: what was measured, in which unit, and how much of it there may be.

    `budget` is the most that is allowed, or with `at_least` the least; without one the figure only
    informs. `note` says what a reader needs to judge the number.
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
        # Not the other way round: what is not a number keeps no budget.
        kept = self.value >= self.budget if self.at_least else self.value <= self.budget
        return not kept
