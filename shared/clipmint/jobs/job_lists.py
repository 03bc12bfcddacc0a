"""Lists of jobs: a user's pages, a project's open jobs, and all that the sweep has to check.

All of them read global indexes, so they are eventually consistent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from clipmint import clock, cursors, unreadable
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.job_items import OPEN, ByUser, JobItem
from clipmint.jobs.job_store import get_many
from clipmint.unreadable import UNREADABLE
from clipmint.values import frozen

OPEN_FOR = timedelta(days=10)
"""A job older than this has ended. A stage's deadline is a day at most, `job.MIGRATION_WINDOW` is
another day, both stages may be made twice, and the rest is for the sweep that ends the job."""

_RUNNING = {JobStatus.PENDING.value, JobStatus.PROCESSING.value}

SEARCHED = 1_000
"""Jobs that one page examines at most: some megabytes, in well under a second."""


@frozen
class Page:
    """Some of a user's jobs, newest first, and where the next page starts."""

    jobs: list[Job]
    cursor: str | None


def list_for_user(
    user_id: str,
    *,
    status: JobStatus | None = None,
    project_id: str | None = None,
    scene_id: str | None = None,
    limit: int,
    cursor: str | None,
    oldest_first: bool = False,
) -> Page:
    """A user's jobs, newest first, without deleted ones and those that cannot be read.

    A page starts after the job that its cursor names, so new jobs do not shift it. It examines
    `SEARCHED` jobs at most. If few of them match the filters, the page is short or even empty, and
    still has a cursor.

    Raises
    ------
    InvalidRequest
        The cursor is not one of ours.
    TemporarilyUnavailable
        DynamoDB did not read all of them in several attempts.
    """
    wanted = {"project_id": project_id, "scene_id": scene_id}
    results = JobItem.by_user.query(
        user_id,
        scan_index_forward=oldest_first,
        last_evaluated_key=_start_key(user_id, cursor) if cursor else None,
        page_size=max(limit + 1, 25),
    )
    fitting: list[str] = []
    last: JobItem | None = None
    following: str | None = None
    entries = unreadable.readable(results, lambda item: item, "job", lambda item: item.job_id)
    for searched, item in enumerate(entries):
        if last is not None and (len(fitting) == limit or searched == SEARCHED):
            following = cursors.after_item(last.created_at, last.job_id)
            break
        last = item
        fits = all(value in {None, getattr(item, name)} for name, value in wanted.items())
        if fits and may_have(status, item.status) and not item.deleted:
            fitting.append(item.job_id)
    read = get_many(fitting, consistent=False, all_readable=False)
    # Leave out what does not match: the index shows every running job as pending, and a job may
    # have changed since the index was updated.
    found = [
        job
        for job_id in fitting
        if (job := read.get(job_id)) and status in {None, job.status} and not job.deleted
    ]
    return Page(found, following)


def may_have(status: JobStatus | None, indexed: str) -> bool:
    """Whether a job with this status in the index may have the status that is asked for."""
    return status is None or indexed == status.value or {indexed, status.value} <= _RUNNING


def _start_key(user_id: str, cursor: str) -> dict[str, dict[str, Any]]:
    created_at, job_id = cursors.item_in(cursor)
    return {"user_id": {"S": user_id}, "created_at": {"S": created_at}, "job_id": {"S": job_id}}


def open_in_project(user_id: str, project_id: str, scene_id: str | None = None) -> list[str]:
    """Ids of a project's (or of one scene's) jobs that have not ended.

    A job may have ended since, or may have started and not be listed yet.
    """
    condition = JobItem.open.exists() & (JobItem.project_id == project_id)
    if scene_id is not None:
        condition = condition & (JobItem.scene_id == scene_id)
    since = ByUser.created_at >= clock.iso(clock.now() - OPEN_FOR)
    return [item.job_id for item in JobItem.by_user.query(user_id, since, condition)]


def open_of_user(user_id: str) -> list[Job]:
    """A user's jobs that have not ended, newest first. One may have ended since, or may have
    started and not be listed yet."""
    since = ByUser.created_at >= clock.iso(clock.now() - OPEN_FOR)
    found = JobItem.by_user.query(
        user_id, since, JobItem.open.exists(), scan_index_forward=False, limit=SEARCHED
    )
    jobs = get_many([item.job_id for item in found], consistent=False, all_readable=False)
    return [job for job in jobs.values() if not job.is_terminal]


@frozen
class OpenJob:
    """What the sweep needs of a job that has not ended."""

    job_id: str
    status: JobStatus
    deadline: int
    created_at: datetime


@frozen
class Unreadable:
    """An open job whose entry in the index cannot be read."""

    reason: str


def unfinished() -> Iterator[OpenJob | Unreadable]:
    """Jobs that have not ended, those with the earliest deadline first, page by page.

    A job may have ended since. An entry that cannot be read does not hide the ones after it.
    """
    entries = JobItem.by_deadline.query(OPEN)
    while True:
        try:
            item = next(entries)
            found = OpenJob(
                job_id=item.job_id,
                status=JobStatus(item.status),
                deadline=int(item.deadline),
                created_at=clock.from_iso(item.created_at),
            )
        except StopIteration:
            return
        except UNREADABLE as error:
            yield Unreadable(f"{type(error).__name__}: {error}")
        else:
            yield found
