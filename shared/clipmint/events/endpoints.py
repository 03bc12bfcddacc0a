"""Endpoints: where the owner's systems receive events by HTTP.

A secret is in the table, encrypted with the table's key, and never leaves it by the API again: the
API returns it once. Only the function that signs has the permission to read it. The function of the
API writes it, and asks no write to return what was there: IAM cannot forbid that for every write. A
secret of Secrets Manager would cost more each month than all other parts of an endpoint.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from pynamodb.exceptions import DoesNotExist, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from clipmint import aws, clock, unreadable
from clipmint.errors import EndpointNotFound, SecretsStillSign, TooManyEndpoints
from clipmint.events import signatures
from clipmint.events.endpoint_items import ENDPOINTS, SECRETS, EndpointItem, SecretItem
from clipmint.values import frozen

MAX_ENDPOINTS = 20
"""Each event is recorded and sent once per endpoint."""

ROTATION = timedelta(days=1)
"""How long a secret that was replaced still signs."""

DisabledReason = Literal["owner", "gone", "failing"]
"""``gone``: it responded 410. ``failing``: no attempt succeeded for five days."""


@frozen
class Endpoint:
    """An endpoint. Without ``types`` it gets every event."""

    endpoint_id: str
    url: str
    types: tuple[str, ...]
    description: str | None
    enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime

    def wants(self, kind: str) -> bool:
        """Whether an event of this type is sent to it now."""
        return self.enabled and (not self.types or kind in self.types)


# ── Reads ────────────────────────────────────────────────────────────────────────────────────────


def all_endpoints() -> list[Endpoint]:
    """All endpoints, as they stand, without those that cannot be read."""
    found = EndpointItem.query(ENDPOINTS, consistent_read=True)
    return list(unreadable.readable(found, _endpoint, "endpoint", lambda item: item.sk))


def get(endpoint_id: str) -> Endpoint:
    """An endpoint, as it stands.

    Raises
    ------
    EndpointNotFound
    TemporarilyUnavailable
        It cannot be read.
    """
    return unreadable.required(lambda: _read(endpoint_id), "endpoint", endpoint_id)


def _read(endpoint_id: str) -> Endpoint:
    try:
        return _endpoint(EndpointItem.get(ENDPOINTS, endpoint_id, consistent_read=True))
    except DoesNotExist:
        raise _unknown() from None


def _unknown() -> EndpointNotFound:
    return EndpointNotFound("There is no such webhook")


def _endpoint(item: EndpointItem) -> Endpoint:
    return Endpoint(
        endpoint_id=item.sk,
        url=item.url,
        types=tuple(item.types),
        description=item.description,
        enabled=item.enabled,
        disabled_reason=item.disabled_reason,
        failing_since=clock.from_iso(item.failing_since) if item.failing_since else None,
        created_at=clock.from_iso(item.created_at),
        updated_at=clock.from_iso(item.updated_at),
    )


def is_unchanged(endpoint: Endpoint) -> bool:
    """Whether the owner has neither changed nor deleted an endpoint since it was read. Raises
    `TemporarilyUnavailable` if it cannot be read."""
    try:
        return get(endpoint.endpoint_id).updated_at == endpoint.updated_at
    except EndpointNotFound:
        return False


def secrets_of(endpoint_id: str) -> list[str]:
    """The secrets that sign now, the newest first; none if the endpoint was deleted."""
    try:
        item = SecretItem.get(SECRETS, endpoint_id, consistent_read=True)
    except DoesNotExist:
        return []
    now = clock.seconds()
    older = [(item.previous, item.previous_until), (item.earlier, item.earlier_until)]
    return [item.secret, *(secret for secret, until in older if secret and until > now)]


# ── The owner's changes ──────────────────────────────────────────────────────────────────────────


def create(url: str, types: Sequence[str], description: str | None) -> tuple[Endpoint, str]:
    """Add an endpoint. Returns it, and its secret.

    Raises
    ------
    TooManyEndpoints
    """
    if len(all_endpoints()) >= MAX_ENDPOINTS:
        raise TooManyEndpoints("There are too many webhooks", details=f"at most {MAX_ENDPOINTS}")
    now = clock.now()
    endpoint_id, secret = str(uuid.uuid4()), signatures.new_secret()
    # The secret first. After a crash in between, a secret without an endpoint is left, and signs
    # nothing.
    SecretItem(sk=endpoint_id, secret=secret).save()
    item = EndpointItem(
        sk=endpoint_id,
        url=url,
        types=list(types),
        description=description,
        enabled=True,
        created_at=clock.iso(now),
        updated_at=clock.iso(now),
    )
    item.save()
    return _endpoint(item), secret


def change(
    endpoint_id: str,
    *,
    url: str | None = None,
    types: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Endpoint:
    """Change what is given. Enabling, or another URL, clears the failures before.

    Raises
    ------
    EndpointNotFound
    """
    actions: list[Action] = []
    if url is not None:
        actions.append(EndpointItem.url.set(url))
    if types is not None:
        actions.append(EndpointItem.types.set(list(types)))
    if description is not None:
        actions.append(EndpointItem.description.set(description))
    if enabled is not None:
        actions.append(EndpointItem.enabled.set(enabled))
    if url is not None or enabled:
        actions.append(EndpointItem.failing_since.remove())
    if enabled:
        actions.append(EndpointItem.disabled_reason.remove())
    elif enabled is False:
        actions.append(EndpointItem.disabled_reason.set("owner"))
    return _update(endpoint_id, actions)


def rotate(endpoint_id: str) -> str:
    """Replace an endpoint's secret. The one before signs, too, for another day. Returns the new
    secret.

    If the response is lost, the owner repeats the call and has never seen the secret before. So
    the one before that signs for its day, too.

    Raises
    ------
    EndpointNotFound
    SecretsStillSign
        There were two rotations within a day: another one would end a secret before its time.
    TemporarilyUnavailable
        The endpoint cannot be read.
    """
    secret = signatures.new_secret()
    now = clock.now()
    until = clock.epoch(now + ROTATION)
    none_promised = SecretItem.earlier_until.does_not_exist() | (
        SecretItem.earlier_until <= clock.epoch(now)
    )
    try:
        # Not by the model, whose updates return the whole item.
        aws.table(SecretItem).update_item(
            SECRETS,
            endpoint_id,
            actions=[
                # All values are those from before this update.
                SecretItem.earlier.set(SecretItem.previous | ""),
                SecretItem.earlier_until.set(SecretItem.previous_until | 0),
                SecretItem.previous.set(SecretItem.secret),
                SecretItem.previous_until.set(until),
                SecretItem.secret.set(secret),
            ],
            condition=SecretItem.secret.exists() & none_promised,
        )
    except UpdateError as error:
        if not aws.condition_failed(error):
            raise
        get(endpoint_id)
        raise SecretsStillSign(
            "Two former secrets of the webhook still sign", details="each for a day"
        ) from None
    return secret


def delete(endpoint_id: str) -> None:
    """Delete an endpoint and its secret. What is queued for it is dropped. Idempotent."""
    EndpointItem(sk=endpoint_id).delete()
    SecretItem(sk=endpoint_id).delete()


# ── What deliveries show ─────────────────────────────────────────────────────────────────────────


def mark_failing(endpoint: Endpoint) -> Endpoint:
    """Record when an endpoint began to fail, if it did not fail before, and the owner has not
    changed it since it was read."""
    if endpoint.failing_since is not None:
        return endpoint
    now = clock.now()
    _update_quietly(
        endpoint, [EndpointItem.failing_since.set(clock.iso(now))], _unchanged(endpoint)
    )
    return replace(endpoint, failing_since=now)


def mark_working(endpoint: Endpoint) -> None:
    """Record that an attempt succeeded."""
    if endpoint.failing_since is not None:
        _update_quietly(endpoint, [EndpointItem.failing_since.remove()], EndpointItem.url.exists())


def disable(endpoint: Endpoint, reason: DisabledReason) -> bool:
    """Send no more events to an endpoint, until the owner enables it. Returns False, and does
    nothing, if the owner has changed it since it was read: the failures may be those of a URL that
    it no longer has."""
    return _update_quietly(
        endpoint,
        [EndpointItem.enabled.set(False), EndpointItem.disabled_reason.set(reason)],
        _unchanged(endpoint),
    )


def _unchanged(endpoint: Endpoint) -> Condition:
    """That the owner has not changed an endpoint since it was read, nor deleted it."""
    return EndpointItem.updated_at == clock.iso(endpoint.updated_at)


def _update_quietly(endpoint: Endpoint, actions: list[Action], condition: Condition) -> bool:
    try:
        EndpointItem(sk=endpoint.endpoint_id).update(actions, condition=condition)
    except UpdateError as error:
        if not aws.condition_failed(error):
            raise
        return False
    return True


def _update(endpoint_id: str, actions: list[Action]) -> Endpoint:
    item = EndpointItem(sk=endpoint_id)
    try:
        item.update(
            [*actions, EndpointItem.updated_at.set(clock.iso(clock.now()))],
            condition=EndpointItem.url.exists(),
        )
    except UpdateError as error:
        if aws.condition_failed(error):
            raise _unknown() from None
        raise
    return _endpoint(item)
