"""Credits that end and are refunded, while many orders spend them.

`play_credits` is one round; each actor takes turns at every call of AWS (`tests.proof.turns`).
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from clipmint import clock
from clipmint.credits import grants, holds
from clipmint.errors import InsufficientCredits, TemporarilyUnavailable
from clipmint.jobs.job import JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict
from clipmint.lots import CreditKind
from clipmint.purchases import pack_store, payments
from clipmint.purchases.pack import Pack
from clipmint.purchases.payment import Paid, Refunded, Report
from tests.proof.emulated import Emulated
from tests.proof.rounds import CALM, MOST_ATTEMPTS
from tests.support.invariants import violations
from tests.support.jobs import new_job

HOLDS = 20
REPORTS = 5
FAILED = Verdict(JobStatus.FAILED, FailureCode.PROVIDER_ERROR)


def play_credits(account: Emulated, seed: str, likely: float) -> tuple[Counter[str], list[str]]:
    """Twenty orders while promotional credits end, and a refund that is reported five times."""
    turns = account.begin_round(seed)
    user, outcomes = f"user-{uuid.uuid4()}", Counter[str]()
    ends = clock.now() + timedelta(seconds=60)
    grants.grant(user, 50, f"promo-{user}", kind=CreditKind.PROMO, expires_at=ends)
    grants.grant(user, 100, f"bought-{user}")
    account.conflicts = likely
    for number in range(HOLDS):
        act: Callable[[], Any] = partial(_order, user, str(uuid.uuid4()))
        turns.begin(f"order {number}", partial(_persist, "order", act, outcomes))
    for number in range(REPORTS):
        act = partial(grants.claw_back, user, 70, f"refund-{user}")
        turns.begin(f"refund {number}", partial(_persist, "refund", act, outcomes))
        act = partial(grants.expire, user)
        turns.begin(f"expire {number}", partial(_persist, "expire", act, outcomes))
    turns.begin("time", lambda: account.hands.forward(seconds=61))
    turns.run()
    account.conflicts, account.turns = 0.0, None
    grants.expire(user)
    now = account.snapshot(user, None)
    lines = Counter(entry["kind"] for entry in now.entries)
    found = violations(now)
    if lines["clawback"] > 1 or (outcomes["refund"] and lines["clawback"] != 1):
        found.append(f"taken back {lines['clawback']} times")
    outcomes["expired"] += lines["expire"]
    return outcomes, found


def _order(user: str, job_id: str) -> None:
    """A job that begins and fails."""
    with suppress(holds.JobExists):
        holds.hold_and_record([new_job(user, job_id=job_id, credits_=10)], CALM)
    holds.settle(job_id, lambda _: FAILED)


def _persist(name: str, act: Callable[[], Any], outcomes: Counter[str]) -> None:
    for _ in range(MOST_ATTEMPTS):
        try:
            act()
        except TemporarilyUnavailable:
            outcomes[f"{name}: 503"] += 1
        except InsufficientCredits:
            outcomes[f"{name}: 402"] += 1
            return
        else:
            outcomes[name] += 1
            return


DELIVERIES = 50


def play_payments(account: Emulated, seed: str, likely: float) -> tuple[Counter[str], list[str]]:
    """Fifty deliveries of one payment, by three kinds of events, beside refunds of it in parts."""
    turns = account.begin_round(seed)
    account.conflicts = likely
    user, outcomes = f"user-{uuid.uuid4()}", Counter[str]()
    payment, product = f"pi-{uuid.uuid4()}", "race-500"
    pack_store.put(product, Pack(credits=500))
    kinds = ("checkout.session.completed", "async_payment_succeeded", "payment_intent.succeeded")
    facts: list[tuple[str, Paid | Refunded]] = [
        (kinds[number % 3], Paid(product, user)) for number in range(DELIVERIES)
    ]
    facts += [(f"refund {part}", Refunded(part, 1_000)) for part in (100, 400, 400, 100)]
    for number, (event_id, fact) in enumerate(facts):
        act = partial(payments.apply, Report("stripe", event_id, payment, fact))
        turns.begin(f"report {number}", partial(_persist, type(fact).__name__, act, outcomes))
    turns.run()
    account.conflicts, account.turns = 0.0, None
    for _, fact in facts:  # what was answered 503 is delivered again
        payments.apply(Report("stripe", "again", payment, fact))
    now = account.snapshot(user, None)
    found = violations(now)
    totals = Counter[str]()
    for entry in now.entries:
        totals[entry["kind"]] += int(entry["credits"])
    if totals != {"grant": 500, "clawback": 200}:
        found.append(f"a payment of 500 with two fifths refunded moved {dict(totals)}")
    return outcomes, found
