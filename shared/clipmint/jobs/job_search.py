"""Search of all users' jobs, for the owner: newest first, in pages, without reading a whole table.

Each search reads one index. By id: our id is the key of a job; a provider's id, a project's and a
scene's are keys of entries that `remember` has written when the job ended, and of jobs that have
not ended there are few. By user: the index `by_user`. Everything else: the index `by_end`, whose
parts for each status are merged, and the jobs that have not ended. What the index does not show,
such as the provider, is compared in the job itself. A page examines `SEARCHED` jobs at most. If few
of them match, it is short or even empty, and still has a cursor.
"""

from __future__ import annotations

import heapq
import itertools
import operator
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pynamodb.attributes import UnicodeAttribute
from pynamodb.models import Model

from clipmint import clock, cursors, unreadable
from clipmint.errors import try_again
from clipmint.jobs import job_store
from clipmint.jobs.job import TERMINAL, Job, JobStatus
from clipmint.jobs.job_items import ByEnd, ByUser, JobItem
from clipmint.jobs.job_lists import OPEN_FOR, SEARCHED, OpenJob, Page, may_have, unfinished
from clipmint.tables import FromEnvironment, TableMeta
from clipmint.values import frozen

_READ_AT_ONCE = 100
"""Jobs of one call, where most of them may not match."""

_MAX_ID_BYTES = 1_024

MOST_OPEN = 5_000
"""Jobs that have not ended, of which a search reads all: seconds of work. Of more, it would show
some only."""

_FIRST, _LAST = "0", "9"
"""Before and after every time, as text."""


class IdItem(Model):
    """A job that has the id in ``group`` (``ID#…``), in the table of the endpoints."""

    class Meta(TableMeta):
        table_name = FromEnvironment("ENDPOINTS_TABLE")

    group = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)


class _Entry(NamedTuple):
    """A job in an index, which is sorted by ``at``. ``status`` and ``model_id`` are None if the
    index does not show them."""

    at: str
    job_id: str
    status: str | None = None
    model_id: str | None = None

    @property
    def position(self) -> tuple[str, str]:
        return self.at, self.job_id


@frozen
class Search:
    """What is searched for; None: anything.

    ``since`` is included and ``until`` is not. Both are about the job's end; a job that has not
    ended counts by its order. ``any_id``: our id, a provider's, a project's, a scene's or a user's.
    """

    user_id: str | None = None
    status: JobStatus | None = None
    model_id: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    any_id: str | None = None

    def may_fit(self, entry: _Entry) -> bool:
        """Whether the job behind an entry of an index may be one of those."""
        return (entry.status is None or may_have(self.status, entry.status)) and (
            entry.model_id is None or self.model_id in {None, entry.model_id}
        )

    def fits(self, job: Job) -> bool:
        """Whether a job is one of those."""
        at = job.completed_at or job.created_at
        return (
            (self.since is None or self.since <= at)
            and (self.until is None or at < self.until)
            and self.user_id in {None, job.user_id}
            and self.status in {None, job.status}
            and self.model_id in {None, job.model_id}
            and (self.provider is None or self.provider in providers_of(job))
        )

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
    ones and of orphans; our ids of these tasks where a provider knows no other; its project and its
    scene."""
    found = {job.project_id, job.scene_id, *(one.request_id for one in job.orphans)}
    for stage in job.stages:
        found.add(stage.handle.request_id if stage.handle else stage.task_id)
        found.update(one.request_id or one.task_id for one in stage.earlier)
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
    """Jobs, newest first, also those that their users have deleted: those of one user or with one
    id by their order, others by their end.

    Raises
    ------
    InvalidRequest
        The cursor is not one of ours.
    TemporarilyUnavailable
        DynamoDB did not read all of them in several attempts, or more than `MOST_OPEN` jobs have
        not ended and the search would have to read them.
    """
    after = cursors.item_in(cursor) if cursor else None
    rest = (entry for entry in _entries(search, after) if after is None or entry.position < after)
    size = _READ_AT_ONCE if search.reads_most else limit + 1
    found: dict[str, Job] = {}  # one that ends now may be in two indexes
    last: _Entry | None = None
    for _ in range(0, SEARCHED, size):
        some = list(itertools.islice(rest, size))
        wanted = [entry.job_id for entry in some if search.may_fit(entry)]
        jobs = job_store.get_many(wanted, consistent=False, all_readable=False)
        for entry in some:
            job = jobs.get(entry.job_id)
            if job is not None and job.job_id not in found and search.fits(job):
                if len(found) == limit:
                    return Page([*found.values()], _after(last))
                found[job.job_id] = job
            last = entry
        if len(some) < size:
            return Page([*found.values()], None)
    return Page([*found.values()], _after(last))


def _after(entry: _Entry | None) -> str | None:
    return cursors.after_item(*entry.position) if entry else None


def _entries(search: Search, after: tuple[str, str] | None) -> Iterable[_Entry]:
    """Entries of the index that serves a search, newest first, from the position on."""
    before = after[0] if after else _LAST
    if search.any_id is not None:
        by_id = _with_id(search.any_id, before)
        if by_id or search.user_id not in {None, search.any_id}:
            return by_id
    user_id = search.user_id or search.any_id
    if user_id is not None:
        return _sorted([_of_user(user_id, search, before)])
    until = min(before, clock.iso(search.until)) if search.until else before
    parts = [
        _with_status(status, search, until)
        for status in sorted(TERMINAL)
        if may_have(search.status, status.value)
    ]
    if search.status is None or search.status not in TERMINAL:
        parts.append(iter(sorted(map(_open_entry, _open()), reverse=True)))
    return _sorted(parts)


def _of_user(user_id: str, search: Search, before: str) -> Iterator[_Entry]:
    """A user's jobs by their order: one that ended in time may have been ordered before."""
    since = clock.iso(search.since - OPEN_FOR) if search.since else _FIRST
    until = min(before, clock.iso(search.until)) if search.until else before
    within = ByUser.created_at.between(since, max(since, until))
    items = JobItem.by_user.query(
        user_id, within, scan_index_forward=False, page_size=_READ_AT_ONCE
    )
    for item in unreadable.readable(items, lambda item: item, "job", lambda item: item.job_id):
        yield _Entry(item.created_at, item.job_id, item.status)


def _with_status(status: JobStatus, search: Search, until: str) -> Iterator[_Entry]:
    """The jobs that have ended with a status, by their end."""
    since = clock.iso(search.since) if search.since else _FIRST
    within = ByEnd.completed_at.between(since, max(since, until))
    items = JobItem.by_end.query(
        status.value, within, scan_index_forward=False, page_size=_READ_AT_ONCE
    )
    for item in unreadable.readable(items, lambda item: item, "job", lambda item: item.job_id):
        yield _Entry(item.completed_at, item.job_id, item.status, item.model_id)


def _open() -> list[OpenJob]:
    """The jobs that have not ended.

    Raises `TemporarilyUnavailable` if there are too many: the index sorts them by deadline, so
    any part of them could lack the newest.
    """
    found = [*itertools.islice(unfinished(), MOST_OPEN + 1)]
    if len(found) > MOST_OPEN:
        raise try_again(
            f"More than {MOST_OPEN:,} jobs run",
            details="Search by user_id, by a job's own id, or by the status of ended jobs",
            seconds=60,
        )
    return [one for one in found if isinstance(one, OpenJob)]


def _open_entry(job: OpenJob) -> _Entry:
    return _Entry(clock.iso(job.created_at), job.job_id)


def _sorted(parts: list[Iterator[_Entry]]) -> Iterator[_Entry]:
    """Merge parts that are sorted by time. Entries of the same time are sorted by id, so that a
    page can begin between them."""
    by_time = operator.attrgetter("at")
    merged = heapq.merge(*parts, key=by_time, reverse=True)
    for _, group in itertools.groupby(merged, by_time):
        yield from sorted(group, key=lambda entry: entry.job_id, reverse=True)


def _with_id(any_id: str, before: str) -> list[_Entry]:
    """The jobs with an id that is not a user's, by their order."""
    ours = _job(any_id)
    if ours is not None:
        return [ours]
    older = IdItem.sk < f"{before}$"  # "$" is the character after "#"
    items = IdItem.query(_group(any_id), older, scan_index_forward=False, limit=SEARCHED)
    found = {tuple(str(item.sk).split("#", 1)) for item in items}
    # The entries of an open job are written when it ends.
    open_ids = [one.job_id for one in _open()]
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
