"""Whether the caller may do what a deployment does, by IAM's policy simulator.

The actions are those that creating and updating the stack's resource types needs (AWS's Service
Authorization Reference, and the handlers of the types in the CloudFormation registry). A denied
action stops a deployment half-way; CloudFormation then rolls back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from botocore.exceptions import ClientError

from operations.findings import Context, Finding, blocked, ok, warning


class Needed(NamedTuple):
    """Actions, as ``service:Name Name …``, and the resource that they are simulated for."""

    actions: str
    resource: str = "*"


STACK = "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/x"
FUNCTION = "arn:{partition}:lambda:{region}:{account}:function:{stack}-x"
LAYER = "arn:{partition}:lambda:{region}:{account}:layer:{stack}-x"
ROLE = "arn:{partition}:iam::{account}:role/{stack}-x"

ALWAYS = (
    Needed("cloudformation:CreateChangeSet DescribeChangeSet ExecuteChangeSet", STACK),
    Needed("cloudformation:DescribeStacks DescribeStackEvents GetTemplateSummary"),
    Needed(
        "cloudformation:CreateChangeSet",
        "arn:{partition}:cloudformation:{region}:aws:transform/Serverless-2016-10-31",
    ),
    Needed("s3:PutObject GetObject", "arn:{partition}:s3:::aws-sam-cli-managed-default-x/x"),
)
BY_SERVICE: Mapping[str, tuple[Needed, ...]] = {
    "AWS::ApiGatewayV2": (
        Needed("apigateway:POST GET PUT PATCH", "arn:{partition}:apigateway:{region}::/apis"),
        Needed("logs:CreateLogDelivery DescribeResourcePolicies PutResourcePolicy"),
    ),
    "AWS::CloudFormation": (Needed("lambda:InvokeFunction", FUNCTION),),
    "AWS::CloudFront": (
        Needed("cloudfront:CreateDistribution GetDistribution UpdateDistribution TagResource"),
        Needed("cloudfront:CreateOriginAccessControl GetOriginAccessControl"),
        Needed("cloudfront:CreateResponseHeadersPolicy GetResponseHeadersPolicy"),
    ),
    "AWS::CloudWatch": (Needed("cloudwatch:PutMetricAlarm DescribeAlarms PutDashboard"),),
    "AWS::Cognito": (
        Needed("cognito-idp:CreateUserPool DescribeUserPool CreateUserPoolClient"),
        Needed("cognito-idp:CreateUserPoolDomain CreateResourceServer"),
    ),
    "AWS::DynamoDB": (
        Needed(
            "dynamodb:CreateTable DescribeTable UpdateTable UpdateContinuousBackups"
            " DescribeContinuousBackups UpdateTimeToLive DescribeTimeToLive",
            "arn:{partition}:dynamodb:{region}:{account}:table/{stack}-x",
        ),
    ),
    "AWS::Events": (
        Needed(
            "events:PutRule DescribeRule PutTargets",
            "arn:{partition}:events:{region}:{account}:rule/{stack}-x",
        ),
        Needed(
            "events:CreateEventBus DescribeEventBus",
            "arn:{partition}:events:{region}:{account}:event-bus/{stack}-events",
        ),
        Needed("events:ListEventBuses"),
    ),
    "AWS::IAM": (
        Needed(
            "iam:CreateRole GetRole PutRolePolicy GetRolePolicy AttachRolePolicy TagRole PassRole"
            " DeleteRolePolicy DetachRolePolicy DeleteRole",
            ROLE,
        ),
        Needed(
            "iam:CreatePolicy GetPolicy CreatePolicyVersion DeletePolicyVersion ListPolicyVersions",
            "arn:{partition}:iam::{account}:policy/{stack}-x",
        ),
    ),
    "AWS::Lambda": (
        Needed(
            "lambda:CreateFunction GetFunction UpdateFunctionCode UpdateFunctionConfiguration"
            " AddPermission RemovePermission TagResource PutFunctionEventInvokeConfig",
            FUNCTION,
        ),
        Needed("lambda:CreateEventSourceMapping GetEventSourceMapping"),
        Needed("lambda:PublishLayerVersion", LAYER),
        Needed("lambda:GetLayerVersion", LAYER + ":1"),
    ),
    "AWS::Logs": (
        Needed(
            "logs:CreateLogGroup PutRetentionPolicy",
            "arn:{partition}:logs:{region}:{account}:log-group:/aws/lambda/{stack}/x",
        ),
        Needed("logs:DescribeLogGroups"),
    ),
    "AWS::S3": (
        Needed(
            "s3:CreateBucket PutBucketPolicy PutEncryptionConfiguration PutLifecycleConfiguration"
            " PutBucketPublicAccessBlock PutBucketOwnershipControls PutBucketCORS",
            "arn:{partition}:s3:::{stack}-x",
        ),
    ),
    "AWS::SNS": (
        Needed(
            "sns:CreateTopic GetTopicAttributes Subscribe",
            "arn:{partition}:sns:{region}:{account}:{stack}-x",
        ),
    ),
    "AWS::SQS": (
        Needed(
            "sqs:CreateQueue GetQueueAttributes SetQueueAttributes",
            "arn:{partition}:sqs:{region}:{account}:{stack}-x",
        ),
    ),
    "AWS::SecretsManager": (
        Needed(
            "secretsmanager:CreateSecret DescribeSecret TagResource",
            "arn:{partition}:secretsmanager:{region}:{account}:secret:ProviderKeys-x",
        ),
    ),
    "AWS::StepFunctions": (
        Needed(
            "states:CreateStateMachine DescribeStateMachine UpdateStateMachine TagResource",
            "arn:{partition}:states:{region}:{account}:stateMachine:{stack}-generation",
        ),
    ),
}
"""By the service in the name of a resource type, after the SAM transform."""


def permissions(context: Context) -> Iterator[Finding]:
    """Actions of a deployment that the caller's policies do not allow."""
    try:
        principal = _principal(context)
        if principal is None:
            yield ok("the root user may do everything")
            return
        denied, uncertain = _simulate(context, principal)
    except ClientError as error:
        if "AccessDenied" not in error.response["Error"]["Code"]:
            raise
        yield warning(
            "the permissions could not be simulated: "
            + str(error.response["Error"].get("Message", "")),
            "allow iam:GetRole and iam:SimulatePrincipalPolicy, or deploy and see",
        )
        return
    if uncertain:
        yield warning(
            f"allowed only under conditions that cannot be simulated: {', '.join(uncertain)}",
            "compare the conditions in the caller's policies",
        )
    if denied:
        yield blocked(
            f"{principal} may not do: {', '.join(denied)}",
            "add these actions to its policies (docs/deploy.md), or use other credentials",
        )
    if not denied and not uncertain:
        yield ok(f"{principal} may do everything that was simulated")


def _principal(context: Context) -> str | None:
    """The ARN of the user or role to simulate; None for the root user.

    An assumed role's ARN has no path, and cannot be simulated. IAM knows the role's own ARN.
    """
    resource = context.caller.split(":", 5)[5]
    if resource == "root":
        return None
    kind, _, rest = resource.partition("/")
    if kind != "assumed-role":
        return context.caller
    role = context.client("iam").get_role(RoleName=rest.partition("/")[0])
    return str(role["Role"]["Arn"])


def needed(context: Context) -> Iterator[tuple[list[str], str]]:
    """Actions and the resource to simulate them for."""
    values = {
        "partition": context.partition,
        "region": context.region,
        "account": context.account,
        "stack": context.stack,
    }
    for group in (ALWAYS, *BY_SERVICE.values()):
        for each in group:
            service, _, names = each.actions.partition(":")
            yield (
                [f"{service}:{name}" for name in names.split()],
                each.resource.format(**values),
            )


def _simulate(context: Context, principal: str) -> tuple[list[str], list[str]]:
    """Denied actions, and those whose policies have conditions that were not evaluated."""
    iam = context.client("iam")
    denied: list[str] = []
    uncertain: list[str] = []
    for actions, resource in needed(context):
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=principal, ActionNames=actions, ResourceArns=[resource]
        )
        for page in pages:
            for result in page["EvaluationResults"]:
                if result["EvalDecision"] == "allowed":
                    continue
                place = uncertain if result.get("MissingContextValues") else denied
                place.append(result["EvalActionName"])
    return sorted(set(denied)), sorted(set(uncertain))
