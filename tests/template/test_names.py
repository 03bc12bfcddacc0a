"""Every name that the template chooses contains what makes it unique.

Two stacks in one account, in one region or in two, must not collide. AWS chooses a unique name for
each resource without one, so only the names below can collide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.reading import transformed, written

# By resource type and property: where AWS requires the name to be unique.
SCOPES = {
    ("AWS::Logs::LogGroup", "LogGroupName"): "region",
    ("AWS::StepFunctions::StateMachine", "StateMachineName"): "region",
    ("AWS::Lambda::LayerVersion", "LayerName"): "region",
    ("AWS::Events::EventBus", "Name"): "region",
    ("AWS::CloudWatch::Dashboard", "DashboardName"): "account",
    ("AWS::CloudFront::OriginAccessControl", "OriginAccessControlConfig.Name"): "account",
    ("AWS::CloudFront::KeyGroup", "KeyGroupConfig.Name"): "account",
    ("AWS::CloudFront::ResponseHeadersPolicy", "ResponseHeadersPolicyConfig.Name"): "account",
    ("AWS::Cognito::UserPoolDomain", "Domain"): "world",
    # The owner's own domain: it can belong to one stack only.
    ("AWS::ApiGatewayV2::DomainName", "DomainName"): "parent",
    # Unique in its function, API, user pool, or topic: a parent that belongs to this stack.
    ("AWS::Lambda::Alias", "Name"): "parent",
    ("AWS::ApiGatewayV2::Stage", "StageName"): "parent",
    ("AWS::Cognito::UserPoolResourceServer", "Identifier"): "parent",
    ("AWS::Cognito::UserPoolResourceServer", "Name"): "parent",
    ("AWS::SNS::Topic", "DisplayName"): "parent",
    # Not names of the resource: the metric that an alarm reads, the attribute with the expiry.
    ("AWS::CloudWatch::Alarm", "MetricName"): "parent",
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification.AttributeName"): "parent",
}
NEEDED: dict[str, list[tuple[str, ...]]] = {
    "region": [("AWS::StackName",)],
    "account": [("AWS::StackName", "AWS::Region"), ("AWS::StackId",)],
    "world": [("AWS::StackName", "AWS::Region", "AWS::AccountId"), ("AWS::StackId",)],
}
NAME = re.compile(r"(^|[a-z.])(Name|Domain|Identifier)$")


def is_reference(value: Any) -> bool:
    """Whether the value is another resource of the template, and not a name."""
    return isinstance(value, dict) and (value.get("Ref") in transformed() or "Fn::GetAtt" in value)


def names() -> Iterator[tuple[str, str, str, Any]]:
    """Logical id, type, property and value of each name; a property may be one level down."""
    for logical_id, resource in transformed().items():
        for key, value in resource.get("Properties", {}).items():
            nested = value if isinstance(value, dict) else {}
            found = {key: value, **{f"{key}.{inner}": nested[inner] for inner in nested}}
            for path, chosen in found.items():
                if NAME.search(path) and not is_reference(chosen):
                    yield logical_id, resource["Type"], path, chosen


def test_every_kind_of_name_is_known_with_its_scope() -> None:
    assert {(kind, path) for _, kind, path, _ in names()} == SCOPES.keys()


@pytest.mark.parametrize("scope", NEEDED)
def test_a_name_contains_what_makes_it_unique(scope: str) -> None:
    in_scope = [found for found in names() if SCOPES[found[1], found[2]] == scope]
    assert in_scope
    for logical_id, _, path, chosen in in_scope:
        text = json.dumps(chosen)
        assert any(all(part in text for part in parts) for parts in NEEDED[scope]), (
            f"{logical_id}.{path} is unique per {scope}, but is {text}"
        )


def test_no_output_is_exported() -> None:
    # Exports are unique per region, and another stack that imports one prevents its change.
    assert [name for name, output in written()["Outputs"].items() if "Export" in output] == []
