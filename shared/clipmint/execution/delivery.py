"""Webhook deliveries: from a provider's call to a recorded outcome and a resumed execution.

A call is trusted only if it is verified: its URL holds the secret of this very submission, the
provider's adapter verifies the provider's signature, and the call is about the submission we made.
Then one conditional write records the outcome, and the waiting execution is resumed. All other
calls change nothing. A repeated delivery resumes the execution again, because the first one may
have crashed between the two.
"""

from __future__ import annotations

import hmac
from typing import Literal
from uuid import UUID

from clipmint.errors import NotFound, WebhookNotProven, try_again
from clipmint.execution import orphans, workflow
from clipmint.jobs import job_store, provider_costs
from clipmint.jobs.job import Handle, Job, Stage
from clipmint.jobs.outcomes import Finished, Outcome, Running, Succeeded, is_rejected
from clipmint.jobs.verdict import given_up
from clipmint.providers import health, registry
from clipmint.providers.asking import NoAnswer, asking
from clipmint.providers.base import Notice, WebhookCall, WebhookRejected, WebhookSender

Result = Literal["accepted", "duplicate", "ignored", "late"]
"""``accepted``: it recorded the outcome. ``duplicate``: the outcome was recorded before.
``ignored``: the task still runs. ``late``: the stage has another outcome, or its job has ended."""

_DELIVER_AGAIN_SECONDS = 30
"""After a call that could not be verified now: the owner's keys are read again after so long."""


def addressed(provider: str, job_id: str, stage_name: str, token: str) -> tuple[Job, Stage]:
    """The job and stage that a webhook's path names, if the path has the submission's secret.

    Raises
    ------
    NotFound
        The same for every wrong part, so that the response does not reveal which one is wrong.
    """
    try:
        job = job_store.get(str(UUID(job_id)))
    except ValueError:
        job = None
    stage = job.stage(stage_name) if job else None
    if job and stage and stage.submission and stage.provider == provider:
        secret = stage.submission.webhook_token.encode()
        if hmac.compare_digest(secret, token.encode(errors="surrogatepass")):
            return job, stage
    raise NotFound("There is no such path")


def receive(job: Job, stage: Stage, call: WebhookCall) -> Result:
    """Verify a call about a stage, record its outcome and resume the execution.

    Raises
    ------
    NotFound
        The provider sends no webhooks.
    WebhookNotProven
        The call is not verified, or is about another submission.
    TemporarilyUnavailable
        The call could not be verified now. The provider delivers again.
    """
    outcome: Outcome | None
    try:
        with asking(stage.provider):
            reader = registry.webhook_reader(stage.provider)
            if reader is None:
                raise NotFound("There is no such path")
            notice = reader.read_webhook(call, stage.endpoint)
            handle = _verified(reader, stage, notice)
            outcome = notice.outcome
            if outcome is None and _may_have_news(job, stage, handle):
                outcome = registry.provider(stage.provider).poll(handle)
    except WebhookRejected as error:
        raise WebhookNotProven("The webhook is not proven", details=str(error)) from None
    except NoAnswer:
        raise try_again(
            "The webhook could not be checked; deliver it again", seconds=_DELIVER_AGAIN_SECONDS
        ) from None
    if outcome is None:
        # Nothing to learn, but an earlier delivery may have crashed before it resumed.
        workflow.resume(stage)
        return "duplicate"
    if isinstance(outcome, Running):
        return "ignored"
    outcome = provider_costs.with_list_price(outcome, job, stage)
    try:
        job = job_store.record_outcome(
            job.job_id, stage.name, outcome, handle=handle, task_id=stage.task_id
        )
    except job_store.JobMoved as moved:
        return _duplicate_or_late(moved.job, stage, outcome, handle)
    except job_store.JobFinished:
        return _duplicate_or_late(job_store.get(job.job_id) or job, stage, outcome, handle)
    health.outcome_recorded(stage.provider, outcome)
    _resume(job, stage)
    return "accepted"


def _verified(reader: WebhookSender, stage: Stage, notice: Notice) -> Handle:
    """The handle of our submission, if the notice is about it. Raises `WebhookNotProven`.

    We do not know the handle yet if the answer to our submission was lost, or if this call arrived
    before the answer. Then the secret in the URL shows that the call is about our submission, and
    we learn the handle from it. A provider that knows tasks by our own ids must name that id.
    """
    handle = stage.handle or notice.handle
    expected = stage.task_id if reader.after_unanswered == "resubmit" else handle.request_id
    if notice.handle.request_id != expected:
        raise WebhookNotProven("The webhook is about another submission")
    return handle


def _may_have_news(job: Job, stage: Stage, handle: Handle) -> bool:
    """Whether a poll can report something new: the stage goes on, or it was given up and may have
    become an orphan that is not recorded yet."""
    if stage.outcome is None and not job.is_terminal:
        return True
    return given_up(job, stage) and not orphans.is_known(job, handle.request_id)


def _duplicate_or_late(job: Job, called: Stage, outcome: Finished, handle: Handle) -> Result:
    """What a call means for a stage that has an outcome, or whose job has ended. A video that was
    made after its stage was given up is recorded as an orphan, and so is a failure that is billed.
    """
    stage = job.stage(called.name) or called
    _resume(job, stage)
    recorded = _recorded(stage, called)
    billed = provider_costs.is_news(outcome, recorded)
    same = type(recorded) is type(outcome) or is_rejected(recorded)
    if same and not billed:
        return "duplicate"
    if billed or isinstance(outcome, Succeeded):
        if orphans.is_known(job, handle.request_id):
            return "duplicate"
        orphans.record(job, stage, handle.request_id, outcome.cost)
    return "late"


def _recorded(stage: Stage, called: Stage) -> Finished | None:
    """The recorded outcome of the submission that was called about. Another submission may have
    replaced it in the meantime."""
    if stage.task_id == called.task_id:
        return stage.outcome
    earlier = (one.outcome for one in stage.earlier if one.task_id == called.task_id)
    return next(earlier, stage.outcome)


def _resume(job: Job, called: Stage) -> None:
    stage = job.stage(called.name)
    if stage and not job.is_terminal:
        workflow.resume(stage)
