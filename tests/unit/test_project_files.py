"""The files for people who join: the workflow calls the gate, and versions agree."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.yml")), ids=lambda path: path.name)
def test_every_file_is_yaml(path: Path) -> None:
    assert isinstance(read(path), dict)


def test_the_workflow_calls_the_gate_on_the_oldest_python_and_on_that_of_the_functions() -> None:
    workflow = read(GITHUB / "workflows" / "ci.yml")
    gate = workflow["jobs"]["gate"]
    assert workflow["permissions"] == {"contents": "read"}
    assert ".ci/run" in [step.get("run") for step in gate["steps"]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    (deployed,) = set(re.findall(r"Runtime: python(\S+)", (ROOT / "template.yaml").read_text()))
    assert gate["strategy"]["matrix"]["python"] == [oldest, deployed]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+) — (unreleased|\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert newest is not None
    assert newest[1] == project["version"]
    document = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert document["info"]["version"] == project["version"]


def test_a_fixture_with_the_scope_of_a_package_is_in_a_package() -> None:
    """Elsewhere pytest keeps it until the end of the run: a browser's event loop, for example."""
    users = [
        path
        for path in (ROOT / "tests").rglob("conftest.py")
        if 'scope="package"' in path.read_text(encoding="utf-8")
    ]
    assert users
    assert [path for path in users if not (path.parent / "__init__.py").exists()] == []
