"""Reads members of a verified body, whose types are not known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clipmint.errors import InvalidRequest


def json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises `InvalidRequest`."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON") from None
    if not isinstance(found, dict):
        raise InvalidRequest("The body is not a JSON object")
    return found


def text(found: Mapping[str, Any], name: str) -> str:
    """A member that is a text of at most 500 characters; else nothing."""
    value = found.get(name)
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


_LONGEST = 500


def integer(found: Mapping[str, Any], name: str) -> int:
    """A member that is an integer; else 0."""
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def moment(seconds: float) -> datetime | None:
    """A time in epoch seconds; None for 0. Raises `InvalidRequest` for an impossible one."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (OverflowError, ValueError, OSError):
        raise InvalidRequest("The event has an impossible time") from None


def objects(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object; else an empty one."""
    value = found.get(name)
    return value if isinstance(value, dict) else {}
