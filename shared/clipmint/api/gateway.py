"""Events and responses of the HTTP API as the gateway passes them: headers, bytes, JSON, and the
HTTP status of each error."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from clipmint.errors import (
    ClipmintError,
    Conflict,
    IdempotencyKeyReused,
    InsufficientCredits,
    InvalidRequest,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    ScopeRequired,
    TemporarilyUnavailable,
    UserMismatch,
    WebhookNotProven,
)

JSON = "application/json"

STATUS_OF: Mapping[type[ClipmintError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    InsufficientCredits: HTTPStatus.PAYMENT_REQUIRED,
    UserMismatch: HTTPStatus.FORBIDDEN,
    ScopeRequired: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    Conflict: HTTPStatus.CONFLICT,
    IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    WebhookNotProven: HTTPStatus.UNAUTHORIZED,
    LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    TemporarilyUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""HTTP status of each branch of the error tree; each error has its own code."""


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a request, with names in lower case."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def raw_body(event: Mapping[str, Any], unreadable: ClipmintError) -> bytes:
    """The bytes of a request's body, as they were signed. Raises ``unreadable`` if the
    gateway marks it as base64 and it is not, or if it is not Unicode."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise unreadable from None


def response(
    status: HTTPStatus, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A JSON response."""
    return {
        "statusCode": status.value,
        "headers": {"Content-Type": JSON, **(headers or {})},
        "body": json.dumps(body),
    }


def status_of(error: ClipmintError | type[ClipmintError]) -> HTTPStatus:
    """The HTTP status of an error: that of its nearest base class in the table."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS_OF[base] for base in kind.__mro__ if base in STATUS_OF)
