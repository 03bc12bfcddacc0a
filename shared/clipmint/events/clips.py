"""Whether all clips of one call have ended.

The records of their ends are read one after the other, each after its job's end was committed. So
the last one to be read finds all jobs of the call ended, in any order. Two records may both find
that; their event is the same.
"""

from __future__ import annotations

from pynamodb.exceptions import DoesNotExist

from clipmint import clock, unreadable
from clipmint.events.changes import EndedClip, Event, clips_finished
from clipmint.jobs import job_store
from clipmint.jobs.job import Job
from clipmint.projects.project_items import BatchItem, batch_sk


def finished(clip: EndedClip) -> Event | None:
    """The event that all clips of a call have ended; None while one of them runs.

    Also None if the call or one of its jobs cannot be read, which is reported: it stays unreadable,
    and must not stop the events of others.

    Raises
    ------
    TemporarilyUnavailable
        DynamoDB did not read all jobs of the call.
    """
    call = _call(clip)
    if call is None:
        return None
    project_id, job_ids = call
    found = job_store.get_many(job_ids, all_readable=False)
    # One that is missing cannot be read, or is of another moment: a table was restored.
    if not all(job_id in found and found[job_id].is_terminal for job_id in job_ids):
        return None
    return clips_finished(
        clip.user_id, clip.batch_id, project_id, [_described(found[job_id]) for job_id in job_ids]
    )


def _call(clip: EndedClip) -> tuple[str, list[str]] | None:
    """The project of a call, and its jobs; None if there is no such call, or it cannot be read."""
    try:
        batch = BatchItem.get(clip.user_id, batch_sk(clip.batch_id), consistent_read=True)
        return batch.project_id, [job_id for _, job_id, *_ in batch.clips]
    except DoesNotExist:
        return None  # of another moment than the job: the table was restored
    except unreadable.UNREADABLE as error:
        unreadable.report("call for clips", clip.batch_id, error)
        return None


def _described(job: Job) -> dict[str, str | int | None]:
    return {
        "job_id": job.job_id,
        "scene_id": job.scene_id,
        "status": job.status.value,
        "completed_at": clock.iso(job.completed_at or job.updated_at),
        "credits_used": job.credits_used,
    }
