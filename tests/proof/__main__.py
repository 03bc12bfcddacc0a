"""Prove it: ``python -m tests.proof [matrix]``; the last line is ``violations: N``.

``--write FILE`` renders the tables into a document, between its markers
``<!-- matrix -->`` and ``<!-- /matrix -->``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.proof.matrix import Matrix, Run, effects_table, run_matrix, table
from tests.proof.scenarios import SCENARIOS

BEGINS, ENDS = "<!-- matrix -->\n", "<!-- /matrix -->\n"
MOST_SHOWN = 20
"""Violations that are told in full; the rest is counted."""


def main() -> int:
    """The number of violations, as a process tells it: 0 or 1."""
    asked = _arguments()
    matrix = run_matrix(
        asked.scenario or list(SCENARIOS),
        processes=asked.processes,
        every=asked.every,
        tell=_tell,
    )
    tables = [*table(matrix), "", *effects_table(matrix)]
    print("\n".join(tables))
    _complain(matrix)
    if asked.write:
        write(asked.write, tables)
    print(f"violations: {len(matrix.broken)}")
    return int(bool(matrix.broken))


def write(document: Path, lines: list[str]) -> None:
    """Put these lines between the markers of a document.

    Raises
    ------
    ValueError
        It has no such markers.
    """
    text = document.read_text()
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not (begins and ends):
        raise ValueError(f"{document} has no line {BEGINS.strip()} and {ENDS.strip()} after it")
    document.write_text("\n".join([before + begins, *lines, "", ends + after]))


def _complain(matrix: Matrix) -> None:
    for run in matrix.broken[:MOST_SHOWN]:
        where = ", ".join(f"{point.moment} {point.effect} ({point.number})" for point in run.points)
        print(f"\n✗ {run.scenario}: died {where or 'nowhere'}")
        for sentence in run.found:
            print(f"    {sentence}")
        for line in run.log:
            print(f"        {line}")


def _tell(run: Run, done: int, of: int) -> None:
    for sentence in run.found:
        print(f"✗ {run.scenario}: {sentence}", file=sys.stderr, flush=True)
    if done % 100 == 0 or done == of:
        print(f"{done} of {of}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--every", type=int, default=1, help="die at every n-th point only")
    parser.add_argument("--write", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
