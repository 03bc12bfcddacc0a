"""Search of all users' jobs, for the owner: newest first, in pages, without reading a whole table.

Each search reads one index. By id: our id is the key of a job; a provider's id, a project's and a
scene's are keys of entries that `remember` has written when the job ended, and of jobs that have
not ended there are few. By user: the index `by_user`. Everything else: the index `by_status`, whose
parts for each status are merged. What the index does not show, such as the provider, is compared in
the job itself. A page examines `SEARCHED` jobs at most. If few of them match, it is short or even
empty, and still has a cursor.
"""

from __future__ import annotations

import heapq
import itertools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pynamodb.attributes import UnicodeAttribute
from pynamodb.models import Model

from clipmint import clock, cursors, unreadable
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.jobs.job_items import JobItem
from clipmint.jobs.job_lists import SEARCHED, Page, may_have
from clipmint.tables import FromEnvironment, TableMeta

_STORED = (JobStatus.PENDING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
"""The statuses that are stored. A running job is stored as pending."""

_READ_AT_ONCE = 100
"""Jobs of one call, where most of them may not match."""

_MAX_ID_BYTES = 1_024


class IdItem(Model):
    """A job that has the id in ``group`` (``ID#…``), in the table of the endpoints."""

    class Meta(TableMeta):
        table_name = FromEnvironment("ENDPOINTS_TABLE")

    group = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)


class _Entry(NamedTuple):
    """A job in an index. Sorts by time; ``status`` and ``model_id`` are None if it does not show
    them."""

    created_at: str
    job_id: str
    status: str | None = None
    model_id: str | None = None

    @property
    def position(self) -> tuple[str, str]:
        return self.created_at, self.job_id


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for; None: anything. ``since`` is included and ``until`` is not: both are
    about the time of the order. ``any_id``: our id, a provider's, a project's, a scene's or a
    user's."""

    user_id: str | None = None
    status: JobStatus | None = None
    model_id: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    any_id: str | None = None

    def may_fit(self, entry: _Entry) -> bool:
        """Whether the job behind an entry of an index may be one of those."""
        return (
            self._in_time(entry.created_at)
            and (entry.status is None or may_have(self.status, entry.status))
            and (entry.model_id is None or self.model_id in {None, entry.model_id})
        )

    def fits(self, job: Job) -> bool:
        """Whether a job is one of those."""
        return (
            self._in_time(clock.iso(job.created_at))
            and self.user_id in {None, job.user_id}
            and self.status in {None, job.status}
            and self.model_id in {None, job.model_id}
            and (self.provider is None or self.provider in providers_of(job))
        )

    def _in_time(self, created_at: str) -> bool:
        since = clock.iso(self.since) if self.since else ""
        return since <= created_at and (self.until is None or created_at < clock.iso(self.until))

    @property
    def reads_most(self) -> bool:
        """Whether most jobs that are read may not fit."""
        return self.provider is not None or (self.user_id is not None and bool(self.model_id))


def providers_of(job: Job) -> tuple[str, ...]:
    """The providers that a job was sent to or would be sent to, in the order of its stages, each
    with those that refused it and with that of an earlier run."""
    found: dict[str, None] = {}
    for stage in job.stages:
        found.update((one.provider, None) for one in stage.earlier)
        found.update((refused.provider, None) for refused in stage.refusals)
        found[stage.provider] = None
    found.update((orphan.provider, None) for orphan in job.orphans)
    return tuple(found)


def ids_of(job: Job) -> frozenset[str]:
    """The ids of others by which a job is found: those of its tasks at providers, also of earlier
    ones and of orphans; our ids of these tasks; its project and its scene."""
    found = {job.project_id, job.scene_id, *(one.request_id for one in job.orphans)}
    for stage in job.stages:
        found |= {stage.task_id, stage.handle.request_id if stage.handle else None}
        for one in stage.earlier:
            found |= {one.task_id, one.request_id}
    return frozenset(one for one in found if one and len(one.encode()) <= _MAX_ID_BYTES)


def remember(job: Job) -> None:
    """Let a job that has ended be found by its ids. May be repeated.

    A job that has not ended is found without.
    """
    sk = f"{clock.iso(job.created_at)}#{job.job_id}"
    for one in sorted(ids_of(job)):
        IdItem(_group(one), sk).save()


def _group(any_id: str) -> str:
    return f"ID#{any_id}"


def find(search: Search, *, limit: int, cursor: str | None) -> Page:
    """Jobs, newest first, also those that their users have deleted.

    Raises
    ------
    InvalidRequest
        The cursor is not one of ours.
    TemporarilyUnavailable
        DynamoDB did not read all of them in several attempts.
    """
    after = cursors.item_in(cursor) if cursor else None
    rest = (entry for entry in _entries(search, after) if after is None or entry.position < after)
    size = _READ_AT_ONCE if search.reads_most else limit + 1
    found: list[Job] = []
    last: _Entry | None = None
    for _ in range(0, SEARCHED, size):
        some = list(itertools.islice(rest, size))
        wanted = [entry.job_id for entry in some if search.may_fit(entry)]
        jobs = job_store.get_many(wanted, consistent=False, all_readable=False)
        for entry in some:
            job = jobs.get(entry.job_id)
            if job is not None and search.fits(job):
                if len(found) == limit:
                    return Page(found, _after(last))
                found.append(job)
            last = entry
        if len(some) < size:
            return Page(found, None)
    return Page(found, _after(last))


def _after(entry: _Entry | None) -> str | None:
    return cursors.after_item(*entry.position) if entry else None


def _entries(search: Search, after: tuple[str, str] | None) -> Iterable[_Entry]:
    """Entries of the index that serves a search, newest first, from the position on. Those of the
    same time are sorted by id, so that a page can begin between them."""
    until = after[0] if after else clock.iso(search.until) if search.until else "9"
    since = clock.iso(search.since) if search.since else "0"
    if search.any_id is not None:
        by_id = _with_id(search.any_id, until)
        if by_id or search.user_id not in {None, search.any_id}:
            return by_id
    user_id = search.user_id or search.any_id
    if user_id is not None:
        return _sorted([_query(JobItem.by_user, user_id, since, until)])
    stored = [one for one in _STORED if may_have(search.status, one.value)]
    return _sorted([_query(JobItem.by_status, one.value, since, until) for one in stored])


def _query(index: Any, key: str, since: str, until: str) -> Iterator[_Entry]:
    """The part of an index with this key, newest first."""
    within = JobItem.created_at.between(since, until)
    items = index.query(key, within, scan_index_forward=False, page_size=_READ_AT_ONCE)
    readable = unreadable.readable(items, lambda item: item, "job", lambda item: item.job_id)
    for item in readable:
        yield _Entry(item.created_at, item.job_id, item.status, item.model_id)


def _sorted(queries: list[Iterator[_Entry]]) -> Iterator[_Entry]:
    by_time = operator.attrgetter("created_at")
    merged = heapq.merge(*queries, key=by_time, reverse=True)
    for _, group in itertools.groupby(merged, by_time):
        yield from sorted(group, key=lambda entry: entry.job_id, reverse=True)


def _with_id(any_id: str, until: str) -> list[_Entry]:
    """The jobs with an id that is not a user's, newest first."""
    ours = _job(any_id)
    if ours is not None:
        return [ours]
    older = IdItem.sk < f"{until}$"  # "$" is the character after "#"
    items = IdItem.query(_group(any_id), older, scan_index_forward=False, limit=SEARCHED)
    found = {tuple(str(item.sk).split("#", 1)) for item in items}
    # The entries of an open job are written when it ends.
    pending = _query(JobItem.by_status, JobStatus.PENDING.value, "0", until)
    open_ids = [entry.job_id for entry in itertools.islice(pending, SEARCHED)]
    for job in job_store.get_many(open_ids, consistent=False, all_readable=False).values():
        if any_id in ids_of(job):
            found.add((clock.iso(job.created_at), job.job_id))
    return [_Entry(*position) for position in sorted(found, reverse=True)]


def _job(any_id: str) -> _Entry | None:
    try:
        job = job_store.get(str(UUID(any_id)))
    except ValueError:
        return None
    return _Entry(clock.iso(job.created_at), job.job_id) if job else None
