"""Calls of the owner's own systems: grant credits that were bought, change the catalog."""

from __future__ import annotations

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint.api import http_api
from clipmint.api.responses import Granted
from clipmint.catalog.model import Model
from clipmint.credits import ledger
from clipmint.credits.grant_requests import GrantRequest
from clipmint.errors import InvalidRequest, ReferenceReused, ScopeRequired, TemporarilyUnavailable
from clipmint.orders import offers

app = http_api.resolver()


@app.post(
    "/v1/admin/grants",
    summary="Give a user credits, once per reference",
    description=(
        "A repeated reference with the same user and amount changes nothing and returns "
        "`replayed: true`; with another user or amount it is an error."
    ),
    responses=http_api.answers(
        Granted, InvalidRequest, ScopeRequired, ReferenceReused, TemporarilyUnavailable
    ),
)
def grant_credits(request: GrantRequest) -> Granted:
    http_api.require_admin(app)
    available, replayed = ledger.grant(request.user_id, request.amount, request.reference)
    return Granted(
        user_id=request.user_id,
        amount=request.amount,
        reference=request.reference,
        available=available,
        replayed=replayed,
    )


@app.put(
    "/v1/admin/models/<model_id>",
    summary="Add or replace a model",
    description=(
        "The model is available to users within a minute. `available: false` removes it from "
        "their list."
    ),
    responses=http_api.answers(Model, InvalidRequest, ScopeRequired),
)
def put_model(model_id: Annotated[str, Path(examples=["veo-3.1"])], model: Model) -> Model:
    http_api.require_admin(app)
    offers.put(model_id, model)
    return model


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
