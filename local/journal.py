"""Reads what the workers of a stack wrote down: its invocations and their AWS calls.

The lines and their members are described in `local.runtime.observer`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Call:
    """One AWS call. `resource` is the table, bucket, … it was about; `error` the AWS error code,
    `capacity` DynamoDB's units."""

    at: float
    service: str
    operation: str
    resource: str
    milliseconds: float
    request_bytes: int
    response_bytes: int | None
    status: int | None
    retries: int | None
    error: str | None
    capacity: float | None


@dataclass
class Invocation:
    """One run of a function. Without an end (`ended` False) its worker died or timed out."""

    function: str
    request_id: str
    at: float
    cold: bool
    event: Any
    calls: list[Call] = field(default_factory=list)
    ended: bool = False
    milliseconds: float | None = None
    cpu_milliseconds: float | None = None
    peak_megabytes: float | None = None
    result: Any = None
    error: dict[str, Any] | None = None

    def mentions(self, text: str) -> bool:
        """Whether its event or its result contains `text`, such as a job id."""
        return text in json.dumps(self.event) or text in json.dumps(self.result)


def read_journal(path: Path) -> list[Invocation]:
    """All invocations in the order they began. A stack nobody has called has none."""
    invocations: dict[str, Invocation] = {}
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            kind, function, request_id = line.pop("kind"), line.pop("function"), line["request_id"]
            if kind == "begin":
                invocations[request_id] = Invocation(function, **line)
            elif kind == "call" and request_id in invocations:
                del line["request_id"]
                invocations[request_id].calls.append(Call(**line))
            elif kind == "end":
                ended = invocations[request_id]
                ended.ended, ended.milliseconds = True, line["milliseconds"]
                ended.cpu_milliseconds = line["cpu_milliseconds"]
                ended.peak_megabytes = line["peak_megabytes"]
                ended.result, ended.error = line["result"], line["error"]
    return list(invocations.values())
