"""Calls of the owner's own systems: grant credits and take them back, change the catalog, manage
webhooks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import http_api, webhook_routes
from clipmint.api.owner_responses import CheckedModel, OwnedModel
from clipmint.api.responses import Adjusted, ClawedBack, Granted
from clipmint.catalog import model_changes
from clipmint.catalog.model import Model
from clipmint.credits import ledger
from clipmint.credits.grant_requests import AdjustmentRequest, ClawbackRequest, GrantRequest
from clipmint.errors import (
    InvalidRequest,
    ModelNotFound,
    ReferenceReused,
    ScopeRequired,
    TemporarilyUnavailable,
    TooManyLots,
)
from clipmint.orders import model_check, offers

app = http_api.resolver()
app.include_router(webhook_routes.router)

ModelId = Annotated[str, Path(examples=["veo-3.1"])]


@app.post(
    "/v1/admin/grants",
    summary="Give a user credits, once per reference",
    description=(
        "A repeated reference with the same user, amount, kind and end changes nothing and returns "
        "`replayed: true`; with others it is an error. A debt of the user is repaid first."
    ),
    responses=http_api.answers(
        Granted, InvalidRequest, ScopeRequired, ReferenceReused, TooManyLots, TemporarilyUnavailable
    ),
)
def grant_credits(request: GrantRequest) -> Granted:
    http_api.require_admin(app)
    available, replayed = ledger.grant(
        request.user_id,
        request.amount,
        request.reference,
        kind=request.kind,
        expires_at=request.expires_at,
    )
    return Granted(
        user_id=request.user_id,
        amount=request.amount,
        reference=request.reference,
        available=available,
        replayed=replayed,
    )


@app.post(
    "/v1/admin/clawbacks",
    summary="Take refunded credits back, once per reference",
    description=(
        "Takes what the user has available, credits of this kind first, and nothing that is held."
        " The rest becomes a `debt`, which later grants and released holds repay; until then no job"
        " starts. It may come before the grant of the purchase. A repeated reference changes"
        " nothing and returns `replayed: true`."
    ),
    responses=http_api.answers(
        ClawedBack, InvalidRequest, ScopeRequired, ReferenceReused, TemporarilyUnavailable
    ),
)
def claw_back(request: ClawbackRequest) -> ClawedBack:
    http_api.require_admin(app)
    available, debt, replayed = ledger.claw_back(
        request.user_id, request.amount, request.reference, kind=request.kind
    )
    return ClawedBack(**request.model_dump(), available=available, debt=debt, replayed=replayed)


@app.post(
    "/v1/admin/adjustments",
    summary="Correct a user's credits, once per reference",
    description=(
        "Adds purchased credits, or takes credits in the order in which they are spent. The user"
        " can read the reason in the journal."
    ),
    responses=http_api.answers(
        Adjusted, InvalidRequest, ScopeRequired, ReferenceReused, TemporarilyUnavailable
    ),
)
def adjust_credits(request: AdjustmentRequest) -> Adjusted:
    http_api.require_admin(app)
    available, debt, replayed = ledger.adjust(
        request.user_id, request.amount, request.reference, request.reason
    )
    return Adjusted(**request.model_dump(), available=available, debt=debt, replayed=replayed)


@app.put(
    "/v1/admin/models/<model_id>",
    summary="Add or replace a model",
    description=(
        "The model is available to users within a minute. `available: false` removes it from "
        "their list. What the check finds wrong is rejected."
    ),
    responses=http_api.answers(Model, InvalidRequest, ScopeRequired, TemporarilyUnavailable),
)
def put_model(model_id: ModelId, model: Model) -> Model:
    http_api.require_admin(app)
    offers.check_id(model_id, model)
    model_check.put(model, http_api.user_of(app))
    return model


@app.get(
    "/v1/admin/models/<model_id>",
    summary="A model as the owner sees it",
    description="With its routes, and the last ten versions with their authors.",
    responses=http_api.answers(OwnedModel, ScopeRequired, ModelNotFound),
)
def get_owned_model(model_id: ModelId) -> OwnedModel:
    http_api.require_admin(app)
    return OwnedModel.of_versions(model_changes.versions(model_id))


@app.delete(
    "/v1/admin/models/<model_id>",
    summary="Delete a model",
    description=(
        "Users cannot order it after a minute. Its jobs continue. A default model does not come "
        "back with an update."
    ),
    status_code=HTTPStatus.NO_CONTENT,
    responses=http_api.answers(
        None, ScopeRequired, ModelNotFound, TemporarilyUnavailable, status=HTTPStatus.NO_CONTENT
    ),
)
def delete_model(model_id: ModelId) -> Response[None]:
    http_api.require_admin(app)
    model_changes.delete(model_id, http_api.user_of(app))
    return Response(HTTPStatus.NO_CONTENT)


@app.post(
    "/v1/admin/models/<model_id>/check",
    summary="What an entry would cost and send",
    description=(
        "Changes and sends nothing. For each preset and each extreme of the parameters: the price, "
        "and the body for each route. `problems` is what a PUT of this entry would be rejected for."
    ),
    responses=http_api.answers(CheckedModel, InvalidRequest, ScopeRequired),
)
def check_model(model_id: ModelId, model: Model) -> CheckedModel:
    http_api.require_admin(app)
    offers.check_id(model_id, model)
    return CheckedModel.of(model_check.check(model))


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
