"""Records the invocations and AWS calls of a worker, and kills the worker at a planned point.

Every invocation and every AWS call becomes one line of JSON appended to the stack's journal:

    {"kind": "begin", "function", "request_id", "at", "cold", "event", "pid"}
    {"kind": "call", "function", "request_id", "at", "milliseconds", "service", "operation",
     "resource", "request_bytes", "response_bytes", "capacity", "units", "status", "retries",
     "error"}
    {"kind": "end", "function", "request_id", "at", "milliseconds", "cpu_milliseconds",
     "peak_megabytes", "result", "error"}

`at` is in epoch seconds, `resource` the table, bucket, function, secret or state machine called (a
transaction names its tables, comma separated), `error` the AWS error code or null. `capacity` is
the capacity that DynamoDB reports for the call, indexes included, in units, and `units` the same by
table and by index (`table/index`); null if it reports none. The observer adds the parameter that
requests the report to every call. `peak_megabytes` is the most memory this worker ever had,
including the memory it was forked with (a stack without `preload` forks workers that have imported
nothing); null if the system does not report it.
An invocation that crashed has a `begin` and no `end`.

A crash is a file in the stack's crash folder, {"function", "operation", "resource", "moment",
"nth", "about"}. The worker that reaches the nth such call of one invocation with the text `about`
in its event removes the file and kills itself: `before` the call is sent, or `after` its response
came. The operation "Return" is the end of the handler: its work is done, and its result is never
sent. Removing the file is atomic, so one file kills one worker.

The observer registers handlers with botocore's event system; the shipped code is not changed.
"""

import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import Any

HOOKED_MODULE = "botocore.handlers"
# The parameter of a call that has the name of its resource, by service.
RESOURCE_PARAMETERS = {
    "dynamodb": "TableName",
    "s3": "Bucket",
    "lambda": "FunctionName",
    "secretsmanager": "SecretId",
    "ssm": "Name",
}
ASK_CAPACITY = "ReturnConsumedCapacity"
# Our key in botocore's context of a call, which lasts from its first event to its last.
CALL, STARTED = "clipmint_call", "clipmint_started"


class Observer:
    """Records one worker's invocations and calls, and carries out planned crashes."""

    def __init__(self, function: str, journal: str, crashes: str) -> None:
        self._function = function
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._crashes = crashes
        self._request_id = ""
        self._event: object = None
        self._began = self._cpu = 0.0
        self._cold = True
        self._seen: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        if HOOKED_MODULE in sys.modules:
            self.hook(sys.modules[HOOKED_MODULE])
        else:
            sys.meta_path.insert(0, _BotocoreHook(self))

    def hook(self, handlers: Any) -> None:
        """Observe the calls of every botocore session that is created from now on."""
        # Every Session copies this list when it is created.
        handlers.BUILTIN_HANDLERS += [
            ("provide-client-params", self.on_parameters),
            ("before-call", self.on_before),
            ("after-call", self.on_after),
            ("after-call-error", self.on_no_answer),
        ]

    def begin(self, request_id: str, event: object) -> None:
        self._request_id, self._began = request_id, time.monotonic()
        self._event = event
        self._cpu = time.process_time()
        self._seen.clear()
        self._write({"kind": "begin", "cold": self._cold, "event": event, "pid": os.getpid()})
        self._cold = False

    def end(self, result: str, error: dict[str, Any] | None) -> None:
        self._crash_if_planned("before", "Return", "")
        self._write(
            {
                "kind": "end",
                "milliseconds": _milliseconds_since(self._began),
                "cpu_milliseconds": round((time.process_time() - self._cpu) * 1000, 3),
                "peak_megabytes": _peak_megabytes(),
                "result": json.loads(result),
                "error": error,
            }
        )

    # The botocore events of a call, in order; the names of the keyword arguments are botocore's.

    def on_parameters(
        self, params: dict[str, Any], model: Any, context: Any, **_: Any
    ) -> dict[str, Any] | None:
        service = model.service_model.service_name
        context[CALL] = {
            "kind": "call",
            "service": service,
            "operation": model.name,
            "resource": resource_of(service, params),
        }
        if ASK_CAPACITY not in getattr(model.input_shape, "members", {}):
            return None
        return {**params, ASK_CAPACITY: "INDEXES"}

    def on_before(self, params: dict[str, Any], context: Any, **_: Any) -> None:
        call = context[CALL]
        context[STARTED] = time.monotonic()
        call["request_bytes"] = _length(params.get("body"))
        self._crash_if_planned("before", call["operation"], call["resource"])

    def on_after(
        self, http_response: Any, parsed: dict[str, Any], model: Any, context: Any, **_: Any
    ) -> None:
        call = context[CALL]
        units = units_of(parsed)
        self._write(
            call
            | {
                "milliseconds": _milliseconds_since(context[STARTED]),
                "status": http_response.status_code,
                "retries": parsed.get("ResponseMetadata", {}).get("RetryAttempts", 0),
                "error": parsed.get("Error", {}).get("Code"),
                "capacity": sum(units.values()) if units else None,
                "units": units,
                # A stream has not been read yet, and only the handler may read it.
                "response_bytes": None
                if model.has_streaming_output
                else len(http_response.content),
            }
        )
        self._crash_if_planned("after", call["operation"], call["resource"])

    def on_no_answer(self, exception: Exception, context: Any, **_: Any) -> None:
        self._write(
            context[CALL]
            | {
                "milliseconds": _milliseconds_since(context[STARTED]),
                "status": None,
                "retries": None,
                "error": type(exception).__name__,
                "capacity": None,
                "units": None,
                "response_bytes": 0,
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        whole = {
            "kind": line.pop("kind"),
            "function": self._function,
            "request_id": self._request_id,
            "at": time.time(),
            **line,
        }
        # One write to a file opened for appending: lines of several workers cannot mix.
        os.write(self._journal, (json.dumps(whole, default=str) + "\n").encode())

    def _crash_if_planned(self, moment: str, operation: str, resource: str) -> None:
        with self._lock:
            if moment == "before":
                self._seen[(operation, resource)] += 1
            for name in os.listdir(self._crashes):
                path = os.path.join(self._crashes, name)
                if self._is_due(path, moment, operation, resource):
                    try:
                        os.unlink(path)
                    except FileNotFoundError:
                        continue  # another worker has removed this file
                    os.kill(os.getpid(), signal.SIGKILL)

    def _is_due(self, path: str, moment: str, operation: str, resource: str) -> bool:
        try:
            with open(path, encoding="utf-8") as file:
                plan = json.load(file)
        except FileNotFoundError:
            return False
        wanted = plan["resource"]
        count = sum(
            times
            for (seen_operation, seen_resource), times in self._seen.items()
            if seen_operation == plan["operation"] and (not wanted or wanted in seen_resource)
        )
        return bool(
            plan["function"] == self._function
            and plan["operation"] == operation
            and plan["moment"] == moment
            and (not wanted or wanted in resource)
            and plan["nth"] == count
            and plan["about"] in json.dumps(self._event)
        )


def resource_of(service: str, params: dict[str, Any]) -> str:
    """The name of the resource of a call, or "" if it has none."""
    if service == "dynamodb" and ("TransactItems" in params or "RequestItems" in params):
        return ",".join(sorted(set(_tables(params))))
    if service == "stepfunctions":
        return str(params.get("stateMachineArn") or params.get("executionArn") or "")
    return str(params.get(RESOURCE_PARAMETERS.get(service, ""), ""))


def units_of(parsed: dict[str, Any]) -> dict[str, float] | None:
    """The capacity units that a response of DynamoDB reports, by table and by index."""
    consumed = parsed.get("ConsumedCapacity")
    if not consumed:
        return None
    units = {}
    for table in consumed if isinstance(consumed, list) else [consumed]:
        name, rest = table["TableName"], float(table["CapacityUnits"])
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            for index, used in table.get(kind, {}).items():
                units[f"{name}/{index}"] = float(used["CapacityUnits"])
                rest -= used["CapacityUnits"]
        units[name] = rest
    return units


def _tables(params: dict[str, Any]) -> list[str]:
    if "RequestItems" in params:
        return list(params["RequestItems"])
    return [
        str(action["TableName"]) for item in params["TransactItems"] for action in item.values()
    ]


def _length(body: object) -> int:
    if isinstance(body, str):
        return len(body.encode())
    return len(body) if isinstance(body, bytes | bytearray) else 0


def _milliseconds_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)


def _peak_megabytes() -> float | None:
    # Not getrusage: its value survives exec, so it would include the parent's memory.
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            [kilobytes] = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    except (OSError, ValueError):
        return None
    return round(int(kilobytes) / 1024, 1)


class _BotocoreHook(importlib.abc.MetaPathFinder):
    """Adds the observer to botocore when a handler imports it. Importing botocore here would add a
    tenth of a second to the start of every worker, also of those that do not use it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != HOOKED_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            observer, loader = self._observer, spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                observer.hook(module)

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
