"""What stores report about payments, in every order, with a crash at every side effect.

A case is a list of steps, mostly webhooks of one store, which are played in every order. Each
webhook is delivered, and then once more, which must change nothing. For each of its side effects,
the function is crashed before and after it, and the webhook delivered again: every item of the
Ledger table must be as without the crash. So a later step cannot differ either, and one crash at a
time covers all runs. After each step the invariants must hold, and all orders must end with the
account that the case states.

The handlers are the real ones, against moto, at one moment of virtual time. The tables are copied
before a step and put back after it, so each step is played once for all orders that begin alike.
"""

from __future__ import annotations

import copy
import io
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Any

import botocore.client
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from clipmint.telemetry import logger
from functions.purchases.app import handler
from tests.proof import records
from tests.proof.boundary import Boundary, Crash, Effect, Point
from tests.proof.payment_cases import CASES, PRO, Case, Step
from tests.support import moto_aws
from tests.support.clock import Clock, virtual_time
from tests.support.gateway import Context, answer_of, event
from tests.support.invariants import Snapshot, violations
from tests.support.lot_invariants import parts_of
from tests.support.moto_aws import Aws, Clients, functions_environment
from tests.support.shop import open_shop
from tests.support.store_wire import Delivery

FUNCTION = "purchases"
TABLES = ("LedgerTable", "JobsTable")
Items = list[dict[str, Any]]


@dataclass
class Played:
    """A case in all its orders: what was done, how the account ended, and the violations."""

    store: str
    name: str
    orders: int = 0
    deliveries: int = 0
    checks: int = 0
    """How often the invariants were checked."""

    effects: Counter[Effect] = field(default_factory=Counter)
    """How often a run crashed at each kind of side effect."""

    ends: set[tuple[int, int, int]] = field(default_factory=set)
    """Available, held and debt at the end of each order."""

    journals: set[tuple[tuple[str, int], ...]] = field(default_factory=set)
    """The kinds of entries at the end of each order, and how many of each there are."""

    found: list[str] = field(default_factory=list)

    @property
    def crashes(self) -> int:
        return self.effects.total()


class Shop:
    """The account of one case, and its time."""

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self.aws = aws
        self.clock = clock
        self.boundary = Boundary()

    def deliver(self, delivery: Delivery, points: tuple[Point, ...] = ()) -> Any:
        """What a webhook was answered with; None if the function crashed."""
        self.boundary = Boundary(points)
        path = f"/webhooks/purchases/{delivery.store}"
        made = event("POST", path, user=None, headers=delivery.headers, body=delivery.body)
        self.boundary.begin(FUNCTION)
        answer = None
        with suppress(Crash):
            answer = answer_of(handler(made, Context()))
        if self.boundary.end():
            moto_aws.forget_answers()
            return None
        return answer

    def ledger(self) -> Items:
        """Every item of the Ledger table."""
        found = records.items(self.aws, "LEDGER_TABLE")
        return sorted(found, key=lambda item: (item["user_id"], item["sk"]))

    def snapshot(self, user: str) -> Snapshot:
        """The user's account and journal, without anything of providers and projects."""
        own = [item for item in self.ledger() if item["user_id"] == user]
        jobs = [job for job in records.items(self.aws, "JOBS_TABLE") if job["user_id"] == user]
        return Snapshot(
            user_id=user,
            account=next((item for item in own if item["sk"] == "ACCOUNT"), None),
            entries=[item for item in own if item["sk"].startswith("ENTRY#")],
            jobs=jobs,
        )

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Put tables and time back afterwards."""
        backend = dynamodb_backends[DEFAULT_ACCOUNT_ID][moto_aws.REGION]
        tables = [backend.get_table(name) for name in TABLES]
        before = [copy.deepcopy(table.items) for table in tables]
        moment = self.clock.moment
        try:
            yield
        finally:
            for table, items in zip(tables, before, strict=True):
                table.items = items
                # moto copies all records of a stream at each transaction.
                assert table.stream_shard is not None
                table.stream_shard.items.clear()
            self.clock.move_to(moment)
            moto_aws.forget_answers()


def play(case: Case, clients: Clients) -> Played:
    """Play a case in all orders."""
    played = Played(case.store, case.name)
    with _shop(clients) as shop:
        open_shop(PRO)
        _continue(shop, case, played, (), frozenset(range(len(case.steps))))
    if len(played.ends) > 1:
        played.found.append(f"the orders end differently: {sorted(played.ends)}")
    return played


@contextmanager
def _shop(clients: Clients) -> Iterator[Shop]:
    with ExitStack() as stack:
        clock = stack.enter_context(virtual_time())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(time, "sleep", lambda seconds: clock.forward(seconds=seconds))
        patch.setattr(logger._logger, "disabled", True)  # noqa: SLF001
        stack.enter_context(redirect_stdout(io.StringIO()))  # metrics
        shop = Shop(stack.enter_context(moto_aws.empty_account(clients)), clock)
        original = getattr(botocore.client.BaseClient, "_make_api_call")  # noqa: B009

        def make_api_call(client: Any, operation: str, params: Any) -> Any:
            service = client.meta.service_model.service_id
            return shop.boundary.aws(
                service, operation, lambda: original(client, operation, params)
            )

        patch.setattr(botocore.client.BaseClient, "_make_api_call", make_api_call)
        yield shop


def _continue(
    shop: Shop, case: Case, played: Played, done: tuple[int, ...], left: frozenset[int]
) -> None:
    """Play what is left of a case, in all orders."""
    if not left:
        played.orders += 1
        _end(shop, case, played, done)
        return
    for number in _next(case, done, left):
        with shop.undone():
            found = _step(shop, case, case.steps[number], played)
            order = ", ".join(case.steps[each].name for each in (*done, number))
            played.found += [f"{order}: {sentence}" for sentence in found]
            if not found:
                _continue(shop, case, played, (*done, number), left - {number})


def _next(case: Case, done: tuple[int, ...], left: frozenset[int]) -> list[int]:
    """The steps that may come next: the first ones of a case keep their order."""
    if len(done) < case.in_order:
        return [len(done)]
    return sorted(left)


def _step(shop: Shop, case: Case, step: Step, played: Played) -> list[str]:
    """Play one step, and return what is wrong."""
    delivery = step.make(shop.clock)
    played.checks += 1
    if delivery is None:
        return violations(shop.snapshot(case.user))
    found = list[str]()
    with shop.undone():
        expected, effects = _deliver(shop, delivery, found)
    played.deliveries += 1
    for point in _points(effects):
        with shop.undone():
            if shop.deliver(delivery, (point,)) is not None:
                found.append(f"did not crash {point.moment} {point.effect}")
            again, _ = _deliver(shop, delivery, found)
        played.effects[point.effect] += 1
        if again != expected:
            found.append(f"differs after a crash {point.moment} {point.effect}")
    _deliver(shop, delivery, found)
    again, _ = _deliver(shop, delivery, found)
    if again != expected:
        found.append("a second delivery changes something")
    return [*found, *violations(shop.snapshot(case.user))]


def _deliver(shop: Shop, delivery: Delivery, found: list[str]) -> tuple[Items, list[Effect]]:
    """The Ledger table after a delivery, and its side effects."""
    answer = shop.deliver(delivery)
    if answer is None or answer.status != 200:
        found.append(f"was answered {answer}")
    return shop.ledger(), shop.boundary.effects


def _points(effects: Sequence[Effect]) -> Iterator[Point]:
    """Between two side effects there is one place to crash: only memory changes there."""
    for number, effect in enumerate(effects, start=1):
        yield Point(number, effect, "before")
    if effects:
        yield Point(len(effects), effects[-1], "after")


def _end(shop: Shop, case: Case, played: Played, done: tuple[int, ...]) -> None:
    now = shop.snapshot(case.user)
    account = now.account or {}
    lots = sum(parts_of(account).values())
    purchased = int(account.get("available", account.get("purchased", 0)))
    ends = (purchased + lots, int(account.get("held", 0)), int(account.get("debt") or 0))
    lines = Counter(str(entry["kind"]) for entry in now.entries)
    played.ends.add(ends)
    played.journals.add(tuple(sorted(lines.items())))
    order = ", ".join(case.steps[each].name for each in done)
    if ends != case.ends:
        played.found.append(f"{order}: ended with {ends}, and not with {case.ends}")
    waits = [item["status"] for item in shop.ledger() if item["sk"].startswith("PURCHASE#")]
    if "waiting" in waits and case.ends != (0, 0, 0):
        played.found.append(f"{order}: a purchase that is credited waits")


def table(all_played: Sequence[Played]) -> list[str]:
    """The cases in Markdown, one row each."""
    rows = [
        ["store", "reported", "orders", "deliveries", "crashes", "available", "held", "debt"],
        ["---", "---", *["--:"] * 6],
    ]
    rows[0].append("journal")
    rows[1].append("---")
    for played in all_played:
        counts = [played.orders, played.deliveries, played.crashes]
        ends = _shown(played.ends)
        row = [played.store, played.name, *map(str, counts), *ends]
        rows.append([*row, _lines(played.journals)])
    sums = [
        sum(getattr(played, name) for played in all_played)
        for name in ("orders", "deliveries", "crashes")
    ]
    rows.append(["**all**", "", *map(str, sums), "", "", "", ""])
    checks = sum(played.checks for played in all_played)
    found = sum(len(played.found) for played in all_played)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [*lines, "", f"The invariants were checked after {checks} steps; {found} violations."]


def _shown(ends: set[tuple[int, int, int]]) -> list[str]:
    if len(ends) != 1:
        return ["**differs**"] * 3
    [(available, held, debt)] = ends
    return [str(available), str(held), str(debt)]


def _lines(journals: set[tuple[tuple[str, int], ...]]) -> str:
    """How many entries of each kind, over all orders."""
    kinds: Mapping[str, list[int]] = {
        kind: [dict(lines).get(kind, 0) for lines in journals]
        for kind in ("grant", "hold", "release", "expire", "clawback")
    }
    return ", ".join(f"{_range(numbers)} {kind}" for kind, numbers in kinds.items() if any(numbers))


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"


_clients: list[Clients] = []
_stack = ExitStack()


def _enter() -> None:
    """Once per worker process."""
    _clients.append(_stack.enter_context(functions_environment()))


def _work(number: int) -> Played:
    [clients] = _clients
    return play(CASES[number], clients)


def play_all(*, processes: int, every: int = 1, first: int = 0) -> list[Played]:
    """Play all cases, or each n-th one: ``first`` chooses which these are."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_enter) as pool:
        return pool.map(_work, range(first % every, len(CASES), every), chunksize=1)
