"""`python -m operations.adopt --env prod`: a new stack with the data of the deleted one.

CloudFormation imports the resources that it kept into a new stack of the same name, with the
template and the parameters that the deleted stack had. Nothing in them changes. Afterwards
`make deploy` adds everything else.

A template for an import may contain only what is imported, so it is a part of the deleted stack's.
The exit code is 0 on success and 1 if there is nothing to adopt.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from operations import remains
from operations.installation import (
    Client,
    NotConfigured,
    client_of,
    read_installation,
    session_of,
)
from operations.remains import Kept

IDENTIFIERS = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Id",
    "AWS::Cognito::UserPool": "UserPoolId",
    "AWS::Cognito::UserPoolClient": "ClientId",
}
"""The identifier of each type for an import, which is also its physical id."""


class CannotAdopt(Exception):
    """There is nothing to adopt, or CloudFormation rejects the import. The message explains."""


def adopt(client: Client, stack_name: str, *, poll_seconds: float = 5) -> list[Kept]:
    """Create the stack from what its deleted predecessor left. Raises `CannotAdopt`."""
    deleted = remains.newest_deleted(client, stack_name)
    kept = remains.kept_of(client, deleted) if deleted else []
    if deleted is None or not kept:
        raise CannotAdopt(f"CloudFormation knows no deleted stack {stack_name} that left anything.")
    cloudformation = client("cloudformation")
    (before,) = cloudformation.describe_stacks(StackName=deleted)["Stacks"]
    template = cloudformation.get_template(StackName=deleted, TemplateStage="Processed")
    part = _part_of(template["TemplateBody"], kept)
    wanted = {
        "StackName": stack_name,
        "ChangeSetName": f"adopt-{uuid.uuid4()}",
    }
    try:
        cloudformation.create_change_set(
            **wanted,
            ChangeSetType="IMPORT",
            TemplateBody=json.dumps(part),
            Parameters=[
                {"ParameterKey": each["ParameterKey"], "ParameterValue": each["ParameterValue"]}
                for each in before["Parameters"]
                if each["ParameterKey"] in part["Parameters"]
            ],
            ResourcesToImport=[
                {
                    "ResourceType": one.kind,
                    "LogicalResourceId": one.logical_id,
                    "ResourceIdentifier": _identifier(one, part, kept),
                }
                for one in kept
            ],
        )
        cloudformation.get_waiter("change_set_create_complete").wait(
            **wanted, WaiterConfig={"Delay": poll_seconds, "MaxAttempts": 200}
        )
        cloudformation.execute_change_set(**wanted)
        cloudformation.get_waiter("stack_import_complete").wait(
            StackName=stack_name, WaiterConfig={"Delay": poll_seconds, "MaxAttempts": 400}
        )
    except (ClientError, WaiterError) as error:
        _remove_unused(client, stack_name)
        raise CannotAdopt(f"CloudFormation did not import the resources: {error}") from error
    return kept


def _remove_unused(client: Client, stack_name: str) -> None:
    """Delete the empty stack that a rejected change set leaves."""
    cloudformation = client("cloudformation")
    try:
        (found,) = cloudformation.describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError:
        return  # there is none
    if found["StackStatus"] == "REVIEW_IN_PROGRESS":
        cloudformation.delete_stack(StackName=found["StackId"])


def _part_of(template: dict[str, Any], kept: Sequence[Kept]) -> dict[str, Any]:
    """The part of a processed template that declares the kept resources."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": template.get("Parameters", {}),
        "Conditions": template.get("Conditions", {}),
        # A rolled-back import must not delete anything: Retain until the next deployment.
        "Resources": {
            one.logical_id: template["Resources"][one.logical_id] | {"DeletionPolicy": "Retain"}
            for one in kept
        },
    }


def _identifier(one: Kept, part: dict[str, Any], kept: Sequence[Kept]) -> dict[str, str]:
    if one.kind not in {*IDENTIFIERS, "AWS::Cognito::UserPoolResourceServer"}:
        raise CannotAdopt(f"{one.logical_id} has the unknown type {one.kind}.")
    properties = part["Resources"][one.logical_id].get("Properties", {})
    found: dict[str, str] = {}
    if one.kind in IDENTIFIERS:
        found[IDENTIFIERS[one.kind]] = one.physical_id
    else:
        found["Identifier"] = properties["Identifier"]
    if "UserPoolId" in properties:  # a part of a user pool
        pool = properties["UserPoolId"]["Ref"]
        found["UserPoolId"] = next(each.physical_id for each in kept if each.logical_id == pool)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="operations.adopt", description=__doc__)
    parser.add_argument("--env", required=True, help="environment of samconfig.toml")
    options = parser.parse_args(arguments)
    try:
        installation = read_installation(options.env)
        session = session_of(installation)
        client = client_of(session)
        print(f"Stack {installation.stack_name}, region {session.region_name}")
        adopted = adopt(client, installation.stack_name)
    except (CannotAdopt, NotConfigured) as error:
        print(error, file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        # CloudFormation may go on without this program.
        print(f"Not adopted, or not completely: {error}", file=sys.stderr)
        print("Look at the stack in CloudFormation before you run it again.", file=sys.stderr)
        return 1
    for one in adopted:
        print(f"  {one}")
    print(f"Adopted. Now run: make deploy ENV={options.env}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
