"""Measures the budgets: runs every part in turn and prints a table, details and a verdict.

    python -m benchmarks [--write] [--strict] [--quick] [--only PART …]

The last line is ``over budget: N``. ``--write`` replaces docs/benchmarks.md with the results of
this run; its prose is the parts' docstrings. ``--quick`` uses the smallest sizes: it shows that the
parts still run, and its figures mean nothing. A part that fails ends the run.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import Figure

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
HISTORY = Path(__file__).with_name("before-and-after.md")
"""Figures before and after a change, written by hand; the last section of the document."""

PARTS = (
    "imports",
    "handlers",
    "lots",
    "cost",
    "events",
    "migrate",
    "ledger",
    "latency",
    "scale",
    "clips",
)
"""The modules beside this one that have a `measure`, in the order they run."""
COMMAND = "make bench"

COLUMNS = ("", "figure", "value", "unit", "budget")
TO_THE_RIGHT = frozenset({"value", "budget"})

OPENING = """\
# Benchmarks

The results of `{command}`, compared with Clipmint's budgets. Where possible, a time is given as the
ratio of two things that ran alternately in the same run, because the speed of a computer varies.
Counts are exact. ✗ marks a figure that is over its budget. The list below the table has
[details](#details) of the figures; after it, each part describes its method.

| | |
|---|---|
{machine}
"""


@dataclass(frozen=True)
class Measured:
    """The figures of a part, and how many seconds it took."""

    figures: Sequence[Figure]
    seconds: float


def parts() -> list[str]:
    """The names of all parts."""
    return list(PARTS)


def measure(names: Sequence[str], *, quick: bool) -> dict[str, Measured]:
    """Run these parts, one after the other."""
    measured: dict[str, Measured] = {}
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        started = time.monotonic()
        figures = importlib.import_module(f"benchmarks.{name}").measure(quick)
        measured[name] = Measured(figures, time.monotonic() - started)
        # A later part may fail, and the run takes many minutes.
        print(table({name: measured[name]}), file=sys.stderr, flush=True)
    return measured


def table(measured: Mapping[str, Measured]) -> str:
    """All figures as an aligned Markdown table, without their notes (see `details`)."""
    return aligned(
        (
            "✗" if figure.over_budget else "",
            f"{part}: {figure.name}",
            number(figure.value),
            figure.unit,
            "" if figure.budget is None else f"{'≥' if figure.at_least else '≤'} {figure.budget:g}",
        )
        for part, made in measured.items()
        for figure in made.figures
    )


def details(measured: Mapping[str, Measured]) -> str:
    """The notes as a Markdown list, one line per figure that has one."""
    return "\n".join(
        f"- **{part}: {figure.name}**: {figure.note}"
        for part, made in measured.items()
        for figure in made.figures
        if figure.note
    )


def aligned(cells_of_rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of `COLUMNS`, padded so that it is readable as plain text too."""
    rows = [COLUMNS, *cells_of_rows]
    widths = [max(3, *(len(row[n]) for row in rows)) for n in range(len(COLUMNS))]
    rule = [
        "-" * (width - 1) + ":" if column in TO_THE_RIGHT else "-" * width
        for column, width in zip(COLUMNS, widths, strict=True)
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column in TO_THE_RIGHT else cell.ljust(width)
            for cell, column, width in zip(cells, COLUMNS, widths, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def number(value: float) -> str:
    """A value with three significant digits, or all digits of a whole number."""
    if value == int(value):
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def over_budget(measured: Mapping[str, Measured]) -> int:
    return sum(figure.over_budget for made in measured.values() for figure in made.figures)


def machine() -> dict[str, str]:
    """The computer of this run, and its load before the run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    for line in about.read_text().splitlines() if about.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def document(about: Mapping[str, str], measured: Mapping[str, Measured]) -> str:
    """docs/benchmarks.md."""
    seconds = sum(made.seconds for made in measured.values())
    facts = {
        **about,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": f"`{COMMAND}`, {seconds / 60:.0f} minutes",
    }
    prose = [
        f"## {name}\n\n{inspect.getdoc(importlib.import_module(f'benchmarks.{name}'))}"
        for name in measured
    ]
    opening = OPENING.format(
        command=COMMAND, machine="\n".join(f"| {name} | {fact} |" for name, fact in facts.items())
    )
    verdict = f"over budget: {over_budget(measured)}"
    notes = f"## Details\n\n{details(measured)}"
    history = HISTORY.read_text(encoding="utf-8").strip()
    sections = [opening.rstrip(), table(measured), verdict, notes, *prose, history]
    return "\n\n".join(sections) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="Measure against the budgets.")
    options.add_argument("--write", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)}")
    options.add_argument("--strict", action="store_true", help="exit 1 if anything is over budget")
    options.add_argument("--quick", action="store_true", help="only check that every part runs")
    options.add_argument("--only", action="append", choices=parts(), metavar="PART")
    chosen = options.parse_args(arguments)
    if chosen.write and (chosen.quick or chosen.only):
        options.error("--write needs a complete run: without --quick and --only")
    about = machine()
    measured = measure(chosen.only or parts(), quick=chosen.quick)
    if chosen.write:
        DOCUMENT.write_text(document(about, measured), encoding="utf-8")
    print(table(measured), details(measured), sep="\n\n", end="\n\n")
    print(f"over budget: {over_budget(measured)}")
    return int(chosen.strict and over_budget(measured) > 0)


if __name__ == "__main__":
    sys.exit(main())
