"""One execution environment of one Python function: import the handler once, then answer events.

A fork of `forkserver.py`, with three pipes: requests in, answers out, and a lifeline that carries
no data (it is closed when the emulator ends for any reason). Requests and answers are lines of
JSON; the first request describes the environment. Standard output and error are the function's
log; after each invocation a line `\\x1e<request id>` marks the end of its output.

As on AWS the search path is the function's code, then its layers, then only the standard library,
so an undeclared import fails here too. If the packages of a layer are built for another platform,
its file `python.path` names the directories of this platform's packages, one per line.

Errors have the shapes of the AWS runtime: Runtime.ImportModuleError, Runtime.HandlerNotFound,
Runtime.MarshalError, and the exception's own class name with `errorMessage`, `requestId` and
`stackTrace`.
"""

import importlib
import importlib.util
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any

END_OF_LOG = "\x1e"


class Context:
    """The `context` argument of a handler (the attributes Python functions are given)."""

    identity = None
    client_context = None

    def __init__(self, request_id: str, arn: str, deadline: float) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class HandlerUnavailableError(Exception):
    """The handler cannot be called; `payload` is AWS's response to every invocation."""

    def __init__(self, payload: dict[str, Any]) -> None:
        super().__init__(payload["errorMessage"])
        self.payload = payload


def exit_with_emulator(lifeline: int) -> None:
    """Exit as soon as the lifeline is closed, also while the handler runs."""

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def search_path(code: str, layers: list[str]) -> list[str]:
    """The directories a handler imports from, besides the standard library."""
    return [code, *layer_path(layers)]


def own_modules(layer: str) -> str:
    """Where a layer's own modules are."""
    return os.path.join(layer, "python")


def layer_path(layers: list[str]) -> list[str]:
    """The directories that layers add to a search path."""
    path = []
    for layer in layers:
        path.append(own_modules(layer))
        elsewhere = os.path.join(layer, "python.path")
        if os.path.exists(elsewhere):
            with open(elsewhere, encoding="utf-8") as lines:
                path.extend(line.strip() for line in lines)
    return path


def load_handler(name: str) -> Callable[[Any, Context], Any]:
    """The function named `module.function`, or `HandlerUnavailableError` as AWS reports it."""
    module_name, _, function_name = name.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise HandlerUnavailableError(
            {
                "errorMessage": f"Unable to import module '{module_name}': {error}",
                "errorType": "Runtime.ImportModuleError",
                "requestId": "",
                "stackTrace": [],
            }
        ) from error
    except Exception as error:
        raise HandlerUnavailableError(described(error, "")) from error
    handler: Callable[[Any, Context], Any] | None = getattr(module, function_name, None)
    if handler is None:
        raise HandlerUnavailableError(
            {
                "errorMessage": f"Handler '{function_name}' missing on module '{module_name}'",
                "errorType": "Runtime.HandlerNotFound",
                "requestId": "",
                "stackTrace": [],
            }
        )
    return handler


def described(error: Exception, request_id: str) -> dict[str, Any]:
    """An exception as the AWS runtime reports it, without this file's own frames."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_list(frames),
    }


def log_failure(failure: dict[str, Any], text: str) -> None:
    """Log an exception as the AWS runtime does: in the log format JSON as one object with these
    members, otherwise as text."""
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = json.dumps({"timestamp": at, "level": "ERROR", **failure})
    print(text, file=sys.stderr)


def load_observer(settings: dict[str, Any]) -> Any:
    """The observer beside this file, loaded by path so that no handler can import it."""
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "observer.py")
    spec = importlib.util.spec_from_file_location("_clipmint_observer", where)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load {where}")
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Observer(**settings)


def invoke(
    handler: Callable[[Any, Context], Any], request: dict[str, Any]
) -> tuple[str, dict[str, Any] | None]:
    """The handler's result as JSON text, and its error if it raised one."""
    request_id = request["request_id"]
    deadline = time.monotonic() + request["timeout_seconds"]
    try:
        result = handler(request["event"], Context(request_id, request["arn"], deadline))
    except Exception as error:  # noqa: BLE001 - the runtime reports every exception of a handler
        failure = described(error, request_id)
        log_failure(failure, "".join(traceback.format_exception(error)))
        return "null", failure
    try:
        return json.dumps(result), None
    except (TypeError, ValueError) as error:
        return "null", {
            "errorMessage": f"Unable to marshal response: {error}",
            "errorType": "Runtime.MarshalError",
            "requestId": request_id,
            "stackTrace": [],
        }


def enter(environment: dict[str, Any]) -> None:
    """Set a function's environment variables, working directory and search path."""
    os.environ.clear()
    os.environ.update(environment["variables"])
    # The C library still has the time zone of the fork server.
    time.tzset()
    code = environment["code"]
    os.chdir(code)
    forget_shadowed(code)
    path = search_path(code, environment["layers"])
    sys.path[:] = path + [entry for entry in sys.path if entry not in path]


def forget_shadowed(code: str) -> None:
    """Forget imported modules that the function's own modules replace, as on AWS."""
    own = {name.partition(".")[0] for name in os.listdir(code)} - sys.stdlib_module_names
    for name in list(sys.modules):
        if name.partition(".")[0] in own:
            del sys.modules[name]


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Read the environment's description, then serve one request after the other until the end."""
    environment = json.loads(requests.readline())
    enter(environment)
    observer = load_observer(environment["observer"])
    failure: dict[str, Any] | None = None
    handler: Callable[[Any, Context], Any] | None = None
    try:
        handler = load_handler(environment["handler"])
    except HandlerUnavailableError as unavailable:
        failure = unavailable.payload
        log_failure(failure, f"[ERROR] {failure['errorType']}: {failure['errorMessage']}")
    answers.write("ready\n")
    answers.flush()
    for line in requests:
        request = json.loads(line)
        os.environ["_X_AMZN_TRACE_ID"] = request["trace_id"]
        observer.begin(request["request_id"], request["event"])
        result, error = invoke(handler, request) if handler else ("null", failure)
        observer.end(result, error)
        sys.stdout.flush()
        sys.stderr.write(f"{END_OF_LOG}{request['request_id']}\n")
        sys.stderr.flush()
        answers.write(f'{{"result": {result}, "error": {json.dumps(error)}}}\n')
        answers.flush()


def main(requests: int, answers: int, lifeline: int) -> None:
    """Serve with these descriptors until the pipe of requests is closed."""
    exit_with_emulator(lifeline)
    with open(requests, encoding="utf-8") as lines_in, open(answers, "w", encoding="utf-8") as out:
        serve(lines_in, out)
