"""The clients in docs/doors.md, and programs to run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from local.deploy import ROOT

CLIENT = re.compile(r"^```(bash|python)\n# client: ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPENAI = ROOT / ".envs" / "openai" / "bin" / "python"


def clients() -> dict[str, tuple[str, str]]:
    """Language and code by protocol."""
    page = (ROOT / "docs" / "doors.md").read_text(encoding="utf-8")
    return {name: (language, code) for language, name, code in CLIENT.findall(page)}


def run(name: str, folder: Path, **variables: str) -> str:
    """Run a client as it stands in the page. Returns what it printed; raises if it fails."""
    language, code = clients()[name]
    python = str(OPENAI) if name == "openai" else sys.executable
    command = ["bash", "-ec", code] if language == "bash" else [python, "-c", code]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "NO_PROXY": "*", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
