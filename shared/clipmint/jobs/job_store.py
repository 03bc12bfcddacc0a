"""Reads of jobs, and the conditional writes that move a job from its start to its end.

The transactions of `clipmint.credits.holds` start and end a job; all other writes are here. Each
one is a conditional update of one item. It increments ``revision`` and returns the job as it then
stands, so the second of two writers reads what the first one wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from pynamodb.exceptions import DoesNotExist, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from clipmint import aws, clock, unreadable
from clipmint.catalog.route import Route
from clipmint.errors import JobNotFound, try_again
from clipmint.jobs.job import (
    Asset,
    Earlier,
    Handle,
    Job,
    JobStatus,
    Refusal,
    Stage,
    Submission,
    SubmissionState,
)
from clipmint.jobs.job_items import JobItem, outcome_attributes, stage_path, to_job
from clipmint.jobs.outcomes import Failed, Finished
from clipmint.path_ids import path_id
from clipmint.records import to_attributes
from clipmint.stages import earlier_stages

_CONFLICT_ATTEMPTS = 5
"""Attempts at an update while a transaction holds the item, which takes milliseconds. DynamoDB
rejects the update then, and botocore does not retry it."""

_KEYS_PER_CALL = 100
"""The maximum of BatchGetItem."""

_READ_ATTEMPTS = 6
"""Attempts at the keys that DynamoDB left unread, with pauses of at most a second and a half in
total."""


class _Unread(Exception):
    """DynamoDB left some of the keys unread."""


class JobFinished(Exception):
    """The job has ended or does not exist, so nothing was written."""


class JobMoved(Exception):
    """Another writer was first, and the job goes on: ``job`` is how it stands now."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.job_id} has moved on")
        self.job = job


# ── Reads ────────────────────────────────────────────────────────────────────────────────────────


def get(job_id: str) -> Job | None:
    """The job as it stands (strongly consistent), or None.

    Raises
    ------
    TemporarilyUnavailable
        The job cannot be read.
    """
    return unreadable.required(lambda: _get(job_id), "job", job_id)


def find(text: str, message: str = "There is no such job") -> Job:
    """The job whose id a path or a body contains.

    Raises
    ------
    JobNotFound
        There is no such job; ``message`` is for the caller.
    TemporarilyUnavailable
        The job cannot be read.
    """
    unknown = JobNotFound(message)
    job = get(path_id(text, unknown))
    if job is None:
        raise unknown
    return job


def _get(job_id: str) -> Job | None:
    try:
        return to_job(JobItem.get(job_id, consistent_read=True))
    except DoesNotExist:
        return None


def from_raw(raw: dict[str, Any]) -> Job:
    """The job in a raw item. Raises `TemporarilyUnavailable` if it cannot be read."""
    return unreadable.required(lambda: to_job(JobItem.from_raw_data(raw)), "job", _key_of(raw))


def _key_of(raw: dict[str, Any]) -> str:
    return str(raw["job_id"]["S"])


def get_many(
    job_ids: Iterable[str], *, consistent: bool = True, all_readable: bool = True
) -> dict[str, Job]:
    """Those of these jobs that exist, by id, as they stand.

    Parameters
    ----------
    consistent
        False: as they stood a moment ago, at half the price.
    all_readable
        False, where jobs are only shown: leave out those that cannot be read.

    Raises
    ------
    TemporarilyUnavailable
        DynamoDB did not read all of them in several attempts, or one of them cannot be read.
    """
    wanted = list(dict.fromkeys(job_ids))
    found: dict[str, Job] = {}

    def read() -> None:
        while wanted:
            keys: list[Any] = [{"job_id": job_id} for job_id in wanted[:_KEYS_PER_CALL]]
            # PynamoDB's own batch_get retries unread keys without a pause and without a limit.
            data = aws.table(JobItem).batch_get_item(keys, consistent_read=consistent)
            table = JobItem.Meta.table_name
            raws = data["Responses"].get(table, [])
            jobs = map(from_raw, raws) if all_readable else _readable(raws)
            found.update((job.job_id, job) for job in jobs)
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


def _readable(raws: Iterable[dict[str, Any]]) -> Iterator[Job]:
    return unreadable.readable(raws, lambda raw: to_job(JobItem.from_raw_data(raw)), "job", _key_of)


# ── Submission ───────────────────────────────────────────────────────────────────────────────────


def mark_sending(
    job_id: str,
    stage: str,
    route: Route,
    *,
    task_id: str,
    webhook_token: str,
    task_token: str | None = None,
) -> Job:
    """Record that we are about to call a provider.

    An attempt that finds this record after a crash knows that the call may have happened. Every new
    submission has a new task id and token. So an attempt recognises its own record, even if the
    response to this write was lost and the write repeated.

    Parameters
    ----------
    task_token
        Of the execution that waits for the outcome, if it does: no webhook can arrive before it is
        recorded.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        Another attempt sends or has sent the stage, or an earlier stage, whose file it needs, runs
        again.
    """
    here = stage_path(stage)
    submission = Submission(SubmissionState.SENDING, webhook_token, task_id, begun_at=clock.now())
    state, recorded_task_id = here["submission"]["state"], here["submission"]["task_id"]
    condition = here["outcome"].does_not_exist() & (
        here["submission"].does_not_exist()
        | (state == SubmissionState.REFUSED.value)
        | ((state == SubmissionState.SENDING.value) & (recorded_task_id == task_id))
    )
    for name in earlier_stages(stage):
        before = stage_path(name)
        condition = condition & (before.does_not_exist() | before["asset"].exists())
    actions: list[Action] = [
        here["provider"].set(route.provider),
        here["endpoint"].set(route.endpoint),
        here["submission"].set(to_attributes(submission)),
    ]
    if task_token is not None:
        actions.append(here["task_token"].set(task_token))
    return _write(job_id, actions, condition)


def mark_sent(job_id: str, stage: str, task_id: str, handle: Handle) -> Job:
    """Record the handle of a submission that the provider has accepted.

    A webhook that arrived before the provider's response may have recorded the same already.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        The stage has another submission now.
    """
    submission = stage_path(stage)["submission"]
    return _write(job_id, _sent(submission, handle), submission["task_id"] == task_id)


def _sent(submission: Any, handle: Handle) -> list[Action]:
    return [
        submission["state"].set(SubmissionState.SENT.value),
        submission["request_id"].set(handle.request_id),
        submission["urls"].set(json.dumps(dict(handle.urls))),
    ]


def mark_refused(job_id: str, stage: str, task_id: str, refusal: Refusal) -> Job:
    """Record that the provider certainly did not accept a submission: it may be submitted again, to
    the same or another provider.

    Raises `JobFinished`, `JobMoved`.
    """
    here = stage_path(stage)
    return _write(
        job_id,
        [
            here["submission"]["state"].set(SubmissionState.REFUSED.value),
            here["refusals"].set(here["refusals"].append([to_attributes(refusal)])),
        ],
        here["outcome"].does_not_exist()
        & (here["submission"]["state"] == SubmissionState.SENDING.value)
        & (here["submission"]["task_id"] == task_id),
    )


def mark_unknown(job_id: str, stage: str, task_id: str) -> Job:
    """Record that the provider's response was lost.

    Raises `JobFinished`, or `JobMoved` if the provider's response or webhook arrived after all.
    """
    submission = stage_path(stage)["submission"]
    return _write(
        job_id,
        [submission["state"].set(SubmissionState.UNKNOWN.value)],
        submission["state"].is_in(SubmissionState.SENDING.value, SubmissionState.UNKNOWN.value)
        & (submission["task_id"] == task_id),
    )


def store_task_token(job_id: str, stage: str, task_token: str) -> Job:
    """Record the task token with which `record_outcome`'s caller resumes the execution.

    Raises `JobFinished`.
    """
    here = stage_path(stage)
    return _write(job_id, [here["task_token"].set(task_token)], here.exists())


# ── Results ──────────────────────────────────────────────────────────────────────────────────────


def record_outcome(
    job_id: str,
    stage: str,
    outcome: Finished,
    *,
    handle: Handle | None = None,
    task_id: str | None = None,
) -> Job:
    """Record the outcome of a stage at its provider, once.

    The outcome and Track's task token are in the same item. The second of the two writers finds
    both and resumes the execution, so it is resumed in either order.

    Parameters
    ----------
    handle
        The submission's handle, where we learn it from the same message as the outcome.
    task_id
        The submission that the outcome belongs to, where another one may have replaced it.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        The stage has an outcome already, which stays.
    """
    here = stage_path(stage)
    actions: list[Action] = [here["outcome"].set(outcome_attributes(outcome))]
    if handle is not None:
        actions.extend(_sent(here["submission"], handle))
    condition = here["submission"].exists() & here["outcome"].does_not_exist()
    if task_id is not None:
        condition = condition & (here["submission"]["task_id"] == task_id)
    return _write(job_id, actions, condition)


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
        The submission that the file is from, where another one may have replaced it.
    image_url
        Public URL of an image: from now on the first frame of the video.
    next_deadline
        The deadline of the next stage, in epoch seconds.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        The stage has an asset already, which stays.
    """
    here = stage_path(stage)
    actions: list[Action] = [
        here["asset"].set(to_attributes(asset)),
        # The execution has resumed. DynamoDB bills a write by the size of the whole item, and a
        # token is as long as all the rest of a job.
        here["task_token"].remove(),
    ]
    if image_url is not None:
        actions.append(JobItem.image_url.set(image_url))
    if next_deadline is not None:
        actions.append(JobItem.deadline.set(next_deadline))
    condition = here["asset"].does_not_exist()
    if task_id is not None:
        condition = condition & (here["submission"]["task_id"] == task_id)
    return _write(job_id, actions, condition)


def record_rejection(job_id: str, stage: str, failure: Failed, *, task_id: str | None) -> Job:
    """Record that the stage's file is not used: its success becomes this failure, once.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        The stage has an asset, or has failed already, which stays.
    """
    here = stage_path(stage)
    actions: list[Action] = [
        here["outcome"].set(outcome_attributes(failure)),
        here["task_token"].remove(),
    ]
    condition = here["asset"].does_not_exist() & here["outcome"]["media_url"].exists()
    return _write(job_id, actions, condition & (here["submission"]["task_id"] == task_id))


def make_image_again(job: Job) -> Job:
    """Restart a job with another image: its stages up to the current one run a second time.

    The results of the first run stay on the job, because the owner has paid for them, and the user
    keeps the first image if there is no second one.

    Raises
    ------
    JobFinished
        The job has ended.
    JobMoved
        Another writer was first.
    """
    actions: list[Action] = []
    for stage in job.stages:
        here = stage_path(stage.name)
        actions.append(here["earlier"].set([to_attributes(_first_run(stage))]))
        cleared = ("submission", "outcome", "asset", "task_token")
        actions.extend(here[attribute].remove() for attribute in cleared)
        if stage is job.current_stage:
            break
    until = clock.now() + timedelta(seconds=job.stages[0].deadline_seconds)
    actions.append(JobItem.deadline.set(clock.epoch(until)))
    return _write(job.job_id, actions, JobItem.revision == job.revision)


def _first_run(stage: Stage) -> Earlier:
    return Earlier(
        provider=stage.provider,
        task_id=stage.task_id or "",
        request_id=stage.handle.request_id if stage.handle else None,
        outcome=stage.outcome,
        asset=stage.asset,
    )


def share(source_id: str, job_id: str) -> bool:
    """Record on a completed job that another one refers to its file. Once, however often it
    is called. False if the job was deleted before.

    Raises `TemporarilyUnavailable`.
    """
    shared = JobItem.shared_with
    condition = (
        JobItem.job_id.exists()
        & JobItem.deleted.does_not_exist()
        & (JobItem.status == JobStatus.COMPLETED.value)
        & ~shared.contains(job_id)
    )
    if _update(source_id, [shared.set((shared | []).append([job_id]))], condition) is not None:
        return True
    source = get(source_id)
    return source is not None and job_id in source.shared_with


def hide(job_id: str) -> Job | None:
    """Delete a terminal job as far as its user can see; None if it has not ended. Idempotent.

    Raises `TemporarilyUnavailable`.
    """
    condition = JobItem.job_id.exists() & JobItem.open.does_not_exist()
    return _update(job_id, [JobItem.deleted.set(True)], condition)


# ── One conditional update ───────────────────────────────────────────────────────────────────────


def _write(job_id: str, actions: Sequence[Action], condition: Condition) -> Job:
    job = _update(job_id, actions, JobItem.open.exists() & condition)
    if job is None:
        raise _why(job_id)
    return job


def _update(job_id: str, actions: Sequence[Action], condition: Condition) -> Job | None:
    """The job after the update; None if the condition does not hold.

    Raises
    ------
    TemporarilyUnavailable
        Every attempt met a transaction on the item; nothing was written.
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
            if aws.condition_failed(error):
                return None
            raise
        return to_job(item)

    return aws.retry_on_conflict(
        lambda: unreadable.required(attempt, "job", job_id),
        attempts=_CONFLICT_ATTEMPTS,
        otherwise=try_again("The job is busy; ask again"),
    )


def _why(job_id: str) -> JobFinished | JobMoved:
    """Why the condition of a write did not hold, from the job as it stands now."""
    job = get(job_id)
    if job is None or job.is_terminal:
        return JobFinished(f"job {job_id} has ended")
    return JobMoved(job)
