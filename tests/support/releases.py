"""Other releases of Clipmint, to update a stack from and to.

The previous release is the newest tag ``v*`` before this commit, or, as long as there is none, the
commit in `BEFORE_ALIASES`. It comes from the repository's own history, which a shallow clone does
not have. `other_release` needs no history: it is this release with another layer, other functions
and another state machine.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from local.deploy import Layer, default_layers
from tests.support.reading import ROOT

BEFORE_ALIASES = "7fb13d8738f8c7db141eae68f2baf2404d331631"
"""The last commit whose executions invoke the functions themselves, without versions."""
PARTS = ("template.yaml", "functions", "shared/clipmint", "statemachine")


@dataclass(frozen=True)
class Release:
    """What a deployment needs: a template beside its functions, and the content of the layers."""

    folder: Path

    @property
    def template(self) -> Path:
        return self.folder / "template.yaml"

    @property
    def has_aliases(self) -> bool:
        """Whether each version of a function stays as it was published, behind an alias."""
        return "AutoPublishAlias" in self.template.read_text(encoding="utf-8")

    @property
    def layers(self) -> dict[str, Layer]:
        layers = default_layers()
        own = layers["ClipmintLayer"]
        sources = (self.folder / "shared" / "clipmint",)
        return layers | {"ClipmintLayer": Layer(sources, own.packages)}


THIS = Release(ROOT)


def other_release(folder: Path) -> Release:
    """This release with a difference in everything that a deployment changes.

    Its functions need its own layer: with this release's layer they cannot be imported.
    """
    folder.mkdir(parents=True)
    shutil.copy(THIS.template, folder)
    for part in ("functions", "shared/clipmint", "statemachine"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, folder / part, ignore=unwanted)
    with (folder / "shared" / "clipmint" / "__init__.py").open("a", encoding="utf-8") as layer:
        layer.write("\nOTHER_RELEASE = True\n")
    for app in folder.glob("functions/*/app.py"):
        with app.open("a", encoding="utf-8") as function:
            function.write("\nfrom clipmint import OTHER_RELEASE\n")
    definition = folder / "statemachine" / "generation.asl.yaml"
    text = definition.read_text(encoding="utf-8")
    definition.write_text(text.replace("One job,", "Another release. One job,"), encoding="utf-8")
    return Release(folder)


def broken_release(folder: Path) -> Release:
    """The other release, except that its last resource cannot be created."""
    release = other_release(folder)
    last = """
  Late:
    Type: Custom::CatalogSeed
    DependsOn: GenerationStateMachine
    Properties:
      ServiceToken: !GetAtt SeedFunction.Arn
      ServiceTimeout: 120
      ProviderOverrides: '{"fal": {"no_such_setting": 1}}'

Outputs:
"""
    text = release.template.read_text(encoding="utf-8")
    release.template.write_text(text.replace("\nOutputs:\n", last), encoding="utf-8")
    return release


def previous_release(folder: Path) -> Release | None:
    """The previous release, or None if this clone's history does not contain it."""
    commit = _newest_tag() or BEFORE_ALIASES
    archive = subprocess.run(
        ["git", "archive", commit, *PARTS], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        # Not the parameter ``filter``: Python 3.11.3 does not have it.
        files.extraction_filter = getattr(tarfile, "data_filter", None)
        files.extractall(folder)  # noqa: S202
    return Release(folder)


def _newest_tag() -> str:
    """The newest tag ``v*`` among the ancestors of this commit; "" without one."""
    found = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()
