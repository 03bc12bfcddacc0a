"""What takes most of moto's time, done otherwise."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.endpoint import Endpoint
from botocore.parsers import create_parser
from botocore.useragent import UserAgentString
from moto.core.base_backend import BaseBackend
from moto.core.exceptions import JsonRESTError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import method_names_from_class
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler


@contextmanager
def quick_moto() -> Iterator[None]:
    """Let moto answer and undo transactions in a fraction of the time, with the same results."""
    with pytest.MonkeyPatch.context() as patch:
        # moto inspects the class of a service's operations again at each call.
        names = functools.cache(method_names_from_class)
        patch.setattr("moto.core.responses.method_names_from_class", names)
        # moto composes the addresses of a service again at each call.
        urls: Any = BaseBackend.urls
        patch.setattr(BaseBackend, "urls", property(functools.cache(urls.fget)))
        # botocore composes the same header again for each call.
        patch.setattr(UserAgentString, "to_string", lambda _: "botocore")
        _call_directly(patch)
        _undo_item_by_item(patch)
        yield


_DIRECT = frozenset(
    {
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"),
        *("BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems"),
    }
)
"""DynamoDB's operations on items. moto makes their responses of the types that botocore returns."""


_BINARY = re.compile(rb'"BS?":')
"""Matches in a request with binary values, which moto's parser must decode."""


def _call_directly(patch: pytest.MonkeyPatch) -> None:
    """Let botocore call moto's DynamoDB without HTTP between the two.

    Otherwise botocore signs each request, moto searches the addresses of all services for it, and
    both write and parse headers and bodies: twice the time of the operation itself. botocore checks
    and serializes the parameters, emits the events around a call and raises the errors as before.
    """
    send = Endpoint.make_request

    def make_request(self: Endpoint, operation: Any, request: dict[str, Any]) -> Any:
        if operation.name not in _DIRECT or _BINARY.search(request["body"]):
            return send(self, operation, request)
        handler = DynamoHandler()
        handler.current_account = DEFAULT_ACCOUNT_ID
        handler.region = request["context"]["client_region"]
        handler.body = handler.params = json.loads(request["body"])
        status = 200
        try:
            result = getattr(handler, xform_name(operation.name))().result
            parsed = {name: result[name] for name in operation.output_shape.members.keys() & result}
        except JsonRESTError as error:
            status, parsed = error.code, _parsed(error, operation)
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": {}}
        return AWSResponse(request["url"], status, HTTPHeaders(), None), parsed

    patch.setattr(Endpoint, "make_request", make_request)


def _parsed(error: JsonRESTError, operation: Any) -> dict[str, Any]:
    """What botocore reads from the response of an error."""
    parser = create_parser(operation.service_model.resolved_protocol)
    response = {"body": error.description.encode(), "headers": {}, "status_code": error.code}
    parsed: dict[str, Any] = parser.parse(response, operation.output_shape)
    shape = operation.service_model.shape_for_error_code(parsed["Error"]["Code"])
    return parsed | (parser.parse(response, shape) if shape else {})


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
