"""Docstrings, comments, documents and names use plain words; CONTRIBUTING.md gives the rules."""

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
    *("docs", "shared", "functions", "layers", "local", "operations", "benchmarks", "tests"),
)
NAMED = ("docs", "shared", "functions", "layers", "operations", "benchmarks", "tests")
"""Where names are plain, too."""
LEFT_OUT = {"test_plain_words.py", "node_modules"}
"""The first has banned words, as examples; the second is not ours."""
ALLOWED = {"tell", "EXECUTION_DIED"}
"""Methods of files, and names of metrics that are public."""
BANNED = re.compile(
    r"\b(whoever|whatever|(?:no|some|any|every)body(?:'s)?|shall|tells?|told|says?|said|rings?|rang"
    r"|purses?|mend(?:s|ed|ing)?|mint(?:s|ed)?|vouch(?:es|ed)?|disown(?:s|ed)?|unwell|strangers?"
    r"|dies?|died|(?<!parent-)deaths?|pictures?)\b",
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


def names_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Line number and name of everything that a module defines: functions, classes, variables."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def words_of(text: str) -> str:
    """The words in names, separated by spaces: ``ended_jobs`` and ``EndedJobs`` are two words."""
    return re.sub(r"_+|(?<=[a-z0-9])(?=[A-Z])", " ", text)


def prose_of_markdown(source: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every line outside code: examples may quote a banned word."""
    fenced = False
    for number, line in enumerate(source.splitlines(), 1):
        fenced ^= line.startswith("```")
        if not fenced:
            yield number, re.sub(r"`[^`]*`", "", line)


def banned_words(path: Path) -> list[str]:
    read = prose_of_python if path.suffix == ".py" else prose_of_markdown
    source = path.read_text(encoding="utf-8")
    # Most files have none anywhere, and finding the comments takes long.
    prose = read(source) if BANNED.search(source) else ()
    return [f"{path}:{number}: {found}" for number, text in prose for found in BANNED.findall(text)]


def banned_names(path: Path) -> list[str]:
    source = path.read_text(encoding="utf-8")
    names = names_of_python(source) if BANNED.search(words_of(source)) else ()
    return [
        f"{path}:{number}: {name}"
        for number, name in names
        if name not in ALLOWED and BANNED.search(words_of(name))
    ]


def modules_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.py")) if not LEFT_OUT & {*path.parts}]


@pytest.mark.parametrize("name", CLEAN)
def test_the_prose_has_no_banned_word(name: str) -> None:
    path = ROOT / name
    files = modules_of(path) if path.is_dir() else [path]
    assert [found for file in files for found in banned_words(file)] == []


@pytest.mark.parametrize("folder", NAMED)
def test_no_name_has_a_banned_word(folder: str) -> None:
    assert [found for file in modules_of(ROOT / folder) for found in banned_names(file)] == []


def test_a_banned_word_is_found_in_prose_and_in_names(tmp_path: Path) -> None:
    module, document = tmp_path / "module.py", tmp_path / "document.md"
    lines = [
        '"""One.',
        "",
        'Whoever asks."""',
        'asked = mint("told")  # nobody',
        "Tell = ring = 1",
    ]
    module.write_text("\n".join(lines), encoding="utf-8")
    document.write_text("It shall.\n\n```\nIt rings.\n```\n`said`, mended\n", encoding="utf-8")
    assert banned_words(module) == [f"{module}:4: nobody", f"{module}:3: Whoever"]
    assert banned_names(module) == [f"{module}:5: Tell", f"{module}:5: ring"]
    assert banned_words(document) == [f"{document}:1: shall", f"{document}:6: mended"]
