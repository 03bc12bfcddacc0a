"""The clients in docs/doors.md, one per protocol, run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.deploy import ROOT

PAGE = ROOT / "docs" / "doors.md"
OPENAI = ROOT / ".envs" / "openai" / "bin" / "python"
_CLIENT = re.compile(
    r"^```(bash|python)\n# client: ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Client:
    """One client: a shell script or a Python program."""

    protocol: str
    language: str
    code: str

    @property
    def missing(self) -> list[str]:
        """The programs that it needs and this computer does not have."""
        if self.language == "bash":
            return [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]
        return [] if self.protocol != "openai" or OPENAI.exists() else [".envs/openai"]

    def run(self, folder: Path, variables: Mapping[str, str]) -> str:
        """Run it with these variables. Returns what it printed.

        Raises ``subprocess.CalledProcessError``, and ``subprocess.TimeoutExpired`` after three
        minutes.
        """
        python = str(OPENAI) if self.protocol == "openai" else sys.executable
        command = (
            ["bash", "-ec", self.code] if self.language == "bash" else [python, "-c", self.code]
        )
        done = subprocess.run(
            command,
            cwd=folder,
            # The stack is on this computer: ignore the environment's proxies.
            env={"PATH": os.environ.get("PATH", os.defpath), "NO_PROXY": "*", **variables},
            capture_output=True,
            text=True,
            check=True,
            timeout=180,
        )
        return done.stdout


def clients() -> dict[str, Client]:
    """All clients of the page, by protocol."""
    found = _CLIENT.findall(PAGE.read_text(encoding="utf-8"))
    return {name: Client(name, language, code) for language, name, code in found}
