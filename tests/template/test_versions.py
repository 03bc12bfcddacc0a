"""Code, layer and variables of a function change at once: services invoke published versions."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.reading import FUNCTIONS, of_type, transformed, written

ALIAS = "Aliaslive"
PUBLISHED = [name for name in FUNCTIONS if name != "Seed"]
"""Only CloudFormation invokes Seed, after it has updated it."""
NEVER_CHANGES = {"HttpApi", "GenerationStateMachine", "CatalogSeed", "MigrateFunctionAliaslive"}
"""The API's id is part of its URL, the state machine's name is fixed, Release is the digest, and an
alias keeps its ARN."""


def properties(kind: str) -> dict[str, dict[str, Any]]:
    return of_type(transformed(), kind)


def names_in(value: Any) -> Iterator[str]:
    """The parameters and resources that a value refers to."""
    if isinstance(value, list):
        for each in value:
            yield from names_in(each)
    elif isinstance(value, dict):
        for function, argument in value.items():
            if function == "Ref":
                yield argument
            elif function == "Fn::GetAtt":
                yield argument[0]
            elif function == "Fn::If":
                yield from names_in(argument[1:])
            elif function == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)[.}]", str(argument))
            else:
                yield from names_in(argument)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_alias_serves_the_version_of_this_update(name: str) -> None:
    alias = properties("AWS::Lambda::Alias")[f"{name}Function{ALIAS}"]
    assert alias["Name"] == "live"
    version = alias["FunctionVersion"]["Fn::GetAtt"][0]
    assert version.startswith(f"{name}FunctionVersion")
    assert "RoutingConfig" not in alias
    # The version that an update replaces is deleted last, when no alias serves it.
    assert transformed()[version]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_change_of_any_property_publishes_a_version(name: str) -> None:
    function = of_type(written()["Resources"], "AWS::Serverless::Function")[f"{name}Function"]
    assert function["AutoPublishAliasAllProperties"] is True


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_new_release_publishes_a_version_of_every_function(name: str) -> None:
    release = {"Fn::GetAtt": ["CatalogSeed", "Release"]}
    alias = properties("AWS::Lambda::Alias")[f"{name}Function{ALIAS}"]
    version = properties("AWS::Lambda::Version")[alias["FunctionVersion"]["Fn::GetAtt"][0]]
    # Another description replaces the version, and Lambda publishes one only if the function has
    # changed, too.
    assert version["Description"] == release
    function = properties("AWS::Lambda::Function")[f"{name}Function"]
    assert function["Environment"]["Variables"]["RELEASE"] == release


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_release_covers_every_value_that_the_transform_does_not_see(name: str) -> None:
    function = copy.deepcopy(properties("AWS::Lambda::Function")[f"{name}Function"])
    # Tags are not part of a version; a role and a log group keep their names.
    for other in ("Tags", "Role"):
        del function[other]
    del function["LoggingConfig"]["LogGroup"]
    covered = set(names_in(written()["Resources"]["CatalogSeed"]["Properties"]))
    covered |= {each for each in properties("AWS::Lambda::LayerVersion") if each[:-10] in covered}
    used = {each for each in names_in(function) if not each.startswith("AWS::")}
    assert used - covered - NEVER_CHANGES == set()


def test_another_description_replaces_a_version() -> None:
    # Its import takes a second, and each test process imports all tests.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    # The list is CloudFormation's own, in cfn-lint's copy of its resource schemas.
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::Lambda::Version").schema
    assert "/properties/Description" in schema["createOnlyProperties"]


def test_no_service_invokes_a_function_without_its_alias() -> None:
    aliases = {f"{name}Function{ALIAS}" for name in FUNCTIONS}
    permissions = properties("AWS::Lambda::Permission").values()
    assert {permission["FunctionName"]["Ref"] for permission in permissions} <= aliases
    for config in properties("AWS::Lambda::EventInvokeConfig").values():
        assert config["Qualifier"] == "live"
    machine = properties("AWS::StepFunctions::StateMachine")["GenerationStateMachine"]
    substitutions = machine["DefinitionSubstitutions"]
    assert {name: value for name, value in substitutions.items() if name.endswith("Arn")} == {
        f"{name}FunctionArn": {"Ref": f"{name}Function{ALIAS}"}
        for name in ("Submit", "Track", "Migrate", "Settle")
    }


def test_the_custom_resource_keeps_its_service_token() -> None:
    # CloudFormation rejects every update that changes it.
    seed = properties("Custom::CatalogSeed")["CatalogSeed"]
    assert seed["ServiceToken"] == {"Fn::GetAtt": ["SeedFunction", "Arn"]}
