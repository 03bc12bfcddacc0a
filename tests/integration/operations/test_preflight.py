"""Each check of `make preflight`, with AWS's responses in the good and in the bad case.

botocore's stubber checks that requests and responses have the shapes that AWS documents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore import loaders
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.session import Session
from botocore.stub import Stubber

from local.deploy import load_template
from operations import account_checks, permission_checks, preflight, stack_checks, table_checks
from operations.findings import Context, Finding, Level, ok
from operations.installation import ROOT, Installation, NotConfigured, read_installation
from operations.preflight import CHECKS, READING, WriteRefused, findings, identify, read_only
from tests.support.reading import transformed, written

REGION, ACCOUNT = "eu-west-1", "123456789012"
USER = f"arn:aws:iam::{ACCOUNT}:user/ops/ada"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/deployer"
SESSION_OF_ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ada"
SES_IDENTITY = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/mail.example.com"
TEMPLATE = load_template(ROOT / "template.yaml")
SERVICES = loaders.create_loader()
"""The services' definitions, read once and not for each test."""
OK, WARNING, BLOCKED = Level.OK, Level.WARNING, Level.BLOCKED


class Aws:
    """Clients whose responses a test defines, in order. All must be used."""

    def __init__(self, open_stubs: ExitStack) -> None:
        self._open = open_stubs
        self._stubs: dict[str, Stubber] = {}
        self._clients: dict[str, Any] = {}
        self.called: set[str] = set()
        core = Session()
        core.register_component("data_loader", SERVICES)
        self.session = boto3.Session("key", "secret", region_name=REGION, botocore_session=core)
        # Before the guard, which would hide what it refuses.
        self.session.events.register("provide-client-params", self._called)
        read_only(self.session)

    def _called(self, model: Any, **_: Any) -> None:
        self.called.add(model.name)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            config = Config(retries={"max_attempts": 0})
            made = self.session.client(service, config=config)  # type: ignore[call-overload]
            self._clients[service] = made
            self._stubs[service] = self._open.enter_context(Stubber(made))
        return self._clients[service]

    def answer(self, service: str, operation: str, body: dict[str, Any], **sent: Any) -> None:
        self.client(service)
        self._stubs[service].add_response(operation, body, sent or None)

    def refuse(self, service: str, operation: str, code: str, message: str = "") -> None:
        self.client(service)
        self._stubs[service].add_client_error(operation, code, message)

    def context(self, caller: str = USER, **parameters: str) -> Context:
        installation = Installation("dev", "clipmint-dev", None, parameters)
        return Context(self.client, installation, REGION, ACCOUNT, caller, TEMPLATE)

    def assert_all_used(self) -> None:
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[Aws]:
    with ExitStack() as open_stubs:
        made = Aws(open_stubs)
        yield made
        made.assert_all_used()
        assert {name for name in made.called if not READING.match(name)} == set()


def levels(found: Iterable[Finding]) -> list[Level]:
    """The levels; each finding that is not in order has a remedy."""
    listed = list(found)
    for each in listed:
        assert bool(each.remedy) == (each.level is not OK), each
    return [each.level for each in listed]


# ── Account ──────────────────────────────────────────────────────────────────────────────────────


def test_the_root_user_is_warned_about(aws: Aws) -> None:
    assert levels(account_checks.caller(aws.context())) == [OK]
    root = aws.context(f"arn:aws:iam::{ACCOUNT}:root")
    assert levels(account_checks.caller(root)) == [OK, WARNING]


@pytest.mark.parametrize(("limit", "level"), [(10, WARNING), (99, WARNING), (1000, OK)])
def test_a_low_limit_of_concurrent_executions_is_warned_about(
    aws: Aws, limit: int, level: Level
) -> None:
    limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": limit}
    aws.answer("lambda", "get_account_settings", {"AccountLimit": limits})
    assert levels(account_checks.concurrency(aws.context())) == [level]


def distributions(quantity: int) -> dict[str, Any]:
    listed = {"Marker": "", "MaxItems": 1, "IsTruncated": False, "Quantity": quantity}
    return {"DistributionList": listed}


@pytest.mark.parametrize(("quantity", "level"), [(0, WARNING), (1, OK)])
def test_an_account_without_a_distribution_may_not_be_verified(
    aws: Aws, quantity: int, level: Level
) -> None:
    aws.answer("cloudfront", "list_distributions", distributions(quantity))
    assert levels(account_checks.cloudfront(aws.context())) == [level]


def test_cloudfront_is_not_asked_if_images_have_another_url(aws: Aws) -> None:
    context = aws.context(ImagesBaseUrl="https://images.example.com")
    assert levels(account_checks.cloudfront(context)) == [OK]


def test_without_an_identity_ses_is_not_asked(aws: Aws) -> None:
    assert levels(account_checks.email(aws.context())) == [OK]


@pytest.mark.parametrize(
    ("verified", "sending", "production", "level"),
    [
        (True, True, True, OK),
        (True, True, False, WARNING),
        (True, False, True, BLOCKED),
        (False, None, None, BLOCKED),
    ],
)
def test_ses_must_be_verified_and_out_of_its_sandbox(
    aws: Aws, verified: bool, sending: bool | None, production: bool | None, level: Level
) -> None:
    identity = "mail.example.com"
    aws.answer(
        "sesv2",
        "get_email_identity",
        {"VerifiedForSendingStatus": verified},
        EmailIdentity=identity,
    )
    if sending is not None:
        aws.answer(
            "sesv2",
            "get_account",
            {"SendingEnabled": sending, "ProductionAccessEnabled": production},
        )
    context = aws.context(**{account_checks.SES_PARAMETER: SES_IDENTITY})
    assert levels(account_checks.email(context)) == [level]


def test_an_unknown_ses_identity_blocks(aws: Aws) -> None:
    aws.refuse("sesv2", "get_email_identity", "NotFoundException")
    context = aws.context(**{account_checks.SES_PARAMETER: SES_IDENTITY})
    assert levels(account_checks.email(context)) == [BLOCKED]


def test_an_ses_identity_in_another_region_is_not_asked_for(aws: Aws) -> None:
    elsewhere = SES_IDENTITY.replace(REGION, "us-east-1")
    context = aws.context(**{account_checks.SES_PARAMETER: elsewhere})
    assert levels(account_checks.email(context)) == [WARNING]
    assert account_checks.SES_PARAMETER in TEMPLATE["Parameters"]


@pytest.mark.parametrize(("value", "level"), [(1000.0, OK), (5000.0, OK), (20.0, WARNING)])
def test_quotas_below_the_defaults_are_warned_about(aws: Aws, value: float, level: Level) -> None:
    quota = {"QuotaCode": "L-1", "QuotaName": "Registered state machines"}
    default = {"Quotas": [{**quota, "Value": 1000.0}]}
    aws.answer("service-quotas", "list_aws_default_service_quotas", default, ServiceCode="states")
    mine = {"Quotas": [{**quota, "Value": value}]}
    aws.answer("service-quotas", "list_service_quotas", mine, ServiceCode="states")
    assert levels(account_checks.step_functions(aws.context())) == [level]


# ── What exists ──────────────────────────────────────────────────────────────────────────────────


def described(name: str, status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": name, "CreationTime": 0, "StackStatus": status}]}


STATUSES = {
    "CREATE_COMPLETE": OK,
    "UPDATE_COMPLETE": OK,
    "UPDATE_ROLLBACK_COMPLETE": OK,
    "IMPORT_COMPLETE": OK,
    "REVIEW_IN_PROGRESS": OK,
    "CREATE_IN_PROGRESS": BLOCKED,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": BLOCKED,
    "CREATE_FAILED": BLOCKED,
    "ROLLBACK_COMPLETE": BLOCKED,
    "ROLLBACK_FAILED": BLOCKED,
    "UPDATE_ROLLBACK_FAILED": BLOCKED,
    "DELETE_FAILED": BLOCKED,
}


@pytest.mark.parametrize(("status", "level"), STATUSES.items())
def test_a_stack_that_cannot_be_updated_blocks(aws: Aws, status: str, level: Level) -> None:
    aws.answer("cloudformation", "describe_stacks", described("clipmint-dev", status))
    assert levels(stack_checks.stack(aws.context())) == [level]


def test_a_stack_that_failed_to_roll_back_is_continued_and_not_deleted(aws: Aws) -> None:
    status = described("clipmint-dev", "UPDATE_ROLLBACK_FAILED")
    aws.answer("cloudformation", "describe_stacks", status)
    (found,) = stack_checks.stack(aws.context())
    assert "continue-update-rollback" in found.remedy
    assert "delete-stack" not in found.remedy


@pytest.mark.parametrize("check", [stack_checks.stack, stack_checks.packages_bucket])
def test_a_missing_stack_is_created(
    aws: Aws, check: Callable[[Context], Iterator[Finding]]
) -> None:
    aws.refuse("cloudformation", "describe_stacks", "ValidationError", "it does not exist")
    assert levels(check(aws.context())) == [OK]


@pytest.mark.parametrize(
    ("status", "level"), [("CREATE_COMPLETE", OK), ("ROLLBACK_COMPLETE", BLOCKED)]
)
def test_sams_bucket_must_not_be_in_a_failed_stack(aws: Aws, status: str, level: Level) -> None:
    name = stack_checks.SAM_STACK
    aws.answer("cloudformation", "describe_stacks", described(name, status), StackName=name)
    assert levels(stack_checks.packages_bucket(aws.context())) == [level]


def names(aws: Aws) -> list[tuple[str, str, str]]:
    return list(stack_checks.fixed_names(aws.context()))


def test_every_name_that_the_template_chooses_is_looked_up(aws: Aws) -> None:
    found = {kind for _, kind, _ in names(aws)}
    # The sign-in domain contains the stack's id, so its name is not known before.
    assert found >= {
        "AWS::Logs::LogGroup",
        "AWS::Serverless::StateMachine",
        "AWS::CloudWatch::Dashboard",
        "AWS::CloudFront::OriginAccessControl",
        "AWS::Events::EventBus",
    }
    assert all("clipmint-dev" in name for *_, name in names(aws))
    # A property of a template's resource that names it, and that is not looked up.
    named = re.compile(r"(LogGroupName|DashboardName|TableName|BucketName|QueueName|TopicName)")
    chosen = {
        resource["Type"]
        for resource in TEMPLATE["Resources"].values()
        if any(named.fullmatch(key) for key in resource.get("Properties", {}))
    }
    assert chosen <= stack_checks.NAMED.keys()


def listings(aws: Aws, taken: str = "") -> None:
    """The responses to all look-ups; the resources of type ``taken`` exist."""
    for _, kind, name in names(aws):
        there = kind == taken
        match kind:
            case "AWS::Logs::LogGroup":
                groups = [{"logGroupName": name}] if there else [{"logGroupName": f"{name}-other"}]
                aws.answer("logs", "describe_log_groups", {"logGroups": groups})
            case "AWS::Serverless::StateMachine":
                machine = {
                    "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}",
                    "name": name if there else "another",
                    "type": "STANDARD",
                    "creationDate": 0,
                }
                aws.answer("stepfunctions", "list_state_machines", {"stateMachines": [machine]})
            case "AWS::CloudWatch::Dashboard":
                entries = [{"DashboardName": name}] if there else []
                aws.answer("cloudwatch", "list_dashboards", {"DashboardEntries": entries})
            case "AWS::Events::EventBus":
                buses = [{"Name": name if there else f"{name}-other"}]
                aws.answer("events", "list_event_buses", {"EventBuses": buses}, NamePrefix=name)
            case "AWS::CloudFront::OriginAccessControl":
                access_controls(aws, name if there else "another")
            case _:
                raise AssertionError(kind)


def access_controls(aws: Aws, name: str) -> None:
    """Two pages; the second one has the name."""
    for marker, listed in (("", "on-the-first-page"), ("page-2", name)):
        item = {
            "Id": f"E-{listed}",
            "Description": "",
            "Name": listed,
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
        page = {
            "Marker": marker,
            "MaxItems": 1,
            "Quantity": 1,
            "IsTruncated": not marker,
            "Items": [item],
            **({} if marker else {"NextMarker": "page-2"}),
        }
        aws.answer("cloudfront", "list_origin_access_controls", {"OriginAccessControlList": page})


@pytest.mark.parametrize(
    "kind", ["", *{kind for kind in stack_checks.NAMED if "Domain" not in kind}]
)
def test_a_name_that_is_taken_blocks(aws: Aws, kind: str) -> None:
    aws.refuse("cloudformation", "list_stack_resources", "ValidationError", "it does not exist")
    listings(aws, taken=kind)
    taken = [each for each in names(aws) if each[1] == kind]
    assert levels(stack_checks.names(aws.context())) == [BLOCKED] * len(taken) + [OK]


def test_a_name_of_the_stack_itself_does_not_block(aws: Aws) -> None:
    groups = [name for _, kind, name in names(aws) if kind == "AWS::Logs::LogGroup"]
    resources = [
        {
            "LogicalResourceId": "Logs",
            "PhysicalResourceId": name,
            "ResourceType": "AWS::Logs::LogGroup",
            "LastUpdatedTimestamp": 0,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for name in groups
    ]
    listed = {"StackResourceSummaries": resources}
    aws.answer("cloudformation", "list_stack_resources", listed, StackName="clipmint-dev")
    listings(aws, taken="AWS::Logs::LogGroup")
    assert levels(stack_checks.names(aws.context())) == [OK]


# ── Restored tables ──────────────────────────────────────────────────────────────────────────────

JOBS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/jobs-restored"


def described_table(kind: str, arn: str, **changes: Any) -> dict[str, Any]:
    """DescribeTable for a table of the template's shape."""
    declared = TEMPLATE["Resources"][f"{kind}Table"]["Properties"]
    keys = [key for key in ("KeySchema", "GlobalSecondaryIndexes") if key in declared]
    shape = {key: declared[key] for key in keys}
    return {"Table": {"TableArn": arn, "TableStatus": "ACTIVE", **shape, **changes}}


def recovery(aws: Aws, status: str) -> None:
    found = {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status},
    }
    aws.answer("dynamodb", "describe_continuous_backups", {"ContinuousBackupsDescription": found})


def test_a_stack_with_its_own_tables_is_not_compared(aws: Aws) -> None:
    assert levels(table_checks.tables(aws.context())) == [OK]


def test_a_restored_table_with_all_settings_passes(aws: Aws) -> None:
    described = described_table("Jobs", JOBS, DeletionProtectionEnabled=True)
    aws.answer("dynamodb", "describe_table", described, TableName="jobs-restored")
    recovery(aws, "ENABLED")
    context = aws.context(RestoredJobs=JOBS, RestoredJobsStream=f"{JOBS}/stream/2026")
    assert levels(table_checks.tables(context)) == [OK]


def test_a_restored_table_without_a_stream_is_warned_about(aws: Aws) -> None:
    described = described_table("Jobs", JOBS, DeletionProtectionEnabled=True)
    aws.answer("dynamodb", "describe_table", described, TableName="jobs-restored")
    recovery(aws, "ENABLED")
    [warned, fine] = table_checks.tables(aws.context(RestoredJobs=JOBS))
    assert levels([warned, fine]) == [WARNING, OK]
    assert "there are no events" in str(warned)


def test_what_a_restore_leaves_out_is_warned_about(aws: Aws) -> None:
    arn = JOBS.replace("jobs", "idempotency")
    described = described_table("Idempotency", arn, DeletionProtectionEnabled=False)
    aws.answer("dynamodb", "describe_table", described)
    recovery(aws, "DISABLED")
    ttl = {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    aws.answer("dynamodb", "describe_time_to_live", ttl)
    context = aws.context(RestoredIdempotency=arn)
    assert levels(table_checks.tables(context)) == [WARNING, WARNING, WARNING, OK]


@pytest.mark.parametrize(
    "changes",
    [
        {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]},
        {"GlobalSecondaryIndexes": []},
    ],
)
def test_a_table_without_the_templates_keys_and_indexes_blocks(
    aws: Aws, changes: dict[str, Any]
) -> None:
    described = described_table("Jobs", JOBS, DeletionProtectionEnabled=True, **changes)
    aws.answer("dynamodb", "describe_table", described)
    recovery(aws, "ENABLED")
    context = aws.context(RestoredJobs=JOBS, RestoredJobsStream=f"{JOBS}/stream/2026")
    assert levels(table_checks.tables(context)) == [BLOCKED]


@pytest.mark.parametrize(
    "changes", [{"TableStatus": "CREATING"}, {"TableArn": JOBS.replace(REGION, "us-east-1")}]
)
def test_a_table_that_is_not_ready_or_elsewhere_blocks(aws: Aws, changes: dict[str, Any]) -> None:
    described = described_table("Jobs", JOBS)
    described["Table"] |= changes
    aws.answer("dynamodb", "describe_table", described)
    assert levels(table_checks.tables(aws.context(RestoredJobs=JOBS))) == [BLOCKED]


def test_a_missing_table_blocks(aws: Aws) -> None:
    aws.refuse("dynamodb", "describe_table", "ResourceNotFoundException")
    assert levels(table_checks.tables(aws.context(RestoredJobs=JOBS))) == [BLOCKED]


# ── Permissions ──────────────────────────────────────────────────────────────────────────────────


def simulations(
    aws: Aws, principal: str, denied: str = "", *, missing: tuple[str, ...] = ()
) -> None:
    """The simulator's responses: everything is allowed but one action."""
    for actions, resource in permission_checks.needed(aws.context()):
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "implicitDeny" if action == denied else "allowed",
                "MissingContextValues": list(missing) if action == denied else [],
            }
            for action in actions
        ]
        aws.answer(
            "iam",
            "simulate_principal_policy",
            {"EvaluationResults": results, "IsTruncated": False},
            PolicySourceArn=principal,
            ActionNames=actions,
            ResourceArns=[resource],
        )


def test_a_caller_with_all_permissions_passes(aws: Aws) -> None:
    simulations(aws, USER)
    assert levels(permission_checks.permissions(aws.context())) == [OK]


def test_a_missing_permission_blocks_and_is_named(aws: Aws) -> None:
    simulations(aws, USER, denied="iam:PassRole")
    (found,) = permission_checks.permissions(aws.context())
    assert found.level is BLOCKED
    assert found.text == f"{USER} may not do: iam:PassRole"


def test_a_condition_that_cannot_be_simulated_is_a_warning(aws: Aws) -> None:
    simulations(aws, USER, denied="s3:CreateBucket", missing=("aws:RequestTag/team",))
    assert levels(permission_checks.permissions(aws.context())) == [WARNING]


def test_an_assumed_role_is_simulated_by_its_own_arn(aws: Aws) -> None:
    role = {
        "Path": "/teams/",
        "RoleName": "deployer",
        "RoleId": "AROA1234567890123456",
        "Arn": ROLE,
        "CreateDate": 0,
    }
    aws.answer("iam", "get_role", {"Role": role}, RoleName="deployer")
    simulations(aws, ROLE)
    assert levels(permission_checks.permissions(aws.context(SESSION_OF_ROLE))) == [OK]


def test_a_caller_that_may_not_simulate_gets_a_warning(aws: Aws) -> None:
    aws.refuse("iam", "simulate_principal_policy", "AccessDenied", "not authorized")
    assert levels(permission_checks.permissions(aws.context())) == [WARNING]


def test_the_root_user_is_not_simulated(aws: Aws) -> None:
    context = aws.context(f"arn:aws:iam::{ACCOUNT}:root")
    assert levels(permission_checks.permissions(context)) == [OK]


def test_every_service_of_the_template_has_its_permissions() -> None:
    """After the SAM transform. A custom resource is a call of its function."""
    services = {resource["Type"].rpartition("::")[0] for resource in transformed().values()}
    services = {"AWS::CloudFormation" if each == "Custom" else each for each in services}
    assert services == permission_checks.BY_SERVICE.keys()


# ── All together ─────────────────────────────────────────────────────────────────────────────────


def test_only_operations_that_read_are_called(aws: Aws) -> None:
    """The other tests call the same checks in other cases, and the fixture looks at each call."""
    context = aws.context()
    aws.answer("sts", "get_caller_identity", {"Account": ACCOUNT, "Arn": USER})
    identify(aws.session, aws.client)
    for _ in range(2):
        aws.answer("cloudformation", "describe_stacks", described("a", "CREATE_COMPLETE"))
    aws.answer("cloudformation", "list_stack_resources", {"StackResourceSummaries": []})
    listings(aws)
    limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
    aws.answer("lambda", "get_account_settings", {"AccountLimit": limits})
    aws.answer("cloudfront", "list_distributions", distributions(1))
    aws.answer("service-quotas", "list_aws_default_service_quotas", {"Quotas": []})
    aws.answer("service-quotas", "list_service_quotas", {"Quotas": []})
    simulations(aws, USER)
    found = list(findings(context))
    assert [name for name, each in found if each.level is not OK] == []
    assert {name for name, _ in found} == CHECKS.keys()
    assert len(aws.called) > 10


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("cloudformation", "delete_stack", {"StackName": "a"}),
        ("dynamodb", "put_item", {"TableName": "table", "Item": {}}),
        ("lambda", "invoke", {"FunctionName": "a"}),
        ("iam", "create_role", {"RoleName": "a", "AssumeRolePolicyDocument": "{}"}),
    ],
)
def test_a_call_that_writes_is_refused_before_it_is_sent(
    service: str, operation: str, arguments: dict[str, Any]
) -> None:
    session = boto3.Session("key", "secret", region_name=REGION)
    read_only(session)
    client = session.client(service)  # type: ignore[call-overload]
    with pytest.raises(WriteRefused):
        getattr(client, operation)(**arguments)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
def test_a_check_that_may_not_read_is_a_warning_and_the_others_run(aws: Aws, code: str) -> None:
    aws.refuse("lambda", "get_account_settings", code, "no")
    checks = {"concurrency": account_checks.concurrency, "caller": account_checks.caller}
    found = list(findings(aws.context(), checks))
    assert [(name, each.level) for name, each in found] == [
        ("concurrency", WARNING),
        ("caller", OK),
    ]
    assert "GetAccountSettings" in found[0][1].remedy


def test_a_check_without_a_connection_is_a_warning(aws: Aws) -> None:
    def unreachable(context: Context) -> Iterator[Finding]:
        yield ok(context.stack)
        raise EndpointConnectionError(endpoint_url="https://example.com")

    found = list(findings(aws.context(), {"x": unreachable}))
    assert [each.level for _, each in found] == [OK, WARNING]


def test_credentials_that_do_not_work_are_explained(aws: Aws) -> None:
    aws.refuse("sts", "get_caller_identity", "ExpiredToken", "expired")
    with pytest.raises(NotConfigured, match="aws sso login"):
        identify(aws.session, aws.client)


def test_missing_credentials_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.Session(region_name=REGION)
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    with pytest.raises(NotConfigured, match="no AWS credentials"):
        identify(session, lambda _: None)


@pytest.mark.parametrize(
    ("found", "code"), [([OK, OK], 0), ([OK, WARNING], 0), ([WARNING, BLOCKED, OK], 1)]
)
def test_only_what_blocks_fails(
    found: list[Level], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [
        ("check", Finding(level, "text", "" if level is OK else "do this")) for level in found
    ]
    assert preflight.report(listed) == code
    printed = capsys.readouterr().out
    assert printed.count("Remedy: do this") == len([level for level in found if level is not OK])
    assert f"blocked: {found.count(BLOCKED)}, warnings: {found.count(WARNING)}" in printed


def test_sam_cli_must_be_installed() -> None:
    assert preflight.sam_cli(ROOT / "Makefile").level is OK
    assert preflight.sam_cli(ROOT / "no-such-file").level is BLOCKED


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_environments_have_a_stack_and_known_parameters(environment: str) -> None:
    installation = read_installation(environment)
    assert installation.stack_name == f"clipmint-{environment}"
    assert installation.parameters["Stage"] == environment
    assert installation.parameters.keys() <= written()["Parameters"].keys()


def test_all_forms_of_parameters_in_samconfig_are_read(tmp_path: Any) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(
        '[a.deploy.parameters]\nstack_name = "s"\nregion = "eu-west-3"\n'
        'parameter_overrides = ["A=1=2", { B = \'{"c": 1}\' }]\n'
        '[b.deploy.parameters]\nstack_name = "t"\nparameter_overrides = "A=1 B=2"\n'
    )
    assert read_installation("a", path).parameters == {"A": "1=2", "B": '{"c": 1}'}
    assert read_installation("a", path).region == "eu-west-3"
    assert read_installation("b", path).parameters == {"A": "1", "B": "2"}


def test_errors_of_the_stubs_are_those_of_aws(aws: Aws) -> None:
    aws.refuse("cloudformation", "describe_stacks", "Throttling", "slow down")
    with pytest.raises(ClientError, match="Throttling"):
        stack_checks.status_of(aws.context(), "clipmint-dev")
