"""Every file, function, route and package that `docs/architecture.md` names exists.

README.md lists all packages.
"""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from benchmarks.write_units import WRITE_UNITS
from tests.support.reading import ROOT, of_type, written

PAGE = (ROOT / "docs" / "architecture.md").read_text()
README = (ROOT / "README.md").read_text()
LAYER = ROOT / "shared" / "clipmint"

ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S+")
FILE = re.compile(r"[\w./-]*(/|\.(asl\.yaml|importlinter|json|md|py|toml|yaml))")
NAME = re.compile(r"[a-z_]+(\.\w+)+")

# Spans that look like a file or a name but are neither.
OTHERS = {"models.py", "/webhooks/…"}


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text.replace("\n", " "))


def named_files(text: str) -> Iterator[str]:
    return (span for span in quoted(text) if FILE.fullmatch(span) and span not in OTHERS)


def named_objects(text: str) -> Iterator[str]:
    files = set(named_files(text)) | OTHERS
    return (span for span in quoted(text) if NAME.fullmatch(span) and span not in files)


@functools.cache
def modules() -> dict[str, list[Path]]:
    """Source files by the name that the page uses: `ledger`, `submit.app`."""
    found: dict[str, list[Path]] = {}
    for path in LAYER.rglob("*.py"):
        found.setdefault(path.stem, []).append(path)
    for path in (ROOT / "functions").glob("*/app.py"):
        found.setdefault(f"{path.parent.name}.app", []).append(path)
    return found


@functools.cache
def definitions(path: Path) -> frozenset[str]:
    """What a file defines at its top level, and the members of its classes, with dots."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            found.update(prefix + name.id for name in targets if isinstance(name, ast.Name))

    collect(ast.parse(path.read_text()).body, "")
    return frozenset(found)


def is_defined(name: str) -> bool:
    parts = name.split(".")
    size = 2 if ".".join(parts[:2]) in modules() else 1
    inside = ".".join(parts[size:])
    return any(inside in definitions(path) for path in modules().get(".".join(parts[:size]), []))


def routes() -> set[str]:
    functions = of_type(written()["Resources"], "AWS::Serverless::Function").values()
    return {
        f"{event['Properties']['Method'].upper()} {event['Properties']['Path']}"
        for properties in functions
        for event in properties.get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }


def test_every_file_exists() -> None:
    files = set(named_files(PAGE))
    assert len(files) > 30
    assert {name for name in files if not (ROOT / name).exists()} == set()


def test_every_function_and_class_exists() -> None:
    names = set(named_objects(PAGE)) - {"module.function"}
    assert len(names) > 30
    assert {name for name in names if not is_defined(name)} == set()


def test_every_function_is_listed() -> None:
    table = PAGE.partition("| function | invoked by | does |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    listed = [name.strip() for row in rows for name in row.split(",")]
    assert sorted(listed) == sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


def test_no_two_modules_have_the_same_name() -> None:
    """Except in the packages of the providers, where the same parts have the same names."""
    packages = {path.parent for path in LAYER.rglob("adapter.py")}
    paths = [path for path in LAYER.rglob("*.py") if path.parent not in packages]
    names = Counter(path.stem for path in paths if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


def test_every_route_exists() -> None:
    assert {span for span in quoted(PAGE) if ROUTE.fullmatch(span)} - routes() == set()


def test_the_packages_are_those_of_the_import_contract_in_its_order() -> None:
    contract = ConfigParser()
    contract.read(ROOT / ".importlinter")
    layers = contract["importlinter:contract:layers"]["layers"].split("\n")
    expected = [[name.strip() for name in layer.split("|")] for layer in layers if layer]
    table = PAGE.partition("| package | contains |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [quoted(row) for row in rows] == expected


def test_the_readme_lists_every_package_and_no_missing_folder() -> None:
    lines = README.partition("## Folders")[2].split("```")[1].splitlines()
    packages = [line.split("/")[0].strip() for line in lines if line.startswith("  ")]
    assert packages == sorted(path.parent.name for path in LAYER.glob("*/__init__.py"))
    names = [line.split()[0] for line in lines if line and not line.startswith("  ")]
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("text", "missing_file", "missing_name"),
    [
        ("`shared/clipmint/ledger.py`", True, False),
        ("`shared/clipmint/credits/ledger.py` and `functions/`", False, False),
        ("`holds.settle`, `submit.app.handler`, `base.Provider.poll`", False, False),
        ("`holds.charge`", False, True),
        ("`submit.app.run`", False, True),
        ("`films.settle`", False, True),
    ],
)
def test_a_wrong_name_is_found(text: str, missing_file: bool, missing_name: bool) -> None:
    assert any(not (ROOT / name).exists() for name in named_files(text)) == missing_file
    assert any(not is_defined(name) for name in named_objects(text)) == missing_name


def test_the_writes_of_a_job_take_the_units_of_the_budget() -> None:
    units = Counter[str]()
    section = PAGE.partition("## What a job writes")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[2].isdigit():
            indexes = sum(map(int, re.findall(r" (\d)", cells[3])))
            assert int(cells[4]) == int(cells[2]) + indexes, line
            units[cells[0]] += int(cells[4])
    assert units == WRITE_UNITS
    assert f"The sum is {units.total()}." in PAGE
