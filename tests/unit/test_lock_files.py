"""The lock files name only the public registries, each file with its digest."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from local.deploy import ROOT

NPM = "https://registry.npmjs.org/"
PYPI = "https://pypi.org/simple"
FILES = "https://files.pythonhosted.org/"


@pytest.mark.parametrize(("folder", "least"), [("tests/clients", 100), ("tests/browser", 40)])
def test_npm_packages_come_from_the_public_registry(folder: str, least: int) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert len(packages) > least
    for name, package in packages.items():
        assert package["resolved"].startswith(NPM), name
        assert package["integrity"].startswith("sha512-"), name


@pytest.mark.parametrize("folder", ["tests/clients", "tests/browser"])
def test_npm_packages_are_pinned(folder: str) -> None:
    wanted = json.loads((ROOT / folder / "package.json").read_text())
    versions = wanted["dependencies"] | wanted["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


@pytest.mark.parametrize("name", ["uv.lock", "benchmarks/litellm/uv.lock"])
def test_python_packages_come_from_the_public_registry(name: str) -> None:
    packages = tomllib.loads((ROOT / name).read_text())["package"]
    assert len(packages) > 100
    for package in packages:
        if package["source"] == {"virtual": "."}:
            continue
        assert package["source"] == {"registry": PYPI}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert file["url"].startswith(FILES), package["name"]
            assert file["hash"].startswith("sha256:"), package["name"]


def test_sam_lints_a_template_with_the_cfn_lint_of_the_gate() -> None:
    # So `make check` need not run `sam validate --lint`, which is this program with one region.
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert [package["name"] for package in packages].count("cfn-lint") == 1
    [sam] = (package for package in packages if package["name"] == "aws-sam-cli")
    assert "cfn-lint" in {dependency["name"] for dependency in sam["dependencies"]}
