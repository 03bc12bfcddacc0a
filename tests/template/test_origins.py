"""Files, routes and tests that `docs/origins.md` names exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.reading import ROOT, of_type, written

PAGE = ROOT / "docs" / "origins.md"
HEADER = "| Described | Here | Difference and reason | Shown by |"
PARTS = 5  # one per description

PROTOCOLS = "Their protocols, for existing clients"

ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S+")
FILE = re.compile(r"[\w./-]+\.(py|yaml|toml|json|md)")


class Row(NamedTuple):
    """``line`` is the line number in the page; the other fields are the cells."""

    line: int
    described: str
    here: str
    difference: str
    shown_by: str


def read(text: str) -> dict[str, list[Row]]:
    """The rows of each part's table."""
    parts: dict[str, list[Row]] = {}
    part = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("## "):
            part = line.removeprefix("## ")
        elif line.startswith("|") and line != HEADER and not line.startswith("|--"):
            cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
            assert len(cells) == 4, f"line {number} has {len(cells)} cells"
            parts.setdefault(part, []).append(Row(number, *cells))
    return parts


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Its tests, as pytest names them after the file: ``test_x``, ``TestY::test_x``."""
    module = ast.parse(path.read_text())
    found = set()
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


@functools.cache
def routes() -> frozenset[str]:
    functions = of_type(written()["Resources"], "AWS::Serverless::Function").values()
    return frozenset(
        f"{event['Properties']['Method'].upper()} {event['Properties']['Path']}"
        for properties in functions
        for event in properties.get("Events", {}).values()
        if event["Type"] == "HttpApi"
    )


def fault_of_place(place: str) -> str | None:
    if ROUTE.fullmatch(place):
        return None if place in routes() else f"no route {place}"
    if not FILE.fullmatch(place):
        return f"neither a file nor a route: {place}"
    return None if (ROOT / place).is_file() else f"no file {place}"


def fault_of_test(test: str) -> str | None:
    file, _, name = test.partition("::")
    if not file.startswith("tests/") or not (ROOT / file).is_file():
        return f"no file of tests {file}"
    return None if name in names_in(ROOT / file) else f"no test {test}"


def faults_of(row: Row) -> list[str]:
    """The faults of a row, each as one line of text."""
    places, tests = quoted(row.here), quoted(row.shown_by)
    faults = [
        None if places else "names no place",
        *map(fault_of_place, places),
        None if tests else "no test",
        *map(fault_of_test, tests),
        "the difference is no sentence" if row.difference and row.difference[-1] != "." else None,
    ]
    return [f"line {row.line}: {fault}" for fault in faults if fault]


ROWS = read(PAGE.read_text())


def test_each_description_has_its_rows() -> None:
    descriptions = ROWS.keys() - {PROTOCOLS}
    assert len(descriptions) == PARTS
    assert all(len(ROWS[name]) >= 25 for name in descriptions)
    assert len(ROWS[PROTOCOLS]) >= 5


@pytest.mark.parametrize("part", ROWS)
def test_every_row_names_a_place_and_a_test(part: str) -> None:
    faults = [fault for row in ROWS[part] for fault in faults_of(row)]
    assert not faults, "\n".join(faults)


def test_no_row_is_there_twice() -> None:
    for rows in ROWS.values():
        described = [row.described for row in rows]
        assert len(set(described)) == len(described)


GOOD = Row(
    7,
    "Errors have a shape",
    "`POST /v1/videos` · `shared/clipmint/api/http_api.py`",
    "",
    "`tests/template/test_origins.py::test_no_row_is_there_twice`",
)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ({"here": ""}, "names no place"),
        ({"here": "`POST /v1/films`"}, "no route POST /v1/films"),
        ({"here": "`shared/clipmint/films.py`"}, "no file shared/clipmint/films.py"),
        ({"here": "`the cloud`"}, "neither a file nor a route: the cloud"),
        ({"difference": "better"}, "the difference is no sentence"),
        ({"shown_by": "later"}, "no test"),
        ({"shown_by": "`tests/test_films.py::test_x`"}, "no file of tests tests/test_films.py"),
        ({"shown_by": "`README.md::test_x`"}, "no file of tests README.md"),
        (
            {"shown_by": "`tests/template/test_origins.py`"},
            "no test tests/template/test_origins.py",
        ),
        (
            {"shown_by": "`tests/template/test_origins.py::faults_of`"},
            "no test tests/template/test_origins.py::faults_of",
        ),
    ],
)
def test_a_wrong_row_is_found(damage: dict[str, str], fault: str) -> None:
    assert faults_of(GOOD) == []
    damaged = Row(**{**GOOD._asdict(), **damage})
    assert faults_of(damaged) == [f"line 7: {fault}"]
