"""The price of a generation in whole credits. No other module computes prices.

The client never states a price. The estimate and the order call the same function, so their prices
cannot differ.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Credits = Annotated[int, Field(ge=1, le=1_000_000)]


# A request must state `kind`; the default value is only for our own code.


class FixedPrice(BaseModel):
    """The same price for every generation."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"required": ["kind", "credits"]},
    )

    kind: Literal["fixed"] = "fixed"
    credits: Credits


class PerSecondPrice(BaseModel):
    """A price per second, with a percentage per resolution (100 for a resolution not listed)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"required": ["kind", "credits_per_second"]},
    )

    kind: Literal["per_second"] = "per_second"
    credits_per_second: Credits
    resolution_percent: dict[str, Annotated[int, Field(ge=1, le=10_000)]] = {}


Price = Annotated[FixedPrice | PerSecondPrice, Field(discriminator="kind")]


def credits_for(
    price: FixedPrice | PerSecondPrice, *, resolution: str | None, duration_seconds: int | None
) -> int:
    """Price of one generation in whole credits, rounded up so that it is never free.

    Raises
    ------
    ValueError
        A price per second without a duration. `Model` rejects such a catalog entry.
    """
    if isinstance(price, FixedPrice):
        return price.credits
    if duration_seconds is None:
        raise ValueError("a price per second needs a duration")
    percent = price.resolution_percent.get(resolution or "", 100)
    return -(-price.credits_per_second * duration_seconds * percent // 100)
