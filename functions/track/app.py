"""Track: leave the task token where the webhook finds it, and ask the provider now and then.

The first turn only leaves the token: the webhook usually comes. Later turns, entered when a wait
has timed out, also ask, and so does any turn after the deadline: no job is given up unasked for.
Outcome and token lie on the same item, and both writers look for the other's after writing their
own, so one of the two always wakes the execution.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import execution, health, jobs, orphans
from clipmint.domain import clock
from clipmint.domain.jobs import Job, Stage, SubmissionState
from clipmint.domain.outcomes import Failed, FailureCode, Finished, Running
from clipmint.jobs import JobFinished, JobMoved
from clipmint.providers import registry
from clipmint.providers.base import ProviderUnavailable, WebhookSender
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import logger


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    job_id, stage_name, turn = event["job_id"], event["stage"], event["turn"]
    logger.append_keys(job_id=job_id, stage=stage_name)
    job = jobs.store_task_token(job_id, stage_name, event["task_token"])
    stage = job.stage(stage_name)
    if stage is None:
        raise JobFinished(f"job {job_id} has no stage {stage_name}")
    if stage.outcome is None:
        too_late = _out_of_time(job, stage)
        outcome = _ask(stage) if turn > 0 or too_late else None
        if outcome is None and too_late:
            # Asked first: what was taken back would be found cancelled, which the user never did.
            _withdraw(job, stage)
            outcome = too_late
        if outcome is not None:
            stage = _record(job_id, stage, outcome)
    # A crash before this line is mended by the next attempt: it finds the outcome.
    return {"woken": execution.wake(stage)}


def _ask(stage: Stage) -> Finished | None:
    handle = registry.handle_of(stage)
    if handle is None:
        return None
    try:
        outcome = registry.provider(stage.provider).poll(handle)
    except (ProviderUnavailable, ProviderNotConfigured) as error:
        health.silent(stage.provider, error)
        return None
    return None if isinstance(outcome, Running) else outcome


def _out_of_time(job: Job, stage: Stage) -> Failed | None:
    if clock.epoch(clock.now()) < job.deadline:
        return None
    unknown = stage.submission and stage.submission.state is SubmissionState.UNKNOWN
    return Failed(FailureCode.SUBMIT_UNKNOWN if unknown else FailureCode.DEADLINE_EXCEEDED)


def _withdraw(job: Job, stage: Stage) -> None:
    """Take back what has not begun, so that it never costs anything for a job that has ended.

    What goes on all the same will be paid for. A provider with webhooks tells if it comes to that;
    of one without nobody would ever hear again, so its task is an orphan from now on.
    """
    handle = registry.handle_of(stage)
    if handle is None:
        return
    withdrawn, will_tell = False, False
    with suppress(ProviderUnavailable, ProviderNotConfigured):
        provider = registry.provider(stage.provider)
        will_tell = isinstance(provider, WebhookSender)
        withdrawn = provider.cancel(handle)
    if not (withdrawn or will_tell):
        orphans.record(job, stage, handle.request_id)


def _record(job_id: str, stage: Stage, outcome: Finished) -> Stage:
    task_id = stage.submission.task_id if stage.submission else None
    moved = False
    try:
        job = jobs.record_outcome(job_id, stage.name, outcome, task_id=task_id)
    except JobMoved as overtaken:
        job, moved = overtaken.job, True  # the webhook was quicker; what it recorded counts
    recorded = job.stage(stage.name)
    if recorded is None:
        raise JobFinished(f"job {job_id} has no stage {stage.name}")
    if not moved:
        health.finished(stage.provider, outcome)
    return recorded
