"""What takes most of moto's time, done otherwise."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from moto.core.serialize import ResponseSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table


@contextmanager
def quick_moto() -> Iterator[None]:
    """Let moto answer and undo transactions in a fraction of the time, with the same results."""
    with pytest.MonkeyPatch.context() as patch:
        # moto inspects the class of a service's operations again at each call.
        names = functools.cache(method_names_from_class)
        patch.setattr("moto.core.responses.method_names_from_class", names)
        _answer_directly(patch)
        _undo_item_by_item(patch)
        yield


def _answer_directly(patch: pytest.MonkeyPatch) -> None:
    """Let moto write DynamoDB's responses without searching for names.

    moto looks for each of the ten members of every attribute value under six names, which takes
    half the time of a call. Its responses are dicts already, with the names that DynamoDB uses.
    """
    guess = ResponseSerializer.get_value

    def get_value(self: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
        if isinstance(value, dict) and self.service_model.service_name == "dynamodb":
            return value.get(key)
        return guess(self, value, key, shape)

    patch.setattr(ResponseSerializer, "get_value", get_value)


def _undo_item_by_item(patch: pytest.MonkeyPatch) -> None:
    """Let moto undo a rejected transaction by the items that it names.

    moto copies a whole table for each action of a transaction, in case it must undo it.
    """
    write = DynamoDBBackend.transact_write_items

    def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        undo = [
            _state_of(table, operation.get("Key") or operation.get("Item") or {})
            for action in transact_items
            for operation in action.values()
            if (table := self.tables.get(operation.get("TableName"))) is not None
        ]
        with pytest.MonkeyPatch.context() as during:
            # What moto copies, and restores, is the table itself.
            during.setattr(Table, "__deepcopy__", lambda table, _memo: table, raising=False)
            try:
                write(self, transact_items)
            except Exception:
                for restore in undo:
                    restore()
                raise

    patch.setattr(DynamoDBBackend, "transact_write_items", transact_write_items)


def _state_of(table: Table, attributes: Mapping[str, Any]) -> Callable[[], None]:
    """Remember an item and the length of its table's stream. Returns what restores both."""
    shard = table.stream_shard
    streamed = len(shard.items) if shard else 0
    key = [DynamoType(attributes[name]) for name in table.table_key_attrs if name in attributes]
    if len(key) < len(table.table_key_attrs):
        return lambda: None  # moto rejects it
    before = copy.deepcopy(_holder(table, key).get(key[-1]))

    def restore() -> None:
        if shard:
            del shard.items[streamed:]
        if before is None:
            _holder(table, key).pop(key[-1], None)
        else:
            _holder(table, key)[key[-1]] = before

    return restore


def _holder(table: Table, key: list[DynamoType]) -> dict[DynamoType, Any]:
    """Where moto keeps the items with this partition key, or all if the table has no sort key."""
    items: dict[DynamoType, Any] = table.items
    return items[key[0]] if table.range_key_attr else items
