"""The price of a generation in whole credits. No other module computes prices.

The client never states a price. The estimate, the hold and the capture use the same number. Prices
may be in thousandths of a credit; they are rounded up once, at the end.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints

from clipmint.catalog.templates import Value
from clipmint.schemas import StrictSchema

Credits = Annotated[int, Field(ge=1, le=1_000_000)]
MILLICREDITS_PER_CREDIT = 1_000


# A request must state `kind`; the default value is only for our own code.


def _stated(*names: str) -> ConfigDict:
    required: dict[str, Any] = {"required": ["kind", *names]}
    return ConfigDict(json_schema_extra=required)


class FixedPrice(StrictSchema):
    """The same price for every generation."""

    model_config = _stated("credits")

    kind: Literal["fixed"] = "fixed"
    credits: Credits


class PerSecondPrice(StrictSchema):
    """A price per second, with a percentage per resolution (100 for a resolution not listed)."""

    model_config = _stated("credits_per_second")

    kind: Literal["per_second"] = "per_second"
    credits_per_second: Credits
    resolution_percent: dict[str, Annotated[int, Field(ge=1, le=10_000)]] = Field({})


class FreePrice(StrictSchema):
    """Nothing. The owner pays the provider."""

    model_config = _stated()

    kind: Literal["free"] = "free"


class Rate(StrictSchema):
    """A price in thousandths of a credit, for generations with these choices."""

    when: dict[str, Value] = Field({})
    millicredits: Annotated[int, Field(ge=1, le=1_000_000_000)]

    def applies_to(self, settings: Mapping[str, Value]) -> bool:
        return all(settings.get(name) == value for name, value in self.when.items())


class RatePrice(StrictSchema):
    """Prices per generation or per second that depend on choices of the user.

    Each combination of choices has exactly one rate. ``source`` and ``as_of`` state the provider's
    list of prices from which they were derived, and its date.
    """

    model_config = _stated("per", "rates")

    kind: Literal["rates"] = "rates"
    per: Literal["generation", "second"]
    rates: Annotated[list[Rate], Field(min_length=1, max_length=64)]
    source: Annotated[str, StringConstraints(max_length=300)] = ""
    as_of: Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""

    @property
    def depends_on(self) -> list[str]:
        """The names of the choices that some rate names."""
        return sorted({name for rate in self.rates for name in rate.when})


AnyPrice: TypeAlias = FixedPrice | PerSecondPrice | FreePrice | RatePrice
Price = Annotated[AnyPrice, Field(discriminator="kind")]


def credits_for(price: AnyPrice, settings: Mapping[str, Value]) -> int:
    """Price of one generation in whole credits, rounded up: at least one, unless it is free.

    Raises
    ------
    ValueError
        A price per second without a duration, or not exactly one rate applies. `Model` rejects such
        a catalog entry.
    """
    match price:
        case FreePrice():
            return 0
        case FixedPrice():
            return price.credits
        case PerSecondPrice():
            percent = price.resolution_percent.get(str(settings.get("resolution") or ""), 100)
            return -(-price.credits_per_second * _seconds(settings) * percent // 100)
        case RatePrice():
            rates = [rate for rate in price.rates if rate.applies_to(settings)]
            if len(rates) != 1:
                raise ValueError(f"{len(rates)} prices for these choices")
            units = _seconds(settings) if price.per == "second" else 1
            return -(-rates[0].millicredits * units // MILLICREDITS_PER_CREDIT)


def affected_by(price: AnyPrice) -> set[str]:
    """The names of the settings that this price depends on."""
    match price:
        case PerSecondPrice():
            return {"duration", *(["resolution"] if price.resolution_percent else [])}
        case RatePrice():
            return {*price.depends_on, *(["duration"] if price.per == "second" else [])}
        case _:
            return set()


def public_price(price: AnyPrice) -> AnyPrice:
    """The price as users see it: without what the owner's prices are derived from."""
    if isinstance(price, RatePrice):
        return price.model_copy(update={"source": "", "as_of": ""})
    return price


def _seconds(settings: Mapping[str, Value]) -> int:
    seconds = settings.get("duration")
    if not isinstance(seconds, int):
        raise ValueError("a price per second needs a duration")  # noqa: TRY004 (a catalog's fault)
    return seconds
