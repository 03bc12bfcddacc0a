"""Which task one of Runware's webhooks is about.

Runware signs nothing (docs), so a webhook proves nothing by itself: that whoever calls knows the
secret in our URL is checked before this, and what the call says of the outcome is not believed at
all. It is a hint to ask, whether it reports a result, an error or progress.

The body is the bare result (seen), or the envelope an answer has, ``{"data": […]}`` or
``{"errors": […]}``. Whichever it is, it must be about exactly one task.
"""

from __future__ import annotations

from collections.abc import Iterator

from clipmint.jobs.job import Handle
from clipmint.providers.base import Notice, WebhookCall, WebhookRejected
from clipmint.providers.runware.envelope import task_uuid
from clipmint.providers.transport import json_object

MAX_BODY_BYTES = 1 << 20
"""A result is a kilobyte; no more than this is read for a stranger."""


def read(call: WebhookCall) -> Notice:
    """The task a webhook is about; never its outcome.

    Raises
    ------
    WebhookRejected
        It is too large, no JSON object, or about no task or several.
    """
    if len(call.body) > MAX_BODY_BYTES:
        raise WebhookRejected("the body is too large")
    said = json_object(call.body)
    if said is None:
        raise WebhookRejected("the body is not a JSON object")
    named = {task_uuid(value) for value in _named(said)}
    if len(named) != 1 or None in named:
        raise WebhookRejected("the body is not about one task")
    (request_id,) = filter(None, named)
    return Notice(handle=Handle(request_id), outcome=None)


def _named(said: dict[str, object]) -> Iterator[object]:
    """Every ``taskUUID`` in the body, whatever it is."""
    listed = [said.get("data"), said.get("errors")]
    entries = [said, *(entry for part in listed if isinstance(part, list) for entry in part)]
    for entry in entries:
        if isinstance(entry, dict) and "taskUUID" in entry:
            yield entry["taskUUID"]
