"""A pack: what a product of a store contains. It determines the credits of a payment; the report of
the store never does."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StringConstraints, model_validator

from clipmint.credits.grant_requests import MOST_CREDITS, Kind
from clipmint.lots import CreditKind
from clipmint.schemas import StrictSchema

Store = Literal["stripe", "revenuecat", "appstore"]
STORES: tuple[Store, ...] = get_args(Store)
ProductId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
"""A product's id, ours or a store's, such as ``com.example.app.credits_500`` or ``price_1Nx``."""

MAX_PACKS = 200


class Pack(StrictSchema):
    """Credits that a product contains.

    ``store_ids`` are the ids that the product has in stores, if they are not ``product_id``.
    ``expires_after_days`` is for allowances and promotions; the period of a subscription, which the
    store reports, goes before it.
    """

    credits: Annotated[int, Field(ge=1, le=MOST_CREDITS, description="Whole credits")]
    kind: Kind = CreditKind.PURCHASED
    name: Annotated[str, StringConstraints(max_length=100)] = ""
    expires_after_days: Annotated[int, Field(ge=1, le=3_660)] | None = None
    store_ids: dict[Store, Annotated[list[ProductId], Field(max_length=20)]] = Field({})

    @model_validator(mode="after")
    def _purchased_credits_do_not_end(self) -> Self:
        if self.kind is CreditKind.PURCHASED and self.expires_after_days is not None:
            raise ValueError("expires_after_days: purchased credits do not expire")
        return self

    def is_sold_as(self, store: str, product_id: str, own_id: str) -> bool:
        """Whether a store's product is this pack, whose own id is ``own_id``."""
        return product_id in self.store_ids.get(store, []) or product_id == own_id  # type: ignore[call-overload]
