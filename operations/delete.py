"""`python -m operations.delete --env dev`: delete an installation, with its data or without.

CloudFormation deletes the stack and keeps tables, buckets, keys and users. `operations.adopt` gives
them to a new stack. With `--data`, they are deleted, too, and nothing is left; this is refused
while a table or the user pool is protected (the template's parameter DeletionProtection).

The program prints what it will do and asks for the name of the stack. If it is interrupted, run it
again: it continues. The exit code is 0 on success, 1 if the owner did not confirm or something
prevents the deletion.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from operations import remains
from operations.installation import (
    Client,
    NotConfigured,
    account_of,
    client_of,
    read_installation,
    session_of,
)
from operations.remains import Kept


class Refused(Exception):
    """The installation is not deleted. The message gives the reason and the remedy."""


def delete(
    client: Client,
    stack_name: str,
    confirm: Callable[[str], bool],
    *,
    data: bool,
    poll_seconds: float = 5,
) -> None:
    """Delete the stack of this name, and with ``data`` what CloudFormation keeps of it.

    ``confirm`` gets a description of what will be deleted. Raises `Refused`.
    """
    stack_id = _stack_id(client, stack_name)
    if stack_id is not None:
        kept = remains.to_keep(client, stack_id)
    else:
        # Maybe an earlier call deleted the stack and was interrupted before it deleted the data.
        deleted = remains.newest_deleted(client, stack_name)
        kept = remains.kept_of(client, deleted) if deleted else []
        if not data or not kept:
            raise Refused(f"There is no stack {stack_name}.")
    if data:
        _require_unprotected(client, kept)
    elif stack_id is not None:
        _require_idle(client, stack_id)
    if not confirm(_description(stack_name if stack_id else None, kept, data=data)):
        raise Refused("Nothing was deleted.")
    if stack_id is not None:
        if data:
            _stop_executions(client, stack_id)
        cloudformation = client("cloudformation")
        cloudformation.delete_stack(StackName=stack_id)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=stack_id, WaiterConfig={"Delay": poll_seconds, "MaxAttempts": 720}
        )
    if data:
        for one in kept:
            remains.delete(client, one)


def _stack_id(client: Client, stack_name: str) -> str | None:
    try:
        (found,) = client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return str(found["StackId"])


def _require_unprotected(client: Client, kept: list[Kept]) -> None:
    protected = list(remains.protected(client, kept))
    if protected:
        raise Refused(
            f"Protected against deletion: {', '.join(map(str, protected))}.\n"
            "To delete the data, deploy with DeletionProtection=false first."
        )


def _require_idle(client: Client, stack_id: str) -> None:
    """A state machine is only deleted after its last execution has ended."""
    running = list(_running(client, stack_id))
    if running:
        raise Refused(
            f"{len(running)} jobs are running. Wait until they have ended: until then the state"
            " machine cannot be deleted, and the installation cannot be created again."
        )


def _stop_executions(client: Client, stack_id: str) -> None:
    for execution in _running(client, stack_id):
        client("stepfunctions").stop_execution(executionArn=execution)


def _running(client: Client, stack_id: str) -> list[str]:
    resources = client("cloudformation").get_paginator("list_stack_resources")
    machines = [
        each["PhysicalResourceId"]
        for page in resources.paginate(StackName=stack_id)
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::StepFunctions::StateMachine"
        and each.get("PhysicalResourceId")
        and each["ResourceStatus"] != "DELETE_COMPLETE"
    ]
    executions = client("stepfunctions").get_paginator("list_executions")
    return [
        str(each["executionArn"])
        for machine in machines
        for page in executions.paginate(stateMachineArn=machine, statusFilter="RUNNING")
        for each in page["executions"]
    ]


def _description(stack_name: str | None, kept: list[Kept], *, data: bool) -> str:
    lines = [f"The stack {stack_name} will be deleted."] if stack_name else []
    lines.append("Deleted with all their data, for good:" if data else "Kept, with their data:")
    return "\n".join([*lines, *(f"  {one}" for one in kept)])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="operations.delete", description=__doc__)
    parser.add_argument("--env", required=True, help="environment of samconfig.toml")
    parser.add_argument("--data", action="store_true", help="also delete tables, files and users")
    parser.add_argument("--confirm", help="name of the stack; without it the program asks")
    options = parser.parse_args(arguments)

    try:
        installation = read_installation(options.env)
        session = session_of(installation)
        client = client_of(session)

        def confirm(description: str) -> bool:
            print(f"Account {account_of(client)}, region {session.region_name}")
            print(description)
            name = options.confirm or input(f"Type {installation.stack_name} to continue: ")
            return bool(name == installation.stack_name)

        delete(client, installation.stack_name, confirm, data=options.data)
    except (Refused, NotConfigured, EOFError) as error:
        print(error, file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"Not deleted, or not completely: {error}", file=sys.stderr)
        print("Run it again: it continues.", file=sys.stderr)
        return 1
    print("Deleted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
