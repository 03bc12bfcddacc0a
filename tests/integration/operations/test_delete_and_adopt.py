"""An installation is deleted and created again, on the emulator: with its data, and without.

The emulator treats DeletionPolicy and imports as CloudFormation does, and the programs are those of
`make delete` and `make adopt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.deploy import Deployed, DeployFailedError, default_layers, deploy
from local.stack import STACK_NAME, Stack
from operations import remains
from operations.adopt import CannotAdopt, adopt
from operations.delete import Refused, delete
from tests.support.reading import TEMPLATE

PARAMETERS = {"JwtIssuer": "", "JwtAudience": "", "DeletionProtection": "false", "Console": "on"}
USER = {"Username": "ada@example.com"}
KEPT = {
    *("LedgerTable", "JobsTable", "ModelsTable", "ProjectsTable", "IdempotencyTable"),
    "EndpointsTable",
    *("VideosBucket", "ImagesBucket", "ConsoleBucket", "ProviderKeys", "StoreSecrets"),
    *("UserPool", "UserPoolClient", "AdminClient", "AdminScope"),
}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(simulate=(), parameters=PARAMETERS) as running:
        yield running


def deploy_again(
    stack: Stack, parameters: Mapping[str, str] = PARAMETERS, *, update: bool
) -> Deployed:
    return deploy(
        stack.boto3,
        stack=STACK_NAME,
        template=TEMPLATE,
        parameters=parameters,
        layers=default_layers(),
        update=update,
    )


def agree(question: str) -> bool:
    return bool(question)


def remove(stack: Stack, confirm: Callable[[str], bool] = agree, *, data: bool) -> None:
    delete(stack.boto3, STACK_NAME, confirm, data=data, poll_seconds=0.05)


def store_data(stack: Stack) -> None:
    """Something in a table, in a bucket and in the pool."""
    stack.boto3("dynamodb").put_item(
        TableName=stack.outputs["LedgerTableName"],
        Item={"user_id": {"S": "ada"}, "sk": {"S": "ACCOUNT"}, "available": {"N": "7"}},
    )
    stack.boto3("s3").put_object(
        Bucket=stack.outputs["VideosBucketName"], Key="videos/a.mp4", Body=b"video"
    )
    stack.boto3("cognito-idp").admin_create_user(
        UserPoolId=stack.outputs["UserPoolId"], MessageAction="SUPPRESS", **USER
    )


def stored_data(stack: Stack, outputs: Mapping[str, str]) -> list[Any]:
    item = stack.boto3("dynamodb").get_item(
        TableName=outputs["LedgerTableName"],
        Key={"user_id": {"S": "ada"}, "sk": {"S": "ACCOUNT"}},
    )["Item"]
    video = stack.boto3("s3").get_object(Bucket=outputs["VideosBucketName"], Key="videos/a.mp4")
    user = stack.boto3("cognito-idp").admin_get_user(UserPoolId=outputs["UserPoolId"], **USER)
    return [item["available"]["N"], video["Body"].read(), user["Username"]]


def everything_left(stack: Stack) -> list[str]:
    pools = stack.boto3("cognito-idp").list_user_pools(MaxResults=60)["UserPools"]
    buckets = stack.boto3("s3").list_buckets()["Buckets"]
    return [
        *stack.boto3("dynamodb").list_tables()["TableNames"],
        *(each["Name"] for each in buckets if each["Name"].startswith(STACK_NAME)),
        *(each["Id"] for each in pools),
        *(
            each["logGroupName"]
            for each in stack.boto3("logs").describe_log_groups()["logGroups"]
            if STACK_NAME in each["logGroupName"]
        ),
    ]


def test_a_deleted_installation_is_created_again_with_its_data(stack: Stack) -> None:
    store_data(stack)
    data = stored_data(stack, stack.outputs)

    remove(stack, data=False)
    with pytest.raises(Refused, match="There is no stack"):
        remove(stack, data=False)
    adopted = adopt(stack.boto3, STACK_NAME, poll_seconds=0.05)
    assert {one.logical_id for one in adopted} == KEPT
    again = deploy_again(stack, update=True)

    same = {name for name in again.outputs if again.outputs[name] == stack.outputs.get(name)}
    assert {f"{name}Id" for name in ("UserPool", "UserPoolClient", "AdminClient")} <= same
    assert {name for name in again.outputs if "Table" in name or "Bucket" in name} <= same
    assert stored_data(stack, again.outputs) == data
    ledger = again.outputs["LedgerTableName"]
    variables = stack.boto3("lambda").get_function_configuration(
        FunctionName=again.resources["AdminFunction"]
    )["Environment"]["Variables"]
    assert variables["LEDGER_TABLE"] == ledger


@pytest.mark.slow
def test_a_deleted_development_stack_leaves_nothing(stack: Stack) -> None:
    store_data(stack)
    questions: list[str] = []

    def confirm(question: str) -> bool:
        questions.append(question)
        return len(questions) > 1

    with pytest.raises(Refused, match="Nothing was deleted"):
        remove(stack, confirm, data=True)
    assert stored_data(stack, stack.outputs)
    remove(stack, confirm, data=True)
    assert stack.outputs["LedgerTableName"] in questions[0]
    assert everything_left(stack) == []
    with pytest.raises(CannotAdopt):
        adopt(stack.boto3, STACK_NAME, poll_seconds=0.05)
    deploy_again(stack, update=False)


@pytest.mark.slow
def test_an_interrupted_deletion_of_the_data_is_continued(stack: Stack) -> None:
    remove(stack, data=False)
    assert everything_left(stack)
    remove(stack, data=True)
    assert everything_left(stack) == []


@pytest.mark.slow
def test_protected_data_is_not_deleted(stack: Stack) -> None:
    deploy_again(stack, PARAMETERS | {"DeletionProtection": "true"}, update=True)
    with pytest.raises(Refused, match=r"(?s)LedgerTable: .*DeletionProtection=false"):
        remove(stack, data=True)
    assert len(everything_left(stack)) > len(KEPT)


@pytest.mark.slow
def test_a_stack_with_running_jobs_is_not_deleted_before_they_have_ended(stack: Stack) -> None:
    machine = stack.outputs["StateMachineArn"]
    stack.boto3("stepfunctions").start_execution(stateMachineArn=machine, input='{"job_id": "x"}')
    with pytest.raises(Refused, match="1 jobs are running"):
        remove(stack, data=False)
    remove(stack, data=True)


@pytest.mark.slow
def test_a_failed_first_deployment_leaves_nothing_and_can_be_repeated(stack: Stack) -> None:
    remove(stack, data=True)
    # Every resource before CatalogSeed exists when CatalogSeed rejects the setting.
    broken = {"ProviderOverrides": '{"fal": {"queue_ur": "https://queue.example"}}'}
    with pytest.raises(DeployFailedError, match=r"queue_ur"):
        deploy_again(stack, PARAMETERS | broken, update=False)
    assert everything_left(stack) == []
    # SAM does this: on_failure in samconfig.toml.
    stack.boto3("cloudformation").delete_stack(StackName=STACK_NAME)
    deploy_again(stack, update=False)
    assert remains.newest_deleted(stack.boto3, "another stack") is None
