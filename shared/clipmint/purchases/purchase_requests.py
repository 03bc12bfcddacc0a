"""The body of the request that credits a purchase."""

from clipmint.credits.grant_requests import UserId
from clipmint.purchases.pack import ProductId
from clipmint.schemas import StrictSchema


class ApplyRequest(StrictSchema):
    """What the store did not know; missing members are as the store has reported them."""

    user_id: UserId | None = None
    product_id: ProductId | None = None
