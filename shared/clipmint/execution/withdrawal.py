"""Withdrawing a task that no job waits for: cancel it at its provider, or record it as an orphan.

If the provider has begun, the task will be made and billed. Both functions may be called again.
"""

from __future__ import annotations

from contextlib import suppress

from clipmint.execution import orphans
from clipmint.jobs import provider_costs
from clipmint.jobs.job import Handle, Job, Stage
from clipmint.jobs.outcomes import Failed, Outcome, Running
from clipmint.providers import registry
from clipmint.providers.asking import NoAnswer, asking, cancel_or_poll
from clipmint.providers.base import Provider


def cancel_or_record(job: Job, stage: Stage, *, unanswered: set[str] | None = None) -> None:
    """Cancel the task of a stage that was given up. If it is made anyway, or failed and is billed,
    record it as an orphan.

    A task that has begun is recorded immediately, with what it may cost: the provider bills it if
    it succeeds, and the webhook that reports this may be lost. If the provider gives no answer, its
    webhook reports what was made, so the task is recorded now only if it sends none.

    Parameters
    ----------
    job, stage
        As they stand, with the stage's outcome recorded. Otherwise the provider's answer would
        become the outcome, and the user would see a cancellation that they did not ask for.
    unanswered
        Providers that are not asked, because they gave no answer before. One that gives none now
        is added.

    Raises
    ------
    OrphanNotRecorded
    """
    handle = stage.handle
    if handle is None or orphans.is_known(job, handle.request_id):
        return
    unanswered = set() if unanswered is None else unanswered
    outcome: Outcome | None = None
    reports_later = False
    try:
        with asking(stage.provider):
            # Without the key: the hold is released even if the owner's keys cannot be read.
            reports_later = registry.webhook_reader(stage.provider) is not None
            if stage.provider not in unanswered:
                outcome = cancel_or_poll(registry.provider(stage.provider), handle)
    except NoAnswer:
        unanswered.add(stage.provider)
    made = not reports_later if outcome is None else not isinstance(outcome, Failed)
    if made or (outcome and provider_costs.is_news(outcome, stage.outcome)):
        cost = None if outcome is None or isinstance(outcome, Running) else outcome.cost
        orphans.record(job, stage, handle.request_id, cost)


def cancel_unused(provider: Provider, job: Job, stage: Stage, handle: Handle) -> None:
    """Cancel a task that was accepted just now, for a job that no longer waits for it. If it cannot
    be cancelled, record it as an orphan.

    Parameters
    ----------
    job
        As it stands.
    stage
        With the provider and endpoint that accepted the task. Its submission may be another one.

    Raises
    ------
    OrphanNotRecorded
    """
    with suppress(NoAnswer), asking(provider.name):
        if provider.cancel(handle):
            return
    orphans.record(job, stage, handle.request_id)
