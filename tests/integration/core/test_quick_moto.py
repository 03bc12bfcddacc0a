"""moto without HTTP answers as moto does over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.support.moto_aws import REGION
from tests.support.quick_moto import quick_moto

TABLE = {"TableName": "things"}
ITEM = {
    "user_id": {"S": "user-1"},
    "sk": {"S": "1"},
    "text": {"S": "a fox \u00e4 \U0001f98a"},
    "empty": {"S": ""},
    "number": {"N": "-12.50"},
    "nothing": {"NULL": True},
    "truth": {"BOOL": False},
    "list": {"L": [{"N": "1"}, {"L": []}, {"M": {"a": {"S": "b"}}}]},
    "map": {"M": {"name": {"S": "x"}, "empty": {"M": {}}}},
    "strings": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "bytes": {"B": b"\x00\xff"},
    "several": {"BS": [b"a", b"\xfe"]},
}


def key(sk: str, user_id: str = "user-1") -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "sk": {"S": sk}}


def item(sk: str, **more: Any) -> dict[str, Any]:
    return {**key(sk), "number": {"N": sk}, **more}


def of(user_id: str = "user-1", **more: Any) -> dict[str, Any]:
    return {
        **TABLE,
        "KeyConditionExpression": "user_id = :user",
        "ExpressionAttributeValues": {":user": {"S": user_id}},
        **more,
    }


def written(sk: str, condition: str = "attribute_exists(sk)") -> dict[str, Any]:
    """An action of a transaction."""
    return {
        "Update": {
            **TABLE,
            "Key": key(sk),
            "UpdateExpression": "SET #n = if_not_exists(#n, :one) + :one",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#n": "number"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("get_item", {**TABLE, "Key": key("1")}),
    ("put_item", {**TABLE, "Item": ITEM}),
    ("get_item", {**TABLE, "Key": key("1"), "ReturnConsumedCapacity": "TOTAL"}),
    ("get_item", {**TABLE, "Key": key("1"), "ProjectionExpression": "sk, map.empty, list[2]"}),
    ("put_item", {**TABLE, "Item": ITEM, "ReturnValues": "ALL_OLD"}),
    (
        "put_item",
        {
            **TABLE,
            "Item": item("1"),
            "ConditionExpression": "attribute_not_exists(user_id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    ),
    ("put_item", {**TABLE, "Item": item("2"), "ConditionExpression": "attribute_exists(sk)"}),
    ("batch_write_item", {"RequestItems": {"things": [{"PutRequest": {"Item": item("3")}}]}}),
    (
        "update_item",
        {
            **TABLE,
            "Key": key("4"),
            "UpdateExpression": "SET #l = :list, #m = :map ADD visits :one",
            "ExpressionAttributeNames": {"#l": "list", "#m": "map"},
            "ExpressionAttributeValues": {
                ":list": {"L": [{"S": "a"}]},
                ":map": {"M": {"a": {"N": "1"}}},
                ":one": {"N": "1"},
            },
            "ReturnValues": "ALL_NEW",
        },
    ),
    (
        "update_item",
        {
            **TABLE,
            "Key": key("4"),
            "UpdateExpression": "SET #l = list_append(#l, :more), #m.b = :b REMOVE visits",
            "ExpressionAttributeNames": {"#l": "list", "#m": "map"},
            "ExpressionAttributeValues": {":more": {"L": [{"N": "2"}]}, ":b": {"SS": ["x"]}},
            "ReturnValues": "UPDATED_NEW",
        },
    ),
    (
        "update_item",
        {
            **TABLE,
            "Key": key("4"),
            "UpdateExpression": "SET text = :text",
            "ConditionExpression": "attribute_not_exists(sk)",
            "ExpressionAttributeValues": {":text": {"S": "b"}},
        },
    ),
    ("query", of()),
    ("query", of(Limit=1)),
    ("query", of(Limit=2, ExclusiveStartKey=key("1"), ScanIndexForward=False)),
    ("query", of(Select="COUNT")),
    ("query", of("user-2")),
    ("query", of(IndexName="by_number", ProjectionExpression="sk")),
    ("query", of(FilterExpression="attribute_exists(visits)")),
    ("scan", {**TABLE, "ConsistentRead": True}),
    ("scan", {**TABLE, "Limit": 2}),
    ("batch_get_item", {"RequestItems": {"things": {"Keys": [key("1"), key("3"), key("9")]}}}),
    ("transact_write_items", {"TransactItems": [written("3"), {"Put": {**TABLE, "Item": ITEM}}]}),
    (
        "transact_write_items",
        {"TransactItems": [written("3"), written("1", "attribute_not_exists(sk)"), written("9")]},
    ),
    *(
        (
            "transact_write_items",
            {"TransactItems": [written(sk)], "ClientRequestToken": "the same token each time"},
        )
        for sk in ("1", "1", "4")
    ),
    (
        "transact_write_items",
        {
            "TransactItems": [
                {"Delete": {**TABLE, "Key": key("2")}},
                {
                    "ConditionCheck": {
                        **TABLE,
                        "Key": key("9"),
                        "ConditionExpression": "attribute_not_exists(sk)",
                    }
                },
            ]
        },
    ),
    (
        "batch_write_item",
        {"RequestItems": {"things": [{"DeleteRequest": {"Key": key("2")}}]}},
    ),
    (
        "transact_get_items",
        {"TransactItems": [{"Get": {**TABLE, "Key": key(sk)}} for sk in ("1", "3", "9")]},
    ),
    ("delete_item", {**TABLE, "Key": key("3"), "ReturnValues": "ALL_OLD"}),
    ("delete_item", {**TABLE, "Key": key("3"), "ConditionExpression": "attribute_exists(sk)"}),
    ("get_item", {**TABLE, "Key": key("")}),
    ("get_item", {**TABLE, "Key": {"user_id": {"S": "user-1"}}}),
    ("get_item", {"TableName": "nothing", "Key": key("1")}),
    ("update_item", {**TABLE, "Key": key("1"), "UpdateExpression": "SET :text"}),
    ("put_item", {**TABLE, "Item": item("5", number={"N": "five"})}),
    ("scan", TABLE),
]


@contextmanager
def table(moto: Callable[[], AbstractContextManager[None]]) -> Iterator[Any]:
    """A client of an account with an empty table."""
    with mock_aws(), moto():
        client: Any = boto3.client("dynamodb", REGION)
        client.create_table(
            **TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind}
                for name, kind in (("user_id", "S"), ("sk", "S"), ("number", "N"))
            ],
            KeySchema=[
                {"AttributeName": "user_id", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by_number",
                    "KeySchema": [
                        {"AttributeName": "user_id", "KeyType": "HASH"},
                        {"AttributeName": "number", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield client


def answers(client: Any) -> list[Any]:
    """What each call returns, or the error that it raises."""
    found = []
    for operation, parameters in CALLS:
        try:
            answer = getattr(client, operation)(**parameters)
        except ClientError as error:
            answer = {"raised": type(error).__name__, "as": str(error)} | error.response
        status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
        found.append((operation, status, answer))
    return found


def test_every_operation_on_items_answers_as_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with table(nullcontext) as client:
        expected = answers(client)
    with table(quick_moto) as client:
        found = answers(client)
    assert len({str(answer) for *_, answer in expected}) > len(CALLS) / 2
    assert {status for _, status, _ in expected} == {200, 400}
    for one, other in zip(found, expected, strict=True):
        assert one == other
