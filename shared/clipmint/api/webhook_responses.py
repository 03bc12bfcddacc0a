"""Response bodies for outgoing webhooks and their deliveries."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from clipmint.api.timestamps import Timestamp
from clipmint.schemas import Schema

if TYPE_CHECKING:
    from clipmint.events.deliveries import Delivery
    from clipmint.events.endpoints import Endpoint


class Webhook(Schema):
    """An endpoint. ``disabled_reason``: `owner`, `gone` (it responded 410) or `failing` (no attempt
    succeeded for five days). ``failing_since``: the first failure after the last success."""

    webhook_id: str
    url: str
    types: list[str]
    description: str | None
    enabled: bool
    disabled_reason: str | None
    failing_since: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, endpoint: "Endpoint", **more: str) -> Self:
        values = {
            "webhook_id": endpoint.endpoint_id,
            "url": endpoint.url,
            "types": list(endpoint.types),
            "description": endpoint.description,
            "enabled": endpoint.enabled,
            "disabled_reason": endpoint.disabled_reason,
            "failing_since": endpoint.failing_since,
            "created_at": endpoint.created_at,
            "updated_at": endpoint.updated_at,
            **more,
        }
        return cls.model_validate(values)


class NewSecret(Schema):
    """A secret, which no other response contains. The one before signs until the given time."""

    secret: str
    previous_valid_until: Timestamp


class CreatedWebhook(Webhook):
    """An endpoint with its secret, which no other response contains."""

    secret: str


class WebhookList(Schema):
    webhooks: list[Webhook]


class DeliveryAttempt(Schema):
    """``status``: of the response, if there was one. ``reason``: `delivered`, `refused` (another
    status than 2xx), `redirected`, `blocked` (the address is not public), `timed_out`,
    `unreachable` or `disabled`."""

    at: Timestamp
    status: int | None
    milliseconds: Annotated[int, Field(ge=0)]
    reason: str


class WebhookDelivery(Schema):
    """One event for one webhook. ``status``: `pending`, `delivered` or `failed`."""

    delivery_id: str
    event_id: str
    type: str
    status: str
    attempts: list[DeliveryAttempt]
    created_at: Timestamp

    @classmethod
    def of(cls, delivery: "Delivery") -> Self:
        return cls.model_validate(delivery, from_attributes=True)


class DeliveryPage(Schema):
    """Those of the newest events first; ``cursor`` is None on the last page."""

    deliveries: list[WebhookDelivery]
    cursor: str | None
