"""A running local stack: emulator, issuer, simulated providers, and template.yaml deployed.

    with Stack() as stack:
        httpx.get(f"{stack.api_url}/v1/models", headers=stack.bearer("ada"))

Two stacks at the same time share nothing. A stack that is stopped or killed leaves no process. A
stopped stack leaves no file either; the next start removes the files of killed stacks.

`local.running` has the methods to read and crash a running stack.
"""

import json
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.cdn import create_distribution
from local.console import Console
from local.deploy import ROOT, Deployed, DeployFailedError, Layer, default_layers, deploy
from local.issuer import AUDIENCE, Issuer
from local.processes import Child
from local.providers import PROVIDERS, Provider
from local.running import (
    CREDENTIALS,
    DESCRIPTION,
    ISSUER_KEY,
    STACK_NAME,
    STATE,
    RunningStack,
    remove_remains,
    wait_for,
)
from local.simulator.client import Simulator

__all__ = ["STACK_NAME", "Stack", "wait_for"]

REGION = "us-east-1"
START_PATIENCE_SECONDS = 180
ALIAS = "live"
"""The alias of the template's functions."""
# The value of the template's WebhookBaseUrl if no provider can reach this computer.
NO_WEBHOOKS = "none"
EMULATOR_PYTHON = ROOT / ".envs" / "emulator" / "bin" / "python"
TRANSFORMED = ROOT / "build" / "transformed"
"""Templates that the SAM transform has expanded, for the next start."""
HANDLER_PYTHON = ROOT / ".envs" / "lambda" / "bin" / "python"


class Stack(RunningStack):
    """One local stack. Start it with `with`, or `start` and `stop`.

    `template` and `layers` replace the application (tests of the emulator do). `parameters` are
    template parameters that override ours. `simulate` names the providers to simulate, `settings`
    are the simulators' settings by provider. With a key in `keys` the real provider is used.
    `worker_cap`, `workers_each`, `idle_seconds`, `preload` and `account_concurrency` are described
    in `local.emulator.settings`. `port` is the API's port; 0 takes a free one. `stock` runs the
    emulator without our corrections.
    """

    def __init__(
        self,
        *,
        template: Path = ROOT / "template.yaml",
        layers: Mapping[str, Layer] | None = None,
        parameters: Mapping[str, str] | None = None,
        simulate: Collection[str] = ("fal",),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        keys: Mapping[str, str] | None = None,
        enforce_iam: bool = False,
        worker_cap: int = 24,
        workers_each: int = 2,
        idle_seconds: float = 30.0,
        preload: bool = True,
        account_concurrency: int = 1_000,
        port: int = 0,
        stock: bool = False,
        name: str | None = None,
    ) -> None:
        self._template = template
        self._layers = layers
        self._parameters = dict(parameters or {})
        self._simulate = tuple(simulate)
        self._settings = dict(settings or {})
        self._keys = dict(keys or {})
        self._enforce_iam = enforce_iam
        self._workers = {
            "worker_cap": worker_cap,
            "workers_each": workers_each,
            "idle_seconds": idle_seconds,
            "preload": preload,
            "account_concurrency": account_concurrency,
        }
        self._port = port
        self.stock = stock
        self._clients: dict[str, Any] = {}
        self._running = ExitStack()
        self.name = name or uuid.uuid4().hex[:8]
        self.state_dir = STATE / self.name
        self.region = REGION
        self.receiver_port = _free_port()
        self.providers: dict[str, Provider] = {}
        self.simulators: dict[str, Simulator] = {}
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
        """Start everything and deploy. On failure, stops everything that was started."""
        remove_remains()
        self.state_dir.mkdir(parents=True)
        self._running.callback(self._forget)
        self._running.callback(self.close)
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

    def _start(self) -> None:
        issuer = self._running.enter_context(Issuer(self.state_dir / ISSUER_KEY))
        self.issuer = issuer.url
        self._start_providers()
        self._start_emulator()
        deployed = self._deploy()
        if "ImagesBucket" in deployed.resources:
            # ImagesBaseUrl is this computer's, so the template creates no distribution.
            bucket = deployed.resources["ImagesBucket"]
            create_distribution(self.boto3("cloudfront"), bucket, REGION)
        console = self._running.enter_context(Console(self.api_url, self.issuer))
        self.console_url = console.url
        self._store_keys(deployed)
        self._publish(deployed)

    def update(
        self,
        *,
        template: Path,
        layers: Mapping[str, Layer],
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        """Update the deployed stack to another template, other layers and other parameters.

        What is running continues. Raises `DeployFailedError` if the update fails; the stack is then
        rolled back.
        """
        before = self._template, self._layers, self._parameters
        self._template, self._layers = template, layers
        self._parameters = self._parameters | dict(parameters or {})
        try:
            self._publish(self._deploy(update=True))
        except DeployFailedError:
            self._template, self._layers, self._parameters = before
            raise

    def _publish(self, deployed: Deployed) -> None:
        """Describe the stack, for this process and for others."""
        self.outputs = deployed.outputs
        self.describe(self._described(deployed))
        # Renamed, because others look for it by its name.
        unfinished = self.state_dir / f"{DESCRIPTION}.new"
        unfinished.write_text(json.dumps(self.description), encoding="utf-8")
        unfinished.rename(self.state_dir / DESCRIPTION)

    def _store_keys(self, deployed: Deployed) -> None:
        if "ProviderKeys" in deployed.resources:
            keys = {
                known.key_name: self.providers[name].key if name in self.providers else ""
                for name, known in PROVIDERS.items()
            }
            self.boto3("secretsmanager").put_secret_value(
                SecretId=deployed.resources["ProviderKeys"],
                SecretString=json.dumps(keys | self._keys),
            )
            # The sweep records which providers have a key. So the right models are offered at once,
            # and not after the first minute.
            self.boto3("lambda").invoke(
                FunctionName=deployed.resources["SweepFunction"],
                Payload=json.dumps({"source": "aws.events", "detail-type": "Scheduled Event"}),
            )

    def _described(self, deployed: Deployed) -> dict[str, Any]:
        """The description that `python -m local up` prints."""
        functions = deployed.of_type("AWS::Lambda::Function")
        aliases = deployed.of_type("AWS::Lambda::Alias")
        pages = self.boto3("lambda").get_paginator("list_functions").paginate()
        listed = {c["FunctionName"]: c for page in pages for c in page["Functions"]}
        configurations = {logical: listed[name] for logical, name in functions.items()}
        machines = deployed.of_type("AWS::StepFunctions::StateMachine")
        return {
            "stack": self.name,
            "api_url": self.api_url,
            "images_url": self.images_url,
            "receiver_port": self.receiver_port,
            "console_url": self.console_url,
            "issuer": self.issuer,
            "audience": AUDIENCE,
            "aws_endpoint": self.aws_endpoint,
            "region": REGION,
            "credentials": CREDENTIALS,
            "tables": deployed.of_type("AWS::DynamoDB::Table"),
            "buckets": deployed.of_type("AWS::S3::Bucket"),
            # A function that publishes versions is invoked through its alias.
            "functions": {
                name: aliases.get(f"{name}Alias{ALIAS}", c["FunctionArn"])
                for name, c in configurations.items()
            },
            "state_machine_arn": next(iter(machines.values()), ""),
            "log_groups": {
                name: c["LoggingConfig"]["LogGroup"] for name, c in configurations.items()
            },
            "provider_keys_arn": deployed.outputs.get("ProviderKeysArn"),
            "providers": {
                name: {"url": provider.url, "control_url": provider.control_url}
                | ({"simulator": self.simulators[name].about} if name in self.simulators else {})
                for name, provider in self.providers.items()
            },
            "state_dir": str(self.state_dir),
            "pids": self.pids,
        }

    def _start_providers(self) -> None:
        starting: dict[str, Child] = {}
        for name, known in PROVIDERS.items():
            if self._keys.get(known.key_name):
                self.providers[name] = Provider(self._keys[known.key_name])
            elif name in self._simulate:
                settings = self._settings.get(name, {})
                chosen = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
                command = [sys.executable, "-m", known.module, *chosen]
                starting[name] = self._child(name, command)
        for name, child in starting.items():  # they start side by side
            about = json.loads(child.wait_until_ready(START_PATIENCE_SECONDS))
            simulator = Simulator(about)
            self.simulators[name] = simulator
            overrides = PROVIDERS[name].overrides(about)
            self.providers[name] = Provider(
                about["key"], about["url"], overrides, about["control_url"]
            )

    def _start_emulator(self) -> None:
        # Bind the ports here and pass them on, so that no other process can take them.
        with ExitStack() as ours:
            listeners = [
                ours.enter_context(socket.create_server(("127.0.0.1", chosen)))
                for chosen in (0, self._port, 0)
            ]
            port, api_port, cdn_port = (listener.getsockname()[1] for listener in listeners)
            descriptors = [listener.fileno() for listener in listeners]
            command = [str(EMULATOR_PYTHON), "-m", "local.emulator"]
            stock = ["--stock"] if self.stock else []
            child = self._child("emulator", command + stock, descriptors)
        self.aws_endpoint = f"http://127.0.0.1:{port}"
        self.api_url = f"http://127.0.0.1:{api_port}"
        self.images_url = f"http://127.0.0.1:{cdn_port}"
        settings = {
            "port": port,
            "api_port": api_port,
            "cdn_port": cdn_port,
            "descriptors": descriptors,
            "state": str(self.state_dir),
            "handler_python": str(HANDLER_PYTHON),
            "transformed": str(TRANSFORMED),
            **self._workers,
            "enforce_iam": self._enforce_iam,
        }
        child.send_line(json.dumps(settings))
        child.wait_until_ready(START_PATIENCE_SECONDS)

    def _child(self, name: str, command: list[str], pass_fds: Sequence[int] = ()) -> Child:
        # The temporary files of the children are removed with the stack, even if one is killed.
        temporary = self.state_dir / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(temporary),
        }
        log = self.state_dir / f"{name}.log"
        child = Child(command, log=log, environment=environment, cwd=ROOT, pass_fds=pass_fds)
        self._running.callback(child.stop)
        self.pids[name] = child.pid
        return child

    def _deploy(self, *, update: bool = False) -> Deployed:
        real = any(provider.control_url is None for provider in self.providers.values())
        parameters = {
            "JwtIssuer": self.issuer,
            "JwtAudience": AUDIENCE,
            # A real provider's webhook cannot reach a laptop.
            "WebhookBaseUrl": NO_WEBHOOKS if real else self.api_url,
            "ImagesBaseUrl": self.images_url,
            "WebhookTestHosts": f"127.0.0.1:{self.receiver_port}",
            # `local.console` serves the console: the one distribution here is that of images.
            "Console": "off",
            "ProviderOverrides": json.dumps(
                {name: provider.overrides for name, provider in self.providers.items()}
            ),
        }
        return deploy(
            self.boto3,
            stack=STACK_NAME,
            template=self._template,
            parameters=parameters | self._parameters,
            layers=default_layers() if self._layers is None else self._layers,
            update=update,
        )

    def _forget(self) -> None:
        shutil.rmtree(self.state_dir, ignore_errors=True)


def _free_port() -> int:
    """A port at which `local.receiver` can listen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
