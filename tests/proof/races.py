"""Race everything: many at once, in every order a seed can draw.

::

    python -m tests.proof races [--rounds N] [--seed TEXT]

The first two races go over HTTP against the whole stack, two hundred requests at a time. The others
are rounds of real handlers that take turns at every call (`tests.proof.turns`) against the
emulator's DynamoDB, so each can be had again from the seed it is named by.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from tests.proof.credit_rounds import play_credits, play_payments
from tests.proof.emulated import Emulated, emulated
from tests.proof.project_rounds import play_grants, play_project
from tests.proof.rounds import KINDS, Kind, play

CONFLICTS = (0.1, 0.3, 0.6, 0.9)
"""How likely a call meets another transaction, in turn; at nine in ten most give up."""

SHARES = {
    **dict.fromkeys(KINDS, 20),
    "project": 10,
    "grants": 3,
    "credits": 3,
    "payments": 3,
    **{f"{kind}, conflicts": 8 for kind in KINDS},
    "project, conflicts": 6,
    "grants, conflicts": 3,
    "credits, conflicts": 3,
    "payments, conflicts": 3,
}
"""How rounds are divided among the races, in percent of `--rounds`."""

Player = Callable[[Emulated, str, float], tuple[Counter[str], list[str]]]


@dataclass
class Row:
    """One race: how often it was run, how the rounds went, and what was wrong, with seeds."""

    name: str
    rounds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


def run(*, rounds: int, seed: str, processes: int, requests: int) -> list[Row]:
    """All races: those of HTTP with so many requests (0 for none), then the rounds.

    Parameters
    ----------
    rounds
        Rounds of a hundred percent; see `SHARES`.
    """
    rows = []
    if requests:
        from tests.proof.crowds import crowds

        rows += [
            Row(name, 1, outcomes, [f"{name}: {what}" for what in found])
            for name, outcomes, found in crowds(requests)
        ]
    rows += _play_all(rounds, seed, processes)
    return rows


def table(rows: Iterable[Row]) -> list[str]:
    """Markdown: race, rounds, outcomes, violations."""
    lines = ["| race | rounds | outcomes | violations |", "|---|--:|---|--:|"]
    for row in rows:
        counts = ", ".join(f"{n:,} × {what}" for what, n in sorted(row.outcomes.items()) if n)
        lines.append(f"| {row.name} | {row.rounds:,} | {counts} | {len(row.found)} |")
    return lines


def _play_all(rounds: int, seed: str, processes: int) -> list[Row]:
    todo = [
        (name, f"{seed}, {name} {number}")
        for name, share in SHARES.items()
        for number in range(max(1, rounds * share // 100))
    ]
    spawn = multiprocessing.get_context("spawn")
    shares = [todo[number::processes] for number in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        played = [result for share in pool.map(play_rounds, shares) for result in share]
    rows = {name: Row(name) for name in SHARES}
    for name, outcomes, found in played:
        rows[name].rounds += 1
        rows[name].outcomes += outcomes
        rows[name].found += found
    return list(rows.values())


def play_rounds(todo: Iterable[tuple[str, str]]) -> list[tuple[str, Counter[str], list[str]]]:
    """Rounds by race and seed, one after the other, in an emulator of their own."""
    played = []
    with emulated() as account:
        for number, (name, seed) in enumerate(todo):
            race, _, troubled = name.partition(", ")
            likely = CONFLICTS[number % len(CONFLICTS)] if troubled else 0.0
            before = account.injected
            try:
                outcomes, found = PLAYERS[race](account, seed, likely)
            except Exception as error:  # noqa: BLE001  (a round that breaks is a finding)
                outcomes, found = Counter[str](), [f"the round broke: {error!r}"]
                account.turns, account.conflicts = None, 0.0
            outcomes["conflict"] += account.injected - before
            played.append((name, outcomes, [f"{seed} ({likely}): {what}" for what in found]))
    return played


def _play_job(
    kind: Kind, account: Emulated, seed: str, likely: float
) -> tuple[Counter[str], list[str]]:
    played = play(account, kind, seed, conflicts=likely)
    return played.outcomes, played.found


PLAYERS: Mapping[str, Player] = {
    **{kind: partial(_play_job, kind) for kind in KINDS},
    "project": play_project,
    "grants": play_grants,
    "credits": play_credits,
    "payments": play_payments,
}
