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
    """A member that is a text that can be part of a key; else nothing."""
    value = found.get(name)
    return value if isinstance(value, str) and fits(value) else ""


def fits(value: str) -> bool:
    """Whether a text can be part of a key: UTF-8 of at most 500 bytes."""
    try:
        return len(value.encode()) <= _MOST_BYTES
    except UnicodeEncodeError:  # JSON can contain one half of a surrogate pair
        return False


_MOST_BYTES = 500
"""A range key of DynamoDB has at most 1,024, of which our names take a few dozen."""


def integer(found: Mapping[str, Any], name: str) -> int:
    """A member that is an integer; else 0. Raises `InvalidRequest` for one that is too large to be
    stored."""
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    if abs(value) > _LARGEST:
        raise InvalidRequest("The event has an impossible number", details=name)
    return value


_LARGEST = 10**18


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
