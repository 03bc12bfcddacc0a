"""An update from the previous release keeps what holds data, and what apps know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.reading import deployed, deployed_text
from tests.support.releases import previous_release

MODES: dict[str, dict[str, str]] = {
    "Cognito": {},
    "own sign-in": {"JwtIssuer": "https://login.example.com", "JwtAudience": "app"},
}

KEPT = {
    "AWS::DynamoDB::Table",
    "AWS::S3::Bucket",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolDomain",
    "AWS::SecretsManager::Secret",
    # Apps and providers know its URL.
    "AWS::ApiGatewayV2::Api",
    "AWS::CloudFront::Distribution",
    # Running executions belong to it, and functions know its name.
    "AWS::StepFunctions::StateMachine",
}
# Values that CloudFormation writes over the owner's whenever their text changes.
SECRET_VALUES = ("SecretString", "GenerateSecretString")
# Cognito's schema in the registry does not state this, its reference does:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cognito-userpool.html
ALSO_CREATE_ONLY = {
    "AWS::Cognito::UserPool": ["AliasAttributes", "UsernameAttributes", "UsernameConfiguration"],
}

Resources = dict[str, dict[str, Any]]


def create_only(kind: str) -> list[list[str]]:
    """Paths of the properties whose change replaces a resource, or is rejected."""
    # Its import takes a second, and each test process imports all tests.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    pointers = [
        *schema.get("createOnlyProperties", []),
        *schema.get("conditionalCreateOnlyProperties", []),
    ]
    paths = [pointer.removeprefix("/properties/").split("/") for pointer in pointers]
    return paths + [[name] for name in ALSO_CREATE_ONLY.get(kind, [])]


def at(resource: dict[str, Any], path: list[str]) -> Any:
    value: Any = resource.get("Properties", {})
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def replaced(before: Resources, after: Resources) -> list[str]:
    """What an update would replace or remove among the resources to keep."""
    found = []
    for name, old in before.items():
        if old["Type"] not in KEPT:
            continue
        new = after.get(name)
        if new is None or new["Type"] != old["Type"]:
            found.append(f"{name} is removed")
            continue
        found += [
            f"{name}.{'.'.join(path)} changes"
            for path in create_only(old["Type"])
            if at(old, path) != at(new, path)
        ]
    return found


def secrets_changed(before: Resources, after: Resources) -> list[str]:
    """Secrets whose value an update would write."""
    return [
        name
        for name, new in after.items()
        if new["Type"] == "AWS::SecretsManager::Secret"
        for value in SECRET_VALUES
        if at(new, [value]) is not None and at(new, [value]) != at(before.get(name, {}), [value])
    ]


def now(mode: str = "Cognito") -> Resources:
    return deployed(**MODES[mode])["Resources"]


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The template of the previous release."""
    release = previous_release(tmp_path_factory.mktemp("previous"))
    if release is None:
        pytest.skip("the history of this clone does not contain the previous release")
    return release.template.read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", MODES)
def test_an_update_replaces_nothing_that_must_be_kept(previous: str, mode: str) -> None:
    before = deployed_text(previous, **MODES[mode])["Resources"]
    assert {"AWS::DynamoDB::Table", "AWS::S3::Bucket"} < {it["Type"] for it in before.values()}
    assert replaced(before, now(mode)) == []


@pytest.mark.parametrize("mode", MODES)
def test_an_update_writes_no_secret(previous: str, mode: str) -> None:
    before = deployed_text(previous, **MODES[mode])["Resources"]
    assert secrets_changed(before, now(mode)) == []
    # Nor does the first deployment, of what the owner has kept from another stack.
    assert secrets_changed({}, now(mode)) == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("JobsTable", {"TableName": "jobs"}, "JobsTable.TableName changes"),
        ("JobsTable", {"KeySchema": []}, "JobsTable.KeySchema changes"),
        ("VideosBucket", {"BucketName": "videos"}, "VideosBucket.BucketName changes"),
        ("UserPool", {"UsernameAttributes": []}, "UserPool.UsernameAttributes changes"),
        ("ProviderKeys", {"Name": "keys"}, "ProviderKeys.Name changes"),
        ("ProviderKeys", None, "ProviderKeys is removed"),
        (
            "GenerationStateMachine",
            {"StateMachineName": "other"},
            "GenerationStateMachine.StateMachineName changes",
        ),
    ],
)
def test_a_replacement_is_found(name: str, change: dict[str, Any] | None, problem: str) -> None:
    before = now()
    after = dict(before)
    if change is None:
        del after[name]
    else:
        properties = before[name].get("Properties", {}) | change
        after[name] = before[name] | {"Properties": properties}
    assert problem in replaced(before, after)


def test_a_written_secret_is_found() -> None:
    before = now()
    properties = before["ProviderKeys"]["Properties"] | {"SecretString": "{}"}
    after = before | {"ProviderKeys": before["ProviderKeys"] | {"Properties": properties}}
    assert secrets_changed(before, after) == ["ProviderKeys"]
