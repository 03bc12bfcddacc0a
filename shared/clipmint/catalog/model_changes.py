"""Changes of the catalog by its owner: each is a version with an author.

The last versions are kept in the model's own item, so that a change and its record are one write.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from pynamodb.exceptions import DeleteError, DoesNotExist, PutError
from pynamodb.expressions.condition import Condition

from clipmint import aws, clock, unreadable
from clipmint.catalog import model_store
from clipmint.catalog.model import MAX_MODEL_ID_CHARACTERS, Model
from clipmint.catalog.model_store import CatalogItem
from clipmint.errors import try_again
from clipmint.telemetry import logger
from clipmint.unreadable import UNREADABLE
from clipmint.values import frozen

T = TypeVar("T")

HISTORY = 10
"""Earlier versions of a model that are kept, if they fit. Functions do not read them with the
catalog."""

MAX_ENTRY_BYTES = 30_000
"""Of a model as JSON, so that its item has room for its history."""

MAX_HISTORY_BYTES = 300_000
"""Of the earlier versions together: DynamoDB's items have at most 400 KB."""

CHANGE_ATTEMPTS = 5


@frozen
class Version:
    """A model as it was or is. ``version`` counts from 1, for a model that was added with a
    deployment or by an earlier version of this code, too; then there is no author."""

    model: Model
    version: int
    changed_by: str | None
    changed_at: str | None


def change(model: Model, author: str) -> int:
    """Add or replace a model, and keep the version before with its author.

    Returns
    -------
    int
        The number of the new version.

    Raises
    ------
    TemporarilyUnavailable
        Others are changing this model.
    """

    def attempt() -> int:
        before = _item(model.model_id)
        item = model_store.item_of(model)
        item.version = _number(before) + 1 if before else 1
        item.changed_by, item.changed_at = author, clock.iso(clock.now())
        if before:
            item.history = _kept([_past(before), *(before.history or [])])
        item.save(condition=_unchanged(before))
        return int(item.version)

    number = _retried(attempt)
    model_store.forget_model(model.model_id)
    logger.info("model changed", extra={"model_id": model.model_id, "version": number})
    return number


def delete(model_id: str, author: str) -> None:
    """Delete a model with its history. A default model does not come back with an update.

    Raises
    ------
    ModelNotFound
        There is none.
    TemporarilyUnavailable
        Others are changing this model.
    """

    def attempt() -> None:
        before = _item(model_id)
        if before is None:
            raise model_store.no_model(model_id)
        before.delete(condition=_unchanged(before))

    _retried(attempt)
    model_store.forget_model(model_id)
    logger.warning("model deleted", extra={"model_id": model_id, "by": author})


def versions(model_id: str) -> list[Version]:
    """The model as it is now, and its earlier versions, newest first.

    Raises
    ------
    ModelNotFound
        There is none, or it cannot be read.
    """
    item = _item(model_id)
    if item is None:
        raise model_store.no_model(model_id)
    try:
        now = Version(model_store.model_of(item), _number(item), item.changed_by, item.changed_at)
    except UNREADABLE as error:
        unreadable.report("model", model_id, error)
        raise model_store.no_model(model_id) from None
    past = unreadable.readable(item.history or [], _version, "model", lambda _: model_id)
    return [now, *past]


def _version(past: str) -> Version:
    values = json.loads(past)
    model = Model.model_validate_json(values["entry"], extra="ignore")
    return Version(model, int(values["version"]), values["changed_by"], values["changed_at"])


def _past(item: CatalogItem) -> str:
    return json.dumps(
        {
            "entry": item.entry or item.definition,
            "version": _number(item),
            "changed_by": item.changed_by,
            "changed_at": item.changed_at,
        },
        ensure_ascii=False,
    )


def _kept(past: Sequence[str]) -> list[str]:
    """The newest of these versions that the item has room for."""
    sizes = itertools.accumulate(len(one.encode()) for one in past[:HISTORY])
    return [one for one, size in zip(past, sizes, strict=False) if size <= MAX_HISTORY_BYTES]


def _number(item: CatalogItem) -> int:
    return int(item.version or 1)


def _item(model_id: str) -> CatalogItem | None:
    if len(model_id) > MAX_MODEL_ID_CHARACTERS or model_id == model_store.STATE_ID:
        return None
    try:
        return CatalogItem.get(model_id, consistent_read=True)
    except DoesNotExist:
        return None


def _unchanged(item: CatalogItem | None) -> Condition:
    """That the item is still the one that was read. A version of this code without numbers may
    have replaced it."""
    if item is None:
        return CatalogItem.model_id.does_not_exist()
    number = CatalogItem.version
    same: Condition = number.does_not_exist() if item.version is None else number == item.version
    replaced: Condition = same & (CatalogItem.definition == item.definition)
    return replaced


def _retried(attempt: Callable[[], T]) -> T:
    return aws.retry_on_conflict(
        attempt,
        attempts=CHANGE_ATTEMPTS,
        conflict=lambda error: (
            isinstance(error, PutError | DeleteError) and aws.condition_failed(error)
        ),
        otherwise=try_again("The model is being changed", details="Nothing was changed"),
    )
