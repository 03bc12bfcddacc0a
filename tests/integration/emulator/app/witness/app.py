"""Writes its events to the table: execution events, and a custom resource's properties."""

import json
import os
import urllib.request
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event: dict[str, Any], context: Any) -> None:
    del context
    if "ResponseURL" in event:
        keep("made", event["ResourceProperties"])
        answer_cloudformation(event)
    else:
        keep(f"witness/{event['detail']['name']}", event["detail"])


def keep(name: str, what: Any) -> None:
    dynamodb.put_item(
        TableName=os.environ["TABLE"],
        Item={"id": {"S": name}, "event": {"S": json.dumps(what)}},
    )


def answer_cloudformation(event: dict[str, Any]) -> None:
    refused = event["ResourceProperties"]["Colour"] == "refused"
    answer = {
        "Status": "FAILED" if refused else "SUCCESS",
        "PhysicalResourceId": "made",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own URL
        event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT"
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
