"""`make deploy` states where it deploys to, and uses the region and the parameters it was given."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

import pytest
from moto import mock_aws

from operations import destination
from tests.support.reading import ROOT, of_type, transformed, written


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the simulated account, and no region."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@mock_aws
def test_account_region_and_stack_are_printed(
    credentials: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert destination.main(["--env", "prod"]) == 0
    printed = capsys.readouterr().out
    for part in ("account 123456789012", "region eu-west-1", "stack clipmint-prod"):
        assert part in printed


@mock_aws
@pytest.mark.parametrize(
    ("environment", "variables", "reason"),
    [
        ("prod", {}, "no region"),
        ("prod", {"AWS_REGION": "eu-west-1"}, "no region"),
        (
            "prod",
            {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"},
            "unset AWS_REGION",
        ),
        ("test", {"AWS_DEFAULT_REGION": "us-east-1"}, "with a stack_name"),
    ],
)
@pytest.mark.usefixtures("credentials")
def test_nothing_is_deployed_where_region_or_stack_are_uncertain(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: str,
    variables: dict[str, str],
    reason: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert destination.main(["--env", environment]) == 1
    assert reason in capsys.readouterr().err


def planned(*arguments: str, **variables: str) -> str:
    """What a make target would run, and the region that its commands would get."""
    show = "print-region:\n\t@echo region=$$AWS_DEFAULT_REGION\n"
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull, **variables}
    text = ""
    for options in (["-n", *arguments], ["-s", "-f", "Makefile", "-f", "-", "print-region"]):
        text += subprocess.run(
            ["make", *options],
            cwd=ROOT,
            env=environment,
            input=show,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return text


def test_the_destination_is_printed_before_anything_is_created() -> None:
    commands = planned("deploy", "ENV=prod")
    assert 0 < commands.index("operations.destination --env prod") < commands.index("sam deploy")


def test_a_change_set_is_confirmed_except_in_ci() -> None:
    assert "--no-confirm-changeset" not in planned("deploy", "ENV=prod")
    assert "sam deploy --config-env prod --no-confirm-changeset" in planned(
        "deploy", "ENV=prod", CI="true"
    )


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({}, ""),
    ],
)
def test_sam_gets_the_region_of_aws_region_if_that_is_the_only_one(
    variables: dict[str, str], region: str
) -> None:
    assert f"region={region}\n" in planned("help", **variables)


@pytest.mark.parametrize("name", ["JwtAudience", "CorsOrigins"])
@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("a", True),
        ("a,b", True),
        ("a, b", True),
        (" a ,  b ", True),
        ("a,", False),
        (",a", False),
        ("a,,b", False),
        ("a b", False),
    ],
)
def test_a_list_may_have_spaces_but_no_empty_member(name: str, value: str, accepted: bool) -> None:
    pattern = written()["Parameters"][name]["AllowedPattern"]
    assert (re.fullmatch(pattern, value) is not None) is accepted


def splits(value: Any, name: str) -> list[Any]:
    """Every Fn::Split by commas in a value whose text contains a parameter."""
    if isinstance(value, list):
        return [found for each in value for found in splits(each, name)]
    if not isinstance(value, dict):
        return []
    found = [found for each in value.values() for found in splits(each, name)]
    split = value.get("Fn::Split")
    if split and split[0] == "," and name in str(split):
        found.append(split[1])
    return found


ORIGINS = {
    "Fn::If": [
        "AddsConsoleOrigin",
        {"Fn::Sub": "${CorsOrigins},https://${ConsoleDistribution.DomainName}"},
        {"Ref": "CorsOrigins"},
    ]
}


@pytest.mark.parametrize(
    ("name", "values", "times"),
    [("JwtAudience", {"Ref": "JwtAudience"}, 1), ("CorsOrigins", ORIGINS, 3)],
)
def test_spaces_are_removed_wherever_a_list_is_used(
    name: str, values: dict[str, Any], times: int
) -> None:
    without_spaces = {"Fn::Join": ["", {"Fn::Split": [" ", values]}]}
    assert splits(written()["Resources"], name) == [without_spaces] * times


def test_every_role_has_the_permissions_boundary() -> None:
    boundary = {"Fn::If": ["Bounded", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    roles = of_type(transformed(), "AWS::IAM::Role")
    assert {name: role.get("PermissionsBoundary") for name, role in roles.items()} == dict.fromkeys(
        roles, boundary
    )
