"""docs/simulators.md lists all scripts and settings, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.fal.faults import FAL_FAULTS
from local.fal.settings import FalSettings
from local.runware.faults import RUNWARE_FAULTS
from local.runware.settings import RunwareSettings
from local.runway.faults import RUNWAY_FAULTS
from local.runway.settings import RunwaySettings
from local.simulator.control import Settings
from local.simulator.faults import Kind
from local.simulator.media import MEDIA_FAULTS

PAGE = Path(__file__).parents[3] / "docs" / "simulators.md"

OWN_FAULTS: Mapping[str, Mapping[str, Kind]] = {
    "fal": FAL_FAULTS,
    "Runway": RUNWAY_FAULTS,
    "Runware": RUNWARE_FAULTS,
}
"""The faults of each simulator, by the heading of its section."""

SETTINGS: Mapping[str, Settings] = {
    "fal": FalSettings(),
    "Runway": RunwaySettings(),
    "Runware": RunwareSettings(),
}

FAULTS: Mapping[str, Mapping[str, Kind]] = {
    **{
        section: {name: kind for name, kind in kinds.items() if name not in MEDIA_FAULTS}
        for section, kinds in OWN_FAULTS.items()
    },
    "The CDN": MEDIA_FAULTS,
}


def rows(section: str, columns: int) -> list[list[str]]:
    """The table rows of this many columns under a heading, without back-ticks."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(parts[1::2], parts[2::2], strict=True))[section]
    found = re.findall(r"^\| `.*\|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in found]
    return [row for row in cells if len(row) == columns]


@pytest.mark.parametrize("section", OWN_FAULTS)
def test_every_simulator_has_the_faults_of_the_cdn(section: str) -> None:
    assert MEDIA_FAULTS.items() <= OWN_FAULTS[section].items()


@pytest.mark.parametrize("section", FAULTS)
def test_every_fault_is_documented_at_its_point(section: str) -> None:
    documented = {row[0].strip("`"): row[1] for row in rows(section, 4)}
    assert documented == {name: kind.point for name, kind in FAULTS[section].items()}


@pytest.mark.parametrize(
    ("section", "name"), [(section, name) for section in FAULTS for name in FAULTS[section]]
)
def test_every_parameter_of_a_fault_is_documented(section: str, name: str) -> None:
    (parameters,) = (row[2] for row in rows(section, 4) if row[0] == f"`{name}`")
    assert set(re.findall(r"`(\w+)`", parameters)) == set(FAULTS[section][name].defaults)


@pytest.mark.parametrize("section", SETTINGS)
def test_every_setting_is_documented_with_its_default(section: str) -> None:
    documented = {row[0].strip("`"): row[1] for row in rows(section, 3)}
    real = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in SETTINGS[section].model_dump().items()
    }
    assert documented == real
