"""Track: store the task token where the webhook finds it, and poll the provider at intervals.

The first turn only stores the token, because the webhook usually arrives. Later turns begin when a
wait has timed out, and also poll. So does every turn after the deadline: no job is given up without
a last poll. Outcome and token are on the same item, and each writer looks for the other's value
after writing its own, so one of the two always resumes the execution.

A poll that finds a video also shows how long it took: later jobs are polled when theirs is likely.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import clock
from clipmint.catalog import durations, model_store
from clipmint.execution import withdrawal, workflow
from clipmint.jobs import job_store, provider_costs
from clipmint.jobs.job import Job, Stage, SubmissionState
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Finished, Running, Succeeded
from clipmint.jobs.verdict import given_up
from clipmint.providers import asking, health
from clipmint.telemetry import logger


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    job_id, stage_name, turn = event["job_id"], event["stage"], event["turn"]
    logger.append_keys(job_id=job_id, stage=stage_name)
    job = job_store.store_task_token(job_id, stage_name, event["task_token"])
    stage = _stage(job, stage_name)
    if stage.asset is not None:  # the file of an identical job
        return {"woken": workflow.finish(event["task_token"], stage)}
    learn: Callable[[], None] | None = None
    if stage.outcome is None:
        too_late = _out_of_time(job, stage)
        # Poll first: a video that is finished at the deadline counts.
        polled = asking.poll(stage) if turn > 0 or too_late else None
        outcome: Finished | None = too_late
        if polled is not None and not isinstance(polled, Running):
            outcome = provider_costs.with_list_price(polled, job, stage)
        if outcome is not None:
            learn = _lesson(job, stage, outcome, turn)
            job, stage = _record(job_id, stage, outcome)
    # After a crash before one of these lines, the next attempt finds the outcome and goes on here.
    if given_up(job, stage):
        withdrawal.cancel_or_record(job, stage)
    woken = workflow.resume(stage)
    if learn is not None:
        learn()  # last, because nothing waits for it; after a crash one observation is missing
    return {"woken": woken}


def _lesson(job: Job, stage: Stage, outcome: Finished, turn: int) -> Callable[[], None] | None:
    """What records how long a generation took that this poll found; None if it is not known."""
    begun = stage.submission.begun_at if stage.submission else None
    if begun is None or turn < 1 or not isinstance(outcome, Succeeded):
        return None
    latest = (clock.now() - begun).total_seconds()
    waited = stage.poll_seconds[min(turn, len(stage.poll_seconds)) - 1]
    earliest = max(0.0, latest - waited) if turn > 1 else 0.0
    key = durations.key_of(job.model_of(stage), stage.provider, job.settings_of(stage))

    def learn() -> None:
        try:
            model_store.learn_duration(key, earliest, latest)
        except Exception:  # noqa: BLE001  (the job goes on; only later polls are less well timed)
            logger.exception("a duration could not be recorded")

    return learn


def _out_of_time(job: Job, stage: Stage) -> Failed | None:
    if clock.epoch(clock.now()) < job.deadline:
        return None
    unknown = stage.submission_state is SubmissionState.UNKNOWN
    return Failed(FailureCode.SUBMIT_UNKNOWN if unknown else FailureCode.DEADLINE_EXCEEDED)


def _record(job_id: str, stage: Stage, outcome: Finished) -> tuple[Job, Stage]:
    try:
        job = job_store.record_outcome(job_id, stage.name, outcome, task_id=stage.task_id)
    except JobMoved as moved:
        # The webhook was faster, and the outcome that it recorded counts.
        return moved.job, _stage(moved.job, stage.name)
    health.outcome_recorded(stage.provider, outcome)
    return job, _stage(job, stage.name)


def _stage(job: Job, name: str) -> Stage:
    stage = job.stage(name)
    if stage is None:
        raise JobFinished(f"job {job.job_id} has no stage {name}")
    return stage
