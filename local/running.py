"""A running stack, in this process or another: its resources, its history, and planned crashes.

`running_stack()` finds the stack started last, or one by name; `local.stack.Stack` is one too.

**Reading.** `logs("GenerateFunction")` returns a function's log lines (they are in CloudWatch Logs,
`boto3("logs")` reads them too). `history(job_id)` returns a job's execution history, as
GetExecutionHistory does; `transitions(job_id)` the states it entered. `invocations(about=job_id)`
returns the function runs that mention a job, each with its AWS calls in order.

**Crashing.** `crash("GenerateFunction", "TransactWriteItems")` kills the worker (SIGKILL) right
after the response to its next transaction; `moment="before"` just before the transaction is sent;
the operation "Return" after the handler has returned and before its result is sent. `nth=2` selects
the second such call of one invocation, `resource=` (part of) a table's or bucket's name, and
`about=` a text in the event, such as a job id. A plan kills one worker.
`kill_workers("MigrateFunction")` kills the function's workers now, with `about=job_id` only a
worker that is running an event with that text. A caller sees a killed worker as on AWS: the HTTP
API answers 500, a state fails with `Runtime.ExitError`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from local.deploy import ROOT
from local.issuer import Signer
from local.journal import Invocation, Journal

if TYPE_CHECKING:
    from local.simulator.client import Simulator

# A command such as `make token` needs neither boto3 nor httpx, which take half a second to import.

STATE = ROOT / ".local"
DESCRIPTION = "stack.json"
ISSUER_KEY = "issuer.pem"
REQUESTS = "requests.jsonl"
"""Every request to the API, in the stack's state folder: what `local.emulator.http_api` writes."""
STACK_VARIABLE = "CLIPMINT_STACK"
"""The environment variable that names the stack that a command is for."""
STACK_NAME = "clipmint"
"""The name of the CloudFormation stack."""

# The emulator's root user. If IAM is enforced, it applies only to the functions' roles.
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

Answer = TypeVar("Answer")


class RunningStack:
    """A stack by its description, the object that `python -m local up` prints.

    `tables`, `buckets`, `functions` (the ARNs they are invoked by) and `log_groups` are by logical
    id, `simulators` by provider. `close` closes the connections to the stack and does not stop it.
    """

    state_dir: Path
    api_url: str
    images_url: str
    console_url: str
    aws_endpoint: str
    region: str
    issuer: str
    tables: Mapping[str, str]
    buckets: Mapping[str, str]
    functions: Mapping[str, str]
    log_groups: Mapping[str, str]
    state_machine_arn: str

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._clients: dict[str, Any] = {}
        self.describe(description)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Set the attributes from a description."""
        self.description = dict(description)
        self.name: str = description["stack"]
        self.state_dir = Path(description["state_dir"])
        for member in (
            "api_url",
            "images_url",
            "console_url",
            "aws_endpoint",
            "region",
            "issuer",
            "state_machine_arn",
        ):
            setattr(self, member, description[member])
        for member in ("tables", "buckets", "functions", "log_groups"):
            setattr(self, member, dict(description[member]))
        self._journal = Journal(self.state_dir / "journal.jsonl")

    def close(self) -> None:
        """Close the connections to the simulators and to the emulator."""
        for simulator in self.__dict__.get("simulators", {}).values():
            simulator.close()
        for made in self._clients.values():
            made.close()
        self._clients.clear()

    @cached_property
    def simulators(self) -> dict[str, Simulator]:
        """The simulated providers."""
        from local.simulator.client import Simulator  # noqa: PLC0415  (see above)

        providers = self.description["providers"].items()
        return {name: Simulator(one["simulator"]) for name, one in providers if "simulator" in one}

    @property
    def fal(self) -> Simulator:
        """The simulated fal."""
        return self.simulators["fal"]

    def token(self, user: str, **claims: Any) -> str:
        """A JWT the API accepts for `user`; keywords as in `local.issuer.Signer.token`."""
        return self._signer.token(user, **claims)

    @cached_property
    def _signer(self) -> Signer:
        return Signer.from_file(self.issuer, self.state_dir / ISSUER_KEY)

    def bearer(self, user: str, **claims: Any) -> dict[str, str]:
        """The Authorization header with `token(user)`."""
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}

    def boto3(self, service: str) -> Any:
        """The stack's boto3 client of a service, as its root user. Threads may share it."""
        if service not in self._clients:
            self._clients[service] = client(self.aws_endpoint, self.region, service)
        return self._clients[service]

    def logs(self, function: str) -> list[str]:
        """The log lines of a function (by logical id), oldest first; none before its first run."""
        logs = self.boto3("logs")
        pages = logs.get_paginator("filter_log_events")
        try:
            events = [
                event
                for page in pages.paginate(logGroupName=self.log_groups[function])
                for event in page["events"]
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []  # without a log group in the template, the first run creates it
        return [event["message"] for event in sorted(events, key=lambda event: event["timestamp"])]

    def logs_about(self, function: str, about: str) -> list[str]:
        """The log lines of the runs of a function that have a text in their event or result."""
        runs = self.invocations(function=function, about=about)
        if not runs:
            return []
        wanted = {run.request_id for run in runs}
        pages = self.boto3("logs").get_paginator("filter_log_events")
        found: list[str] = []
        current: dict[str, str] = {}
        for page in pages.paginate(
            logGroupName=self.log_groups[function],
            startTime=int(min(run.at for run in runs) * 1000),
        ):
            # A stream belongs to one worker, which runs one event at a time.
            for event in page["events"]:
                stream, message = event["logStreamName"], event["message"]
                if message.startswith("START RequestId: "):
                    current[stream] = message.split()[2]
                if current.get(stream) in wanted:
                    found.append(message)
        return found

    def execution_arn(self, name: str) -> str:
        """The ARN of the execution with this name; that of a job's execution is the job's id."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"

    def history(self, name: str) -> list[dict[str, Any]]:
        """The events of the execution with this name, oldest first."""
        pages = self.boto3("stepfunctions").get_paginator("get_execution_history")
        return [
            event
            for page in pages.paginate(executionArn=self.execution_arn(name))
            for event in page["events"]
        ]

    def transitions(self, name: str) -> list[str]:
        """The states the execution with this name entered, in order."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.history(name)
            if event["type"].endswith("StateEntered")
        ]

    def invocations(
        self, *, function: str | None = None, about: str | None = None
    ) -> list[Invocation]:
        """Function runs in the order they began, of one function, or that mention a text."""
        named = {function_name(arn): logical for logical, arn in self.functions.items()}
        found = self._journal.read() if about is None else self._journal.about(about)
        for invocation in found:
            invocation.function = named.get(invocation.function, invocation.function)
        return [one for one in found if function is None or one.function == function]

    def crash(
        self,
        function: str,
        operation: str,
        *,
        moment: str = "after",
        nth: int = 1,
        resource: str = "",
        about: str = "",
    ) -> None:
        """Plan to kill one worker; see the module's docstring."""
        plan = {
            "function": function_name(self.functions[function]),
            "operation": operation,
            "moment": "before" if operation == "Return" else moment,
            "nth": nth,
            "resource": resource,
            "about": about,
        }
        draft = self.state_dir / f"crash-{uuid.uuid4().hex}"
        draft.write_text(json.dumps(plan), encoding="utf-8")
        draft.rename(self.state_dir / "crashes" / draft.name)

    def planned_crashes(self, about: str = "") -> int:
        """The number of planned crashes that have not happened, all or those about a text."""
        return len(self._plans(about))

    def call_off_crashes(self, about: str = "") -> None:
        """Cancel the planned crashes that have not happened, all or those about a text."""
        for plan in self._plans(about):
            plan.unlink(missing_ok=True)

    def _plans(self, about: str) -> list[Path]:
        found = []
        for plan in (self.state_dir / "crashes").iterdir():
            try:
                planned = json.loads(plan.read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue  # it has just happened
            if about in planned["about"]:
                found.append(plan)
        return found

    def workers(self, function: str | None = None) -> list[int]:
        """The process ids of the live workers, of one function or of all."""
        name = None if function is None else function_name(self.functions[function])
        found = []
        for mark in (self.state_dir / "workers").iterdir():
            # A worker may end, and remove its mark, at any moment.
            with contextlib.suppress(FileNotFoundError):
                if name is None or mark.read_text(encoding="utf-8") == name:
                    found.append(int(mark.name))
        return found

    def kill_workers(self, function: str, about: str | None = None) -> int:
        """Send SIGKILL to the live workers of a function. Returns their number.

        With `about`, only to those that are running an event which contains that text.
        """
        pids = self.workers(function)
        if about is not None:
            runs = self.invocations(function=function, about=about)
            pids = [run.pid for run in runs if not run.ended and run.pid in pids]
        killed = 0
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed


def function_name(arn: str) -> str:
    """The name in the ARN of a function, a version or an alias."""
    return arn.split(":")[6]


def client(endpoint: str, region: str, service: str) -> Any:
    """A boto3 client of an emulator, as its root user."""
    from botocore.config import Config  # noqa: PLC0415  (see above)

    # Tests make calls from many threads at once.
    config = Config(max_pool_connections=50)
    if service == "s3":
        config = config.merge(Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    with _one_at_a_time:
        return _session(region).client(service, endpoint_url=endpoint, config=config)


# Threads may share a client, but not a session.
_one_at_a_time = Lock()


@cache
def _session(region: str) -> Any:
    """One session for all clients: each would read botocore's lists of services again."""
    from boto3 import Session  # noqa: PLC0415  (see above)

    return Session(
        CREDENTIALS["aws_access_key_id"],
        CREDENTIALS["aws_secret_access_key"],
        region_name=region,
    )


def running_stack(name: str | None = None) -> RunningStack:
    """A running stack by name, by default that of `CLIPMINT_STACK` or the one started last.

    Raises LookupError if there is none.
    """
    name = name or os.environ.get(STACK_VARIABLE)
    remove_remains()
    for described in sorted(STATE.glob(f"{name or '*'}/{DESCRIPTION}"), key=_written, reverse=True):
        with contextlib.suppress(FileNotFoundError):  # it ends meanwhile
            return RunningStack(json.loads(described.read_text(encoding="utf-8")))
    raise LookupError("no such stack is running; start one with: make up")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def remove_remains() -> None:
    """Remove the state folders of stacks that have no process any more."""
    for mark in STATE.glob("*/pid"):
        # Another process, or thread, may remove it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            text = mark.read_text(encoding="utf-8")
            if text and not _alive(int(text)):
                shutil.rmtree(mark.parent, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_for(condition: Callable[[], Answer], seconds: float, *, every: float = 0.05) -> Answer:
    """The first true answer of `condition()`. Raises TimeoutError after `seconds` without one."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {condition}")
        time.sleep(every)
