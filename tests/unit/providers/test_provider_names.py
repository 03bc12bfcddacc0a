"""Code outside the providers' packages uses their port and names none of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from clipmint.providers import registry

ROOT = Path(__file__).parents[3]

KNOW_THEM_ALL = {
    "shared/clipmint/providers/registry.py",
    "shared/clipmint/catalog/defaults.py",
    "shared/clipmint/catalog/families.py",
    "shared/clipmint/catalog/family_routes.py",
    "shared/clipmint/catalog/known_endpoints.py",
    "shared/clipmint/catalog/known_list_prices.py",
    "shared/clipmint/catalog/retirements.py",
    "shared/clipmint/orders/order_settings.py",
}


def names_in_code(source: str) -> set[str]:
    """Providers named in identifiers or strings; comments and docstrings may speak of them."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                kept = [one for one in statements if not _is_text(one)]
                setattr(node, field, kept or [ast.Pass()])
    code = ast.unparse(tree)
    return {name for name in registry.NAMES if _word(name).search(code)}


def _word(name: str) -> re.Pattern[str]:
    # Letters around it make it another word, as in False; underscores and dots do not, nor does
    # the capital that begins the next word of a class's name.
    return re.compile(rf"(?i:(?<![a-z]){name}(?![a-z]))|{name.title()}(?=[A-Z])")


def _is_text(statement: ast.AST) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def test_only_its_own_package_the_registry_and_the_catalog_name_a_provider() -> None:
    speaking = {}
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]:
        where = path.relative_to(ROOT).as_posix()
        own = re.match(r"shared/clipmint/providers/(\w+)/", where)
        allowed = {own[1]} if own else set[str]()
        if where in KNOW_THEM_ALL:
            allowed = set(registry.NAMES)
        if named := names_in_code(path.read_text(encoding="utf-8")) - allowed:
            speaking[where] = named
    assert speaking == {}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ('if provider == "runway":\n    pass', {"runway"}),
        ("from clipmint.providers.fal import Fal", {"fal"}),
        ("where.fal_queue_url", {"fal"}),
        ("def wait_for_runware() -> None: ...", {"runware"}),
        ("FalSettings(key)", {"fal"}),
        ('log(f"asking {RUNWAY_URL}")', {"runway"}),
        ("done = False", set()),
        ('"""fal is spoken of."""\nx = 1\n"""So is Runway."""\n# and Runware', set()),
        ('def f() -> None:\n    """As Runway counts."""', set()),
    ],
)
def test_a_name_in_code_is_noticed_and_one_in_prose_is_not(source: str, named: set[str]) -> None:
    assert names_in_code(source) == named
