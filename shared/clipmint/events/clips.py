"""Whether all clips of one call have ended.

The records of their ends are read one after the other, each after its job's end was committed. So
the last one to be read finds all jobs of the call ended, in any order. Two records may both find
that; their event is the same.
"""

from __future__ import annotations

from pynamodb.exceptions import DoesNotExist

from clipmint import clock
from clipmint.events.changes import EndedClip, Event, clips_finished
from clipmint.jobs import job_store
from clipmint.jobs.job import Job
from clipmint.projects.project_items import BatchItem, batch_sk


def finished(clip: EndedClip) -> Event | None:
    """The event that all clips of a call have ended; None while one of them runs.

    Raises
    ------
    TemporarilyUnavailable
        A job of the call cannot be read.
    """
    try:
        batch = BatchItem.get(clip.user_id, batch_sk(clip.batch_id), consistent_read=True)
    except DoesNotExist:
        return None  # of another moment than the job: the table was restored
    job_ids = [job_id for _, job_id, *_ in batch.clips]
    found = job_store.get_many(job_ids)
    jobs = [found[job_id] for job_id in job_ids if job_id in found]
    if not all(job.is_terminal for job in jobs):
        return None
    return clips_finished(
        clip.user_id, clip.batch_id, batch.project_id, [_described(job) for job in jobs]
    )


def _described(job: Job) -> dict[str, str | int | None]:
    return {
        "job_id": job.job_id,
        "scene_id": job.scene_id,
        "status": job.status.value,
        "completed_at": clock.iso(job.completed_at or job.updated_at),
        "credits_used": job.credits_used,
    }
