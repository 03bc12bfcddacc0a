"""Points in time, as response bodies write them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""UTC, such as 2028-02-29T23:59:30.000Z."""
