"""One job in full, for the owner: what is recorded about it, and in which order it happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clipmint import clock
from clipmint.api.credit_responses import JournalEntry
from clipmint.api.job_inspection_responses import (
    InspectedJob,
    JobCharge,
    JobCost,
    JobDelivery,
    JobOrder,
    JobRow,
    OrphanAnswer,
    StageAnswer,
    TimelineStep,
)
from clipmint.api.timestamps import from_epoch
from clipmint.api.webhook_responses import WebhookDelivery
from clipmint.credits import ledger
from clipmint.credits.account import Entry
from clipmint.events import changes, deliveries, endpoints
from clipmint.execution import history
from clipmint.jobs import provider_costs
from clipmint.jobs.job import Job
from clipmint.jobs.progress import progress

_HAPPENED = {
    "hold": "held",
    "capture": "captured",
    "release": "released",
    "grant": "goodwill granted",
}


def inspect(job: Job) -> InspectedJob:
    """The response about a job.

    Raises `TemporarilyUnavailable` if something of it cannot be read.
    """
    entries = ledger.entries_about(job.user_id, job.job_id)
    sent = _deliveries(job)
    return InspectedJob(
        **JobRow.of(job).model_dump(),
        current_step=progress(job)[1],
        batch_id=job.batch_id,
        updated_at=clock.iso(job.updated_at),
        deadline=from_epoch(job.deadline),
        overdue_at=from_epoch(job.overdue_at),
        order=JobOrder.of(job),
        stages=[StageAnswer.of(job, stage) for stage in job.stages],
        orphans=[OrphanAnswer.model_validate(one, from_attributes=True) for one in job.orphans],
        charge=_charge(entries),
        costs=[JobCost.of(one) for one in provider_costs.billed(job)],
        provider_cost_usd_micros=provider_costs.usd_micros(job),
        entries=[JournalEntry.of(entry) for entry in entries],
        deliveries=sent,
        timeline=sorted(_timeline(job, entries, sent), key=lambda step: step.at),
    )


def _charge(entries: Iterable[Entry]) -> JobCharge:
    sums = dict.fromkeys(_HAPPENED, 0)
    for entry in entries:
        if entry.kind in sums:
            sums[entry.kind] += entry.credits
    return JobCharge(
        held=sums["hold"] - sums["capture"] - sums["release"],
        captured=sums["capture"],
        released=sums["release"],
        goodwill=sums["grant"],
    )


def _deliveries(job: Job) -> list[JobDelivery]:
    """The deliveries of the events of the job's end and of its orphans, to the webhooks that exist.

    A delivery's id follows from its event's, so none is searched for.
    """
    events = [
        (one.found_at, changes.orphan_id(job.job_id, one.provider, one.request_id))
        for one in job.orphans
    ]
    if job.completed_at is not None:
        events.append((job.completed_at, changes.end_id(job.job_id)))
    receivers = endpoints.all_endpoints() if events else []
    found = []
    for at, event_id in events:
        for endpoint in receivers:
            delivery_id = deliveries.id_of(clock.iso(at), event_id)
            delivery = deliveries.find(endpoint.endpoint_id, delivery_id)
            if delivery is not None:
                answer = WebhookDelivery.of(delivery).model_dump()
                found.append(JobDelivery(**answer, webhook_id=endpoint.endpoint_id))
    return found


def _timeline(
    job: Job, entries: Iterable[Entry], sent: Iterable[JobDelivery]
) -> Iterator[TimelineStep]:
    yield TimelineStep(at=clock.iso(job.created_at), what="ordered", detail=job.model_id)
    for stage in job.stages:
        for refused in stage.refusals:
            yield TimelineStep(
                at=clock.iso(refused.at),
                what="refused",
                detail=f"{stage.name}: {refused.provider} {refused.reason}",
            )
    for orphan in job.orphans:
        yield TimelineStep(
            at=clock.iso(orphan.found_at),
            what="orphan found",
            detail=f"{orphan.stage}: {orphan.provider} {orphan.request_id}",
        )
    for done in history.steps_of(job.job_id):
        yield TimelineStep(at=clock.iso(done.at), what=done.what, detail=done.detail)
    for entry in entries:
        part = f"{entry.stage}: " if entry.stage else ""
        yield TimelineStep(
            at=clock.iso(entry.created_at),
            what=_HAPPENED.get(entry.kind, entry.kind),
            detail=f"{part}{entry.credits} credits",
        )
    if job.completed_at is not None:
        yield TimelineStep(
            at=clock.iso(job.completed_at),
            what=job.status.value,
            detail=job.failure.value if job.failure else "",
        )
    for delivery in sent:
        for attempt in delivery.attempts:
            yield TimelineStep(
                at=attempt.at,
                what="event sent",
                detail=f"{delivery.type}: {attempt.reason}, {delivery.webhook_id}",
            )
