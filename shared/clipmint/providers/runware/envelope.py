"""The parts of Runware's response that concern one task.

A response is ``{"data": […], "errors": […]}``; either member may be missing (docs). A call may
carry many tasks, and each succeeds or fails by itself. We therefore assign items and errors by
their ``taskUUID``, for any HTTP status: a 200 can contain errors too. An item can also be an error:
``{"status": "error", "error": {"code", "message"}}`` (SDK), or with both members next to
``status`` (seen).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Self

from clipmint.catalog.costs import USD, Cost, reported
from clipmint.jobs.outcomes import Failed
from clipmint.providers.runware import failures
from clipmint.providers.runware.failures import Kind, Meaning
from clipmint.providers.transport import Response, excerpt
from clipmint.values import frozen

_HIDDEN = "(hidden)"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@frozen
class Error:
    """One error. ``detail`` is Runware's message for a log line, without our secrets.

    Attributes
    ----------
    addressed
        The error names our task; an error without a task concerns the call.
    task_type
        Type of the failed task, or ``getResponse`` or ``authentication``; empty if not stated.
    of_item
        The error, or the item that contains it, has the status ``error``: the task ended with it.
    cost
        What Runware bills all the same, if it states that.
    """

    meaning: Meaning
    detail: str
    addressed: bool
    task_type: str
    of_item: bool
    cost: Cost | None = None

    @property
    def kind(self) -> Kind:
        return self.meaning.kind

    @property
    def failed(self) -> Failed:
        """The task's failure, if the task ended with this error."""
        meaning = self.meaning
        return Failed(meaning.code, self.detail, transient=meaning.transient, cost=self.cost)


@frozen
class Envelope:
    """A response, reduced to one task.

    Attributes
    ----------
    items
        The task's entries in ``data`` that are not errors.
    errors
        Errors of the task, or of the call as a whole, without those of other tasks.
    has_data
        ``data`` is a list; it may be empty.
    """

    items: tuple[Mapping[str, object], ...] = ()
    errors: tuple[Error, ...] = ()
    has_data: bool = False

    @classmethod
    def read(cls, response: Response, task_id: str, secrets: Iterable[str]) -> Self | None:
        """Read the response to a call about one task; None if it is not a JSON object.

        ``secrets`` are removed from Runware's messages: an error may quote a part of the request.
        """
        body = response.json_object()
        if body is None:
            return None
        hidden = tuple(filter(None, secrets))
        data = body.get("data")
        ours = [item for item in _objects(data) if _named(item) in (None, task_id)]
        broken = [item for item in ours if item.get("status") == "error"]
        reported = body.get("errors", body.get("error"))
        listed = [reported] if isinstance(reported, dict) else _objects(reported)
        about = [error for error in listed if _named(error) in (None, task_id)]
        return cls(
            items=tuple(item for item in ours if item.get("status") != "error"),
            errors=tuple(
                _error(raw, response.status, hidden, of_item=of_item)
                for raws, of_item in ((broken, True), (about, False))
                for raw in raws
            ),
            has_data=isinstance(data, list),
        )

    def summary(self, status: int) -> str:
        """One line for a log."""
        return "; ".join(error.detail for error in self.errors[:3]) or f"HTTP {status}"


def cost_of(item: Mapping[str, object]) -> Cost | None:
    """The cost that Runware reports for an item of a task, in USD (docs). A cost of 0 does not
    prove that the item was free (seen), so it counts as not reported."""
    cost = reported(item.get("cost"), USD)
    return cost if cost and cost.micros else None


def task_uuid(value: object) -> str | None:
    """``value`` in lower case if it is a UUID, else None."""
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None


def _named(entry: Mapping[str, object]) -> str | None:
    """The ``taskUUID`` of an entry: None if there is none, the plain text if it is not a UUID."""
    named = entry.get("taskUUID")
    return None if named in (None, "") else task_uuid(named) or str(named)


def _objects(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _error(
    raw: Mapping[str, object], status: int, secrets: tuple[str, ...], *, of_item: bool
) -> Error:
    inner = raw.get("error")
    merged = {**raw, **inner} if isinstance(inner, dict) else raw

    def text(name: str) -> str:
        value = merged.get(name)
        if isinstance(value, list):  # an error about several parameters lists them (SDK)
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
        cost=cost_of(merged),
    )
