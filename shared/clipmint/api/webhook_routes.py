"""Routes with which the owner manages outgoing webhooks: endpoints, secrets and deliveries."""

from __future__ import annotations

import re
import uuid
from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from clipmint import clock, cursors
from clipmint.api import http_api
from clipmint.api.webhook_responses import (
    CreatedWebhook,
    DeliveryPage,
    NewSecret,
    Webhook,
    WebhookDelivery,
    WebhookList,
)
from clipmint.errors import (
    DeliveryNotFound,
    EndpointDisabled,
    EndpointNotFound,
    InvalidRequest,
    ScopeRequired,
    SecretsStillSign,
    TemporarilyUnavailable,
    TooManyEndpoints,
)
from clipmint.events import deliveries, endpoints, fan_out
from clipmint.events.changes import Event, event_id
from clipmint.events.endpoint_requests import NewWebhook, WebhookChanges, check_url
from clipmint.events.endpoints import Endpoint
from clipmint.path_ids import path_id
from clipmint.settings import DeliverySettings

TEST = "webhook.test"
"""The type of the event that only the route for tests sends."""

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

WebhookId = Annotated[str, Path(description="The id of a webhook")]
DeliveryId = Annotated[str, Path(description="The id of a delivery", max_length=128)]
_DELIVERY = re.compile(r"[0-9TZ:.-]{20,32}_evt_[0-9a-f]{32}")


@router.post(
    "/v1/admin/webhooks",
    summary="Add a webhook: an endpoint that gets events",
    description="The response contains the secret that signs; no other response does.",
    **http_api.created(
        CreatedWebhook, InvalidRequest, TooManyEndpoints, ScopeRequired, TemporarilyUnavailable
    ),
)
def create_webhook(new: NewWebhook) -> Response[CreatedWebhook]:
    check_url(new.url, DeliverySettings.read().hosts)
    endpoint, secret = endpoints.create(new.url, new.types, new.description)
    headers = {"Location": f"/v1/admin/webhooks/{endpoint.endpoint_id}"}
    created = CreatedWebhook.of(endpoint, secret=secret)
    return http_api.json_response(HTTPStatus.CREATED, created, headers)


@router.get(
    "/v1/admin/webhooks",
    summary="List all webhooks",
    description="At most 20, without their secrets.",
    responses=http_api.answers(WebhookList, ScopeRequired),
)
def list_webhooks() -> WebhookList:
    found = sorted(endpoints.all_endpoints(), key=lambda one: one.created_at)
    return WebhookList(webhooks=[Webhook.of(endpoint) for endpoint in found])


@router.get(
    "/v1/admin/webhooks/<webhook_id>",
    summary="Read a webhook",
    description="Without its secret.",
    responses=http_api.answers(Webhook, ScopeRequired, EndpointNotFound, TemporarilyUnavailable),
)
def read_webhook(webhook_id: WebhookId) -> Webhook:
    return Webhook.of(endpoints.get(_id(webhook_id)))


@router.patch(
    "/v1/admin/webhooks/<webhook_id>",
    summary="Change a webhook",
    description=(
        "Members that are left out stay as they are. `enabled: true` also enables a webhook that "
        "was disabled because it failed; its failed deliveries can be delivered again."
    ),
    responses=http_api.answers(Webhook, InvalidRequest, ScopeRequired, EndpointNotFound),
)
def change_webhook(webhook_id: WebhookId, changes: WebhookChanges) -> Webhook:
    if changes.url is not None:
        check_url(changes.url, DeliverySettings.read().hosts)
    return Webhook.of(
        endpoints.change(
            _id(webhook_id),
            url=changes.url,
            types=changes.types,
            description=changes.description,
            enabled=changes.enabled,
        )
    )


@router.delete(
    "/v1/admin/webhooks/<webhook_id>",
    summary="Delete a webhook",
    description="What is still queued for it is dropped.",
    **http_api.no_content(ScopeRequired, EndpointNotFound),
)
def delete_webhook(webhook_id: WebhookId) -> Response[None]:
    endpoints.delete(_id(webhook_id))
    return Response(HTTPStatus.NO_CONTENT)


@router.post(
    "/v1/admin/webhooks/<webhook_id>/rotate",
    summary="Replace a webhook's secret",
    description=(
        "For a day each call has two signatures: of the new secret, and of the one before. If the "
        "response is lost, repeat the call: the secret that the receiver knows signs for its day."
    ),
    responses=http_api.answers(
        NewSecret, ScopeRequired, EndpointNotFound, SecretsStillSign, TemporarilyUnavailable
    ),
)
def rotate_secret(webhook_id: WebhookId) -> NewSecret:
    secret = endpoints.rotate(_id(webhook_id))
    return NewSecret(
        secret=secret, previous_valid_until=clock.iso(clock.now() + endpoints.ROTATION)
    )


@router.post(
    "/v1/admin/webhooks/<webhook_id>/test",
    summary="Send a webhook an event of the type webhook.test",
    description="It is sent also if the webhook lacks this type. The deliveries show the result.",
    **http_api.created(
        WebhookDelivery, ScopeRequired, EndpointNotFound, EndpointDisabled, TemporarilyUnavailable
    ),
)
def send_test_event(webhook_id: WebhookId) -> Response[WebhookDelivery]:
    endpoint = _enabled(webhook_id)
    identity = event_id("test", endpoint.endpoint_id, uuid.uuid4().hex)
    data = {"webhook_id": endpoint.endpoint_id}
    event = Event(identity, TEST, clock.iso(clock.now()), data)
    delivery_id = fan_out.begin(endpoint.endpoint_id, event)
    delivery = deliveries.existing(endpoint.endpoint_id, delivery_id)
    headers = {"Location": f"/v1/admin/webhooks/{endpoint.endpoint_id}/deliveries"}
    return http_api.json_response(HTTPStatus.CREATED, WebhookDelivery.of(delivery), headers)


@router.get(
    "/v1/admin/webhooks/<webhook_id>/deliveries",
    summary="List the deliveries of a webhook",
    description="Those of the newest events first. They are kept for 30 days.",
    responses=http_api.answers(
        DeliveryPage, InvalidRequest, ScopeRequired, EndpointNotFound, TemporarilyUnavailable
    ),
)
def list_deliveries(
    webhook_id: WebhookId,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=512, description="From the page before")] = None,
) -> DeliveryPage:
    endpoint = endpoints.get(_id(webhook_id))
    before = cursors.text_in(cursor) if cursor else None
    page, following = deliveries.newest(endpoint.endpoint_id, limit=limit, before=before)
    return DeliveryPage(
        deliveries=[WebhookDelivery.of(delivery) for delivery in page],
        cursor=cursors.before_text(following) if following else None,
    )


@router.post(
    "/v1/admin/webhooks/<webhook_id>/deliveries/<delivery_id>/redeliver",
    summary="Deliver an event again",
    description="At once, with the same id, and with new attempts if it fails.",
    responses=http_api.answers(
        WebhookDelivery,
        ScopeRequired,
        EndpointNotFound,
        DeliveryNotFound,
        EndpointDisabled,
        TemporarilyUnavailable,
    ),
)
def redeliver(webhook_id: WebhookId, delivery_id: DeliveryId) -> WebhookDelivery:
    endpoint = _enabled(webhook_id)
    if _DELIVERY.fullmatch(delivery_id) is None:
        raise DeliveryNotFound("There is no such delivery")
    return WebhookDelivery.of(fan_out.begin_again(endpoint.endpoint_id, delivery_id))


def _id(webhook_id: str) -> str:
    return path_id(webhook_id, EndpointNotFound("There is no such webhook"))


def _enabled(webhook_id: str) -> Endpoint:
    endpoint = endpoints.get(_id(webhook_id))
    if not endpoint.enabled:
        raise EndpointDisabled("The webhook is disabled", details="enabled: false")
    return endpoint
