"""Jobs as recorded: reads, and the conditional writes that move a job between its ends.

A job begins and ends in the ledger's transactions (`clipmint.credits.ledger`); everything in
between is here. Every write is one conditional update of one item that also counts its
``revision`` up, and answers with the job as it now stands, so a writer who comes second sees what
the first one wrote.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import AttributeDeserializationError, DoesNotExist, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from clipmint import aws, clock
from clipmint.catalog.model import Route
from clipmint.errors import InvalidRequest, try_again
from clipmint.jobs.job import Asset, Handle, Job, JobStatus, Refusal, SubmissionState
from clipmint.jobs.job_items import asset_map, earlier_map, outcome_map, to_job
from clipmint.jobs.outcomes import Finished, Succeeded
from clipmint.tables import (
    OPEN,
    ByUser,
    JobItem,
    RefusalMap,
    SubmissionMap,
)

MIGRATION_WINDOW = timedelta(hours=24)
"""How long a finished video may take to reach the owner's bucket. Every provider keeps its files
at least this long (Runway is the shortest, 24 to 48 hours)."""


_CONFLICT_ATTEMPTS = 5
"""Attempts at an update while a transaction holds the item, a matter of milliseconds. DynamoDB
refuses the update then, and botocore does not try again."""

_KEYS_PER_CALL = 100
"""What BatchGetItem takes at most."""

_READ_ATTEMPTS = 6
"""Attempts at the keys that DynamoDB left unread, with pauses of a second and a half together."""

OPEN_FOR = timedelta(days=10)
"""A job older than this has ended: a stage's deadline is a day at most, `MIGRATION_WINDOW` another,
both stages may be made twice, and the rest is for the sweep that ends it."""


class _Unread(Exception):
    """DynamoDB left some of the keys unread."""


class JobFinished(Exception):
    """The job has ended, or never was: there is nothing left to do."""


class JobMoved(Exception):
    """Somebody else wrote first, and the job goes on: ``job`` is how it stands now."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.job_id} has moved on")
        self.job = job


def get(job_id: str) -> Job | None:
    """The job as it stands (strongly consistent), or None."""
    try:
        return to_job(JobItem.get(job_id, consistent_read=True))
    except DoesNotExist:
        return None


def get_many(job_ids: Iterable[str], *, consistent: bool = True) -> dict[str, Job]:
    """Those of these jobs that exist, by id, as they stand.

    Parameters
    ----------
    consistent
        False: as they stood a moment ago, at half the price.

    Raises
    ------
    TemporarilyUnavailable
        DynamoDB did not read all of them, asked several times.
    """
    wanted = list(dict.fromkeys(job_ids))
    found: dict[str, Job] = {}

    def read() -> None:
        while wanted:
            keys: list[Any] = [{"job_id": job_id} for job_id in wanted[:_KEYS_PER_CALL]]
            # Not the model's own, whose loop over unread keys has neither a pause nor an end.
            data = aws.table(JobItem).batch_get_item(keys, consistent_read=consistent)
            table = JobItem.Meta.table_name
            for raw in data["Responses"].get(table, []):
                job = to_job(JobItem.from_raw_data(raw))
                found[job.job_id] = job
            unread = data["UnprocessedKeys"].get(table, {}).get("Keys", [])
            wanted[:_KEYS_PER_CALL] = [key["job_id"]["S"] for key in unread]
            if unread:
                raise _Unread

    aws.retry_on_conflict(
        read,
        attempts=_READ_ATTEMPTS,
        conflict=lambda error: isinstance(error, _Unread),
        longest_pause=lambda attempt: 0.1 * 2**attempt,
        otherwise=try_again("Not everything could be read; ask again"),
    )
    return found


def open_in_project(user_id: str, project_id: str, scene_id: str | None = None) -> list[str]:
    """Ids of a project's (or of one scene's) jobs that have not ended.

    Eventually consistent (it reads a global index): one may have ended meanwhile, or just begun.
    """
    condition = JobItem.open.exists() & (JobItem.project_id == project_id)
    if scene_id is not None:
        condition = condition & (JobItem.scene_id == scene_id)
    since = ByUser.created_at >= clock.iso(clock.now() - OPEN_FOR)
    return [item.job_id for item in JobItem.by_user.query(user_id, since, condition)]


SEARCHED = 1_000
"""Jobs one page looks at, at most: some megabytes, in well under a second."""


@dataclass(frozen=True, slots=True)
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
) -> Page:
    """A user's jobs, newest first, without deleted ones.

    A page starts behind the job its cursor names, so jobs that arrive meanwhile shift nothing. Of
    `SEARCHED` jobs that do not fit the filters the page ends early: it may be short, even empty,
    and still have a cursor. Eventually consistent, as its index is.

    Raises
    ------
    InvalidRequest
        The cursor is not one of ours.
    TemporarilyUnavailable
        DynamoDB did not read all of them, asked several times.
    """
    wanted = {"status": status and status.value, "project_id": project_id, "scene_id": scene_id}
    results = JobItem.by_user.query(
        user_id,
        scan_index_forward=False,
        last_evaluated_key=_start_key(user_id, cursor) if cursor else None,
        page_size=max(limit + 1, 25),
    )
    fitting: list[str] = []
    last: JobItem | None = None
    following: str | None = None
    for searched, item in enumerate(results):
        if last is not None and (len(fitting) == limit or searched == SEARCHED):
            following = _cursor(last)
            break
        last = item
        fits = all(value in {None, getattr(item, name)} for name, value in wanted.items())
        if fits and not item.deleted:
            fitting.append(item.job_id)
    read = get_many(fitting, consistent=False)
    # One may have moved on since the index was told of it: what does not fit is not shown.
    found = [
        job
        for job_id in fitting
        if (job := read.get(job_id)) and status in {None, job.status} and not job.deleted
    ]
    return Page(found, following)


def _cursor(last: JobItem) -> str:
    text = json.dumps([last.created_at, last.job_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _start_key(user_id: str, cursor: str) -> dict[str, dict[str, Any]]:
    # The user is the caller, never the cursor's word: a forged cursor can only move within the
    # forger's own jobs.
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, job_id = json.loads(base64.urlsafe_b64decode(padded))
        clock.from_iso(created_at)
        uuid.UUID(job_id)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise InvalidRequest("The cursor is not valid", details="cursor: not one of ours") from None
    return {"user_id": {"S": user_id}, "created_at": {"S": created_at}, "job_id": {"S": job_id}}


def mark_sending(job_id: str, stage: str, route: Route, *, task_id: str, webhook_token: str) -> Job:
    """Record that a provider is about to be called.

    Whoever finds this record after a crash knows that the call may have happened. Task id and
    token are fresh for every new submission, so an attempt knows its own record from another's even
    if the answer to this very write was lost and the write repeated.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        Somebody else is or was sending, or has put the picture aside that a video starts from.
    """
    here = getattr(JobItem, stage)
    submission = SubmissionMap(
        state=SubmissionState.SENDING.value, task_id=task_id, webhook_token=webhook_token
    )
    condition = here.outcome.does_not_exist() & (
        here.submission.does_not_exist()
        | (here.submission.state == SubmissionState.REFUSED.value)
        | (
            (here.submission.state == SubmissionState.SENDING.value)
            & (here.submission.task_id == task_id)
        )
    )
    if stage == "video":
        # The picture it starts from may have been put aside since the job was read.
        condition = condition & (JobItem.image.does_not_exist() | JobItem.image.asset.exists())
    return _write(
        job_id,
        [
            JobItem.status.set(JobStatus.PROCESSING.value),
            here.provider.set(route.provider),
            here.endpoint.set(route.endpoint),
            here.submission.set(submission),
        ],
        condition,
    )


def mark_sent(job_id: str, stage: str, task_id: str, handle: Handle) -> Job:
    """Record what the provider knows the submission by.

    A webhook that overtook the provider's answer may have recorded the same already.

    Raises
    ------
    JobFinished
        The job has ended meanwhile.
    JobMoved
        The stage has gone on to another submission.
    """
    here = getattr(JobItem, stage).submission
    return _write(job_id, _sent(here, handle), here.task_id == task_id)


def _sent(submission: Any, handle: Handle) -> list[Action]:
    return [
        submission.state.set(SubmissionState.SENT.value),
        submission.request_id.set(handle.request_id),
        submission.urls.set(dict(handle.urls)),
    ]


def mark_refused(job_id: str, stage: str, task_id: str, refusal: Refusal) -> Job:
    """Record a definite no to a submission: it may be sent again, or elsewhere.

    Raises `JobFinished`, `JobMoved`.
    """
    here = getattr(JobItem, stage)
    noted = RefusalMap(provider=refusal.provider, reason=refusal.reason, at=clock.iso(refusal.at))
    return _write(
        job_id,
        [
            here.submission.state.set(SubmissionState.REFUSED.value),
            here.refusals.set(here.refusals.append([noted])),
        ],
        here.outcome.does_not_exist()
        & (here.submission.state == SubmissionState.SENDING.value)
        & (here.submission.task_id == task_id),
    )


def mark_unknown(job_id: str, stage: str, task_id: str) -> Job:
    """Record that the provider's answer was lost. Raises `JobFinished`, or `JobMoved` if it came
    after all."""
    here = getattr(JobItem, stage).submission
    return _write(
        job_id,
        [here.state.set(SubmissionState.UNKNOWN.value)],
        here.state.is_in(SubmissionState.SENDING.value, SubmissionState.UNKNOWN.value)
        & (here.task_id == task_id),
    )


def record_outcome(
    job_id: str,
    stage: str,
    outcome: Finished,
    *,
    handle: Handle | None = None,
    task_id: str | None = None,
) -> Job:
    """Record how a stage came out at its provider, once.

    The outcome and Track's task token are written to the same item: whoever comes second sees the
    other's and wakes the execution, so no wake-up is lost in either order.

    A success also moves the job's deadline: the video exists now, and what remains is to fetch it.

    Parameters
    ----------
    handle
        What the provider knows the submission by, where the outcome is how we learn it.
    task_id
        The submission the outcome is of, where another may have taken its place.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        The stage has an outcome already; that one counts.
    """
    here = getattr(JobItem, stage)
    actions: list[Action] = [here.outcome.set(outcome_map(outcome))]
    if isinstance(outcome, Succeeded):
        until = clock.epoch(clock.now() + MIGRATION_WINDOW)
        actions.append(JobItem.deadline.set(until))
    if handle is not None:
        actions.extend(_sent(here.submission, handle))
    condition = here.submission.exists() & here.outcome.does_not_exist()
    if task_id is not None:
        condition = condition & (here.submission.task_id == task_id)
    return _write(job_id, actions, condition)


def store_task_token(job_id: str, stage: str, task_token: str) -> Job:
    """Leave Track's task token for whoever learns the outcome. Raises `JobFinished`."""
    here = getattr(JobItem, stage)
    return _write(job_id, [here.task_token.set(task_token)], here.exists())


def record_asset(
    job_id: str,
    stage: str,
    asset: Asset,
    *,
    task_id: str | None = None,
    image_url: str | None = None,
    next_deadline: int | None = None,
) -> Job:
    """Record that the stage's file is in our bucket, once.

    Parameters
    ----------
    task_id
        The submission the file came from, where another may have taken its place.
    image_url
        Where everybody finds a picture: the video's first frame from now on.
    next_deadline
        By when the stage after this one must have come out, in epoch seconds.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        The stage has an asset already; that one counts.
    """
    here = getattr(JobItem, stage)
    actions: list[Action] = [here.asset.set(asset_map(asset))]
    if image_url is not None:
        actions.append(JobItem.image_url.set(image_url))
    if next_deadline is not None:
        actions.append(JobItem.deadline.set(next_deadline))
    condition = here.asset.does_not_exist()
    if task_id is not None:
        condition = condition & (here.submission.task_id == task_id)
    return _write(job_id, actions, condition)


def make_image_again(job: Job) -> Job:
    """Put both stages' first try aside: the picture is made anew, and then the video.

    What the first try came to stays on the job, because the owner has paid for it and the user
    keeps the picture if there will be no other.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        Somebody else wrote first.
    """
    actions: list[Action] = []
    for stage in job.stages:
        here = getattr(JobItem, stage.name)
        actions.append(here.earlier.set([earlier_map(stage)]))
        forgotten = ("submission", "outcome", "asset", "task_token")
        actions.extend(getattr(here, attribute).remove() for attribute in forgotten)
    until = clock.now() + timedelta(seconds=job.stages[0].deadline_seconds)
    actions.append(JobItem.deadline.set(clock.epoch(until)))
    return _write(job.job_id, actions, JobItem.revision == job.revision)


def hide(job_id: str) -> Job | None:
    """Take a terminal job out of the user's sight; None if it has not ended. Idempotent.

    Raises `TemporarilyUnavailable`.
    """
    condition = JobItem.job_id.exists() & JobItem.open.does_not_exist()
    return _update(job_id, [JobItem.deleted.set(True)], condition)


@dataclass(frozen=True, slots=True)
class OpenJob:
    """What the sweep needs to know of a job that has not ended."""

    job_id: str
    status: JobStatus
    deadline: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An open job whose entry in the index says nothing we understand."""

    reason: str


def open_jobs() -> Iterator[OpenJob | Unreadable]:
    """Jobs that have not ended, those with the earliest deadline first, page by page.

    Eventually consistent (it reads a global index), so a job may have ended meanwhile. An entry
    that cannot be read does not hide the ones behind it.
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
        except (AttributeDeserializationError, AttributeError, TypeError, ValueError) as error:
            yield Unreadable(f"{type(error).__name__}: {error}")
        else:
            yield found


def _write(job_id: str, actions: Sequence[Action], condition: Condition) -> Job:
    job = _update(job_id, actions, JobItem.open.exists() & condition)
    if job is None:
        raise _why(job_id)
    return job


def _update(job_id: str, actions: Sequence[Action], condition: Condition) -> Job | None:
    """The job once it is changed; None if the condition does not hold.

    Raises
    ------
    TemporarilyUnavailable
        Transactions were in the way, each time it was tried; nothing was written.
    """
    item = JobItem(job_id)

    def attempt() -> Job | None:
        try:
            item.update(
                [
                    *actions,
                    JobItem.updated_at.set(clock.iso(clock.now())),
                    JobItem.revision.set(JobItem.revision + 1),
                ],
                condition=condition,
            )
        except UpdateError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return None
            raise
        return to_job(item)

    return aws.retry_on_conflict(
        attempt, attempts=_CONFLICT_ATTEMPTS, otherwise=try_again("The job is busy; ask again")
    )


def _why(job_id: str) -> JobFinished | JobMoved:
    """Why a conditional write was refused, from the job as it stands now."""
    job = get(job_id)
    if job is None or job.is_terminal:
        return JobFinished(f"job {job_id} has ended")
    return JobMoved(job)
