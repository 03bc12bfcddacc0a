"""One line per step on standard output: ``ok``, ``skip`` or ``FAILED``, and what to look at.

Text that is printed never contains a secret: `Steps.conceal` names the texts to replace.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from operations.installation import ROOT, NotConfigured

RUNBOOK = ROOT / "docs" / "runbook.md"
MAX_TEXT = 500


class Unexpected(Exception):
    """A step did not have the expected result. The message states both."""


class StepFailed(Exception):
    """A step failed, and its line was printed."""


EXPECTED_ERRORS = (
    *(Unexpected, NotConfigured, httpx.HTTPError, httpx.InvalidURL, BotoCoreError, ClientError),
    *(OSError, ValueError, KeyError),
)
"""What can go wrong in a step. Any other error is a defect of the program and ends it."""


class Step:
    """The step that is running; ``found`` is the text after its name."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.found = ""

    def note(self, text: str) -> None:
        """Print an additional line, such as progress."""
        self._steps.line("", "", text)


class Steps:
    """Prints steps. ``hints`` is the runbook page with a table row for each step."""

    def __init__(self, out: TextIO | None = None, hints: Path = RUNBOOK) -> None:
        self._out = out or sys.stdout
        self._hints = hints
        self._secrets: list[str] = []
        self.failed: list[str] = []

    def conceal(self, secret: str) -> None:
        """Replace this text in everything printed from now on."""
        self._secrets.append(secret)

    def line(self, mark: str, name: str, text: str) -> None:
        """Print one line."""
        for secret in self._secrets:
            text = text.replace(secret, "(secret)")
        print(f"{mark:<7} {name:<10} {' '.join(text.split())}".rstrip(), file=self._out, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run a step. Raises `StepFailed` after its line was printed."""
        started, step = time.monotonic(), Step(self)
        try:
            yield step
        except EXPECTED_ERRORS as error:
            self._fail(name, error)
            raise StepFailed(name) from error
        seconds = time.monotonic() - started
        self.line("ok", name, f"{step.found} ({seconds:.1f} s)")

    def attempt(self, name: str, what: str, action: Callable[[], None]) -> None:
        """Run an action that must not stop the actions after it. A failure is recorded."""
        try:
            action()
        except EXPECTED_ERRORS as error:
            self._fail(name, Unexpected(f"{what}: {_text_of(error)}"))

    def skip(self, name: str, reason: str) -> None:
        """Print that a step is left out, and why."""
        self.line("skip", name, reason)

    def _fail(self, name: str, error: Exception) -> None:
        self.failed.append(name)
        self.line("FAILED", name, _text_of(error))
        self.line("", "", f"Look at: {hint(name, self._hints)}")


def _text_of(error: Exception) -> str:
    kind = "" if isinstance(error, Unexpected | NotConfigured) else f"{type(error).__name__}: "
    # The query of a URL can be a permission: a presigned URL has its signature there.
    return kind + re.sub(r"(https?://[^\s?]+)\?\S+", r"\1?…", str(error))[:MAX_TEXT]


def hint(step: str, page: Path = RUNBOOK) -> str:
    """What to look at if a step fails: the last cell of its row in the runbook."""
    for row in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) > 3 and cells[1] == f"`{step}`":  # noqa: PLR2004 - a row of three columns
            return f"{cells[-2]} (docs/{page.name})"
    return f"docs/{page.name}"
