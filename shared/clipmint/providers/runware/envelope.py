"""What an answer of Runware's holds about one task.

An answer is ``{"data": […], "errors": […]}``, either of which may be missing (docs). A call may
carry many tasks, each of which succeeds or fails by itself, so items and errors are told apart by
their ``taskUUID``, whatever the HTTP status: errors also come in a 200. An item can be an error,
too: ``{"status": "error", "error": {"code", "message"}}`` (SDK), or with both beside ``status``
(seen).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from clipmint.jobs.outcomes import Failed
from clipmint.providers.runware import failures
from clipmint.providers.runware.failures import Kind, Meaning
from clipmint.providers.transport import Answer, excerpt

_HIDDEN = "(hidden)"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Error:
    """One error. ``detail`` is Runware's words for a log line, without our secrets.

    Attributes
    ----------
    addressed
        It names our task; an error that names none is about the call.
    task_type
        Of the task that failed, or ``getResponse`` or ``authentication``; empty if not said.
    of_item
        It says of itself, or of the item it is, that this is how the task ended.
    """

    meaning: Meaning
    detail: str
    addressed: bool
    task_type: str
    of_item: bool

    @property
    def kind(self) -> Kind:
        return self.meaning.kind

    @property
    def failed(self) -> Failed:
        """The failure, if this is the fate of the task."""
        return Failed(self.meaning.code, self.detail, transient=self.meaning.transient)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer, as far as it is about one task.

    Attributes
    ----------
    items
        The task's entries in ``data`` that are no errors.
    errors
        Errors of the task, or of the call as a whole. Other tasks' are left out.
    has_data
        ``data`` is there, if only as an empty list.
    """

    items: tuple[Mapping[str, object], ...] = ()
    errors: tuple[Error, ...] = ()
    has_data: bool = False

    @classmethod
    def read(cls, answer: Answer, task_id: str, secrets: Iterable[str]) -> Self | None:
        """Read an answer to a call about one task; None if it is no JSON object.

        ``secrets`` are taken out of Runware's words: an error may quote what it complains of.
        """
        said = answer.json_object()
        if said is None:
            return None
        hidden = tuple(filter(None, secrets))
        data = said.get("data")
        ours = [item for item in _objects(data) if _named(item) in (None, task_id)]
        broken = [item for item in ours if item.get("status") == "error"]
        reported = said.get("errors", said.get("error"))
        listed = [reported] if isinstance(reported, dict) else _objects(reported)
        about = [error for error in listed if _named(error) in (None, task_id)]
        return cls(
            items=tuple(item for item in ours if item.get("status") != "error"),
            errors=tuple(
                _error(raw, answer.status, hidden, of_item=of_item)
                for raws, of_item in ((broken, True), (about, False))
                for raw in raws
            ),
            has_data=isinstance(data, list),
        )

    def words(self, status: int) -> str:
        """One line for a log."""
        said = "; ".join(error.detail for error in self.errors[:3])
        return said or f"HTTP {status}"


def task_uuid(value: object) -> str | None:
    """``value`` as we write a task's UUID, if it is one."""
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None


def _named(entry: Mapping[str, object]) -> str | None:
    """The task an entry names: None for none, and for something that is no UUID its text."""
    named = entry.get("taskUUID")
    return None if named in (None, "") else task_uuid(named) or str(named)


def _objects(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _error(
    raw: Mapping[str, object], status: int, secrets: tuple[str, ...], *, of_item: bool
) -> Error:
    inner = raw.get("error")
    told = {**raw, **inner} if isinstance(inner, dict) else raw

    def text(name: str) -> str:
        value = told.get(name)
        if isinstance(value, list):  # a rule about several parameters names them all (SDK)
            value = ", ".join(part for part in value if isinstance(part, str))
        plain = value if isinstance(value, str) else ""
        for secret in secrets:
            plain = plain.replace(secret, _HIDDEN)
        return plain

    code, parameter, message = text("code"), text("parameter"), text("message")
    parts = [f"HTTP {status}", code, parameter and f"({parameter})", message]
    return Error(
        meaning=failures.meaning(code, status, parameter),
        detail=excerpt(" ".join(filter(None, parts))),
        addressed=_named(raw) is not None,
        task_type=text("taskType"),
        of_item=of_item or raw.get("status") == "error",
    )
