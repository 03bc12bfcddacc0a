"""`python -m operations.preflight --env dev`: what would stop a deployment, before it begins.

Each finding has a remedy. The exit code is 0 if nothing blocks, 1 if something does, 2 if the
program could not start. It only reads: a call that could write raises `WriteRefused`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deploy import load_template
from operations import account_checks, permission_checks, stack_checks, table_checks
from operations.findings import Context, Finding, Level, blocked, ok, warning
from operations.installation import ROOT, NotConfigured, client_of, read_installation, session_of

Check = Callable[[Context], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "caller": account_checks.caller,
    "stack": stack_checks.stack,
    "packages": stack_checks.packages_bucket,
    "names": stack_checks.names,
    "tables": table_checks.tables,
    "concurrency": account_checks.concurrency,
    "cloudfront": account_checks.cloudfront,
    "email": account_checks.email,
    "executions": account_checks.step_functions,
    "permissions": permission_checks.permissions,
}
READING = re.compile(r"(Get|List|Describe|Simulate|Head)[A-Z]")
SAM = ROOT / ".envs" / "sam" / "bin" / "sam"
REFUSED = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|Forbidden", re.IGNORECASE)


class WriteRefused(Exception):
    """A check called an operation that is not certain to only read. It is a defect of the check."""


def read_only(session: boto3.Session) -> None:
    """Let this session call only operations that read."""

    def refuse(model: Any, **_: Any) -> None:
        if not READING.match(model.name):
            raise WriteRefused(f"{model.service_model.service_name}:{model.name}")

    # The first event of a call, long before anything is sent.
    session.events.register("provide-client-params", refuse)


def sam_cli(path: Path = SAM) -> Finding:
    """Whether the program that deploys is there."""
    if path.exists():
        return ok("SAM CLI is installed")
    return blocked("SAM CLI is not installed", "run: make build")


def findings(
    context: Context, checks: Mapping[str, Check] = CHECKS
) -> Iterator[tuple[str, Finding]]:
    """All findings with the names of their checks. A check that may not read is a warning."""
    for name, check in checks.items():
        try:
            yield from ((name, found) for found in check(context))
        except (ClientError, BotoCoreError) as error:
            yield name, _unread(error)


def _unread(error: Exception) -> Finding:
    if isinstance(error, ClientError) and REFUSED.search(error.response["Error"]["Code"]):
        return warning(
            f"could not be checked: {error}", f"allow {error.operation_name} for these credentials"
        )
    return warning(f"could not be checked: {error}", "try again")


def identify(session: boto3.Session, client: Callable[[str], Any]) -> tuple[str, str]:
    """Account and ARN of the credentials. Raises `NotConfigured` if there are none that work."""
    if session.get_credentials() is None:
        raise NotConfigured("no AWS credentials: set AWS_PROFILE, or run: aws configure")
    try:
        found = client("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        raise NotConfigured(
            f"the AWS credentials do not work: {error}. Sign in again (aws sso login), or enable"
            f" the region {session.region_name} for this account"
        ) from error
    return str(found["Account"]), str(found["Arn"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operations.preflight", description=__doc__)
    parser.add_argument("--env", required=True, help="an environment of samconfig.toml")
    parsed = parser.parse_args(arguments)
    try:
        installation = read_installation(parsed.env)
        session = session_of(installation)
        read_only(session)
        client = client_of(session)
        account, caller = identify(session, client)
    except NotConfigured as error:
        print(error, file=sys.stderr)
        return 2
    template = load_template(ROOT / "template.yaml")
    region = str(session.region_name)
    context = Context(client, installation, region, account, caller, template)
    return report([("sam", sam_cli())], findings(context))


def report(*groups: Sequence[tuple[str, Finding]] | Iterator[tuple[str, Finding]]) -> int:
    """Print the findings as they come. Returns the exit code."""
    counts = dict.fromkeys(Level, 0)
    for group in groups:
        for name, found in group:
            counts[found.level] += 1
            print(f"{found.level:<8} {name:<12} {found.text}", flush=True)
            if found.remedy:
                print(f"{'':<21} Remedy: {found.remedy}", flush=True)
    print(f"blocked: {counts[Level.BLOCKED]}, warnings: {counts[Level.WARNING]}")
    return 1 if counts[Level.BLOCKED] else 0


if __name__ == "__main__":
    sys.exit(main())
