"""The settings of `make deploy ENV=…` in samconfig.toml, and a deployed stack's outputs."""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[1]
SAMCONFIG = ROOT / "samconfig.toml"

Client = Callable[[str], Any]
"""Makes a boto3 client of a service."""


class NotConfigured(Exception):
    """Something that the owner must set is missing. The message names it."""


@dataclass(frozen=True)
class Installation:
    """One environment of samconfig.toml. ``region`` is None if AWS's own configuration sets it."""

    environment: str
    stack_name: str
    region: str | None
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class DeployedStack:
    """A stack's status and outputs. ``account`` is the number of the account."""

    name: str
    status: str
    region: str
    account: str
    outputs: Mapping[str, str]

    def output(self, name: str) -> str:
        """One output. Raises `NotConfigured` if the stack has none of this name."""
        if name not in self.outputs:
            raise NotConfigured(
                f"the stack {self.name} has no output {name}: is it an older release? Deploy again"
            )
        return self.outputs[name]


def read_installation(environment: str, samconfig: Path = SAMCONFIG) -> Installation:
    """The settings of an environment. Raises `NotConfigured` for an unknown one."""
    with samconfig.open("rb") as file:
        settings = tomllib.load(file)
    deploy = settings.get(environment, {}).get("deploy", {}).get("parameters", {})
    if "stack_name" not in deploy:
        known = ", ".join(name for name in settings if "stack_name" in str(settings[name]))
        raise NotConfigured(
            f"{samconfig.name} has no [{environment}.deploy.parameters] with a stack_name;"
            f" ENV can be: {known}"
        )
    return Installation(
        environment=environment,
        stack_name=deploy["stack_name"],
        region=deploy.get("region"),
        parameters=_parameters(deploy.get("parameter_overrides", [])),
    )


def _parameters(overrides: Any) -> dict[str, str]:
    """SAM accepts text, a list of texts, and tables: ``A=1 B=2``, ``["A=1", {B = "2"}]``."""
    if isinstance(overrides, Mapping):
        return {name: str(value) for name, value in overrides.items()}
    if isinstance(overrides, str):
        overrides = overrides.split()
    found: dict[str, str] = {}
    for each in overrides:
        if isinstance(each, Mapping):
            found |= _parameters(each)
        else:
            name, _, value = each.partition("=")
            found[name] = value
    return found


def session_of(installation: Installation | None) -> boto3.Session:
    """A session in the region of the installation, or that of AWS's own configuration.

    SAM and botocore ignore AWS_REGION. It must not differ from the region that they use, else a
    program would check one region while another is deployed to.
    """
    session = boto3.Session(region_name=installation.region if installation else None)
    if session.region_name is None:
        raise NotConfigured(
            "no region: set AWS_DEFAULT_REGION, or `region` of your AWS profile (AWS_PROFILE)"
        )
    other = os.environ.get("AWS_REGION")
    if other and other != session.region_name:
        raise NotConfigured(
            f"AWS_REGION is {other}, but SAM would deploy to {session.region_name}:"
            " set AWS_DEFAULT_REGION to the region that you want, and unset AWS_REGION"
        )
    return session


def client_of(session: boto3.Session) -> Client:
    """Makes the clients of a session, one for each service."""

    @functools.cache
    def client(service: str) -> Any:
        return session.client(service)  # type: ignore[call-overload]  # the stubs want a literal

    return client


def account_of(client: Client) -> str:
    """The number of the account that the credentials belong to."""
    return str(client("sts").get_caller_identity()["Account"])


def read_stack(client: Client, name: str, region: str, account: str) -> DeployedStack:
    """A deployed stack. Raises `NotConfigured` if there is none of this name."""
    try:
        (found,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            raise NotConfigured(
                f"account {account} has no stack {name} in {region}: deploy it first"
            ) from error
        raise
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    return DeployedStack(name, found["StackStatus"], region, account, outputs)
