"""The audit trail: what was done with the scope of the owner, by whom, when and why.

An entry is written before its action begins, and completed after it. So no crash loses an entry: it
stays ``begun``, which means that the action may have happened. A repeated call has an entry of its
own. A request that is not valid, or lacks the scope, has none.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.models import Model

from clipmint import clock, unreadable
from clipmint.api import http_api
from clipmint.errors import ClipmintError, TemporarilyUnavailable
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.telemetry import logger
from clipmint.values import frozen

AUDIT = "AUDIT"
BEGUN, DONE, REFUSED = "begun", "done", "refused"

_CHANGES_NOTHING = frozenset({"POST /v1/admin/models/{model_id}/check"})
"""Routes that change nothing. Not paths: an id in a path may be any text."""

_NAMED = (
    *("user_id", "amount", "reference", "kind", "expires_at", "job_id", "product_id"),
    *("credits", "price", "available", "enabled"),
)
"""Members of a request that an entry keeps. None of them can hold a secret."""

_MAX_CHARACTERS = 500
"""Of a member of a request, as JSON."""


class AuditItem(Model):
    """One action, in the table of the endpoints. ``sk`` begins with its time. ``details`` is JSON;
    ``result`` is the status of the response, or the code of the error."""

    class Meta(TableMeta):
        table_name = FromEnvironment("ENDPOINTS_TABLE")

    group = UnicodeAttribute(hash_key=True, default=AUDIT)
    sk = UnicodeAttribute(range_key=True)
    by = UnicodeAttribute()
    what = UnicodeAttribute()
    about = UnicodeAttribute()
    reason = UnicodeAttribute(null=True)
    details = UnicodeAttribute()
    state = UnicodeAttribute()
    result = UnicodeAttribute(null=True)


@frozen
class Action:
    """See `AuditItem`. ``by`` is the subject of the token, ``what`` a method and a route, ``about``
    the path that was called."""

    action_id: str
    at: datetime
    by: str
    what: str
    about: str
    reason: str | None
    details: Mapping[str, Any]
    state: str
    result: str | None


@frozen
class ActionPage:
    """Newest first; ``before`` continues the list, None at its end. The page before the end may be
    empty."""

    actions: list[Action]
    before: str | None


def record(app: APIGatewayHttpResolver, next_middleware: http_api.NextMiddleware) -> Response[Any]:
    """Middleware that records every call that may change something."""
    event = app.current_event
    what = f"{event.http_method} {_route(app)}"
    if event.http_method == "GET" or what in _CHANGES_NOTHING:
        return next_middleware(app)
    request = _request(event.json_body)
    item = AuditItem(
        AUDIT,
        f"{clock.iso(clock.now())}_{uuid.uuid4().hex}",
        by=http_api.user_of(app),
        what=what,
        about=event.path,
        reason=_reason(request),
        details=json.dumps(_details(request), separators=(",", ":"), ensure_ascii=False),
        state=BEGUN,
    )
    item.save()
    try:
        response = next_middleware(app)
    except TemporarilyUnavailable:
        raise  # a part of the action may have happened, so the entry stays begun
    except ClipmintError as refused:
        _complete(item, REFUSED, refused.code)
        raise
    _complete(item, DONE, str(response.status_code))
    return response


def _route(app: APIGatewayHttpResolver) -> str:
    path: str = app.context["_route"].path
    return path.replace("<", "{").replace(">", "}")


def _complete(item: AuditItem, state: str, result: str) -> None:
    try:
        item.update([AuditItem.state.set(state), AuditItem.result.set(result)])
    except UpdateError:
        # The action has happened, and its caller must know. The entry stays begun.
        logger.exception("audit entry not completed", extra={"action_id": item.sk})


def _request(body: Any) -> Mapping[str, Any]:
    return body if isinstance(body, dict) else {}


def _reason(request: Mapping[str, Any]) -> str | None:
    reason = request.get("reason")
    return reason[:_MAX_CHARACTERS] if isinstance(reason, str) else None


def _details(request: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: request[name] for name in _NAMED if request.get(name) is not None}
    return {name: value for name, value in given.items() if len(repr(value)) <= _MAX_CHARACTERS}


def newest(
    *, limit: int, before: str | None, since: datetime | None, until: datetime | None
) -> ActionPage:
    """Actions, newest first (strongly consistent), without those that cannot be read.

    Parameters
    ----------
    before
        From which id the list continues.
    since, until
        Times of the beginning; the second is not included.
    """
    first = clock.iso(since) if since else "0"
    last = clock.iso(until) if until else "9"
    last = last if before is None else min(last, before)
    if last < first:
        return ActionPage([], None)
    items = AuditItem.query(
        AUDIT,
        AuditItem.sk.between(first, last),
        scan_index_forward=False,
        consistent_read=True,
        limit=limit,
        last_evaluated_key={"group": {"S": AUDIT}, "sk": {"S": last}} if last == before else None,
    )
    found = unreadable.readable(items, _action, "audit entry", lambda item: str(item.sk))
    page = [*found]
    # Of the last entry that was examined, which may not be in the page.
    position = items.last_evaluated_key
    return ActionPage(page, str(position["sk"]["S"]) if position else None)


def _action(item: AuditItem) -> Action:
    at, _, _ = str(item.sk).partition("_")
    return Action(
        action_id=item.sk,
        at=clock.from_iso(at),
        by=item.by,
        what=item.what,
        about=item.about,
        reason=item.reason,
        details=json.loads(item.details),
        state=item.state,
        result=item.result,
    )
