"""Who may do what: every role spelled out, so that a wider one shows as a change."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerDynamoDBPersistence,
)

from clipmint.api.audit_trail import AUDIT
from clipmint.events.endpoint_items import ENDPOINTS, SECRETS
from clipmint.media import storage
from clipmint.providers import registry
from tests.support.reading import FUNCTIONS, TEMPLATE, as_list, of_type, target, transformed

Statement = dict[str, Any]

READ = "dynamodb:GetItem"
JOB = f"{READ} dynamodb:UpdateItem"
MONEY = f"{READ} dynamodb:PutItem"
WAKE = "states:SendTaskFailure states:SendTaskSuccess"
# The breaker opens with a put, elects its probe with a conditional one, and closes with an update.
CIRCUITS = f"{READ} dynamodb:PutItem dynamodb:UpdateItem"
EXECUTIONS = (
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
    ":execution:${AWS::StackName}-generation:*"
)
KEYS = "secretsmanager:GetSecretValue"
STREAM = (
    "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams"
)

EXPECTED = {
    "Generate": {
        "LedgerTable": MONEY,
        "JobsTable": f"{READ} dynamodb:BatchGetItem dynamodb:PutItem",
        "ModelsTable": READ,
        "ProjectsTable": (
            f"{READ} dynamodb:BatchGetItem dynamodb:Query dynamodb:PutItem dynamodb:UpdateItem"
        ),
        "ProjectsTable/index/by_scene": "dynamodb:Query",
        "IdempotencyTable": f"{READ} dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem",
        "ImagesBucket": "s3:ListBucket",
        "ImagesBucket/uploads/*": "s3:GetObject",
        "GenerationStateMachine": "states:StartExecution",
    },
    "Status": {
        "LedgerTable": READ,
        "LedgerTable/index/by_sequence": "dynamodb:Query",
        "JobsTable": f"{READ} dynamodb:BatchGetItem",
        "JobsTable/index/by_user": "dynamodb:Query",
        "ModelsTable": f"{READ} dynamodb:Scan",
        "VideosBucket/*": "s3:GetObject",
    },
    "Projects": {
        "IdempotencyTable": "dynamodb:UpdateItem",
        "ProjectsTable": (
            f"{READ} dynamodb:Query dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem"
        ),
        "ProjectsTable/index/by_creation": "dynamodb:Query",
        "JobsTable": "dynamodb:BatchGetItem",
        "JobsTable/index/by_user": "dynamodb:Query",
        "VideosBucket/*": "s3:GetObject",
        "ImagesBucket": "s3:ListBucket",
        "ImagesBucket/uploads/*": "s3:DeleteObject s3:PutObject",
    },
    "Cancel": {
        "LedgerTable": MONEY,
        "JobsTable": f"{JOB} dynamodb:BatchGetItem",
        "ProviderKeys": KEYS,
        "GenerationStateMachine": WAKE,
        "VideosBucket": "s3:ListBucket",
        "VideosBucket/*": "s3:DeleteObject",
        "ImagesBucket": "s3:ListBucket",
        "ImagesBucket/generated_images/*": "s3:DeleteObject",
    },
    # The same requests as to Generate, Status, Projects and Cancel.
    "Doors": {
        "LedgerTable": MONEY,
        "JobsTable": f"{JOB} dynamodb:BatchGetItem dynamodb:PutItem",
        "JobsTable/index/by_user": "dynamodb:Query",
        "ModelsTable": f"{READ} dynamodb:Scan",
        "ProjectsTable": (
            f"{READ} dynamodb:BatchGetItem dynamodb:Query dynamodb:PutItem dynamodb:UpdateItem"
        ),
        "ProjectsTable/index/by_scene": "dynamodb:Query",
        "IdempotencyTable": f"{READ} dynamodb:PutItem dynamodb:UpdateItem",
        "ImagesBucket": "s3:ListBucket",
        "ImagesBucket/uploads/*": "s3:GetObject s3:PutObject",
        "ImagesBucket/generated_images/*": "s3:DeleteObject",
        "VideosBucket": "s3:ListBucket",
        "VideosBucket/*": "s3:DeleteObject s3:GetObject",
        "ProviderKeys": KEYS,
        "GenerationStateMachine": f"{WAKE} states:StartExecution",
    },
    "Webhooks": {
        "JobsTable": JOB,
        "ProviderKeys": KEYS,
        "GenerationStateMachine": WAKE,
    },
    "Purchases": {
        "LedgerTable": f"{MONEY} dynamodb:Query",
        "StoreSecrets": KEYS,
    },
    "Admin": {
        "LedgerTable": f"{MONEY} dynamodb:Query",
        "LedgerTable/index/by_sequence": "dynamodb:Query",
        # Whose job goodwill is for.
        "JobsTable": READ,
        "ModelsTable": f"{READ} dynamodb:PutItem dynamodb:DeleteItem",
        "EndpointsTable": (
            f"{READ} dynamodb:Query dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem"
        ),
        "Deliveries": "sqs:SendMessage",
    },
    # Reads everything but secrets, and writes nothing.
    "Operator": {
        "LedgerTable": f"{READ} dynamodb:Query",
        "LedgerTable/index/by_sequence": "dynamodb:Query",
        "JobsTable": f"{READ} dynamodb:BatchGetItem",
        "JobsTable/index/by_user": "dynamodb:Query",
        "JobsTable/index/by_deadline": "dynamodb:Query",
        "JobsTable/index/by_end": "dynamodb:Query",
        "ModelsTable": f"{READ} dynamodb:Scan",
        "ProjectsTable/index/by_creation": "dynamodb:Query",
        "IdempotencyTable": READ,
        "EndpointsTable": f"{READ} dynamodb:Query",
        "UsageTable": "dynamodb:Query",
        # What a job's execution did.
        EXECUTIONS: "states:GetExecutionHistory",
        "*": "cloudwatch:DescribeAlarms",
    },
    # What Cancel and Sweep may do to a job.
    "Actions": {
        "LedgerTable": MONEY,
        "JobsTable": JOB,
        "EndpointsTable": "dynamodb:PutItem dynamodb:UpdateItem",
        "ProviderKeys": KEYS,
        "GenerationStateMachine": f"{WAKE} states:StartExecution",
        "MigrateFunctionAliaslive": "lambda:InvokeFunction",
    },
    "Submit": {
        "JobsTable": JOB,
        "ProjectsTable": "dynamodb:UpdateItem",
        "IdempotencyTable": CIRCUITS,
        "VideosBucket": "s3:ListBucket",
        "VideosBucket/*": "s3:GetObject",
        "ProviderKeys": KEYS,
        "GenerationStateMachine": WAKE,
    },
    "Track": {
        "JobsTable": JOB,
        "ModelsTable": f"{READ} dynamodb:UpdateItem",
        "ProviderKeys": KEYS,
        "GenerationStateMachine": WAKE,
    },
    "Migrate": {
        "JobsTable": JOB,
        "ProviderKeys": KEYS,
        "VideosBucket/*": "s3:AbortMultipartUpload s3:DeleteObject s3:GetObject s3:PutObject",
        "ImagesBucket/generated_images/*": "s3:DeleteObject s3:PutObject",
    },
    "Settle": {
        "LedgerTable": MONEY,
        "JobsTable": JOB,
    },
    "Sweep": {
        # It also audits: scans the table in slices, and queries an account that it suspects.
        "LedgerTable": f"{MONEY} dynamodb:Query dynamodb:Scan",
        "JobsTable": JOB,
        "JobsTable/index/by_deadline": "dynamodb:Query",
        "ModelsTable": f"{READ} dynamodb:UpdateItem",
        "ProviderKeys": KEYS,
        "GenerationStateMachine": "states:SendTaskFailure states:StartExecution",
        "SweepDeadLetters": "sqs:SendMessage",
    },
    "Expire": {
        "ProjectsTable": f"{READ} dynamodb:UpdateItem dynamodb:DeleteItem",
        "ProjectsTable/index/by_expiry": "dynamodb:Query",
        "ImagesBucket": "s3:ListBucket",
        "ImagesBucket/uploads/*": "s3:DeleteObject",
        "SweepDeadLetters": "sqs:SendMessage",
    },
    "Events": {
        "JobsTable/stream/*": STREAM,
        "LedgerTable/stream/*": STREAM,
        # Whether all clips of a call have ended.
        "JobsTable": "dynamodb:BatchGetItem",
        "ProjectsTable": READ,
        "EventBus": "events:PutEvents",
        "EndpointsTable": "dynamodb:Query dynamodb:PutItem",
        "Deliveries": "sqs:SendMessage",
        "EventsDeadLetters": "sqs:SendMessage",
    },
    "Deliver": {
        "EndpointsTable": f"{READ} dynamodb:UpdateItem",
        "Deliveries": (
            "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes sqs:SendMessage"
        ),
    },
    "Usage": {
        "JobsTable/stream/*": STREAM,
        # The only right to write counters: nothing else changes them.
        "UsageTable": "dynamodb:UpdateItem",
    },
    "Seed": {
        "ModelsTable": f"{READ} dynamodb:PutItem dynamodb:UpdateItem",
    },
}

# What SAM gives to every function for logs and traces, and our policy that limits the logs.
MANAGED = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "OwnLogsOnly"}
# What AWSLambdaBasicExecutionRole allows, on all log groups of the account.
BASIC_EXECUTION = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}

# Actions that AWS does not allow to be restricted to a resource. CloudWatch authorises a list of
# alarms by prefix on alarm:*, and returns composite alarms only to who may describe "*".
WITHOUT_RESOURCE = ("logs:", "xray:", "cloudwatch:DescribeAlarms")


def roles() -> dict[str, dict[str, Any]]:
    return of_type(transformed(), "AWS::IAM::Role")


def statements(role: dict[str, Any]) -> Iterator[Statement]:
    for policy in role.get("Policies", []):
        yield from unconditional(policy["PolicyDocument"])


def unconditional(document: dict[str, Any]) -> list[Statement]:
    """The statements that every stack has; `test_modes.py` checks the others."""
    return [one for one in as_list(document["Statement"]) if "Fn::If" not in one]


def granted(role: dict[str, Any]) -> dict[str, set[str]]:
    permissions: dict[str, set[str]] = {}
    for statement in statements(role):
        for resource in as_list(statement["Resource"]):
            actions = permissions.setdefault(target(resource), set())
            actions |= set(as_list(statement["Action"]))
    return permissions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_what_it_must_and_no_more(function: str) -> None:
    expected = {resource: set(actions.split()) for resource, actions in EXPECTED[function].items()}
    role = roles()[f"{function}FunctionRole"]
    assert granted(role) == expected
    assert {target(arn).rsplit("/", 1)[-1] for arn in role["ManagedPolicyArns"]} == MANAGED


def test_no_function_creates_a_log_group_or_writes_to_one_of_another_stack() -> None:
    # After the deletion of a stack, a late log line would create its group again, and the stack
    # could not be created a second time.
    policy = of_type(transformed(), "AWS::IAM::ManagedPolicy")["OwnLogsOnly"]
    never, elsewhere = policy["PolicyDocument"]["Statement"]
    assert never == {"Effect": "Deny", "Action": "logs:CreateLogGroup", "Resource": "*"}
    assert elsewhere["Effect"] == "Deny"
    assert {never["Action"], *elsewhere["Action"]} == BASIC_EXECUTION
    own = elsewhere["NotResource"]["Fn::Sub"]
    assert own.endswith(":log-group:/aws/lambda/${AWS::StackName}/*")
    for name in FUNCTIONS:
        group = of_type(transformed(), "AWS::Logs::LogGroup")[f"{name}Logs"]["LogGroupName"]
        assert group == {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}/{name.lower()}"}


def test_the_circuit_breaker_asks_for_no_operation_that_submit_may_not_do() -> None:
    source = inspect.getsource(CircuitBreakerDynamoDBPersistence)
    calls = {f"dynamodb:{_camel(name)}" for name in re.findall(r"self\.client\.(\w+)\(", source)}
    assert calls == set(CIRCUITS.split())


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def test_a_bucket_is_listed_only_where_its_files_lie() -> None:
    listing = {
        (target(statement["Resource"]), statement["Condition"]["StringLike"]["s3:prefix"])
        for role in roles().values()
        for statement in statements(role)
        if "s3:ListBucket" in as_list(statement["Action"])
    }
    assert listing == {
        ("VideosBucket", "videos/*"),
        ("ImagesBucket", "uploads/*"),
        ("ImagesBucket", "generated_images/*"),
    }
    assert storage.job_prefix("alice", "job-1").startswith("videos/")
    assert storage.upload_prefix("alice", "project-1").startswith("uploads/")


def test_only_the_function_that_signs_reads_the_secrets_of_endpoints() -> None:
    limits = {
        (name, action): statement.get("Condition")
        for name, role in roles().items()
        for statement in statements(role)
        for resource in as_list(statement["Resource"])
        if target(resource) == "EndpointsTable"
        for action in as_list(statement["Action"])
        if action in {READ, "dynamodb:Query", "dynamodb:Scan", "dynamodb:BatchGetItem"}
    }
    keys = "dynamodb:LeadingKeys"
    not_secrets = {"ForAllValues:StringNotEquals": {keys: [SECRETS]}}
    assert limits == {
        ("AdminFunctionRole", READ): not_secrets,
        ("AdminFunctionRole", "dynamodb:Query"): not_secrets,
        ("OperatorFunctionRole", READ): not_secrets,
        ("OperatorFunctionRole", "dynamodb:Query"): not_secrets,
        ("EventsFunctionRole", "dynamodb:Query"): {
            "ForAllValues:StringEquals": {keys: [ENDPOINTS]}
        },
        ("DeliverFunctionRole", READ): None,
    }


def test_the_operator_reads_the_circuit_of_each_provider_and_no_stored_response() -> None:
    [statement] = [
        one
        for one in statements(roles()["OperatorFunctionRole"])
        if "IdempotencyTable" in {target(resource) for resource in as_list(one["Resource"])}
    ]
    names = [f"provider#{name}" for name in registry.KEY_NAMES]
    assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": names}}


def test_only_the_owners_calls_write_the_audit_trail() -> None:
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
    conditions = {
        (name, action.removeprefix("dynamodb:")): statement.get("Condition")
        for name, role in roles().items()
        for statement in statements(role)
        if "EndpointsTable" in {target(one) for one in as_list(statement["Resource"])}
        for action in writes & set(as_list(statement["Action"]))
    }
    keys = "dynamodb:LeadingKeys"
    only_audit = {"ForAllValues:StringEquals": {keys: [AUDIT]}}
    assert conditions == {
        ("ActionsFunctionRole", "PutItem"): only_audit,
        ("ActionsFunctionRole", "UpdateItem"): only_audit,
        # It changes webhooks, too.
        ("AdminFunctionRole", "PutItem"): None,
        ("AdminFunctionRole", "UpdateItem"): None,
        ("AdminFunctionRole", "DeleteItem"): {"ForAllValues:StringNotEquals": {keys: [AUDIT]}},
        ("EventsFunctionRole", "PutItem"): {
            "ForAllValues:StringNotEquals": {keys: [ENDPOINTS, SECRETS, AUDIT]}
        },
        ("DeliverFunctionRole", "UpdateItem"): {
            "ForAllValues:StringNotEquals": {keys: [SECRETS, AUDIT]}
        },
    }


def test_no_two_functions_share_a_role() -> None:
    functions = of_type(transformed(), "AWS::Lambda::Function")
    assert {name: function["Role"] for name, function in functions.items()} == {
        f"{name}Function": {"Fn::GetAtt": [f"{name}FunctionRole", "Arn"]} for name in FUNCTIONS
    }


def test_the_state_machine_invokes_its_four_functions_and_no_other() -> None:
    permissions = granted(roles()["GenerationRole"])
    anywhere = permissions.pop("*")
    # The functions themselves are for executions that began before there were aliases.
    assert permissions == {
        f"{name}Function{alias}": {"lambda:InvokeFunction"}
        for name in ("Submit", "Track", "Migrate", "Settle")
        for alias in ("Aliaslive", "")
    }
    assert all(action.startswith(WITHOUT_RESOURCE) for action in anywhere)


def test_every_role_is_accounted_for() -> None:
    assert roles().keys() == {f"{name}FunctionRole" for name in FUNCTIONS} | {"GenerationRole"}


def test_nothing_is_allowed_by_wildcard_action() -> None:
    documents = [
        properties[document]
        for resource in transformed().values()
        for properties in [
            resource.get("Properties", {}),
            *resource["Properties"].get("Policies", []),
        ]
        if isinstance(properties, dict)
        for document in ("PolicyDocument", "AssumeRolePolicyDocument")
        if document in properties
    ]
    actions = [
        action
        for document in documents
        for statement in unconditional(document)
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    ]
    assert len(actions) > len(FUNCTIONS)
    assert [action for action in actions if "*" in action] == []


def test_a_policy_names_its_resources_or_states_why_it_cannot() -> None:
    source = TEMPLATE.read_text().splitlines()
    wildcards = [
        (name, statement)
        for name, role in roles().items()
        for statement in statements(role)
        if any(target(resource) == "*" for resource in as_list(statement["Resource"]))
    ]
    assert {name for name, _ in wildcards} == {"GenerationRole", "OperatorFunctionRole"}
    assert all(
        action.startswith(WITHOUT_RESOURCE)
        for _, statement in wildcards
        for action in as_list(statement["Action"])
    )
    starts = [
        max(n for n in range(number) if source[n].lstrip().startswith("- Effect:"))
        for number, line in enumerate(source)
        if line.strip() == 'Resource: "*"'
    ]
    allowing = [start for start in starts if source[start].endswith("Allow")]
    assert len(allowing) == len(wildcards)
    for start in allowing:
        assert source[start - 1].lstrip().startswith("# Any resource:")


def test_only_services_assume_roles_and_no_policy_makes_a_resource_public() -> None:
    for name, role in roles().items():
        for statement in as_list(role["AssumeRolePolicyDocument"]["Statement"]):
            assert set(statement["Principal"]) == {"Service"}, name
    documents = [
        properties["PolicyDocument"]
        for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy")
        for properties in of_type(transformed(), kind).values()
    ]
    assert len(documents) == 4
    for document in documents:
        for statement in unconditional(document):
            if statement["Effect"] == "Allow":
                assert set(statement["Principal"]) == {"Service"}
                assert "aws:SourceArn" in str(statement["Condition"])


def test_each_function_is_invoked_only_by_what_the_template_names() -> None:
    permissions = of_type(transformed(), "AWS::Lambda::Permission").values()
    assert {permission["Principal"] for permission in permissions} == {
        "apigateway.amazonaws.com",
        "events.amazonaws.com",
    }
    assert all("SourceArn" in permission for permission in permissions)


def test_only_the_sweeps_own_rules_write_to_its_dead_letters() -> None:
    policy = of_type(transformed(), "AWS::SQS::QueuePolicy")["SweepDeadLettersPolicy"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    rules = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {rule["Fn::GetAtt"][0] for rule in rules} == of_type(
        transformed(), "AWS::Events::Rule"
    ).keys()
