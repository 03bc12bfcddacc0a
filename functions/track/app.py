"""Track: leave the task token where the webhook finds it, and ask the provider now and then.

The first turn only leaves the token: the webhook usually comes. Later turns, entered when a wait
has timed out, also ask, and so does any turn after the deadline: no job is given up unasked for.
Outcome and token lie on the same item, and both writers look for the other's after writing their
own, so one of the two always wakes the execution.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock
from clipmint.execution import orphans, workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, Stage, SubmissionState, given_up
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Running
from clipmint.providers import health, registry
from clipmint.providers.base import ProviderUnavailable
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.telemetry import logger


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    job_id, stage_name, turn = event["job_id"], event["stage"], event["turn"]
    logger.append_keys(job_id=job_id, stage=stage_name)
    job = job_store.store_task_token(job_id, stage_name, event["task_token"])
    stage = job.stage(stage_name)
    if stage is None:
        raise JobFinished(f"job {job_id} has no stage {stage_name}")
    if stage.outcome is None:
        too_late = _out_of_time(job, stage)
        # Asked first: what is there at the deadline counts.
        outcome = (_ask(stage) if turn > 0 or too_late else None) or too_late
        if outcome is not None:
            job, stage = _record(job_id, stage, outcome)
    # A crash before these lines is mended by the next attempt: it finds the outcome.
    if given_up(job, stage):
        orphans.leave(job, stage)
    return {"woken": workflow.wake(stage)}


def _ask(stage: Stage) -> Finished | None:
    handle = stage.handle
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
    unknown = stage.submission_state is SubmissionState.UNKNOWN
    return Failed(FailureCode.SUBMIT_UNKNOWN if unknown else FailureCode.DEADLINE_EXCEEDED)


def _record(job_id: str, stage: Stage, outcome: Finished) -> tuple[Job, Stage]:
    moved = False
    try:
        job = job_store.record_outcome(job_id, stage.name, outcome, task_id=stage.task_id)
    except JobMoved as overtaken:
        job, moved = overtaken.job, True  # the webhook was quicker; what it recorded counts
    recorded = job.stage(stage.name)
    if recorded is None:
        raise JobFinished(f"job {job_id} has no stage {stage.name}")
    if not moved:
        health.finished(stage.provider, outcome)
    return job, recorded
