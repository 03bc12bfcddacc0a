"""Events and responses of the HTTP API as the gateway passes them: headers, bytes, and JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from clipmint.errors import ClipmintError

JSON = "application/json"


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
