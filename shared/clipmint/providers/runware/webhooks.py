"""The task that one of Runware's webhooks concerns.

Runware does not sign webhooks (docs), so the body proves nothing. The webhook function has already
checked the secret in our URL. We ignore the outcome in the body and use the call only as a hint to
poll, whether it reports a result, an error or progress.

The body is the bare result (seen), or an envelope like that of a response, ``{"data": […]}`` or
``{"errors": […]}``. In each form it must concern exactly one task.
"""

from __future__ import annotations

from collections.abc import Iterator

from clipmint.jobs.job import Handle
from clipmint.providers.base import Notice, WebhookCall, WebhookRejected
from clipmint.providers.runware.envelope import task_uuid
from clipmint.providers.transport import json_object

MAX_BODY_BYTES = 1 << 20
"""A result is a kilobyte. We parse no larger body, because anyone can send one."""


def read(call: WebhookCall) -> Notice:
    """The task that a webhook concerns; never its outcome.

    Raises
    ------
    WebhookRejected
        The body is too large, is not a JSON object, or does not concern exactly one task.
    """
    if len(call.body) > MAX_BODY_BYTES:
        raise WebhookRejected("the body is too large")
    body = json_object(call.body)
    if body is None:
        raise WebhookRejected("the body is not a JSON object")
    named = {task_uuid(value) for value in _named(body)}
    if len(named) != 1 or None in named:
        raise WebhookRejected("the body is not about one task")
    (request_id,) = filter(None, named)
    return Notice(handle=Handle(request_id), outcome=None)


def _named(body: dict[str, object]) -> Iterator[object]:
    """Every ``taskUUID`` in the body, of any type."""
    listed = [body.get("data"), body.get("errors")]
    entries = [body, *(entry for part in listed if isinstance(part, list) for entry in part)]
    for entry in entries:
        if isinstance(entry, dict) and "taskUUID" in entry:
            yield entry["taskUUID"]
