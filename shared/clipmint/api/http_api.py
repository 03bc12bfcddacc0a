"""Code that the HTTP functions share: routing, the caller's identity, and one shape for all errors.

Every error response is ``{"error", "code", "details", "timestamp", …extras}``, made in one place
from the table in `clipmint.api.gateway`. It never contains a provider's message or a stack trace.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BeforeValidator

from clipmint.api import gateway
from clipmint.credits.account import MAX_USER_BYTES
from clipmint.errors import ClipmintError, InvalidRequest, NotFound, ScopeRequired
from clipmint.schemas import Schema
from clipmint.telemetry import logger

T = TypeVar("T")

HeaderText = Annotated[
    str, BeforeValidator(lambda value: ",".join(value) if isinstance(value, list) else value)
]
"""A header as the client sent it: Powertools splits every header at its commas."""

POLL_LATER: Mapping[str, str] = {"Retry-After": "2"}
"""Headers of a response about jobs that run: how often a client may poll, in seconds. One poll is
one read for a job, and two for a small project."""

LONGEST_POLL_SECONDS = 30


def poll_later(expected_seconds: int | None, age_seconds: float) -> Mapping[str, str]:
    """Headers of a response about one running job: half of its expected remaining time, between
    the interval of `POLL_LATER` and half a minute."""
    shortest = int(POLL_LATER["Retry-After"])
    left = 0 if expected_seconds is None else (expected_seconds - age_seconds) / 2
    return {"Retry-After": str(min(max(shortest, int(left)), LONGEST_POLL_SECONDS))}


ADMIN_SCOPE = "clipmint/admin"

ErrorBody = Callable[[str, ClipmintError], dict[str, Any]]
"""Makes the body of an error response, from the path of the request and the error."""


def _common_body(path: str, error: ClipmintError) -> dict[str, Any]:  # noqa: ARG001
    return error.body()


def _unchanged(event: dict[str, Any]) -> None:
    """The body of a request is JSON already."""


Caller = APIGatewayHttpResolver | APIGatewayHttpRouter
"""Knows the request that is being handled, and who sent it."""


def resolver(
    error_body: ErrorBody = _common_body, *, admin_only: bool = False
) -> APIGatewayHttpResolver:
    """A router for one HTTP function that returns every error in one shape.

    Parameters
    ----------
    error_body
        The shape; by default the common one.
    admin_only
        Whether all its routes need the admin scope. The gateway checks the scope, too. But a route
        that was added to the template without its scope must not allow anyone to grant credits.
    """
    app = APIGatewayHttpResolver(enable_validation=True, serializer=_to_json)

    def refused(error: ClipmintError) -> Response[str]:
        return _error_response(error, error_body(app.current_event.path, error))

    def invalid(error: RequestValidationError) -> Response[str]:
        if any(found["loc"][0] == "response" for found in error.errors()):
            raise error  # our own response differs from its documentation: not the caller's fault
        return refused(InvalidRequest("The request is not valid", details=_explain(error.errors())))

    def unknown(error: NotFoundError) -> Response[str]:  # noqa: ARG001
        return refused(NotFound("There is no such path"))

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(ClipmintError)(refused)
    app.not_found(unknown)
    app.use([_reject_unknown_parameters, *([_require_admin] if admin_only else [])])
    return app


NextMiddleware = Callable[[APIGatewayHttpResolver], Response[Any]]


def _reject_unknown_parameters(
    app: APIGatewayHttpResolver, next_middleware: NextMiddleware
) -> Response[Any]:
    """Reject a query parameter that the route does not have, like an unknown member of a body."""
    known = {field.alias for field in app.context["_route"].dependant.query_params}
    unknown = sorted(set(app.current_event.query_string_parameters) - known)
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise InvalidRequest(
            "There is no such query parameter",
            details=f"{', '.join(unknown)}: not a parameter of this route, which has: {names}",
        )
    return next_middleware(app)


def _require_admin(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Raise `ScopeRequired` unless the token has the admin scope."""
    claims = _claims(app)
    # A text with spaces (OAuth), or a list, which the gateway passes on as "[a b]".
    granted = re.split(r"[][,\s]+", f"{claims.get('scope', '')} {claims.get('scp', '')}")
    if ADMIN_SCOPE not in granted:
        raise ScopeRequired(f"This route requires the scope {ADMIN_SCOPE}")
    return next_middleware(app)


def _to_json(body: Any) -> str:
    # UTF-8: with escapes, a page of prompts in emoji would exceed Lambda's response limit of 6 MB.
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def resolve(
    app: APIGatewayHttpResolver,
    event: dict[str, Any],
    context: LambdaContext,
    *,
    error_body: ErrorBody = _common_body,
    make_json: Callable[[dict[str, Any]], None] = _unchanged,
) -> Any:
    """Handle one HTTP API event. An unexpected error is logged and becomes a 500.

    Parameters
    ----------
    error_body
        As for `resolver`.
    make_json
        Turns the body of an event, whose header names are lower case, into JSON. Raises
        `InvalidRequest`.
    """
    logger.set_correlation_id(event.get("requestContext", {}).get("requestId"))
    base = _strip_base_path(event)
    path = event.get("rawPath", "")
    event["headers"] = gateway.headers_of(event)
    try:
        make_json(event)
        # From here on it is JSON. Ignore the header: `curl -d` declares a form.
        event["headers"]["content-type"] = content_types.APPLICATION_JSON
        _check_body(event)
    except InvalidRequest as refusal:
        return gateway.response(gateway.status_of(refusal), error_body(path, refusal))
    try:
        response = app.resolve(event, context)
    except Exception:  # noqa: BLE001  (the outermost handler; logged with its trace)
        logger.exception("unexpected error")
        error = ClipmintError("Something went wrong")
        return gateway.response(HTTPStatus.INTERNAL_SERVER_ERROR, error_body(path, error))
    # Powertools returns null for no body (204, 304); every gateway accepts an empty text.
    answer = {**response, "body": response["body"] or ""}
    return _with_base_path(answer, base) if base else answer


def _strip_base_path(event: dict[str, Any]) -> str:
    """Remove the path below which the owner's domain serves the API. Returns it, or nothing.

    The gateway chooses the route without that path, but passes it on in ``rawPath``.
    """
    base = os.environ.get("API_BASE_PATH", "")
    path = event.get("rawPath", "")
    if not base or not path.startswith(f"/{base}/"):
        return ""
    event["rawPath"] = path.removeprefix(f"/{base}")
    return f"/{base}"


def _with_base_path(answer: dict[str, Any], base: str) -> dict[str, Any]:
    """The response with the path in its Location, unless that is a URL of another host."""
    headers = {
        name: f"{base}{value}" if name == "Location" and value.startswith("/") else value
        for name, value in (answer.get("headers") or {}).items()
    }
    return {**answer, "headers": headers}


def _check_body(event: dict[str, Any]) -> None:
    """Raise `InvalidRequest` for a body that is not JSON, with the position of the error.

    A missing body counts as an empty object: bodies with only optional members may be left out.
    """
    if not event.get("body"):
        event["body"], event["isBase64Encoded"] = "{}", False
        return
    body = event["body"]
    try:
        json.loads(base64.b64decode(body) if event.get("isBase64Encoded") else body)
    except json.JSONDecodeError as error:
        why = f"{error.msg}: line {error.lineno}, column {error.colno}"
    except (UnicodeDecodeError, binascii.Error):
        why = "not UTF-8"
    except (ValueError, RecursionError):
        why = "nested too deeply, or a number is too long"
    else:
        return
    raise InvalidRequest("The request body is not valid JSON", details=f"body: {why}")


def user_of(app: Caller) -> str:
    """The user's id: ``sub`` of the token that the gateway has verified.

    Raises `InvalidRequest` for an id that cannot be a key of our tables.
    """
    user_id = str(_claims(app)["sub"])
    if not 0 < len(user_id.encode("utf-8", "surrogatepass")) <= MAX_USER_BYTES:
        raise InvalidRequest("The token's subject is too long", details="sub: at most 1,024 bytes")
    return user_id


def _claims(app: Caller) -> Mapping[str, Any]:
    authorizer = app.current_event.request_context.authorizer
    claims = authorizer.jwt_claim if authorizer else None
    if not claims or "sub" not in claims:
        raise PermissionError("this route needs a caller, but has no authorizer")
    return claims


def json_response(
    status: HTTPStatus, body: T, headers: Mapping[str, str] | None = None
) -> Response[T]:
    """A JSON response. It must state the content type: without it the resolver passes the body on
    as an object, and the gateway returns 500."""
    return Response(status.value, content_types.APPLICATION_JSON, body, dict(headers or {}))


def cacheable_response(body: Schema, seconds: int, if_none_match: str | None) -> Response[Any]:
    """A 200 that the client may keep for so many seconds, or a 304 if the client has this body
    already."""
    etag = f'"{hashlib.sha256(body.model_dump_json().encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={seconds}"}
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if etag in known or "*" in known:
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return json_response(HTTPStatus.OK, body, headers)


def answers(
    model: type[Schema] | None,
    *errors: type[ClipmintError],
    status: HTTPStatus = HTTPStatus.OK,
) -> dict[int, OpenAPIResponse]:
    """For a route's OpenAPI document: its response body, and its errors by HTTP status."""
    documented: dict[int, OpenAPIResponse] = {
        status.value: OpenAPIResponse(description=status.phrase)
    }
    if model is not None:
        documented[status.value]["content"] = {content_types.APPLICATION_JSON: {"model": model}}
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(gateway.status_of(error).value, []).append(error.code)
    for code in sorted(codes):
        documented[code] = OpenAPIResponse(description=" · ".join(codes[code]))
    return documented


def accepted(model: type[Schema], *errors: type[ClipmintError]) -> dict[str, Any]:
    """A route that responds 202: the arguments of its decorator that state its responses."""
    return _only(HTTPStatus.ACCEPTED, model, *errors)


def created(model: type[Schema], *errors: type[ClipmintError]) -> dict[str, Any]:
    """The same for a route that responds 201."""
    return _only(HTTPStatus.CREATED, model, *errors)


def no_content(*errors: type[ClipmintError]) -> dict[str, Any]:
    """The same for a route that responds 204, without a body."""
    return _only(HTTPStatus.NO_CONTENT, None, *errors)


def _only(
    status: HTTPStatus, model: type[Schema] | None, *errors: type[ClipmintError]
) -> dict[str, Any]:
    return {"status_code": status, "responses": answers(model, *errors, status=status)}


def _error_response(error: ClipmintError, body: dict[str, Any]) -> Response[str]:
    status = gateway.status_of(error)
    logger.info("refused", extra={"code": error.code, "status": status.value})
    return Response(
        status_code=status.value,
        content_type=content_types.APPLICATION_JSON,
        body=json.dumps(body),
        headers=dict(error.headers),
    )


def _explain(errors: Sequence[Mapping[str, Any]]) -> str:
    """Each invalid field and the reason, without the value that was sent."""
    lines = []
    for error in errors:
        path = [str(part) for part in error["loc"] if part not in {"body", "query", "path"}]
        lines.append(f"{'.'.join(path) or 'body'}: {error['msg']}")
    return "; ".join(lines)
