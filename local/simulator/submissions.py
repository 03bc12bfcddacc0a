"""The log of the submissions that a simulated provider accepted, and so was paid for.

Every accepted submission is one entry, in the order of acceptance, even if its response did not
reach the caller. Two entries for one submission of ours prove that the provider was paid twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from local.simulator.faults import Event


@dataclass(slots=True, kw_only=True)
class Submission:
    """One accepted task. Times are epoch seconds, None until it happens."""

    number: int
    request_id: str
    endpoint: str
    input: Any
    webhook_url: str | None
    state: str
    accepted_at: float = field(default_factory=time.time)
    started_at: float | None = None
    completed_at: float | None = None
    billed: bool = False
    faults: list[str] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def event(self) -> Event:
        """The event that fault rules are matched against."""
        prompt = self.input.get("prompt") if isinstance(self.input, dict) else None
        return Event(self.endpoint, prompt if isinstance(prompt, str) else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "request_id": self.request_id,
            "endpoint": self.endpoint,
            "input": self.input,
            "webhook_url": self.webhook_url,
            "state": self.state,
            "accepted_at": self.accepted_at,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "billed": self.billed,
            "faults": self.faults,
            "deliveries": self.deliveries,
        }
