"""Plays one state of a generation: the test wrote a step for each of its turns into the table.

`<job>/<state>` holds the steps: `raise` an error of that class, `sleep` so many seconds, `return` a
value. The last step repeats. `<job>/<state>/<turn>` is where each turn's event is left.
"""

import json
import os
import time
from typing import Any

import boto3

STATE = os.environ["AWS_LAMBDA_FUNCTION_NAME"].split("-")[1].removeprefix("Play")
TABLE = os.environ["TABLE"]
dynamodb = boto3.client("dynamodb")


def handler(event: dict[str, Any], context: Any) -> Any:
    del context
    part = f"{event['job_id']}/{STATE}"
    item = dynamodb.update_item(
        TableName=TABLE,
        Key={"id": {"S": part}},
        UpdateExpression="ADD turns :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    turn = int(item["turns"]["N"])
    dynamodb.put_item(
        TableName=TABLE,
        Item={"id": {"S": f"{part}/{turn}"}, "event": {"S": json.dumps(event)}},
    )
    steps = json.loads(item["steps"]["S"])
    step = steps[min(turn, len(steps)) - 1]
    time.sleep(step.get("sleep", 0))
    if "raise" in step:
        raise type(step["raise"], (Exception,), {})(f"turn {turn}")
    return step.get("return", {})
