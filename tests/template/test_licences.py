"""docs/licences.md names every package and every native library that is deployed."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from layers.build import GROUPS
from tests.support import documents
from tests.support.reading import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text()
SITE, APPSTORE_SITE = (
    next((ROOT / f".envs/lambda-{name}").glob("lib/python3.*/site-packages"))
    for name in ("media", "appstore")
)
LIBRARY = re.compile(r"\blib[\w-]+")


def rows() -> dict[str, tuple[str, str]]:
    """Licence and layer by package."""
    layers = "|".join(GROUPS)
    row = rf"^\| ([a-z0-9-]+) \| ([^|]+) \| ({layers}) \|$"
    table = re.findall(row, PAGE, re.MULTILINE)
    return {name: (licence, layer) for name, licence, layer in table}


def locked(group: str) -> set[str]:
    """The packages of a layer, from uv.lock."""
    command = [".envs/uv/bin/uv", "export", "--quiet", "--locked", "--only-group", group]
    lines = subprocess.run(
        [*command, "--no-hashes", "--no-header", "--no-annotate"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return {line.partition("==")[0] for line in lines if "==" in line}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stated(package: Distribution) -> str | None:
    """The licence in a package's metadata, if it is one expression."""
    return next(iter(package.metadata.get_all("License-Expression") or []), None)


def bundled(wheel: str) -> set[str]:
    """The native libraries of a wheel, without hash and version."""
    return {re.sub(r"-[0-9a-f]{8}\..*", "", path.name) for path in (SITE / wheel).iterdir()}


@pytest.mark.parametrize("layer", GROUPS)
def test_the_packages_are_those_of_the_lock_file(layer: str) -> None:
    packages = locked(GROUPS[layer])
    if layer != "clipmint":
        packages -= locked("runtime")  # every function has them
    assert {name for name, (_, where) in rows().items() if where == layer} == packages


def test_the_licences_are_those_of_the_packages() -> None:
    sites = [str(SITE), str(APPSTORE_SITE)]
    packages = {canonical(it.name): it for it in distributions(path=sites)}
    assert rows().keys() <= packages.keys()
    differing = {
        name: (licence, stated(packages[name]))
        for name, (licence, _) in rows().items()
        if stated(packages[name]) not in {None, licence}
    }
    assert differing == {}


@pytest.mark.parametrize("wheel", ["av.libs", "pillow.libs"])
def test_every_native_library_is_named(wheel: str) -> None:
    title = f"**{wheel.partition('.')[0]}**"
    section = PAGE.partition(title)[2].partition("\n**")[0]
    assert bundled(wheel) - set(LIBRARY.findall(section)) == set()


def test_the_parts_under_the_gpl_are_named_as_such() -> None:
    assert {"libx264", "libx265"} <= bundled("av.libs")
    for name in ("libx264", "libx265"):
        assert f"| {name} | GPL-2.0-or-later |" in PAGE
    licences = Path(SITE).glob("av-*.dist-info/METADATA")
    assert all("BSD-3-Clause" in path.read_text() for path in licences)


def test_the_command_on_the_page_asks_the_library_for_its_licence(tmp_path: Path) -> None:
    (block,) = documents.blocks(ROOT / "docs" / "licences.md")
    done = documents.run(block.text, documents.programs(tmp_path / "bin"))
    assert done.returncode == 0, done.stderr
    assert "LGPL" in done.stdout
    assert "--enable-libx264" in done.stdout
