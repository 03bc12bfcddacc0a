"""A running local stack: emulator, issuer, simulated providers, and template.yaml deployed.

    with Stack() as stack:
        httpx.get(f"{stack.api_url}/v1/models", headers=stack.bearer("ada"))

Two stacks side by side share nothing. A stack that is stopped, or whose process is killed, leaves
no process; a stopped one leaves no file either, and the next start removes what a killed one left.

**Reading.** `stack.logs("GenerateFunction")` gives a function's log lines (they are in CloudWatch
Logs, `boto3("logs")` reads them too). `stack.history(job_id)` gives a job's execution history, as
GetExecutionHistory does; `stack.transitions(job_id)` the states it entered.
`stack.invocations(about=job_id)` gives the function runs that had to do with a job, each with its
AWS calls in order.

**Crashing.** `stack.crash("GenerateFunction", "TransactWriteItems")` kills the worker (SIGKILL)
right after its next transaction was answered; `moment="before"` just before it is sent;
`operation="Return"` when the handler is done and its answer not yet sent; `nth=2` the second such
call of one invocation; `resource=` (part of) a table's or bucket's name narrows it down. It strikes
once. `stack.kill_workers("MigrateFunction")` kills what runs right now. To the outside a killed
worker is what it is on AWS: the HTTP API answers 500, a state fails with `Runtime.ExitError`.
"""

import json
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from boto3 import Session
from botocore.config import Config

from local.deploy import ROOT, Deployed, Layer, default_layers, deploy
from local.issuer import AUDIENCE, Issuer
from local.journal import Invocation, read_journal
from local.processes import Child, free_ports
from local.simulator.client import Simulator

REGION = "us-east-1"
# The emulator's root user. With IAM enforced, only the functions' roles are held to anything.
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
# Tests call from many threads at once.
MANY_CONNECTIONS = Config(max_pool_connections=50)
STACK_NAME = "clipmint"
STATE = ROOT / ".local"
NEWEST = "newest"
START_PATIENCE_SECONDS = 60
# What the template's WebhookBaseUrl says where no provider can reach this computer.
NO_WEBHOOKS = "none"
EMULATOR_PYTHON = ROOT / ".envs" / "emulator" / "bin" / "python"
HANDLER_PYTHON = ROOT / ".envs" / "lambda" / "bin" / "python"


@dataclass(frozen=True)
class Provider:
    """A provider of the stack. `control_url` is None for a real one."""

    url: str
    key: str
    parameters: Mapping[str, str]
    control_url: str | None = None


class Stack:
    """One local stack. Start it with `with`, or `start` and `stop`.

    `template` and `layers` replace the application (tests of the emulator do). `parameters` are
    template parameters that override ours. `fal_settings` are members of `local.fal`'s settings;
    `simulate` False leaves the providers out. A real FAL_KEY in `keys` uses the real fal.
    `stock` runs the emulator without our corrections.
    """

    def __init__(
        self,
        *,
        template: Path = ROOT / "template.yaml",
        layers: Mapping[str, Layer] | None = None,
        parameters: Mapping[str, str] | None = None,
        fal_settings: Mapping[str, Any] | None = None,
        simulate: bool = True,
        keys: Mapping[str, str] | None = None,
        enforce_iam: bool = False,
        worker_cap: int = 12,
        stock: bool = False,
        name: str | None = None,
    ) -> None:
        self._template = template
        self._layers = layers
        self._parameters = dict(parameters or {})
        self._fal_settings = dict(fal_settings or {})
        self._simulate = simulate
        self._keys = dict(keys or {})
        self._enforce_iam = enforce_iam
        self._worker_cap = worker_cap
        self._stock = stock
        self._session = Session(
            CREDENTIALS["aws_access_key_id"],
            CREDENTIALS["aws_secret_access_key"],
            region_name=REGION,
        )
        self._clients: dict[str, Any] = {}
        self._running = ExitStack()
        self.name = name or uuid.uuid4().hex[:8]
        self.state_dir = STATE / self.name
        self.region = REGION
        self.providers: dict[str, Provider] = {}
        self.pids: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and deploy; on failure nothing is left running."""
        sweep_remains()
        self.state_dir.mkdir(parents=True)
        self._running.callback(self._forget)
        self.pids["stack"] = os.getpid()
        (self.state_dir / "pid").write_text(str(os.getpid()), encoding="utf-8")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything and remove the state folder."""
        self._running.close()

    def token(self, user: str, **claims: Any) -> str:
        """A JWT the API accepts for `user`; keywords as in `local.issuer.Signer.token`."""
        return self.issuer.signer.token(user, **claims)

    def bearer(self, user: str, **claims: Any) -> dict[str, str]:
        """The Authorization header with `token(user)`."""
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}

    def boto3(self, service: str) -> Any:
        """The stack's boto3 client of a service, as its root user. Threads may share it."""
        if service not in self._clients:
            for_s3 = Config(signature_version="s3v4", s3={"addressing_style": "path"})
            self._clients[service] = self._session.client(  # type: ignore[call-overload]
                service,  # the stubs know services by literal name only
                endpoint_url=self.aws_endpoint,
                config=(for_s3 if service == "s3" else Config()).merge(MANY_CONNECTIONS),
            )
        return self._clients[service]

    def description(self) -> dict[str, Any]:
        """What `python -m local up` prints."""
        return {
            "stack": self.name,
            "api_url": self.api_url,
            "issuer": self.issuer.url,
            "audience": AUDIENCE,
            "aws_endpoint": self.aws_endpoint,
            "region": self.region,
            "credentials": CREDENTIALS,
            "tables": self.tables,
            "buckets": self.buckets,
            "functions": self.functions,
            "state_machine_arn": self.state_machine_arn,
            "log_groups": self.log_groups,
            "provider_keys_arn": self.outputs.get("ProviderKeysArn"),
            "providers": {
                name: {"url": provider.url, "control_url": provider.control_url}
                for name, provider in self.providers.items()
            },
            "state_dir": str(self.state_dir),
            "pids": self.pids,
        }

    def logs(self, function: str) -> list[str]:
        """The log lines of a function (by logical id), oldest first."""
        pages = self.boto3("logs").get_paginator("filter_log_events")
        events = [
            event
            for page in pages.paginate(logGroupName=self.log_groups[function])
            for event in page["events"]
        ]
        return [event["message"] for event in sorted(events, key=lambda event: event["timestamp"])]

    def execution_arn(self, name: str) -> str:
        """The ARN of the execution with this name; a job's execution has its id for a name."""
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
        named = {arn.rpartition(":")[2]: logical for logical, arn in self.functions.items()}
        found = read_journal(self.state_dir / "journal.jsonl")
        for invocation in found:
            invocation.function = named.get(invocation.function, invocation.function)
        return [
            invocation
            for invocation in found
            if (function is None or invocation.function == function)
            and (about is None or invocation.mentions(about))
        ]

    def crash(
        self,
        function: str,
        operation: str,
        *,
        moment: str = "after",
        nth: int = 1,
        resource: str = "",
    ) -> None:
        """Plan one worker's death; see the module's docstring."""
        plan = {
            "function": self.functions[function].rpartition(":")[2],
            "operation": operation,
            "moment": "before" if operation == "Return" else moment,
            "nth": nth,
            "resource": resource,
        }
        draft = self.state_dir / f"crash-{uuid.uuid4().hex}"
        draft.write_text(json.dumps(plan), encoding="utf-8")
        draft.rename(self.state_dir / "crashes" / draft.name)

    def planned_crashes(self) -> int:
        """How many planned deaths have not happened."""
        return len(list((self.state_dir / "crashes").iterdir()))

    def workers(self, function: str | None = None) -> list[int]:
        """The process ids of the live workers, of one function or of all."""
        name = None if function is None else self.functions[function].rpartition(":")[2]
        marks = (self.state_dir / "workers").iterdir()
        return [
            int(mark.name)
            for mark in marks
            if name is None or mark.read_text(encoding="utf-8") == name
        ]

    def kill_workers(self, function: str) -> int:
        """SIGKILL the live workers of a function; how many there were."""
        doomed = self.workers(function)
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        return len(doomed)

    def _start(self) -> None:
        self.issuer = self._running.enter_context(Issuer(self.state_dir / "issuer.pem"))
        if self._simulate:
            self.providers["fal"] = self._start_fal()
        port, api_port = free_ports(2)
        self.aws_endpoint = f"http://127.0.0.1:{port}"
        self.api_url = f"http://127.0.0.1:{api_port}"
        self._start_emulator(port, api_port)
        self._deploy()
        if "ProviderKeys" in self._deployed.resources:
            keys = {"FAL_KEY": "", "RUNWAYML_API_SECRET": "", "RUNWARE_API_KEY": ""}
            if "fal" in self.providers:
                keys["FAL_KEY"] = self.providers["fal"].key
            self.boto3("secretsmanager").put_secret_value(
                SecretId=self._deployed.resources["ProviderKeys"],
                SecretString=json.dumps(keys | self._keys),
            )
        described = self.state_dir / "stack.json"
        described.write_text(json.dumps(self.description()), encoding="utf-8")
        (STATE / NEWEST).write_text(self.name, encoding="utf-8")

    def _start_fal(self) -> Provider:
        if self._keys.get("FAL_KEY"):
            return Provider("https://queue.fal.run", self._keys["FAL_KEY"], {})
        chosen = [f"--set={name}={json.dumps(v)}" for name, v in self._fal_settings.items()]
        child = self._child("fal", [sys.executable, "-m", "local.fal", *chosen])
        about = json.loads(child.wait_until_ready(START_PATIENCE_SECONDS))
        self.fal = Simulator(about)
        self._running.callback(self.fal.close)
        parameters = {
            "FalQueueUrl": about["url"],
            "FalJwksUrl": about["jwks_url"],
            # A loopback host is only allowed with its port.
            "FalMediaHosts": about["url"].partition("//")[2],
        }
        return Provider(about["url"], about["key"], parameters, about["control_url"])

    def _start_emulator(self, port: int, api_port: int) -> None:
        command = [str(EMULATOR_PYTHON), "-m", "local.emulator"]
        child = self._child("emulator", command + (["--stock"] if self._stock else []))
        settings = {
            "port": port,
            "api_port": api_port,
            "state": str(self.state_dir),
            "handler_python": str(HANDLER_PYTHON),
            "worker_cap": self._worker_cap,
            "enforce_iam": self._enforce_iam,
        }
        child.tell(json.dumps(settings))
        child.wait_until_ready(START_PATIENCE_SECONDS)

    def _child(self, name: str, command: list[str]) -> Child:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}
        log = self.state_dir / f"{name}.log"
        child = Child(command, log=log, environment=environment, cwd=ROOT)
        self._running.callback(child.stop)
        self.pids[name] = child.pid
        return child

    def _deploy(self) -> None:
        real = any(provider.control_url is None for provider in self.providers.values())
        parameters = {
            "JwtIssuer": self.issuer.url,
            "JwtAudience": AUDIENCE,
            # A real provider's webhook cannot reach a laptop.
            "WebhookBaseUrl": NO_WEBHOOKS if real else self.api_url,
        }
        for provider in self.providers.values():
            parameters |= provider.parameters
        self._deployed: Deployed = deploy(
            self.boto3,
            stack=STACK_NAME,
            template=self._template,
            parameters=parameters | self._parameters,
            layers=default_layers() if self._layers is None else self._layers,
        )
        arn = f"arn:aws:lambda:{REGION}:000000000000:function:"
        names = self._deployed.of_type("AWS::Lambda::Function")
        self.outputs = self._deployed.outputs
        self.functions = {logical: arn + name for logical, name in names.items()}
        self.tables = self._deployed.of_type("AWS::DynamoDB::Table")
        self.buckets = self._deployed.of_type("AWS::S3::Bucket")
        machines = self._deployed.of_type("AWS::StepFunctions::StateMachine")
        self.state_machine_arn = next(iter(machines.values()), "")
        configured = self.boto3("lambda")
        self.log_groups = {
            logical: configured.get_function_configuration(FunctionName=name)["LoggingConfig"][
                "LogGroup"
            ]
            for logical, name in names.items()
        }

    def _forget(self) -> None:
        shutil.rmtree(self.state_dir, ignore_errors=True)
        newest = STATE / NEWEST
        if newest.exists() and newest.read_text(encoding="utf-8") == self.name:
            newest.unlink(missing_ok=True)


def sweep_remains() -> None:
    """Remove the state folders of stacks whose process is gone."""
    for mark in STATE.glob("*/pid"):
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


def running_stack(name: str | None = None) -> dict[str, Any]:
    """The description of a running stack: by name, or the one started last.

    Raises LookupError if there is none.
    """
    sweep_remains()
    newest = STATE / NEWEST
    if name is None and newest.exists():
        name = newest.read_text(encoding="utf-8")
    described = STATE / (name or "") / "stack.json"
    if name is None or not described.exists():
        raise LookupError("no such stack is running; start one with: python -m local up")
    description: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
    return description


def wait_for(condition: Any, seconds: float, *, every: float = 0.05) -> Any:
    """The first true answer of `condition()`. Raises TimeoutError after `seconds` without one."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {condition}")
        time.sleep(every)
