"""Waiting for an outcome: the task token that a webhook finds, and how to poll if none arrives.

Outcome and task token are attributes of one item. Each writer reads the other's attribute after its
own write, so the second writer always resumes the execution.
"""

from __future__ import annotations

from typing import Any

from clipmint import clock
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, Stage
from clipmint.settings import ProviderSettings

SUBMIT_SECONDS = 180
"""How long the state Submit lasts, with the call to the provider and the wait for its webhook: the
timeout in the state machine. The function must end earlier than that."""


def plan(job: Job, stage: Stage) -> dict[str, Any]:
    """What Track needs: the stage, the seconds between polls, and the deadline in epoch seconds."""
    return {
        "stage": stage.name,
        "poll_seconds": list(stage.poll_seconds),
        "deadline": job.deadline,
    }


def must_poll_soon(job: Job, stage: Stage) -> bool:
    """Whether Submit must not wait itself: because no webhook can arrive, or because the model is
    to be polled, or the deadline comes, before the wait would be over."""
    seconds_left = job.deadline - clock.epoch(clock.now())
    if min(stage.poll_seconds[0], seconds_left) < SUBMIT_SECONDS:
        return True
    return not ProviderSettings.read().webhook_base_url


def wait(job: Job, stage: Stage, task_token: str, *, stored: bool) -> None:
    """Let Submit wait for a stage that was sent, or let Track do it.

    Parameters
    ----------
    stored
        Whether the token was recorded before the stage was sent. Then no webhook has missed it.
    """
    if must_poll_soon(job, stage):
        workflow.hand_over(task_token, plan(job, stage))
    elif not stored:
        # An earlier attempt sent the stage, and a webhook may have found only that attempt's token.
        job = job_store.store_task_token(job.job_id, stage.name, task_token)
        workflow.resume(job.stage(stage.name) or stage)
