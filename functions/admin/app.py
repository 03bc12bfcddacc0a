"""What the owner's own systems do: grant credits that were bought, change the catalog."""

from __future__ import annotations

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clipmint.api import http_api
from clipmint.api.responses import Granted
from clipmint.catalog import model_store
from clipmint.catalog.model import Model
from clipmint.credits import ledger
from clipmint.errors import InvalidRequest, ReferenceReused, ScopeRequired, TemporarilyUnavailable
from clipmint.providers import registry

app = http_api.resolver()


class GrantRequest(BaseModel):
    """``reference`` says what the credits are for and makes the grant happen once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user_id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    amount: Annotated[int, Field(ge=1, le=100_000_000, description="Whole credits")]
    reference: Annotated[
        str,
        StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"),
        Field(description="Such as the store's transaction id; used once over all users"),
    ]


@app.post(
    "/v1/admin/grants",
    summary="Give a user credits, once per reference",
    responses=http_api.answers(
        Granted, InvalidRequest, ScopeRequired, ReferenceReused, TemporarilyUnavailable
    ),
)
def grant(request: GrantRequest) -> Granted:
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
    responses=http_api.answers(Model, InvalidRequest, ScopeRequired),
)
def put_model(model_id: Annotated[str, Path(examples=["veo-3.1"])], model: Model) -> Model:
    http_api.require_admin(app)
    if model.model_id != model_id:
        raise InvalidRequest(
            "The path and the body name different models",
            details=f"model_id: must be {model_id!r}",
        )
    if not {route.provider for route in model.routes} <= registry.NAMES:
        known = ", ".join(sorted(registry.NAMES))
        raise InvalidRequest("There is no such provider", details=f"routes: provider: {known}")
    model_store.put(model)
    return model


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return http_api.resolve(app, event, context)
