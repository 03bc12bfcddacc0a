"""The demo run as a process, and what it printed, read back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 600
KEYS = {"fal": "FAL_KEY", "runway": "RUNWAYML_API_SECRET", "runware": "RUNWARE_API_KEY"}
JOURNAL_LINE = re.compile(r" +(\d+)  (\w+) +(\d+) +(\d+) +(\d+)  (\S.*)")
PROGRESS_LINE = re.compile(r" +[\d.]+ s  (\S+) +(\d+) %  (.+)")
ACCOUNT_LINE = r"{}: (\d+) available, (\d+) held"


@dataclass(frozen=True)
class Run:
    """A demo that has ended."""

    exit_code: int
    text: str
    errors: str
    out: Path

    def section(self, heading: str) -> list[str]:
        """The lines below a heading, up to the next one."""
        lines = self.text.partition(f"\n{heading}\n")[2].splitlines()
        end = next((i for i, line in enumerate(lines) if re.match(r"\S", line)), len(lines))
        return [line for line in lines[:end] if line]

    def account(self, moment: str) -> tuple[int, int]:
        found = re.search(ACCOUNT_LINE.format(moment), self.text)
        assert found, f"nothing is said of the account {moment}"
        return int(found[1]), int(found[2])

    def journal(self, heading: str = "The user's journal") -> list[dict[str, Any]]:
        """The journal as printed below a heading, with the members the API gives it.
        The name of a job distinguishes its stages."""
        found = map(JOURNAL_LINE.fullmatch, self.section(heading)[1:])
        return [
            {
                "sequence": int(line[1]),
                "kind": line[2],
                "credits": int(line[3]),
                "balance_after": int(line[4]),
                "held_after": int(line[5]),
                "job_id": None if line[2] == "grant" else line[6],
            }
            for line in found
            if line is not None
        ]

    def progress(self, name: str) -> list[tuple[int, str]]:
        found = filter(None, map(PROGRESS_LINE.fullmatch, self.text.splitlines()))
        return [(int(line[2]), line[3]) for line in found if line[1] == name]


def environment(**more: str) -> dict[str, str]:
    """Our environment, without the keys with which a real provider would charge an account."""
    unwanted = {*KEYS.values(), "DEMO_IMAGE_URL", "COLUMNS", "NO_COLOR"}
    return {name: value for name, value in os.environ.items() if name not in unwanted} | more


def run(out: Path, *options: str, **more: str) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "local.demo", "--out", str(out), *options],
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, out)
