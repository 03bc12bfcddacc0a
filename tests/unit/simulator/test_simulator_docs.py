"""docs/simulators.md says all there is to script and to set, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.fal.faults import FAL_FAULTS
from local.fal.settings import FalSettings

PAGE = Path(__file__).parents[3] / "docs" / "simulators.md"


def rows(columns: int) -> list[list[str]]:
    """The page's table rows of this many columns, without back-ticks."""
    found = re.findall(r"^\| `.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in found]
    return [row for row in cells if len(row) == columns]


def test_every_fault_is_documented_at_its_point() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows(4)}
    assert documented == {name: kind.point for name, kind in FAL_FAULTS.items()}


@pytest.mark.parametrize("name", sorted(FAL_FAULTS))
def test_every_parameter_of_a_fault_is_documented(name: str) -> None:
    (parameters,) = (row[2] for row in rows(4) if row[0] == f"`{name}`")
    assert set(re.findall(r"`(\w+)`", parameters)) == set(FAL_FAULTS[name].defaults)


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows(3)}
    real = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in FalSettings().model_dump().items()
    }
    assert documented == real
