"""Paid orphans: a generation that a provider makes and bills although no job uses it.

The user is never charged for one. The owner learns of it by a metric that raises an alarm, by a
line in the log, and by a record on the job, which outlives both.
"""

from __future__ import annotations

from pynamodb.expressions.condition import size

from clipmint import aws, clock
from clipmint.catalog.costs import Cost
from clipmint.jobs import job_store, provider_costs
from clipmint.jobs.job import Job, Orphan, Stage
from clipmint.jobs.job_items import JobItem
from clipmint.providers import health
from clipmint.records import to_attributes
from clipmint.telemetry import PAID_ORPHAN, PAID_ORPHAN_CREDITS, emit, logger

MAX_ATTEMPTS = 5


class OrphanNotRecorded(Exception):
    """Too many concurrent updates. The caller must retry."""


def record(job: Job, stage: Stage, request_id: str, cost: Cost | None = None) -> None:
    """Report an orphan to the owner, once per task of the provider's.

    Parameters
    ----------
    job
        As it stands.
    stage
        With the provider and endpoint that have the task, and the credits the user would have paid.
    request_id
        The provider's own id of the task.
    cost
        As the provider reports it. None: the list price, if it is known.

    Raises
    ------
    OrphanNotRecorded
    """
    orphan = Orphan(
        stage=stage.name,
        provider=stage.provider,
        endpoint=stage.endpoint,
        request_id=request_id,
        credits=stage.credits,
        found_at=clock.now(),
        cost=cost or provider_costs.list_price(job, stage),
    )
    if is_known(job, request_id):
        return
    # Emit the metric before writing the record. If we crash in between, the next delivery or retry
    # writes the record, and the metric is emitted twice. In the other order it could be lost.
    emit({PAID_ORPHAN: 1, PAID_ORPHAN_CREDITS: orphan.credits})
    health.billed(stage.provider, orphan.cost)
    logger.error(
        "paid orphan",
        extra={
            "job_id": job.job_id,
            "stage": orphan.stage,
            "provider": orphan.provider,
            "endpoint": orphan.endpoint,
            "model_id": job.model_id,
            "credits": orphan.credits,
            "usd": orphan.cost.usd if orphan.cost else None,
            "request_id": request_id,
        },
    )
    _write(job, orphan)


def is_known(job: Job, request_id: str) -> bool:
    """Whether the orphan is recorded on the job."""
    return any(known.request_id == request_id for known in job.orphans)


def _write(found: Job, orphan: Orphan) -> None:
    """Changes nothing else of the job, not even its revision: no decision depends on orphans."""
    given = iter([found])

    def attempt() -> None:
        job = next(given, None) or job_store.get(found.job_id)
        if job is None or is_known(job, orphan.request_id):
            return
        as_seen = (
            size(JobItem.orphans) == len(job.orphans)
            if job.orphans
            else JobItem.orphans.does_not_exist()
        )
        recorded = [to_attributes(one) for one in (*job.orphans, orphan)]
        JobItem(job.job_id).update(
            [JobItem.orphans.set(recorded), JobItem.newest_orphan.set(orphan.request_id)],
            condition=JobItem.job_id.exists() & as_seen,
        )

    aws.retry_on_conflict(
        attempt, attempts=MAX_ATTEMPTS, otherwise=OrphanNotRecorded(orphan.request_id)
    )
