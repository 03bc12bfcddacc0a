"""The commands in the documents: code blocks marked `sh`, and how to run them as a reader would."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
PREREQUISITES = ("make", "curl")
"""What the documents require beside python3 and what is on every Linux and macOS."""
EVERYWHERE = (
    *("awk", "basename", "bash", "cat", "cp", "cut", "date", "diff", "dirname", "env", "find"),
    *("grep", "head", "id", "ls", "mkdir", "mv", "printf", "rm", "sed", "seq", "sh", "sleep"),
    *("sort", "tail", "test", "touch", "tr", "true", "uname", "wc", "xargs"),
)
AWS = ROOT / ".envs" / "awscli" / "bin" / "aws"


@dataclass(frozen=True)
class Block:
    """A code block: its page, the heading it is under, its place there, and its text."""

    page: Path
    heading: str
    number: int
    text: str

    @property
    def key(self) -> tuple[str, str, int]:
        """Page, heading and place."""
        return self.page.name, self.heading, self.number

    def __str__(self) -> str:
        return f"{self.page.name}: {self.heading} ({self.number})"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of shell commands of a page, in order."""
    heading, number = "", 0
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(
        r"^```(\w*)\n(.*?)^```$|^#+ ([^\n]+)$", text, re.MULTILINE | re.DOTALL
    ):
        language, code, title = found.groups()
        if title is not None:
            heading, number = title, 0
        elif language == "sh":
            number += 1
            yield Block(page, heading, number, code)


_RESTORE = "the restore is rehearsed in tests/integration/operations/test_restore.py"
_AWS = "needs an AWS account"
NOT_RUN: Mapping[tuple[str, str, int], str] = {
    ("README.md", "Two commands", 1): "tests/e2e/test_demo.py runs the demo",
    ("README.md", "Deploy to AWS", 1): _AWS,
    ("README.md", "One function at a time", 1): "needs Docker; tests/integration/test_events.py",
    ("deploy.md", "Before the first deployment", 1): _AWS,
    **{("deploy.md", "Deploy, set the keys, check", number): _AWS for number in range(1, 5)},
    **{
        ("deploy.md", title, 1): _AWS for title in ("Upgrade", "Roll back", "Rotate keys", "Delete")
    },
    ("deploy.md", "Roll back", 2): _AWS,
    **{("sign-in.md", "An app with the Cognito pool", number): _AWS for number in (1, 2)},
    ("sign-in.md", "Operators of the console", 1): _AWS,
    ("runbook.md", "OwnerAccountRefused", 3): "writes the providers' keys",
    **{("runbook.md", "ProviderKeysUnreadable", n): "writes the providers' keys" for n in (2, 3)},
    ("runbook.md", "OldestOpenHold", 2): "changes a job: a test of its own",
    ("runbook.md", "LedgerDrift", 2): "changes an account: a test of its own",
    ("runbook.md", "SweepFailed", 2): "empties a queue",
    ("events.md", "EventBridge", 1): "needs a topic",
    ("README.md", "What it promises", 1): "needs a queue",
    ("runbook.md", "Delete and adopt", 1): "tests/integration/operations",
    **{("runbook.md", "Restore", number): _RESTORE for number in range(1, 8)},
}
"""Blocks that no test runs as they are, and why. Their commands and arguments are checked."""


def programs(folder: Path, *more: Path) -> Path:
    """A folder with links to the programs that a reader is known to have, and to `more`."""
    folder.mkdir()
    for name in (*EVERYWHERE, *PREREQUISITES):
        found = shutil.which(name)
        assert found is not None, f"{name} is not installed"
        (folder / name).symlink_to(found)
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    for program in more:
        (folder / program.name).symlink_to(program)
    return folder


def run(
    script: str, path: Path, variables: Mapping[str, str] | None = None, *, seconds: int = 300
) -> subprocess.CompletedProcess[str]:
    """Run commands in bash, in the repository's folder; the first command that fails ends it."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={"PATH": str(path), "HOME": str(path), "LANG": "C.UTF-8", **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
