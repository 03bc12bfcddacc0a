"""Reads the journal that the workers of a stack write: its invocations and their AWS calls.

`local.runtime.observer` describes the lines and their members.
"""

import json
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Call:
    """One AWS call. `resource` is the name of the table, bucket, and so on; `error` the AWS error
    code, `capacity` DynamoDB's units, and `units` the same by table and index (`table/index`)."""

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
    units: dict[str, float] | None


@dataclass
class Invocation:
    """One run of a function. If `ended` is False, it still runs, or its worker was killed.

    `pid` is the process id of its worker, `number` grows from one to the next that begins.
    """

    function: str
    request_id: str
    at: float
    cold: bool
    event: Any
    pid: int = 0
    calls: list[Call] = field(default_factory=list)
    ended: bool = False
    milliseconds: float | None = None
    cpu_milliseconds: float | None = None
    peak_megabytes: float | None = None
    result: Any = None
    error: dict[str, Any] | None = None
    number: int = 0

    def mentions(self, text: str) -> bool:
        """Whether its event or its result contains `text`, such as a job id."""
        return text in self._event_text or (self.ended and text in self._result_text)

    @cached_property
    def _event_text(self) -> str:
        return json.dumps(self.event)

    @cached_property
    def _result_text(self) -> str:
        return json.dumps(self.result)


class Journal:
    """The invocations in a journal file. Each `read` parses only the lines added since the last.
    Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._offset = 0
        self._invocations: dict[str, Invocation] = {}
        # Each invocation when it has begun, and again when it has ended.
        self._changes: list[Invocation] = []
        # What mentions a text, and how many changes were searched for it.
        self._mentions: dict[str, tuple[list[Invocation], int]] = {}

    def read(self) -> list[Invocation]:
        """All invocations in the order they began; an empty list before the first."""
        with self._lock:
            self._read_on()
            return list(self._invocations.values())

    def about(self, text: str) -> list[Invocation]:
        """The invocations that mention a text, in the order they began.

        A second call with the same text searches only what was added since the first.
        """
        with self._lock:
            self._read_on()
            found, searched = self._mentions.get(text, ([], 0))
            added = [one for one in self._changes[searched:] if one.mentions(text)]
            by_id = {one.request_id: one for one in [*found, *added]}
            found = sorted(by_id.values(), key=lambda one: one.number)
            self._mentions[text] = found, len(self._changes)
            return list(found)

    def _read_on(self) -> None:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                added = file.read()
            # The next call reads a line that is still being written.
            complete = added[: added.rfind(b"\n") + 1]
            self._offset += len(complete)
            for text in complete.splitlines():
                self._add(json.loads(text))

    def _add(self, line: dict[str, Any]) -> None:
        kind, function, request_id = line.pop("kind"), line.pop("function"), line["request_id"]
        if kind == "begin":
            begun = Invocation(function, **line, number=len(self._changes))
            self._invocations[request_id] = begun
            self._changes.append(begun)
        elif kind == "call" and request_id in self._invocations:
            del line["request_id"]
            self._invocations[request_id].calls.append(Call(**line))
        elif kind == "end":
            ended = self._invocations[request_id]
            ended.ended, ended.milliseconds = True, line["milliseconds"]
            ended.cpu_milliseconds = line["cpu_milliseconds"]
            ended.peak_megabytes = line["peak_megabytes"]
            ended.result, ended.error = line["result"], line["error"]
            self._changes.append(ended)
