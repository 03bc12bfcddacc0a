"""Checks of restored tables (the parameters ``Restored…``).

CloudFormation does not manage them: neither what a restore leaves out (TTL, point-in-time recovery,
deletion protection) nor an index that a later release adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from operations.findings import Context, Finding, blocked, ok, warning

KINDS = ("Ledger", "Jobs", "Models", "Projects", "Idempotency", "Endpoints")
INDEXES = ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")


def tables(context: Context) -> Iterator[Finding]:
    """Whether each restored table is what the template declares for its own one."""
    arns = {kind: context.parameter(f"Restored{kind}") for kind in KINDS}
    if not any(arns.values()):
        yield ok("the stack uses its own tables")
    for kind, arn in arns.items():
        if arn:
            yield from _compare(context, kind, arn)


def _compare(context: Context, kind: str, arn: str) -> Iterator[Finding]:
    name = arn.rpartition("/")[2]
    expected = context.template["Resources"][f"{kind}Table"]["Properties"]
    dynamodb = context.client("dynamodb")
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        yield blocked(f"Restored{kind}: there is no table {name}", "correct the parameter")
        return
    if table["TableArn"] != arn:
        yield blocked(
            f"Restored{kind} is {arn}, but the table here is {table['TableArn']}",
            "correct account and region in the parameter",
        )
        return
    if table["TableStatus"] != "ACTIVE":
        yield blocked(f"the table {name} is {table['TableStatus']}", "wait until it is ACTIVE")
        return
    shapes = ("KeySchema", *INDEXES)
    different = [key for key in shapes if _shape(table, key) != _shape(expected, key)]
    if different:
        yield blocked(
            f"the table {name} and {kind}Table differ in {', '.join(different)}",
            "restore from the right table, with all indexes; add an index that a new release"
            " needs: aws dynamodb update-table --global-secondary-index-updates …",
        )
    yield from _settings(dynamodb, name, table, expected)
    if "StreamSpecification" in expected and not context.parameter(f"Restored{kind}Stream"):
        yield warning(
            f"there are no events from the table {name}",
            f"aws dynamodb update-table --table-name {name} --stream-specification"
            " StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES; then set"
            f" Restored{kind}Stream to its LatestStreamArn",
        )
    if not different:
        yield ok(f"{kind}: the restored table {name}")


def _settings(
    dynamodb: Any, name: str, table: Mapping[str, Any], expected: Mapping[str, Any]
) -> Iterator[Finding]:
    """What a restore leaves out."""
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    if recovery != "ENABLED":
        yield warning(
            f"the table {name} has no point-in-time recovery",
            f"aws dynamodb update-continuous-backups --table-name {name}"
            " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
        )
    if not table.get("DeletionProtectionEnabled"):
        yield warning(
            f"the table {name} is not protected against deletion",
            f"aws dynamodb update-table --table-name {name} --deletion-protection-enabled",
        )
    if "TimeToLiveSpecification" in expected:
        found = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        attribute = expected["TimeToLiveSpecification"]["AttributeName"]
        if found.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
            yield warning(
                f"old items of {name} are not deleted: it has no TTL",
                f"aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification"
                f" Enabled=true,AttributeName={attribute}",
            )


def _shape(table: Mapping[str, Any], key: str) -> Any:
    """Keys, or indexes by name, without what differs between a template and a table."""
    found = table.get(key, [])
    if key == "KeySchema":
        return [(part["AttributeName"], part["KeyType"]) for part in found]
    return {
        index["IndexName"]: (
            _shape(index, "KeySchema"),
            index["Projection"]["ProjectionType"],
            sorted(index["Projection"].get("NonKeyAttributes", [])),
        )
        for index in found
    }
