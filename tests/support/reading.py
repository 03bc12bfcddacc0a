"""Reads `template.yaml` as it is written and as CloudFormation sees it after the SAM transform."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local.emulator.kept import Kept

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = ROOT / "template.yaml"
DEFINITION = ROOT / "statemachine" / "generation.asl.yaml"

FUNCTIONS = (
    "Generate",
    "Status",
    "Projects",
    "Cancel",
    "Doors",
    "Webhooks",
    "Purchases",
    "Admin",
    "Operator",
    "Actions",
    "Submit",
    "Track",
    "Migrate",
    "Settle",
    "Sweep",
    "Expire",
    "Events",
    "Deliver",
    "Usage",
    "Seed",
)

# The translator lives in SAM's own environment (see pyproject.toml), so it runs there. It wants
# artifacts to be uploaded already.
TRANSFORM = """
import copy, json, sys
from samtranslator.open_api import open_api
from samtranslator.translator.transform import transform

# It copies the whole API twice for each route, which takes nine tenths of its time.
open_api._deepcopy = lambda api: api

class NoManagedPolicies:
    def load(self):
        return {}

template = json.load(sys.stdin)
for resource in template["Resources"].values():
    for artifact in {"CodeUri", "ContentUri", "DefinitionUri"} & resource["Properties"].keys():
        resource["Properties"][artifact] = "s3://bucket/key"
made = [
    transform(copy.deepcopy(template), parameters, NoManagedPolicies())
    for parameters in json.loads(sys.argv[1])
]
json.dump(made, sys.stdout)
"""


class _Loader(yaml.CSafeLoader):
    pass


def _intrinsic(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def written() -> dict[str, Any]:
    """The template as written, short-form intrinsics spelled out."""
    return _parsed(TEMPLATE.read_text())


@functools.cache
def _parsed(text: str) -> dict[str, Any]:
    template = yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    assert isinstance(template, dict)
    return template


def transformed() -> dict[str, dict[str, Any]]:
    """Resources by logical id after the SAM transform, parameters at their defaults.

    With all resources, also those with a condition, and with unresolved intrinsics.
    """
    resources = _translated(TEMPLATE.read_text(), ())["Resources"]
    assert isinstance(resources, dict)
    return resources


def deployed(**parameters: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The template as CloudFormation deploys it with these parameters, the others at their default.

    ``Resources`` and ``Outputs`` have only what the conditions allow, with every ``Fn::If``
    resolved. Other intrinsics stay.
    """
    return deployed_text(TEMPLATE.read_text(), **parameters)


def deployed_text(text: str, **parameters: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The same for the text of another template."""
    return _deployed(text, tuple(sorted(parameters.items())))


@functools.cache
def _deployed(
    text: str, changed: tuple[tuple[str, str], ...]
) -> dict[str, dict[str, dict[str, Any]]]:
    resolved = tuple(it for it in changed if it[0] in RESOLVED)
    template = _translated(text, resolved)
    conditions = _Conditions(template["Conditions"], _values(text, dict(changed)))
    return {
        section: {
            name: conditions.resolve(it)
            for name, it in template[section].items()
            if "Condition" not in it or conditions.hold(it["Condition"])
        }
        for section in ("Resources", "Outputs")
    }


class _Conditions:
    """The conditions of a template for these values of its parameters."""

    def __init__(self, conditions: dict[str, Any], values: dict[str, str]) -> None:
        self._conditions = conditions
        self._values = values

    def hold(self, condition: Any) -> bool:
        """Whether a condition holds; it may be given by its name."""
        if isinstance(condition, str):
            return self.hold(self._conditions[condition])
        [(function, parts)] = condition.items()
        if function == "Condition":
            return self.hold(parts)
        if function == "Fn::Equals":
            one, other = map(self._value, parts)
            return bool(one == other)
        results = [self.hold(part) for part in parts]
        results_of = {"Fn::Not": not results[0], "Fn::And": all(results), "Fn::Or": any(results)}
        return results_of[function]

    def _value(self, part: Any) -> str:
        return self._values[part["Ref"]] if isinstance(part, dict) else str(part)

    def resolve(self, part: Any) -> Any:
        """A part of the template with every ``Fn::If`` resolved."""
        if isinstance(part, list):
            return [it for it in map(self.resolve, part) if it != _NO_VALUE]
        if not isinstance(part, dict):
            return part
        if "Fn::If" in part:
            condition, then, otherwise = part["Fn::If"]
            return self.resolve(then if self.hold(condition) else otherwise)
        return {name: it for name in part if (it := self.resolve(part[name])) != _NO_VALUE}


_NO_VALUE = {"Ref": "AWS::NoValue"}


def _values(text: str, changed: Mapping[str, str]) -> dict[str, str]:
    parameters = _parsed(text)["Parameters"]
    return {name: str(it.get("Default", "")) for name, it in parameters.items()} | dict(changed)


RESOLVED = frozenset({"CorsOrigins"})
"""The parameters that the transform replaces by their values. `tests/template/test_modes.py` checks
that its result does not depend on any other."""


REGION = "eu-west-1"
"""The region that the transform works in."""

_KEPT = Kept(ROOT / "build" / "translated")
"""The transform takes a second, and each test process needs some."""


@functools.cache
def _translated(text: str, changed: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    # The lock file has the translator's version.
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    inputs = [TRANSFORM, lock, REGION, _parsed(text), _values(text, dict(changed))]
    [template] = _KEPT.get(inputs, lambda: translations(text, dict(changed)))
    assert isinstance(template, dict)
    return template


def translations(text: str, *changed: Mapping[str, str]) -> list[dict[str, Any]]:
    """A template after the SAM transform, for each of several changes of its parameters."""
    answer = subprocess.run(
        [
            ROOT / ".envs/sam/bin/python",
            "-c",
            TRANSFORM,
            json.dumps([_values(text, each) for each in changed]),
        ],
        input=json.dumps(_parsed(text)),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AWS_DEFAULT_REGION": REGION},
    )
    templates = json.loads(answer.stdout)
    assert isinstance(templates, list)
    return templates


def of_type(resources: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Properties by logical id of the resources of one type."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == kind
    }


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def target(resource: Any) -> str:
    """A policy's resource for a reader: ``JobsTable``, ``JobsTable/index/by_user``, ``*``."""
    if isinstance(resource, str):
        return resource
    if "Ref" in resource:
        return str(resource["Ref"])
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    if "Fn::If" in resource:
        return own_table(resource["Fn::If"])
    if isinstance(resource["Fn::Sub"], list):
        text, values = resource["Fn::Sub"]
        return str(text).replace("${Table}", own_table(values["Table"]["Fn::If"]))
    text = str(resource["Fn::Sub"]).replace(_GENERATION_ARN, "GenerationStateMachine")
    return re.sub(r"\$\{(\w+)(?:\.Arn)?\}", r"\1", text)


def own_table(choice: list[Any]) -> str:
    """The stack's own table in a choice between it and a restored one of the same kind."""
    condition, own, restored = choice
    name = str(own["Ref"] if "Ref" in own else own["Fn::GetAtt"][0])
    kind = name.removesuffix("Table")
    assert (condition, restored) == (f"Own{kind}", {"Ref": f"Restored{kind}"})
    return name


# The one resource whose ARN is spelled out, by its name.
_GENERATION_ARN = (
    "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
    ":stateMachine:${AWS::StackName}-generation"
)
