"""The demo's output: live progress bars in a terminal, plain lines everywhere else.

In a pipe, a CI log or a dumb terminal it prints no control codes and no colours, even if the
environment asks for them: one line per change of progress, and tables of aligned columns.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

PLAIN_WIDTH = 160
"""Columns if there is no terminal to measure: none of our lines is longer."""

Rows = Sequence[Sequence[object]]


class Bars(Protocol):
    """Shows the progress of several jobs."""

    def show(self, name: str, percent: int, step: str) -> None: ...


class Screen:
    """Standard output. ``interactive`` is True if it is a terminal."""

    def __init__(self) -> None:
        self.interactive = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {
            "dumb",
            "unknown",
        }
        if isinstance(sys.stdout, io.TextIOWrapper):
            # An encoding without arrows prints question marks instead of raising.
            sys.stdout.reconfigure(errors="replace")
        # Rich would obey FORCE_COLOR and similar variables even in a pipe.
        self._console = Console(
            force_terminal=self.interactive,
            color_system="auto" if self.interactive else None,
            width=None if self.interactive else PLAIN_WIDTH,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def gap(self) -> None:
        self._console.print()

    def heading(self, text: str) -> None:
        self.gap()
        self._console.print(text, style="bold")

    def say(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=not self.interactive)

    def wrong(self, text: str) -> None:
        self._console.print(f"  WRONG: {text}", style="bold red")

    def table(self, columns: Sequence[str], rows: Rows) -> None:
        """Columns of numbers are right-aligned. Each row has one member per column."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("")  # the indent of all our lines
        for number, column in enumerate(columns):
            right = all(isinstance(row[number], int | float) for row in rows)
            last = number == len(columns) - 1
            table.add_column(column, justify="right" if right else "left", no_wrap=not last)
        for row in rows:
            table.add_row("", *(f"{cell:,}" if _is_number(cell) else str(cell) for cell in row))
        if self.interactive:
            self._console.print(table)
            return
        with self._console.capture() as rendered:
            self._console.print(table)
        for line in rendered.get().splitlines():
            self._console.print(line.rstrip(), soft_wrap=True)

    @contextmanager
    def bars(self, names: Sequence[str]) -> Iterator[Bars]:
        """Progress of these, from 0 percent, until the block ends."""
        if not self.interactive:
            yield _Lines(self, max(map(len, names)))
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}"),
        )
        with Progress(*columns, console=self._console) as progress:
            tasks = {name: progress.add_task(name, total=100, step="") for name in names}
            yield _LiveBars(progress, tasks)


class _LiveBars:
    def __init__(self, progress: Progress, tasks: dict[str, TaskID]) -> None:
        self._progress = progress
        self._tasks = tasks

    def show(self, name: str, percent: int, step: str) -> None:
        self._progress.update(self._tasks[name], completed=percent, step=step)


class _Lines:
    def __init__(self, screen: Screen, width: int) -> None:
        self._screen = screen
        self._width = width
        self._started = time.monotonic()
        self._shown: dict[str, tuple[int, str]] = {}

    def show(self, name: str, percent: int, step: str) -> None:
        if self._shown.get(name) == (percent, step):
            return
        self._shown[name] = percent, step
        seconds = time.monotonic() - self._started
        self._screen.say(f"{seconds:5.1f} s  {name:{self._width}}  {percent:3} %  {step}")


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float)
