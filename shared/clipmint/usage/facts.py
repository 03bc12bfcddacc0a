"""What one job or orphan adds to the counters: pure functions of the job.

A fact has a key. The same job or orphan always has the same key, and no other has it, so what was
counted before can be left out. Its time, model and provider are the same each time, too: they
follow from what is never changed afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from clipmint.jobs.job import Job, JobStatus, Orphan, Stage
from clipmint.jobs.outcomes import Finished, Succeeded, is_rejected
from clipmint.jobs.provider_costs import may_be_billed
from clipmint.usage.figures import CAPTURED, ORPHANS, RELEASED, Adds, bucket_of, cost_of
from clipmint.values import frozen

ORPHAN = "orphan"
"""The outcome that an orphan is counted under. Its job has an outcome of its own, or none yet."""


@frozen
class Fact:
    """Something to count. ``at`` is in UTC; ``outcome`` is the status of an ended job, or
    `ORPHAN`."""

    key: str
    at: datetime
    user_id: str
    model_id: str
    provider: str
    outcome: str
    adds: Adds


def of_end(job: Job) -> Fact:
    """What the end of a job adds.

    A job with two stages counts for the provider of the last stage that it reached, as in the
    metrics; its cost for the providers that bill it. Nothing of it changes after the end: what a
    provider bills later is an orphan.
    """
    ended_at = job.completed_at or job.updated_at
    used = job.credits_used
    adds = {job.status.value: 1, CAPTURED: used, RELEASED: job.credits - used}
    if job.status is JobStatus.COMPLETED:
        adds[bucket_of((ended_at - job.created_at).total_seconds())] = 1
    costs = Counter[str]()
    for stage in job.stages:
        for provider, outcome, accepted in _runs(stage):
            if outcome is None:
                continue
            made = isinstance(outcome, Succeeded) or is_rejected(outcome)
            # What is or may be billed, and has no cost, has an unknown one.
            if made or outcome.cost or (accepted and may_be_billed(outcome)):
                costs.update(cost_of(provider, outcome.cost))
    return Fact(
        key=job.job_id,
        at=ended_at.astimezone(UTC),
        user_id=job.user_id,
        model_id=job.model_id,
        provider=(job.current_stage or job.stages[-1]).provider,
        outcome=job.status.value,
        adds={name: value for name, value in adds.items() if value} | costs,
    )


def _runs(stage: Stage) -> Iterator[tuple[str, Finished | None, bool]]:
    """The provider and the outcome of each run of a stage, and whether the provider has accepted
    it: what it has rejected is free."""
    for run in stage.earlier:
        yield run.provider, run.outcome, run.request_id is not None
    yield stage.provider, stage.outcome, stage.handle is not None


def of_orphan(job: Job, orphan: Orphan) -> Fact:
    """What an orphan of a job adds. It counts on the day on which it was found."""
    return Fact(
        key=f"{job.job_id}#{orphan.provider}#{orphan.request_id}",
        at=orphan.found_at.astimezone(UTC),
        user_id=job.user_id,
        model_id=job.model_id,
        provider=orphan.provider,
        outcome=ORPHAN,
        adds={ORPHANS: 1, **cost_of(orphan.provider, orphan.cost)},
    )
