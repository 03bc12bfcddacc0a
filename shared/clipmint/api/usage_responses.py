"""The response body of a report of usage."""

from datetime import date
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from clipmint.catalog.costs import MILLION
from clipmint.schemas import Schema
from clipmint.usage.figures import Figures
from clipmint.usage.reports import Grouping

Count = Annotated[int, Field(ge=0)]


class ProviderCost(Schema):
    """What a provider bills, in its own unit: as it reports it, or by its list price."""

    provider: str
    unit: str
    amount: float


class UsageFigures(Schema):
    """Jobs that ended. ``success_rate``: the part that completed, of those that completed or
    failed. ``p50_seconds``, ``p95_seconds``: from the order to the end of completed jobs, at most
    5 % off before they are rounded to a tenth of a second. ``provider_cost_unknown``: how many
    generations are not in ``provider_cost_usd``, because their cost in USD is not known.
    ``margin_usd``: the captured credits at the owner's value of a credit, less that cost. A value
    is null if there is nothing that it could be computed from."""

    jobs: Count
    completed: Count
    failed: Count
    cancelled: Count
    success_rate: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    credits_captured: Count
    credits_released: Count
    provider_cost_usd: float | None
    provider_cost_unknown: Count
    provider_cost: list[ProviderCost]
    margin_usd: float | None
    orphans: Count

    @classmethod
    def of(cls, figures: Figures, credit_usd: float | None, **more: str) -> Self:
        cost, earned = (
            figures.cost_usd,
            None if credit_usd is None else figures.captured * credit_usd,
        )
        values: dict[str, Any] = {
            "jobs": figures.ended,
            "completed": figures.jobs["completed"],
            "failed": figures.jobs["failed"],
            "cancelled": figures.jobs["cancelled"],
            "success_rate": _rounded(figures.success_rate, 4),
            "p50_seconds": _rounded(figures.percentile(50), 1),
            "p95_seconds": _rounded(figures.percentile(95), 1),
            "credits_captured": figures.captured,
            "credits_released": figures.released,
            "provider_cost_usd": _rounded(cost, 6),
            "provider_cost_unknown": figures.unknown,
            "provider_cost": [
                {"provider": provider, "unit": unit, "amount": micros / MILLION}
                for (provider, unit), micros in sorted(figures.cost.items())
            ],
            "margin_usd": None if cost is None or earned is None else round(earned - cost, 6),
            "orphans": figures.orphans,
            **more,
        }
        return cls.model_validate(values)


class UsageGroup(UsageFigures):
    """The jobs with this day, model, provider, user or outcome. An orphan has an outcome of its
    own, `orphan`."""

    key: str


class Usage(Schema):
    """``groups``: by day in the order of time, otherwise those with the most jobs first; at most
    200. ``groups_left_out``: how many more there are. ``totals``: of all groups."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    first: Annotated[date, Field(alias="from")]
    last: Annotated[date, Field(alias="to")]
    group_by: Grouping
    groups: list[UsageGroup]
    groups_left_out: Count
    totals: UsageFigures


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
