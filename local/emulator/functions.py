"""Lambda: Python functions run as on AWS, in a limited number of workers, and leave no files.

How upstream differs from AWS, and why it matters here:

- It reports every exception as `Runtime.HandlerError`; `Retry` and `Catch` match class names.
- It runs handlers on its own interpreter with its own packages and the host's whole environment; an
  undeclared import or a stray variable would work here and fail on AWS.
- It starts workers without limit (a burst of 320 requests takes 5 GB), kills one after any handled
  exception, and adds 50 ms to each call without output to wait for its log.
- It leaves an unpacked copy of the code in /tmp for every worker.
- An update of a function ends its workers, also those that run an invocation; on AWS these finish.

Here a worker is a fork of `local/runtime/forkserver.py`, which runs on the configured interpreter
and has imported the packages of the function's layers, so a cold start is cheap. A worker can
import the same modules and has the same variables as if it had been started alone.

At most `workers_each` workers of one function run at a time, and at most `worker_cap` of all
functions. A call beyond that waits in the order of arrival, where AWS would start another
environment: on a computer with a few cores, more processes make every call slower. An idle worker
of another function is ended to free its place, and every worker that is idle for `idle_seconds` is
ended to free its memory. A handler must not invoke another function and wait for it, because the
callers could occupy all places. None of ours does.
"""

import contextlib
import copy
import hashlib
import io
import json
import os
import queue
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import lambda_svc

from local.emulator.forking import ForkServerLostError, ForkServers, Process
from local.emulator.places import Places
from local.emulator.settings import Settings
from local.emulator.upstream import corrects

# Correcting upstream means using its private names.
# ruff: noqa: SLF001

END_OF_LOG = "\x1e"
# Long enough to read a handler's last line from a pipe on a busy machine.
LOG_PATIENCE_SECONDS = 1.0
EXIT_PATIENCE_SECONDS = 2.0
LOOKS_PER_IDLE_TIME = 4


@dataclass(frozen=True)
class Answer:
    """The response of one invocation: a result, or an error payload in the AWS runtime's format."""

    result: Any
    error: dict[str, Any] | None
    log: str


class Worker:
    """One process serving one function. Upstream's pool keeps it, leases it and ends it.

    That pool reads `config`, `in_use`, `last_used`, `_proc` and `_discard_tmpdir`.
    """

    def __init__(
        self, settings: Settings, servers: ForkServers, config: dict[str, Any], code: bytes
    ) -> None:
        self._settings = settings
        self._servers = servers
        # A copy: upstream changes the configuration of $LATEST in place, and a worker belongs to
        # one revision.
        self.config = copy.deepcopy(config)
        self._code = code
        self._proc: Process | None = None
        self._pipes = contextlib.ExitStack()
        self._log: queue.Queue[str | None] = queue.Queue()
        self.in_use = False
        self.last_used = time.time()

    def invoke(self, event: object, request_id: str, trace_id: str | None, arn: str) -> Answer:
        """Run the handler once, invoked by `arn`.

        A crash or a timeout of the worker becomes an error payload.
        """
        process = self._proc
        if process is None or process.poll() is not None:
            process = self._start()
            allowed = self._settings.start_seconds
            ready = self._receive(process, allowed)
            if not ready:
                return self._lost(process, request_id, overran=allowed if ready is None else None)
        allowed = int(self.config.get("Timeout", 3))
        self._send(
            {
                "event": event,
                "request_id": request_id,
                "timeout_seconds": allowed,
                "trace_id": trace_id or "",
                "arn": arn,
            }
        )
        line = self._receive(process, allowed)
        if not line:
            return self._lost(process, request_id, overran=allowed if line is None else None)
        answer = json.loads(line)
        return Answer(answer["result"], answer["error"], self._log_until(request_id))

    def _discard_tmpdir(self) -> None:
        """Clean up. Upstream's pool calls this after it has ended the process."""
        self._pipes.close()

    def _start(self) -> Process:
        self._pipes.close()
        name = self.config["FunctionName"]
        code = unpacked(self._settings, self._code)
        layers = [
            unpacked(self._settings, lambda_svc._resolve_layer_zip(layer))
            for layer in self.config.get("Layers", [])
        ]
        variables = self._variables(code)
        requests_in, requests_out = os.pipe()
        answers_in, answers_out = os.pipe()
        lifeline_in, lifeline_out = os.pipe()
        log_in, log_out = os.pipe()
        theirs = (requests_in, answers_out, lifeline_in, log_out)
        self._requests = self._pipes.enter_context(os.fdopen(requests_out, "w", encoding="utf-8"))
        self._answers = self._pipes.enter_context(os.fdopen(answers_in, encoding="utf-8"))
        self._pipes.callback(os.close, lifeline_out)
        log = os.fdopen(log_in, "rb")
        try:
            process = self._servers.start(layers, variables, theirs)
        except ForkServerLostError:
            log.close()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._proc = process
        self._log = queue.Queue()
        # Crash tests find the processes of a function by these marks.
        mark = self._settings.workers / str(process.pid)
        mark.write_text(name, encoding="utf-8")
        threading.Thread(target=_read_log, args=(log, self._log, mark), daemon=True).start()
        self._send(
            {
                "variables": variables,
                "code": code,
                "layers": layers,
                "handler": self.config["Handler"],
                "observer": {
                    "function": name,
                    "journal": str(self._settings.journal),
                    "crashes": str(self._settings.crashes),
                },
            }
        )
        return process

    def _variables(self, code: str) -> dict[str, str]:
        """The variables that AWS sets, then the function's own. From this computer only PATH."""
        name = self.config["FunctionName"]
        region = self.config["FunctionArn"].split(":")[3]
        given = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": code,
            "TMPDIR": str(self._settings.temporary),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{self.config['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": self.config.get("Version", "$LATEST"),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.config.get("MemorySize", 128)),
            "AWS_LAMBDA_LOG_FORMAT": self.config.get("LoggingConfig", {}).get("LogFormat", "Text"),
            "AWS_LAMBDA_LOG_GROUP_NAME": log_group(self.config),
            "AWS_LAMBDA_LOG_STREAM_NAME": new_uuid(),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "_HANDLER": self.config["Handler"],
            # The only variable that AWS would not set: the endpoint of the emulator.
            "AWS_ENDPOINT_URL": self._settings.endpoint,
        }
        credentials = lambda_runtime.execution_credentials(self.config)
        declared = self.config.get("Environment", {}).get("Variables", {})
        return {**given, **declared, **{k: v for k, v in credentials.items() if v}}

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._requests.write(json.dumps(message) + "\n")
            self._requests.flush()
        except BrokenPipeError:
            pass  # the process has just ended: reading its response reports that

    def _receive(self, process: Process, seconds: float) -> str | None:
        """The worker's next line; "" if it has ended, None if it timed out and was killed."""
        overran = threading.Event()

        def end() -> None:
            overran.set()
            process.kill()

        alarm = threading.Timer(seconds, end)
        alarm.daemon = True
        alarm.start()
        line = self._answers.readline()
        alarm.cancel()
        return None if overran.is_set() and not line else line

    def _lost(self, process: Process, request_id: str, *, overran: float | None) -> Answer:
        """The error that AWS reports when the process of an invocation has ended."""
        status = process.wait(EXIT_PATIENCE_SECONDS)
        self._proc = None
        if overran is not None:
            kind, message = "Sandbox.Timedout", f"Task timed out after {overran:.2f} seconds"
        else:
            reason = f"exit status {status}" if status >= 0 else "signal: killed"
            kind, message = "Runtime.ExitError", f"Error: Runtime exited with error: {reason}"
        error = {"errorType": kind, "errorMessage": f"RequestId: {request_id} {message}"}
        return Answer(None, error, f"{self._log_until(request_id)}\n{error['errorMessage']}")

    def _log_until(self, request_id: str) -> str:
        """The lines of this invocation: up to its mark, or all lines if its process has ended."""
        lines: list[str] = []
        while True:
            try:
                line = self._log.get(timeout=LOG_PATIENCE_SECONDS)
            except queue.Empty:
                break
            if line is None or line == f"{END_OF_LOG}{request_id}":
                break
            lines.append(line)
        return "\n".join(lines)


def log_group(config: dict[str, Any]) -> str:
    """The log group a function writes to."""
    named = (config.get("LoggingConfig") or {}).get("LogGroup")
    return str(named or f"/aws/lambda/{config['FunctionName']}")


def _read_log(lines: IO[bytes], log: "queue.Queue[str | None]", mark: Path) -> None:
    """Queue the output of a process until it ends, then remove its mark."""
    with lines:
        for line in lines:
            log.put(line.decode(errors="replace").rstrip("\n"))
    log.put(None)
    mark.unlink(missing_ok=True)


_unpacking = threading.Lock()


def unpacked(settings: Settings, archive: bytes) -> str:
    """The folder with an archive's files: one per content, shared by all its workers."""
    folder = settings.code / hashlib.sha256(archive).hexdigest()[:16]
    with _unpacking:
        if not folder.exists():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            with zipfile.ZipFile(io.BytesIO(archive)) as files:
                files.extractall(draft)
            draft.rename(folder)
    return str(folder)


def end_workers(choose: Callable[[list[Any]], list[Any]]) -> None:
    """End the workers that `choose` selects from the idle ones, the longest idle first."""
    with lambda_runtime._lock:
        pools = lambda_runtime._workers
        idle = [worker for pool in pools.values() for worker in pool if not worker.in_use]
        chosen = choose(sorted(idle, key=lambda worker: float(worker.last_used)))
        for pool in pools.values():
            pool[:] = [worker for worker in pool if worker not in chosen]
    lambda_runtime.kill_workers(chosen)


def evict_idle(cap: int) -> None:
    """End the longest idle workers of any function until no more than `cap` are left."""

    def surplus(idle: list[Any]) -> list[Any]:
        total = sum(map(len, lambda_runtime._workers.values()))
        return idle[: max(0, total - cap)]

    end_workers(surplus)


def end_idle(seconds: float) -> None:
    """End the workers that have been idle for `seconds`."""
    latest = time.time() - seconds
    end_workers(lambda idle: [worker for worker in idle if worker.last_used < latest])


def keep_ending_idle(seconds: float) -> None:
    """End idle workers repeatedly while the emulator runs."""
    while True:
        time.sleep(seconds / LOOKS_PER_IDLE_TIME)
        end_idle(seconds)


def apply(settings: Settings) -> None:
    """Put the corrections in place."""
    servers = ForkServers(settings.handler_python, preload=settings.preload)
    overall = Places(settings.worker_cap)
    of_function: dict[str, Places] = {}
    threading.Thread(target=keep_ending_idle, args=(settings.idle_seconds,), daemon=True).start()

    @corrects(lambda_runtime, "_worker_class_for", digest="b5a23849280a")
    def worker_class_for(original: Any, config: dict[str, Any]) -> Any:
        if not str(config.get("Runtime", "")).startswith("python"):
            return original(config)
        return lambda _name, config, code: Worker(settings, servers, config, code)

    @corrects(lambda_svc, "_execute_function_warm", digest="62b9218bef5b")
    def execute_warm(
        original: Any, function: dict[str, Any], event: object, request_id: str
    ) -> dict[str, Any]:
        config = function.get("config") or function
        if not str(config["Runtime"]).startswith("python"):
            return dict(original(function, event, request_id))
        # In this order: a call that waits for its function takes no place from another function.
        own = of_function.setdefault(config["FunctionName"], Places(settings.workers_each))
        with own, overall:
            # The workers of a version, or of one revision of $LATEST. So an update ends no running
            # invocation, and no worker of the old revision gets a new one.
            worker, origin = lambda_runtime.acquire_worker(
                config["FunctionName"],
                config,
                function["code_zip"],
                qualifier=f"{config['Version']}@{config['RevisionId']}",
            )
            try:
                if origin == "spawn":
                    evict_idle(settings.worker_cap)
                trace_id = lambda_svc._xray_trace_id_for_invocation(config)
                answer = worker.invoke(event, request_id, trace_id, config["FunctionArn"])
            finally:
                worker.last_used = time.time()
                lambda_runtime.release_worker(worker)
        if answer.error is not None:
            return {"body": answer.error, "error": True, "log": answer.log}
        return {"body": answer.result, "log": answer.log}
