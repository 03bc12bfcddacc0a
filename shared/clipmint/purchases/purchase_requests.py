"""The body of the request that credits a purchase."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from clipmint.credits.grant_requests import UserId
from clipmint.purchases.pack import ProductId


class ApplyRequest(BaseModel):
    """What the store did not know; missing members are as the store has reported them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user_id: UserId | None = None
    product_id: ProductId | None = None
