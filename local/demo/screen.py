"""The demo's output: live progress bars in a terminal, plain lines everywhere else.

In a pipe, a CI log or a dumb terminal it prints no control codes and no colours, even if the
environment asks for them.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ShowProgress = Callable[[str, int, str], None]
"""Called with a job's name, percent and current step."""


class Screen:
    """Standard output."""

    def __init__(self) -> None:
        terminal = os.environ.get("TERM", "dumb")
        self._live = sys.stdout.isatty() and terminal not in {"dumb", "unknown"}
        if isinstance(sys.stdout, io.TextIOWrapper):
            # An encoding without arrows prints question marks instead of raising.
            sys.stdout.reconfigure(errors="replace")
        # Rich would obey FORCE_COLOR and similar variables even in a pipe.
        self._console = Console(
            force_terminal=self._live,
            color_system="auto" if self._live else None,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )

    def heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold")

    def say(self, text: str, style: str = "") -> None:
        self._console.print(f"  {text}", style=style)

    def wrong(self, text: str) -> None:
        self.say(f"WRONG: {text}", "bold red")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Columns of numbers are right-aligned. Each row has one member per column."""
        lines = [columns, *([_text(cell) for cell in row] for row in rows)]
        right = [isinstance(cell, int) for cell in rows[0]]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            cells = [
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(line, widths, right, strict=True)
            ]
            self.say("  ".join(cells).rstrip(), "" if number else "dim")

    @contextmanager
    def bars(self, names: Sequence[str]) -> Iterator[ShowProgress]:
        """Show the progress of these, from 0 percent, until the block ends."""
        if not self._live:
            yield self._progress_lines(max(map(len, names)))
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}"),
        )
        with Progress(*columns, console=self._console) as bars:
            tasks = {name: bars.add_task(name, total=100, step="") for name in names}
            yield lambda name, percent, step: bars.update(tasks[name], completed=percent, step=step)

    def _progress_lines(self, width: int) -> ShowProgress:
        """One line for each change, with the seconds since now."""
        began = time.monotonic()
        shown: dict[str, tuple[int, str]] = {}

        def show(name: str, percent: int, step: str) -> None:
            if shown.get(name) != (percent, step):
                shown[name] = percent, step
                seconds = time.monotonic() - began
                self.say(f"{seconds:5.1f} s  {name:{width}}  {percent:3} %  {step}")

        return show


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
