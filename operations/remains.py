"""What a deleted stack left: the resources that CloudFormation kept because they contain data.

CloudFormation records them itself, for 90 days after the deletion: the events of the deleted stack
name each resource that was kept. So nothing has to be written down before a deletion, and a program
that was interrupted finds the same resources again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from operations.installation import Client

KINDS = (
    "AWS::DynamoDB::Table",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolResourceServer",
    "AWS::Cognito::UserPoolClient",
)
"""The types that the template keeps."""


@dataclass(frozen=True)
class Kept:
    """One resource that was kept."""

    logical_id: str
    kind: str
    physical_id: str

    def __str__(self) -> str:
        return f"{self.logical_id}: {self.physical_id}"


def newest_deleted(client: Client, stack_name: str) -> str | None:
    """The id of the stack of this name that was deleted last, within 90 days; None without one."""
    pages = client("cloudformation").get_paginator("list_stacks")
    found = [
        (str(each.get("DeletionTime") or each["CreationTime"]), str(each["StackId"]))
        for page in pages.paginate(StackStatusFilter=["DELETE_COMPLETE"])
        for each in page["StackSummaries"]
        if each["StackName"] == stack_name
    ]
    return max(found)[1] if found else None


def kept_of(client: Client, stack_id: str) -> list[Kept]:
    """What CloudFormation kept when it deleted this stack."""
    events = client("cloudformation").get_paginator("describe_stack_events")
    found = {
        each["LogicalResourceId"]: Kept(
            each["LogicalResourceId"], each["ResourceType"], each["PhysicalResourceId"]
        )
        for page in events.paginate(StackName=stack_id)
        for each in page["StackEvents"]
        if each["ResourceStatus"] == "DELETE_SKIPPED"
    }
    return [found[name] for name in sorted(found)]


def to_keep(client: Client, stack_id: str) -> list[Kept]:
    """What CloudFormation will keep if this stack is deleted."""
    cloudformation = client("cloudformation")
    template = cloudformation.get_template(StackName=stack_id, TemplateStage="Processed")
    declared: dict[str, Any] = template["TemplateBody"]["Resources"]
    resources = cloudformation.get_paginator("list_stack_resources")
    return [
        Kept(each["LogicalResourceId"], each["ResourceType"], each["PhysicalResourceId"])
        for page in resources.paginate(StackName=stack_id)
        for each in page["StackResourceSummaries"]
        if "Retain" in str(declared[each["LogicalResourceId"]].get("DeletionPolicy"))
        and each.get("PhysicalResourceId")
    ]


def protected(client: Client, kept: list[Kept]) -> Iterator[Kept]:
    """Those that are protected against deletion. What does not exist any more is not protected."""
    for one in kept:
        if one.kind == "AWS::DynamoDB::Table":
            dynamodb = client("dynamodb")
            try:
                table = dynamodb.describe_table(TableName=one.physical_id)["Table"]
            except dynamodb.exceptions.ResourceNotFoundException:
                continue
            if table.get("DeletionProtectionEnabled"):
                yield one
        elif one.kind == "AWS::Cognito::UserPool":
            cognito = client("cognito-idp")
            try:
                pool = cognito.describe_user_pool(UserPoolId=one.physical_id)["UserPool"]
            except cognito.exceptions.ResourceNotFoundException:
                continue
            if pool.get("DeletionProtection") == "ACTIVE":
                yield one


def delete(client: Client, kept: Kept) -> None:
    """Delete one kept resource with its data, for good. One that does not exist is not an error.

    The clients and the resource server of a pool are deleted with their pool.
    """
    if kept.kind == "AWS::DynamoDB::Table":
        dynamodb = client("dynamodb")
        try:
            dynamodb.delete_table(TableName=kept.physical_id)
        except dynamodb.exceptions.ResourceNotFoundException:
            return
        dynamodb.get_waiter("table_not_exists").wait(TableName=kept.physical_id)
    elif kept.kind == "AWS::S3::Bucket":
        _delete_bucket(client("s3"), kept.physical_id)
    elif kept.kind == "AWS::SecretsManager::Secret":
        # Also succeeds for a secret that does not exist.
        client("secretsmanager").delete_secret(
            SecretId=kept.physical_id, ForceDeleteWithoutRecovery=True
        )
    elif kept.kind == "AWS::Cognito::UserPool":
        cognito = client("cognito-idp")
        try:
            cognito.delete_user_pool(UserPoolId=kept.physical_id)
        except cognito.exceptions.ResourceNotFoundException:
            return


def _delete_bucket(s3: Any, bucket: str) -> None:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": each["Key"]} for each in page.get("Contents", [])]
            if keys:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for each in page.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
        s3.delete_bucket(Bucket=bucket)
    except s3.exceptions.NoSuchBucket:
        return
