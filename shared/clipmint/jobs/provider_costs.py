"""What the providers bill for a job: each of its generations once, also those that no one uses.

A cost is recorded in the same write as the outcome, or as the orphan, that it belongs to. So a
repeated poll, webhook or attempt cannot count it twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from clipmint.catalog.costs import REPORTED, Cost
from clipmint.jobs.job import Job, Stage
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Outcome, Succeeded
from clipmint.values import frozen

MAY_BE_BILLED = frozenset({FailureCode.CONTENT_POLICY, FailureCode.NO_OUTPUT})
"""Failures that a provider may bill without reporting it: the model has run. fal bills no error
of its own, and may bill a 422 (docs)."""

Use = Literal["used", "failed", "earlier", "orphan"]
"""What became of a generation: its file is or may still be the stage's; it failed; it was the first
of two runs of its stage; or no job uses it."""


@frozen
class Billed:
    """One generation and its cost. ``cost`` is None if it is not known, or nothing was billed."""

    stage: str
    provider: str
    request_id: str | None
    use: Use
    cost: Cost | None


def with_list_price(outcome: Finished, job: Job, stage: Stage) -> Finished:
    """The outcome with a cost, from the provider's list price if the provider reported none."""
    if outcome.cost is not None or not may_be_billed(outcome):
        return outcome
    return replace(outcome, cost=list_price(job, stage))


def may_be_billed(outcome: Finished) -> bool:
    """Whether a provider bills an outcome, or may bill it without reporting that."""
    return isinstance(outcome, Succeeded) or outcome.code in MAY_BE_BILLED


def list_price(job: Job, stage: Stage) -> Cost | None:
    """The list price of one generation of this stage by its provider; None if it is not known."""
    # Imported here: most invocations need no list price.
    from clipmint.catalog.known_list_prices import KNOWN  # noqa: PLC0415

    route = stage.route
    price = route.list_price or KNOWN.get((route.provider, route.endpoint))
    return price.cost(job.settings_of(stage)) if price else None


def is_news(outcome: Outcome, recorded: Finished | None) -> bool:
    """Whether a provider reports that it bills a failed generation, and what is recorded for it
    does not include that."""
    if not isinstance(outcome, Failed) or outcome.cost is None:
        return False
    billed = outcome.cost.source == REPORTED and outcome.cost.micros > 0
    return billed and (recorded is None or recorded.cost is None)


def billed(job: Job) -> Iterator[Billed]:
    """Every generation of a job that has an outcome, and its orphans."""
    for stage in job.stages:
        for one in stage.earlier:
            if one.outcome is not None:
                yield Billed(stage.name, one.provider, one.request_id, "earlier", one.outcome.cost)
        if stage.outcome is not None:
            use: Use = "used" if isinstance(stage.outcome, Succeeded) else "failed"
            request_id = stage.handle.request_id if stage.handle else None
            yield Billed(stage.name, stage.provider, request_id, use, stage.outcome.cost)
    for orphan in job.orphans:
        yield Billed(orphan.stage, orphan.provider, orphan.request_id, "orphan", orphan.cost)


def usd_micros(job: Job) -> int:
    """What all generations of a job cost together, in millionths of a USD, as far as it is known.

    A cost in a unit without a published rate is not included.
    """
    return sum(one.cost.usd_micros or 0 for one in billed(job) if one.cost)
