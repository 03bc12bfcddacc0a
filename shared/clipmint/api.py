"""What the HTTP functions share: routing, who is calling, and one shape for every error.

Every error answer is ``{"error", "code", "details", "timestamp", …extras}``, made in one place from
the table below. Nothing a provider said and no stack trace ever reaches a caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, BeforeValidator

from clipmint.domain.errors import (
    ClipmintError,
    Conflict,
    IdempotencyKeyReused,
    InsufficientCredits,
    InvalidRequest,
    LimitReached,
    NotFound,
    ScopeRequired,
    TemporarilyUnavailable,
    UserMismatch,
    WebhookNotProven,
)
from clipmint.telemetry import logger

T = TypeVar("T")

HeaderText = Annotated[
    str, BeforeValidator(lambda value: ",".join(value) if isinstance(value, list) else value)
]
"""A header as it was sent: Powertools splits every header at its commas."""

ADMIN_SCOPE = "clipmint/admin"

STATUS_OF: Mapping[type[ClipmintError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    InsufficientCredits: HTTPStatus.PAYMENT_REQUIRED,
    UserMismatch: HTTPStatus.FORBIDDEN,
    ScopeRequired: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    WebhookNotProven: HTTPStatus.UNAUTHORIZED,
    LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    TemporarilyUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""HTTP status of each branch of the error tree; the code is the error's own."""


def resolver() -> APIGatewayHttpResolver:
    """A router for one HTTP function, answering every error in the common shape."""
    app = APIGatewayHttpResolver(enable_validation=True)

    def invalid(error: RequestValidationError) -> Response[str]:
        if any(found["loc"][0] == "response" for found in error.errors()):
            raise error  # it is our own answer that is not as documented: no fault of the caller
        return error_response(
            InvalidRequest("The request is not valid", details=_explain(error.errors()))
        )

    def expected(error: ClipmintError) -> Response[str]:
        return error_response(error)

    def unknown(error: NotFoundError) -> Response[str]:  # noqa: ARG001
        return error_response(NotFound("There is nothing at this path"))

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(ClipmintError)(expected)
    app.not_found(unknown)
    return app


def resolve(app: APIGatewayHttpResolver, event: dict[str, Any], context: LambdaContext) -> Any:
    """Answer one HTTP API event. An error nobody expected is logged and becomes a bare 500."""
    logger.set_correlation_id(event.get("requestContext", {}).get("requestId"))
    # Bodies are JSON whatever the header says: `curl -d` says it is a form.
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    event["headers"] = {**headers, "content-type": content_types.APPLICATION_JSON}
    try:
        answer = app.resolve(event, context)
    except Exception:  # noqa: BLE001  (the last line of defence; logged with its trace)
        logger.exception("unexpected error")
        return {
            "statusCode": HTTPStatus.INTERNAL_SERVER_ERROR,
            "headers": {"Content-Type": content_types.APPLICATION_JSON},
            "body": json.dumps(ClipmintError("Something went wrong").body()),
        }
    # Powertools says null where there is no body (204, 304); empty text says it to every gateway.
    return {**answer, "body": answer["body"] or ""}


def user_of(app: APIGatewayHttpResolver) -> str:
    """The caller: ``sub`` of the token that the gateway has verified."""
    return str(_claims(app)["sub"])


def require_admin(app: APIGatewayHttpResolver) -> None:
    """Raise `ScopeRequired` unless the token carries the admin scope.

    The gateway checks the same; a route added to the template without its scope must not open a
    mint.
    """
    if ADMIN_SCOPE not in str(_claims(app).get("scope", "")).split():
        raise ScopeRequired(f"This needs the scope {ADMIN_SCOPE}")


def _claims(app: APIGatewayHttpResolver) -> Mapping[str, Any]:
    authorizer = app.current_event.request_context.authorizer
    claims = authorizer.jwt_claim if authorizer else None
    if not claims or "sub" not in claims:
        raise PermissionError("a route without an authorizer asked who is calling")
    return claims


def json_response(
    status: HTTPStatus, body: T, headers: Mapping[str, str] | None = None
) -> Response[T]:
    """A JSON answer. The content type must be said: without it the resolver passes the body on as
    an object, which a gateway answers with 500."""
    return Response(status.value, content_types.APPLICATION_JSON, body, dict(headers or {}))


def status_of(error: ClipmintError) -> HTTPStatus:
    """The HTTP status of an error: that of its nearest branch in the table."""
    return STATUS_OF[_branch(type(error))]


def _branch(error: type[ClipmintError]) -> type[ClipmintError]:
    return next(kind for kind in error.__mro__ if kind in STATUS_OF)


def answers(
    model: type[BaseModel] | None,
    *errors: type[ClipmintError],
    status: HTTPStatus = HTTPStatus.OK,
) -> dict[int, OpenAPIResponse]:
    """For a route's OpenAPI document: what it answers with, and its errors by HTTP status."""
    documented: dict[int, OpenAPIResponse] = {
        status.value: OpenAPIResponse(description=status.phrase)
    }
    if model is not None:
        documented[status.value]["content"] = {content_types.APPLICATION_JSON: {"model": model}}
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(STATUS_OF[_branch(error)].value, []).append(error.code)
    for code in sorted(codes):
        documented[code] = OpenAPIResponse(description=" · ".join(codes[code]))
    return documented


def error_response(error: ClipmintError) -> Response[str]:
    """The answer to an error of the tree."""
    status = status_of(error)
    logger.info("refused", extra={"code": error.code, "status": status.value})
    return Response(
        status_code=status.value,
        content_type=content_types.APPLICATION_JSON,
        body=json.dumps(error.body()),
        headers=dict(error.headers),
    )


def _explain(errors: Sequence[Mapping[str, Any]]) -> str:
    """Each field and what is wrong with it, without echoing what was sent."""
    lines = []
    for error in errors:
        path = [str(part) for part in error["loc"] if part not in {"body", "query", "path"}]
        if error["type"] == "json_invalid":
            path = []  # a position, not a field
        lines.append(f"{'.'.join(path) or 'body'}: {error['msg']}")
    return "; ".join(lines)
