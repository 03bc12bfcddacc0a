"""Points in time, as response bodies write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from clipmint import clock

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""UTC, such as 2028-02-29T23:59:30.000Z."""


def from_epoch(seconds: int) -> str:
    """The moment in epoch seconds, as responses show it."""
    return clock.iso(datetime.fromtimestamp(seconds, UTC))
