"""Paid orphans: what a provider makes, and bills, for a job that goes on or has ended without it.

The user is never charged for one. The owner is told: by a metric that rings an alarm, by a line in
the log, and by a record on the job, which outlives both.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.expressions.condition import size

from clipmint import aws, clock
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, Orphan, Stage
from clipmint.jobs.job_items import orphan_map
from clipmint.jobs.outcomes import Finished, Running, Succeeded
from clipmint.providers import health, registry
from clipmint.providers.base import Provider, ProviderUnavailable, WebhookSender
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.tables import JobItem
from clipmint.telemetry import PAID_ORPHAN, PAID_ORPHAN_CREDITS, emit, logger

MAX_ATTEMPTS = 5


class OrphanNotRecorded(Exception):
    """Others kept changing the job's orphans; whoever told of this one shall tell again."""


def leave(job: Job, stage: Stage, *, silent: set[str] | None = None) -> None:
    """Take back what a provider has not begun for a stage that was given up; else see who pays.

    What goes on all the same will be paid for. A provider with webhooks tells if it comes to that;
    of one without nobody would ever hear again, so its task is an orphan from now on. May be done
    twice.

    Parameters
    ----------
    job, stage
        As they stand, with the stage's outcome on record: what is taken back would be told of as
        cancelled, which the user never did.
    silent
        Providers that are not asked, because they did not answer before; one that does not answer
        now is added.

    Raises
    ------
    OrphanNotRecorded
    """
    handle = stage.handle
    if handle is None or is_known(job, handle.request_id):
        return
    silent = set() if silent is None else silent
    outcome: Running | Finished = Running()
    provider = _provider(stage.provider)
    if provider and stage.provider not in silent:
        try:
            # In this order: what an attempt before this one took back, Runway does not know any
            # more, and only a cancellation can tell that from an answer that says nothing.
            if provider.cancel(handle):
                return
            outcome = provider.poll(handle)
        except ProviderUnavailable as error:
            health.silent(stage.provider, error)
            silent.add(stage.provider)
    will_tell = isinstance(provider, WebhookSender)
    if isinstance(outcome, Succeeded) or (isinstance(outcome, Running) and not will_tell):
        record(job, stage, handle.request_id)


def _provider(name: str) -> Provider | None:
    try:
        return registry.provider(name)
    except ProviderNotConfigured as error:
        health.silent(name, error)
    except (BotoCoreError, ClientError):
        # A hold does not wait for the owner's keys to be readable.
        logger.exception("provider keys could not be read")
    return None


def record(job: Job, stage: Stage, request_id: str) -> None:
    """Tell the owner of an orphan, once per request of the provider's.

    Parameters
    ----------
    job, stage
        As they stand. ``stage`` says which provider, and what the user would have paid.
    request_id
        What the provider knows it by.

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
    )
    if is_known(job, request_id):
        return
    # Said before it is written down: after a crash between the two the alarm has rung, and a
    # delivery that repeats itself writes it down. The other way round it would never ring.
    emit({PAID_ORPHAN: 1, PAID_ORPHAN_CREDITS: orphan.credits})
    logger.error(
        "paid orphan",
        extra={
            "job_id": job.job_id,
            "stage": orphan.stage,
            "provider": orphan.provider,
            "endpoint": orphan.endpoint,
            "model_id": job.model_id,
            "credits": orphan.credits,
            "request_id": request_id,
        },
    )
    _write(job, orphan)


def is_known(job: Job, request_id: str) -> bool:
    """Whether the owner has been told of it."""
    return any(known.request_id == request_id for known in job.orphans)


def _write(found: Job, orphan: Orphan) -> None:
    """Nothing else of the job changes, not even its revision: no decision rests on it."""
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
        noted = [orphan_map(one) for one in (*job.orphans, orphan)]
        JobItem(job.job_id).update(
            [JobItem.orphans.set(noted)], condition=JobItem.job_id.exists() & as_seen
        )

    aws.retry_on_conflict(
        attempt, attempts=MAX_ATTEMPTS, otherwise=OrphanNotRecorded(orphan.request_id)
    )
