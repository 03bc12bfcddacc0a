"""What credits that end cost in an order, a look at a job or at the credits, and a settlement.

    python -m benchmarks.lots [--quick]

The same requests run as in ``handlers``, in turn with two accounts: one that has only ever had
purchased credits, which is stored as before credits could end, and one with the most lots that an
account may have, of which one has ended and expires with the request. The order takes its price
from several lots, and the settlement returns it to them. Calls are counted exactly: lots are
attributes of the account and of the job, so none is added. The processor time is that of the whole
request, without that of the same calls made bare; the budget is for what the lots add.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import imports
from benchmarks.handlers import Request, answers_of_aws, event_of, run, serving
from benchmarks.results import Figure
from clipmint import clock, lots
from clipmint.credits.account_changes import MAX_LOTS
from clipmint.lots import CreditKind, Lot, Lots

BLOCKS, ROUNDS = 4, 40
QUICK_BLOCKS, QUICK_ROUNDS = 1, 5
BUDGET_MS = 5.0
PART = 3
"""Credits of a lot: an order takes several of them."""


def measure(quick: bool) -> list[Figure]:
    """For each request the calls with lots, and the milliseconds that the lots add."""
    blocks, rounds = (QUICK_BLOCKS, QUICK_ROUNDS) if quick else (BLOCKS, ROUNDS)
    key = Ed25519PrivateKey.generate()
    own = lots_of(clock.now())
    with_lots = {
        "available": None,
        "purchased": 10_000,
        "lots": lots.to_json(own),
        "debt": None,
    }
    figures = []
    with (
        serving(answers_of_aws(key)) as plain,
        serving(answers_of_aws(key, from_lots=own[1:6], **with_lots)) as lotted,
        imports.search_paths() as paths,
    ):
        for name, request in _requests():
            print(f"lots: {blocks} times {rounds} rounds of {name}", file=sys.stderr)
            taken: dict[str, list[dict[str, Any]]] = {plain: [], lotted: []}
            for _ in range(blocks):
                for url, measured in taken.items():
                    measured.extend(run(request, paths[request.function], url, rounds))
            figures += _figures(name, taken[plain], taken[lotted])
    return figures


def lots_of(now: datetime) -> Lots:
    """As many lots as an account may have, and the first of them has ended."""
    return tuple(
        Lot(number + 1, CreditKind.PROMO, PART, now + timedelta(days=number) - timedelta(hours=1))
        for number in range(MAX_LOTS)
    )


def _requests() -> Iterator[tuple[str, Request]]:
    yield "generate", Request("generate", event_of("generate"), 202, fresh="idempotency-key")
    yield "status", Request("status", event_of("status"), 200)
    yield "credits", Request("status", event_of("status-credits"), 200)
    yield "settle, released", Request("settle", event_of("settle-failed"), None)


def _figures(name: str, plain: list[dict[str, Any]], lotted: list[dict[str, Any]]) -> list[Figure]:
    before, after = _calls(plain), _calls(lotted)
    ours, with_lots = _own_ms(plain), _own_ms(lotted)
    return [
        Figure(
            f"{name}: AWS calls",
            after,
            "calls",
            budget=before,
            note=f"{before} for an account without lots",
        ),
        Figure(
            f"{name}: what lots add",
            round(with_lots - ours, 2),
            "ms of processor time",
            budget=BUDGET_MS,
            note=f"{with_lots:.2f} ms with {MAX_LOTS} lots, {ours:.2f} ms without, both without "
            "the bare calls",
        ),
    ]


def _calls(rounds: list[dict[str, Any]]) -> int:
    # A run that had to read the catalog made one more.
    return statistics.mode(len(one["calls"]) for one in rounds)


def _own_ms(rounds: list[dict[str, Any]]) -> float:
    return statistics.median(
        float(one["handler_cpu_ms"]) - float(one["bare_cpu_ms"]) for one in rounds
    )


def main() -> None:
    options = argparse.ArgumentParser(description="What credits that end cost.")
    options.add_argument("--quick", action="store_true")
    for figure in measure(options.parse_args().quick):
        over = " OVER" if figure.over_budget else ""
        print(f"{figure.name}: {figure.value} {figure.unit}{over} ({figure.note})")


if __name__ == "__main__":
    main()
