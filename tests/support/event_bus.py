"""The event bus of the moto account: what the functions put on it, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from clipmint import aws
from tests.support.executions import answer
from tests.support.moto_aws import hooked


@dataclass
class Bus:
    """Entries in order. ``refusals``: how many of the next entries EventBridge does not accept."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    refusals: int = 0

    def put(self, params: dict[str, Any], **_: Any) -> Any:
        http, parsed = answer(200)
        if self.refusals:
            self.refusals -= 1
            refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
            return http, parsed | {"FailedEntryCount": 1, "Entries": [refused]}
        sent = json.loads(params["body"])["Entries"]
        self.entries += sent
        return http, parsed | {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in sent]}

    @property
    def details(self) -> list[dict[str, Any]]:
        """The payloads, with their ids."""
        return [json.loads(entry["Detail"]) for entry in self.entries]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of one type."""
        return [detail for detail in self.details if detail["type"] == kind]

    @property
    def types(self) -> list[str]:
        return [detail["type"] for detail in self.details]


@contextmanager
def event_bus() -> Iterator[Bus]:
    """The bus instead of moto's."""
    bus = Bus()
    with hooked(aws.event_bridge(), {"before-call.events.PutEvents": bus.put}):
        yield bus
