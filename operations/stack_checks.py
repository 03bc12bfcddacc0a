"""Checks of what exists: the stack, SAM's bucket, and resources with the names that we choose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from operations.findings import Context, Finding, blocked, ok

SAM_STACK = "aws-sam-cli-managed-default"
"""The stack with SAM's bucket for packages (`resolve_s3` in samconfig.toml)."""

READY = re.compile(r"(CREATE|UPDATE|UPDATE_ROLLBACK|IMPORT|IMPORT_ROLLBACK)_COMPLETE|REVIEW_.*")
REFERENCE = re.compile(r"\$\{AWS::(\w+)\}")


def stack(context: Context) -> Iterator[Finding]:
    """Whether CloudFormation can create or update the stack."""
    status = status_of(context, context.stack)
    delete = f"aws cloudformation delete-stack --stack-name {context.stack}"
    if status is None:
        yield ok(f"the stack {context.stack} does not exist yet: a first deployment")
    elif READY.fullmatch(status):
        yield ok(f"the stack {context.stack} is {status}")
    elif status.endswith("_IN_PROGRESS"):
        yield blocked(f"the stack {context.stack} is {status}", "wait until it has ended")
    elif status == "UPDATE_ROLLBACK_FAILED":
        yield blocked(
            f"the stack {context.stack} is {status}",
            "remove the cause in the stack's events, then: aws cloudformation"
            f" continue-update-rollback --stack-name {context.stack}",
        )
    elif status == "DELETE_FAILED":
        yield blocked(f"the stack {context.stack} is {status}", f"delete it again: {delete}")
    else:  # the first deployment failed: ROLLBACK_COMPLETE, ROLLBACK_FAILED, CREATE_FAILED
        yield blocked(
            f"the stack {context.stack} is {status}: its first deployment failed, and it cannot be"
            " updated",
            f"read the reason in its events, then delete it: {delete}",
        )


def packages_bucket(context: Context) -> Iterator[Finding]:
    """SAM's stack with the bucket for packages; SAM creates it if it does not exist."""
    status = status_of(context, SAM_STACK)
    if status is None:
        yield ok("SAM will create its bucket for packages")
    elif READY.fullmatch(status):
        yield ok("SAM's bucket for packages exists")
    else:
        yield blocked(
            f"SAM's stack {SAM_STACK} is {status}, so packages cannot be uploaded",
            f"delete it: aws cloudformation delete-stack --stack-name {SAM_STACK}",
        )


def status_of(context: Context, name: str) -> str | None:
    """The status of a stack, or None."""
    try:
        (found,) = context.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return str(found["StackStatus"])


# ── Names ────────────────────────────────────────────────────────────────────────────────────────

Lookup = Callable[[Context, str], str | None]


def _log_group(context: Context, name: str) -> str | None:
    pages = context.client("logs").get_paginator("describe_log_groups")
    groups = (g for page in pages.paginate(logGroupNamePrefix=name) for g in page["logGroups"])
    return next((name for group in groups if group["logGroupName"] == name), None)


def _state_machine(context: Context, name: str) -> str | None:
    pages = context.client("stepfunctions").get_paginator("list_state_machines").paginate()
    machines = (machine for page in pages for machine in page["stateMachines"])
    return next((m["stateMachineArn"] for m in machines if m["name"] == name), None)


def _dashboard(context: Context, name: str) -> str | None:
    pages = context.client("cloudwatch").get_paginator("list_dashboards")
    boards = (
        b for page in pages.paginate(DashboardNamePrefix=name) for b in page["DashboardEntries"]
    )
    return next((name for board in boards if board["DashboardName"] == name), None)


def _event_bus(context: Context, name: str) -> str | None:
    buses = context.client("events").list_event_buses(NamePrefix=name)["EventBuses"]
    return next((name for bus in buses if bus["Name"] == name), None)


def _origin_access_control(context: Context, name: str) -> str | None:
    client, marker = context.client("cloudfront"), ""
    while True:
        position = {"Marker": marker} if marker else {}
        page = client.list_origin_access_controls(**position)["OriginAccessControlList"]
        for item in page.get("Items", []):
            if item["Name"] == name:
                return str(item["Id"])
        if not page.get("IsTruncated"):
            return None
        marker = page["NextMarker"]


def _user_pool_domain(context: Context, name: str) -> str | None:
    found = context.client("cognito-idp").describe_user_pool_domain(Domain=name)
    return name if found.get("DomainDescription", {}).get("UserPoolId") else None


NAMED: Mapping[str, tuple[tuple[str, ...], Lookup]] = {
    "AWS::Logs::LogGroup": (("LogGroupName",), _log_group),
    "AWS::Serverless::StateMachine": (("Name",), _state_machine),
    "AWS::CloudWatch::Dashboard": (("DashboardName",), _dashboard),
    "AWS::Events::EventBus": (("Name",), _event_bus),
    "AWS::CloudFront::OriginAccessControl": (
        ("OriginAccessControlConfig", "Name"),
        _origin_access_control,
    ),
    "AWS::Cognito::UserPoolDomain": (("Domain",), _user_pool_domain),
}
"""Types with a name of ours: where it is, and a look-up of the physical id by the name. A look-up
returns None if nothing has this name."""


def names(context: Context) -> Iterator[Finding]:
    """Resources outside this stack that have a name which the stack needs."""
    ours = _physical_ids(context)
    checked = 0
    for logical_id, kind, name in fixed_names(context):
        found = NAMED[kind][1](context, name)
        checked += 1
        if found is not None and found not in ours:
            yield blocked(
                f"{kind} {name} exists and does not belong to the stack {context.stack}, so"
                f" {logical_id} cannot be created",
                "delete it, if it is left over from a deleted stack or a roll-back (an event bus:"
                " its rules first, docs/deploy.md); or choose another stack_name in samconfig.toml",
            )
    yield ok(f"{checked} names that must be unique were looked up; AWS chooses all other names")


def fixed_names(context: Context) -> Iterator[tuple[str, str, str]]:
    """Logical id, type and name of each resource whose name is known before it is created.

    A name with the stack's own id is unique and is left out.
    """
    values = {
        "StackName": context.stack,
        "Region": context.region,
        "AccountId": context.account,
        "Partition": context.partition,
    }
    for logical_id, resource in context.template["Resources"].items():
        if resource["Type"] not in NAMED:
            continue
        value: Any = resource["Properties"]
        for key in NAMED[resource["Type"]][0]:
            value = value.get(key) if isinstance(value, Mapping) else None
        text = value.get("Fn::Sub") if isinstance(value, Mapping) else value
        if not isinstance(text, str):
            continue
        name = REFERENCE.sub(lambda match: values.get(match[1], match[0]), text)
        if "${" not in name:
            yield logical_id, resource["Type"], name


def _physical_ids(context: Context) -> set[str]:
    pages = context.client("cloudformation").get_paginator("list_stack_resources")
    try:
        return {
            resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=context.stack)
            for resource in page["StackResourceSummaries"]
            if "PhysicalResourceId" in resource
        }
    except ClientError as error:
        if "does not exist" in str(error):
            return set()
        raise
