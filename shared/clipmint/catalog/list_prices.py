"""The price of one generation in a provider's list of prices, as data of a route. Pure.

A route may state its list price. For an endpoint of the default catalog that states none,
`clipmint.catalog.known_list_prices` has it. It is used where the provider does not report a cost.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from clipmint.catalog.costs import LIST, MILLION, USD, Cost, cost
from clipmint.catalog.templates import Value
from clipmint.schemas import StrictSchema


class ListRate(StrictSchema):
    """A price in millionths of the unit, for generations with these choices."""

    when: dict[str, Value] = Field(default_factory=dict, exclude_if=lambda when: not when)
    micros: Annotated[int, Field(ge=0, le=1_000 * MILLION)]

    def applies_to(self, settings: Mapping[str, Value]) -> bool:
        return all(settings.get(name) == value for name, value in self.when.items())


class ListPrice(StrictSchema):
    """A provider's list price, per generation or per second.

    ``unit`` is ``USD``, or what the provider sells; then ``unit_usd_micros`` is its price of
    one, in millionths of a USD. ``source`` and ``as_of`` state where the price was read, and when.
    """

    unit: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    unit_usd_micros: Annotated[int, Field(ge=1, le=1_000 * MILLION)] | None = Field(
        None, exclude_if=lambda rate: rate is None
    )
    per: Literal["generation", "second"]
    rates: Annotated[list[ListRate], Field(min_length=1, max_length=64)]
    source: Annotated[str, StringConstraints(max_length=300)] = Field(
        "", exclude_if=lambda text: not text
    )
    as_of: Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = Field(
        "", exclude_if=lambda text: not text
    )

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.unit == USD and self.unit_usd_micros is not None:
            raise ValueError("unit_usd_micros: only for another unit than USD")
        return self

    @property
    def depends_on(self) -> list[str]:
        """The names of the choices that some rate names."""
        return sorted({name for rate in self.rates for name in rate.when})

    def without_notes(self) -> "ListPrice":
        """The price as a job keeps it."""
        return self.model_copy(update={"source": "", "as_of": ""})

    def for_settings(self, settings: Mapping[str, Value]) -> "ListPrice":
        """The price of generations with these settings: the one rate that applies to them, if it is
        one. Their `cost` is the same."""
        rates = [rate for rate in self.rates if rate.applies_to(settings)]
        if len(rates) != 1:
            return self
        return self.model_copy(update={"rates": [ListRate(micros=rates[0].micros)]})

    def cost(self, settings: Mapping[str, Value]) -> Cost | None:
        """What one generation with these settings costs. None if not exactly one rate applies, or
        if the seconds are not stated."""
        rates = [rate for rate in self.rates if rate.applies_to(settings)]
        units = settings.get("duration") if self.per == "second" else 1
        if len(rates) != 1 or isinstance(units, bool) or not isinstance(units, int):
            return None
        return cost(rates[0].micros * units, self.unit, LIST, self.unit_usd_micros)
