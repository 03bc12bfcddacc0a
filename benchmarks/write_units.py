"""The budget of DynamoDB write units per job. docs/architecture.md states what each write takes."""

from __future__ import annotations

from collections.abc import Mapping

WRITE_UNITS: Mapping[str, int] = {
    "generate": 11,
    "submit": 4,
    "webhooks": 2,
    "migrate": 2,
    "settle": 12,
    "events": 1,
    "usage": 4,
}
"""By function, for a job of one stage whose webhook comes. `benchmarks.cost` measures the sum."""
