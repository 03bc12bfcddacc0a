"""Tests use the code as its callers do: they replace none of its private names.

Ruff finds a private name that is read (SLF001). This finds one that is replaced by its name as a
text, which only a deliberate mutation may do: a test that breaks the code to show that the proof
finds it, and states it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def replaced(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Calls of `setattr` that replace a private name, each with the docstrings around it."""
    for node in ast.iter_child_nodes(tree):
        around = within
        if isinstance(node, ast.FunctionDef):
            around += ast.get_docstring(node) or ""
        if isinstance(node, ast.Call) and _replaces_a_private_name(node):
            yield around, node
        yield from replaced(node, around)


def _replaces_a_private_name(call: ast.Call) -> bool:
    texts = [
        argument.value
        for argument in call.args[:2]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "setattr"
        and not ast.unparse(call.args[0]).startswith("botocore.")
        and any(re.match(r"_(?!_)", text.rpartition(".")[2]) for text in texts)
    )


def test_only_deliberate_mutations_replace_a_private_name() -> None:
    found = {
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path in TESTS.rglob("*.py")
        for around, call in replaced(ast.parse(path.read_text()))
        if "deliberate mutation" not in around
    }
    assert found == set()


def test_a_private_name_that_is_replaced_is_found() -> None:
    for line in ("patch.setattr(ledger, '_save', f)", "patch.setattr('clipmint.ledger._save', f)"):
        assert [*replaced(ast.parse(line))]
    for line in ("patch.setattr(time, 'sleep', f)", "setattr(node, '_a', f)"):
        assert not [*replaced(ast.parse(line))]
