"""Does what its event (or its request's body) requests, and returns what happened."""

import importlib
import json
import os
import random
import signal
import ssl
import sys
import time
import uuid
from typing import Any


class Declined(Exception):
    """An error with a class name of its own."""


def handler(event: dict[str, Any], context: Any) -> Any:
    if "Records" in event:
        return reject_once(event["Records"])
    wish = event
    if "requestContext" in event:
        wish = json.loads(event.get("body") or '{"do": "tell"}')
    elif "detail" in event:
        wish = event["detail"]
    answer = ACTIONS[wish["do"]](wish, event, context)
    if "requestContext" in event:
        return {"statusCode": 200, "body": json.dumps(answer)}
    return answer


def reject_once(records: list[Any]) -> Any:
    """Rejects the records of a stream the first time; a file has a line for each time."""
    change = records[0]["dynamodb"]
    with open(change["NewImage"]["file"]["S"], "a+", encoding="utf-8") as times:
        times.write("again\n")
        times.seek(0)
        first = len(times.readlines()) == 1
    failures = [{"itemIdentifier": change["SequenceNumber"]}] if first else []
    return {"batchItemFailures": failures}


def tell(_wish: Any, event: Any, _context: Any) -> Any:
    """The event itself."""
    return event


def fail(wish: Any, _event: Any, _context: Any) -> Any:
    raise Declined(wish.get("because", "no"))


def environment(_wish: Any, _event: Any, _context: Any) -> Any:
    return {"variables": dict(os.environ), "python": sys.executable, "path": sys.path}


def bring(wish: Any, _event: Any, _context: Any) -> Any:
    """The value of a name of an imported module."""
    return str(getattr(importlib.import_module(wish["module"]), wish.get("name", "__name__")))


def sleep(wish: Any, _event: Any, _context: Any) -> Any:
    time.sleep(wish["seconds"])
    return os.getpid()


def occupy(wish: Any, _event: Any, _context: Any) -> Any:
    """Runs until a file is gone."""
    while os.path.exists(wish["file"]):
        time.sleep(0.02)
    return os.getpid()


def leave(wish: Any, _event: Any, _context: Any) -> Any:
    if wish.get("status") is not None:
        os._exit(wish["status"])
    os.kill(os.getpid(), signal.SIGKILL)


def shout(wish: Any, _event: Any, _context: Any) -> Any:
    """Writes to both of the process's outputs."""
    print(wish["words"])
    os.write(2, b"and so says the file descriptor\n")
    return None


def unspeakable(_wish: Any, _event: Any, _context: Any) -> Any:
    return {1, 2}


def describe_context(_wish: Any, _event: Any, context: Any) -> Any:
    return {
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "request": context.aws_request_id,
        "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
    }


def write(wish: Any, _event: Any, _context: Any) -> Any:
    """Two items, then an object."""
    import boto3

    table = boto3.client("dynamodb")
    for number in (1, 2):
        table.put_item(TableName=os.environ["TABLE"], Item={"id": {"S": f"{wish['id']}-{number}"}})
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=wish["id"], Body=b"0123456789")
    return "written"


def finish(wish: Any, _event: Any, _context: Any) -> Any:
    """Report a task as done; the error code if that is refused."""
    import boto3
    from botocore.exceptions import ClientError

    try:
        boto3.client("stepfunctions").send_task_success(taskToken=wish["token"], output="{}")
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "finished"


def draw(_wish: Any, _event: Any, _context: Any) -> Any:
    """One number of each source of random numbers, and the process."""
    time.sleep(0.2)
    return [os.getpid(), random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex()]


def descriptors(_wish: Any, _event: Any, _context: Any) -> Any:
    """The pipes and sockets that this process has open, and the process."""
    time.sleep(0.2)
    folder = f"/proc/{os.getpid()}/fd"
    links = [f"{folder}/{name}" for name in os.listdir(folder)]
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    return [os.getpid(), [to for to in targets if to.startswith(("pipe:", "socket:"))]]


def zone(_wish: Any, _event: Any, _context: Any) -> Any:
    return time.strftime("%z", time.localtime(0))


ACTIONS = {
    "draw": draw,
    "descriptors": descriptors,
    "zone": zone,
    "tell": tell,
    "fail": fail,
    "environment": environment,
    "import": bring,
    "sleep": sleep,
    "occupy": occupy,
    "leave": leave,
    "shout": shout,
    "unspeakable": unspeakable,
    "context": describe_context,
    "write": write,
    "finish": finish,
}
