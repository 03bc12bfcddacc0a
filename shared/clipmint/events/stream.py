"""From the records of a stream to events, in the order of the records.

A record is done when all its events were accepted. If one is not, the record and those after it
are read again, as long as the stream keeps them. So each event is emitted at least once, and never
one without a committed change.

The record of a job's end also makes the job be found by its ids (`job_search.remember`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipmint import unreadable
from clipmint.events import bus, clips, endpoints, fan_out
from clipmint.events.changes import NOTHING, Changes, Event, changes_in
from clipmint.events.endpoints import Endpoint
from clipmint.jobs import job_search
from clipmint.jobs.job import Job
from clipmint.jobs.job_items import JobItem, to_job
from clipmint.settings import EventSettings
from clipmint.telemetry import EVENT_DELAYED, EVENT_EMITTED, count, logger

Record = Mapping[str, Any]


def emit_all(records: Sequence[Record]) -> str | None:
    """Emit the events of these records.

    Returns
    -------
    str | None
        The sequence number of the first record that must be read again; None if there is none.
    """
    settings = EventSettings.read()
    receivers: list[Endpoint] | None = None
    for record in records:
        try:
            if (job := _ended_job(record)) is not None:
                job_search.remember(job)
            for event in _events(record, settings):
                bus.put(event, settings.event_bus)
                if receivers is None:
                    receivers = endpoints.all_endpoints()
                fan_out.deliver(event, receivers)
                count(EVENT_EMITTED)
                logger.info("event emitted", extra={"event_id": event.event_id, "type": event.type})
        except Exception:  # noqa: BLE001  (the stream passes the record again)
            logger.exception("event not emitted", extra={"keys": record["dynamodb"]["Keys"]})
            count(EVENT_DELAYED)
            return str(record["dynamodb"]["SequenceNumber"])
    return None


def _ended_job(record: Record) -> Job | None:
    """The job in a record of the Jobs table, if it has ended and can be read."""
    new = record["dynamodb"].get("NewImage", {})
    if "job_id" not in record["dynamodb"]["Keys"] or not new or "open" in new:
        return None
    try:
        return to_job(JobItem.from_raw_data(dict(new)))
    except unreadable.UNREADABLE:
        return None  # every other reader of the job reports it


def _events(record: Record, settings: EventSettings) -> Iterator[Event]:
    changes = _readable(record, settings.low_credits)
    yield from changes.events
    if changes.ended_clip is not None:
        finished = clips.finished(changes.ended_clip)
        if finished is not None:
            yield finished


def _readable(record: Record, low_credits: int) -> Changes:
    """The changes in a record. What cannot be read is reported, and must not stop the others: it
    stays unreadable."""
    keys = str(record["dynamodb"]["Keys"])
    try:
        changes = changes_in(record, low_credits=low_credits)
    except unreadable.UNREADABLE as error:
        unreadable.report("stream record", keys, error)
        return NOTHING
    for wrong in changes.unreadable:
        unreadable.report("event", keys, wrong)
    return changes
