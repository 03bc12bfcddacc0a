"""The restore of docs/runbook.md, rehearsed: tables of an earlier moment, and the way back.

The emulator cannot restore a table to a point in time. The test copies keys, indexes and items into
a new table, which is what DynamoDB restores. TTL, point-in-time recovery and deletion protection
are not restored on AWS either.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local.running import wait_for
from local.stack import STACK_NAME, Stack
from operations import table_checks
from operations.findings import Context, Level
from operations.installation import Installation
from tests.support.backstage import Owner, age, pass_the_deadline, sweep, until_tracked
from tests.support.customer import Customer
from tests.support.reading import written

RESTORED = ("Ledger", "Jobs", "Projects", "Idempotency")
"""What the runbook restores together."""

MODEL = {"model_id": "veo-3.1", "preset": "draft"}
PRICE = 16
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    settings = {"fal": {"queue_seconds": 0.05, "generation_seconds": 0.1, "time_factor": 0.05}}
    with Stack(enforce_iam=True, settings=settings) as running:
        yield running


def restore(stack: Stack) -> dict[str, str]:
    """The ARNs of new tables with the items of now, by the parameter that takes them."""
    dynamodb, arns = stack.boto3("dynamodb"), {}
    for kind in RESTORED:
        source = dynamodb.describe_table(TableName=stack.tables[f"{kind}Table"])["Table"]
        name = f"{source['TableName']}-restored-{uuid.uuid4().hex[:6]}"
        shape = {key: source[key] for key in ("AttributeDefinitions", "KeySchema")} | {
            indexes: [
                {key: each[key] for key in ("IndexName", "KeySchema", "Projection")}
                for each in source[indexes]
            ]
            for indexes in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
            if source.get(indexes)
        }
        made = dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **shape)
        for page in dynamodb.get_paginator("scan").paginate(TableName=source["TableName"]):
            for item in page["Items"]:
                dynamodb.put_item(TableName=name, Item=item)
        arns[f"Restored{kind}"] = made["TableDescription"]["TableArn"]
    return arns


def point(stack: Stack, arns: dict[str, str]) -> None:
    """What `make deploy` does after the parameters in samconfig.toml were changed."""
    cloudformation = stack.boto3("cloudformation")
    parameters = [
        {"ParameterKey": name, "ParameterValue": arns[name]}
        if name in arns
        else {"ParameterKey": name, "UsePreviousValue": True}
        for name in written()["Parameters"]
    ]
    cloudformation.update_stack(
        StackName=STACK_NAME,
        UsePreviousTemplate=True,
        Parameters=parameters,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    wait_for(lambda: status(stack) != "UPDATE_IN_PROGRESS", PATIENCE_SECONDS)
    wait_for(lambda: status(stack) == "UPDATE_COMPLETE", PATIENCE_SECONDS)
    found = outputs(stack)
    stack.tables = {
        name: found.get(f"{name}Name", own).rpartition("/")[2] for name, own in stack.tables.items()
    }


def status(stack: Stack) -> str:
    (found,) = stack.boto3("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    return str(found["StackStatus"])


def outputs(stack: Stack) -> dict[str, str]:
    (found,) = stack.boto3("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def drift(stack: Stack, user_id: str) -> int:
    """The audit of one account, as in the runbook."""
    return int(invoke(stack, {"audit": user_id})["drift"])


def invoke(stack: Stack, event: dict[str, Any]) -> dict[str, Any]:
    answer = stack.boto3("lambda").invoke(
        FunctionName=stack.functions["SweepFunction"], Payload=json.dumps(event).encode()
    )
    body: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "errorType" not in body, body
    return body


def damage(stack: Stack, user_id: str) -> None:
    """Give a user credits that no journal entry explains."""
    stack.boto3("dynamodb").update_item(
        TableName=stack.tables["LedgerTable"],
        Key={"user_id": {"S": user_id}, "sk": {"S": "ACCOUNT"}},
        UpdateExpression="SET available = :wrong",
        ExpressionAttributeValues={":wrong": {"N": "999999"}},
    )


def context(stack: Stack, arns: dict[str, str]) -> Context:
    """What `make preflight` reads."""
    installation = Installation("dev", STACK_NAME, None, arns)
    caller = "arn:aws:iam::000000000000:root"
    return Context(stack.boto3, installation, stack.region, "000000000000", caller, written())


def table_names(stack: Stack) -> set[str]:
    pages = stack.boto3("dynamodb").get_paginator("list_tables").paginate()
    return {name for page in pages for name in page["TableNames"]}


def back_and_forth(stack: Stack, own: dict[str, str], arns: dict[str, str], user: Customer) -> None:
    """The way back leads to the damaged tables; forward again, nothing was lost."""
    balance = user.credits()
    point(stack, dict.fromkeys(arns, ""))
    assert stack.tables == own
    # On a busy machine the job that runs there may end meanwhile, which releases its hold.
    assert user.credits()["available"] in {999_999, 999_999 + PRICE}
    point(stack, arns)
    assert user.credits() == balance


@pytest.mark.slow
def test_a_stack_is_pointed_at_restored_tables_and_back(stack: Stack) -> None:
    own = dict(stack.tables)
    owner = Owner(stack)
    with Customer(stack) as ada, Customer(stack) as bob:
        assert owner.grant(ada.user_id, 100).status_code == 200
        first = ada.finish(**MODEL)
        assert first["status"] == "completed"
        stack.fal.change(generation_seconds=600)
        running = ada.order(**MODEL)
        until_tracked(stack, running)

        # The moment to restore to.
        arns = restore(stack)
        then = ada.credits()
        assert then == {"available": 100 - 2 * PRICE, "held": PRICE}

        # What happens after it is lost: an order, a purchase, and the damage.
        stack.fal.change(generation_seconds=0.1)
        lost_key = uuid.uuid4().hex
        lost = ada.order(lost_key, **MODEL)
        ada.until_ended(lost)
        assert owner.grant(bob.user_id, 50, "purchase-after").status_code == 200
        damage(stack, ada.user_id)
        assert drift(stack, ada.user_id) > 0

        # Preflight accepts the tables, and warns about what a restore leaves out.
        found = [each.level for each in table_checks.tables(context(stack, arns))]
        assert found.count(Level.OK) == len(RESTORED)
        assert Level.BLOCKED not in found

        # The procedure: no job runs, then the deployment.
        stack.boto3("stepfunctions").stop_execution(executionArn=stack.execution_arn(running))
        before = table_names(stack)
        point(stack, arns)
        assert table_names(stack) == before, "an update creates and deletes no table"
        assert set(stack.tables.values()).isdisjoint({own[f"{kind}Table"] for kind in RESTORED})

        # Accounts are those of then, and add up.
        assert ada.credits() == then
        assert drift(stack, ada.user_id) == 0
        assert ada.http.get(f"/v1/videos/{lost}").status_code == 404
        assert ada.video(first["job_id"])["status"] == "completed"
        # The job that ran is ended by the sweep, which releases its hold once.
        pass_the_deadline(stack, running)
        for _ in range(2):
            sweep(stack)
        assert ada.video(running)["status"] == "failed"
        assert ada.credits() == {"available": 100 - PRICE, "held": 0}
        # The purchase is repeated with its own reference, and counts once.
        for replayed in (False, True):
            answer = owner.grant(bob.user_id, 50, "purchase-after").json()
            assert (answer["available"], answer["replayed"]) == (50, replayed)
        # Orders work. One that repeats a lost order cannot: its execution has ended.
        assert ada.finish(**MODEL)["status"] == "completed"
        again = ada.order(lost_key, **MODEL)
        assert again == lost, "the id follows from user and key"
        age(stack, again)
        sweep(stack)
        assert ada.video(again)["status"] == "failed"
        assert ada.credits() == {"available": 100 - 2 * PRICE, "held": 0}
        assert ada.kinds().count("capture") == 2
        assert drift(stack, ada.user_id) == drift(stack, bob.user_id) == 0

        back_and_forth(stack, own, arns, ada)
        assert table_names(stack) == before
    owner.close()


def test_only_one_of_ledger_and_jobs_is_rejected() -> None:
    rule = written()["Rules"]["LedgerAndJobsAreRestoredTogether"]
    needed = [each["Assert"]["Fn::Not"][0]["Fn::Equals"] for each in rule["Assertions"]]
    assert needed == [[{"Ref": "RestoredLedger"}, ""], [{"Ref": "RestoredJobs"}, ""]]
