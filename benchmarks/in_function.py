"""Runs one function repeatedly, and after each run the same AWS calls alone, in one process.

`benchmarks.handlers` starts it on the functions' own interpreter, without site, so only the
packages of the layers can be imported. Standard input is one JSON object,
``{"path", "event", "fresh", "status", "warm_up", "rounds"}``: the search path, the event, the
header that gets a new value in each round (or null), the expected HTTP status (or null for a
function that HTTP does not call), and the numbers of rounds that are not counted and that are
counted. Standard output is a list of rounds,
``{"handler_ms", "handler_cpu_ms", "bare_ms", "bare_cpu_ms", "calls"}``.
"""

import copy
import importlib
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any


class Context:
    """The `context` argument of a handler."""

    function_name = "bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    aws_request_id = "8f5f0d0e-52a1-4a55-9c4e-5b6f6c8fb2a3"

    def get_remaining_time_in_millis(self) -> int:
        return 20_000


class Recorder:
    """The AWS calls a handler makes, as the parameters that botocore was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        self.calls.append((service, model.name, copy.deepcopy(params)))


def main() -> None:
    task = json.load(sys.stdin)
    sys.path[:0] = task["path"]

    # These can be imported only after the search path is set.
    import boto3  # noqa: PLC0415
    from botocore import handlers  # noqa: PLC0415

    bare = {name: boto3.client(name) for name in ("dynamodb", "stepfunctions", "secretsmanager")}
    recorder = Recorder()
    # Every Session copies this list when it is created; those of the bare clients exist already.
    handlers.BUILTIN_HANDLERS.append(("provide-client-params", recorder.note))
    boto3.setup_default_session()

    rounds = []
    with open(os.devnull, "w", encoding="utf-8") as log:
        with redirect_stdout(log):  # the logger keeps the stream of its import
            handler = importlib.import_module("app").handler
        for _ in range(task["warm_up"] + task["rounds"]):
            event = copy.deepcopy(task["event"])
            if task["fresh"]:
                event["headers"][task["fresh"]] = uuid.uuid4().hex
            recorder.calls.clear()
            with redirect_stdout(log), timed() as of_handler:
                answer = handler(event, Context())
            if task["status"] is not None and answer["statusCode"] != task["status"]:
                raise RuntimeError(f"the handler answered {answer}")
            with timed() as of_bare:
                replay(bare, recorder.calls)
            rounds.append(
                {
                    "handler_ms": of_handler[0],
                    "handler_cpu_ms": of_handler[1],
                    "bare_ms": of_bare[0],
                    "bare_cpu_ms": of_bare[1],
                    "calls": [operation for _, operation, _ in recorder.calls],
                }
            )
    json.dump(rounds[task["warm_up"] :], sys.stdout)


@contextmanager
def timed() -> Iterator[list[float]]:
    """Measures a block: wall time and processor time, in milliseconds."""
    taken: list[float] = []
    cpu, started = time.process_time(), time.perf_counter()
    yield taken
    ended, cpu_ended = time.perf_counter(), time.process_time()
    taken += [(ended - started) * 1000, (cpu_ended - cpu) * 1000]


def replay(clients: dict[str, Any], calls: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Make the same calls with plain clients, one after the other."""
    for service, operation, params in calls:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        getattr(clients[service], name)(**params)


if __name__ == "__main__":
    main()
