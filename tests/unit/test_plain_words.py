"""Docstrings, comments and documents use plain words; CONTRIBUTING.md gives the rules."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"guarantees.md"}
"""Has the names of scenarios of the proof."""
CLEAN = (
    *("README.md", "CONTRIBUTING.md"),
    *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md") if page.name not in GENERATED),
    "docs/generate_openapi.py",
    *("shared", "functions", "layers", "local", "operations", "benchmarks"),
)
BANNED = re.compile(
    r"\b(whoever|whatever|(?:no|some|any|every)body(?:'s)?|shall|tells?|told|says?|said|rings?|rang"
    r"|purses?|mend(?:s|ed|ing)?|mint(?:s|ed)?|vouch(?:es|ed)?|disown(?:s|ed)?|unwell|strangers?"
    r"|dies|died|pictures?)\b",
    re.IGNORECASE,
)


def prose_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every comment, and of every line of a docstring."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                yield number, lines[number - 1]


def prose_of_markdown(source: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every line outside code: examples may quote a banned word."""
    fenced = False
    for number, line in enumerate(source.splitlines(), 1):
        fenced ^= line.startswith("```")
        if not fenced:
            yield number, re.sub(r"`[^`]*`", "", line)


def banned_words(path: Path) -> list[str]:
    read = prose_of_python if path.suffix == ".py" else prose_of_markdown
    prose = read(path.read_text(encoding="utf-8"))
    return [f"{path}:{number}: {found}" for number, text in prose for found in BANNED.findall(text)]


@pytest.mark.parametrize("name", CLEAN)
def test_the_prose_has_no_banned_word(name: str) -> None:
    path = ROOT / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert [found for file in files for found in banned_words(file)] == []


def test_a_banned_word_is_found_in_prose_and_not_in_code(tmp_path: Path) -> None:
    module, document = tmp_path / "module.py", tmp_path / "document.md"
    module.write_text('"""One.\n\nWhoever asks."""\nmint = "told"  # nobody\n', encoding="utf-8")
    document.write_text("It shall.\n\n```\nIt rings.\n```\n`said`, mended\n", encoding="utf-8")
    assert banned_words(module) == [f"{module}:4: nobody", f"{module}:3: Whoever"]
    assert banned_words(document) == [f"{document}:1: shall", f"{document}:6: mended"]
