"""Cursors: text from which a client continues a list where its last page ended.

A cursor never names the user: the caller is known from the token, so a forged cursor can only
move within the caller's own items.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

from clipmint import clock
from clipmint.errors import InvalidRequest


def after_item(created_at: str, item_id: str) -> str:
    """The cursor behind an item of a list that is sorted by time (ISO 8601)."""
    return _encode([created_at, item_id])


def item_in(cursor: str) -> tuple[str, str]:
    """The time and the id of the item in a cursor. Raises `InvalidRequest`."""
    try:
        created_at, item_id = _decode(cursor)
        clock.from_iso(created_at)
        return created_at, str(UUID(item_id))
    except (ValueError, TypeError, AttributeError):
        raise _invalid() from None


def before_sequence(sequence: int) -> str:
    """The cursor before a journal entry, by its sequence number."""
    return _encode(sequence)


def sequence_in(cursor: str) -> int:
    """The sequence number in a cursor. Raises `InvalidRequest`."""
    try:
        sequence = _decode(cursor)
    except ValueError:
        raise _invalid() from None
    if not isinstance(sequence, int) or not 0 < sequence < 10**18:
        raise _invalid()
    return sequence


_MAX_TEXT_BYTES = 512


def before_text(text: str) -> str:
    """The cursor before an item of a list that is sorted by one text."""
    return _encode([text])


def text_in(cursor: str) -> str:
    """The text in a cursor. Raises `InvalidRequest`."""
    try:
        (text,) = _decode(cursor)
    except (ValueError, TypeError):
        raise _invalid() from None
    if not isinstance(text, str) or not 0 < len(text.encode(errors="replace")) <= _MAX_TEXT_BYTES:
        raise _invalid()
    return text


def _encode(position: Any) -> str:
    text = json.dumps(position, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def _invalid() -> InvalidRequest:
    return InvalidRequest("The cursor is not valid", details="cursor: not one of ours")
