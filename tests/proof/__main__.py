"""Run the proof: ``python -m tests.proof [matrix] [payments] [model] [races] [soak]``.

The last line is ``violations: N``.

``--write FILE`` renders the tables of the matrix and of the payments into a document, between its
lines ``<!-- matrix -->`` and ``<!-- /matrix -->``, and the same for ``payments``.

The matrix, the payments, the model and the rounds of the races run in virtual time, which starts at
``--date`` (by default now). What calls a stack of other processes over HTTP (two of the races, and
the soak) runs at the real date. The soak runs beside the others.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.proof import payments, races, soak
from tests.proof.matrix import Matrix, Run, effects_table, run_matrix, table
from tests.proof.scenarios import SCENARIOS
from tests.proof.stateful import NEEDED, try_everything
from tests.support import shifted_date

EXAMPLES = 300
"""Examples of the model in a batch. The whole proof runs batches until each response occurred."""

MOST_BATCHES = 4

MOST_SHOWN = 20
"""How many violations are printed in full; the rest are counted."""


def main() -> int:
    """The exit status of the process: 1 if anything was violated, else 0."""
    asked = _arguments()
    # For all worker processes: a scenario must start at the same moment in each of its runs.
    os.environ[shifted_date.VARIABLE] = shifted_date.written(asked.date)
    print(f"date: {os.environ[shifted_date.VARIABLE]}", flush=True)
    names = asked.what or list(PROOFS)
    with ThreadPoolExecutor(1) as aside:
        # It mostly waits, and the others use other processes.
        soaking = [aside.submit(_prove, name, asked) for name in names if name == "soak"]
        violations = sum(_prove(name, asked) for name in names if name != "soak")
        violations += sum(done.result() for done in soaking)
    print(f"violations: {violations}")
    return int(bool(violations))


def _prove(name: str, asked: argparse.Namespace) -> int:
    """Run one of the proofs. Returns how many violations it found."""
    began = time.perf_counter()
    found = PROOFS[name](asked)
    print(f"\n{name}: {found} violations, {time.perf_counter() - began:.0f} s\n", flush=True)
    return found


def prove_matrix(asked: argparse.Namespace) -> int:
    """Crash at every side effect of every scenario."""
    matrix = run_matrix(
        asked.scenario or list(SCENARIOS),
        processes=asked.processes,
        every=asked.every,
        first=int(asked.date.timestamp()),
        twice=asked.twice,
        report=_print_progress,
    )
    again = [run for run in matrix.twice if run.found]
    tables = [
        *table(matrix),
        "",
        *effects_table(matrix),
        "",
        f"{len(matrix.twice)} more runs with two crashes, {len(again)} of them broken.",
    ]
    print("\n".join(tables))
    _complain(matrix)
    if asked.write:
        write(asked.write, "matrix", tables)
    return len(matrix.broken)


def prove_payments(asked: argparse.Namespace) -> int:
    """Report payments in every order, and crash at every side effect of each report."""
    played = payments.play_all(
        processes=asked.processes, every=asked.cases, first=int(asked.date.timestamp())
    )
    found = [what for one in played for what in one.found]
    lines = payments.table(played)
    print(*lines, *(f"✗ {what}" for what in found[:MOST_SHOWN]), sep="\n")
    if asked.write:
        write(asked.write, "payments", lines)
    return len(found)


def prove_model(asked: argparse.Namespace) -> int:
    """Do anything in any order, and compare every response with the model's."""
    answers, failures, tried = Counter[str](), list[str](), 0
    whole = asked.examples >= EXAMPLES
    # Which examples produce a rare response differs from one version of Hypothesis to another.
    for batch in range(MOST_BATCHES if whole else 1):
        more, failed = try_everything(
            examples=asked.examples, steps=asked.steps, processes=asked.processes, batch=batch
        )
        answers, failures, tried = answers + more, failures + failed, tried + asked.examples
        if failures or not NEEDED - answers.keys():
            break
    print(f"{tried} examples of {asked.steps} steps: {answers.total()} answers compared")
    for answer, times in sorted(answers.items()):
        print(f"{times:8,}  {answer}")
    never = sorted(NEEDED - answers.keys())
    for answer in never:
        print(f"   never  {answer}")
    print(*failures, sep="\n\n")
    # A sample may miss some responses. The whole run must see them all, or it proves less than it
    # claims.
    return len(failures) + (len(never) if whole else 0)


def prove_races(asked: argparse.Namespace) -> int:
    """Let many actors work at once, in orders drawn from a seed."""
    rows = races.run(
        rounds=asked.rounds, seed=asked.seed, processes=asked.processes, requests=asked.requests
    )
    found = [what for row in rows for what in row.found]
    print(*races.table(rows), *(f"✗ {what}" for what in found[:MOST_SHOWN]), sep="\n")
    return len(found)


def prove_soak(asked: argparse.Namespace) -> int:
    """Users and faults of all kinds, for a short time; `make soak` runs longer."""
    done, found = soak.soak(asked.soak_minutes, asked.seed, users=3)
    print(*soak.table(done), *(f"✗ {what}" for what in found), sep="\n")
    return len(found)


PROOFS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "matrix": prove_matrix,
    "payments": prove_payments,
    "model": prove_model,
    "races": prove_races,
    "soak": prove_soak,
}


def write(document: Path, name: str, lines: list[str]) -> None:
    """Put these lines between the markers of this name in a document.

    Raises
    ------
    ValueError
        The document has no such markers.
    """
    first, last = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begins, rest = document.read_text().partition(first)
    _, ends, after = rest.partition(last)
    if not (begins and ends):
        raise ValueError(f"{document} has no line {first.strip()} and {last.strip()} after it")
    document.write_text("\n".join([before + begins, *lines, "", ends + after]))


def _complain(matrix: Matrix) -> None:
    for run in matrix.broken[:MOST_SHOWN]:
        where = ", ".join(f"{point.moment} {point.effect} ({point.number})" for point in run.points)
        print(f"\n✗ {run.scenario}: crashed {where or 'nowhere'}")
        for sentence in run.found:
            print(f"    {sentence}")
        for line in run.log:
            print(f"        {line}")


def _print_progress(run: Run, done: int) -> None:
    for sentence in run.found:
        print(f"✗ {run.scenario}: {sentence}", file=sys.stderr, flush=True)
    if done % 100 == 0:
        print(f"{done} crashes", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[[], *PROOFS])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    parser.add_argument(
        "--every", type=int, default=1, help="crash at every n-th point only; others at each date"
    )
    parser.add_argument("--cases", type=int, default=1, help="every n-th case of the payments only")
    parser.add_argument("--twice", type=int, default=80, help="crash again in every n-th run")
    parser.add_argument("--write", type=Path)
    parser.add_argument(
        "--date",
        type=shifted_date.read,
        default=shifted_date.asked() or datetime.now(UTC).replace(microsecond=0),
        help="when virtual time starts, such as 2028-02-29T23:59:30Z",
    )
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=150, help="of the races; see races.SHARES")
    parser.add_argument("--requests", type=int, default=200, help="at once, over HTTP; 0 for none")
    parser.add_argument("--soak-minutes", type=float, default=0.5)
    parser.add_argument("--seed", default="the same every time", help="of races and soak")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
