"""Points in time, as response bodies write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from clipmint import clock


def _text(value: Any) -> Any:
    return clock.iso(value) if isinstance(value, datetime) else value


Timestamp = Annotated[str, BeforeValidator(_text), Field(json_schema_extra={"format": "date-time"})]
"""UTC, such as 2028-02-29T23:59:30.000Z. A body that is made from the attributes of an object gets
it from a ``datetime``."""


def from_epoch(seconds: int) -> str:
    """The moment in epoch seconds, as responses show it."""
    return clock.iso(datetime.fromtimestamp(seconds, UTC))
