"""What providers call when a submission is finished.

Believed only if proven: the URL carries a secret of this very submission, the provider's adapter
checks what the provider signs, and the call must be about the submission we made. Then one
conditional write records the outcome, and the sleeping execution is woken. Anything else changes
nothing. A delivery that repeats itself wakes the execution again, in case the first one died
between the two.
"""

from __future__ import annotations

import hmac
from typing import Literal
from uuid import UUID

from clipmint.errors import NotFound, TemporarilyUnavailable, WebhookNotProven
from clipmint.execution import orphans, workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, Job, Stage, given_up
from clipmint.jobs.outcomes import Finished, Running, Succeeded
from clipmint.providers import health, registry
from clipmint.providers.base import ProviderUnavailable, WebhookCall, WebhookRejected, WebhookSender
from clipmint.providers.registry import ProviderNotConfigured

Result = Literal["accepted", "duplicate", "ignored", "late"]


def addressed(path: dict[str, str]) -> tuple[Job, Stage]:
    """The submission the URL names, if it holds its secret."""
    try:
        job = job_store.get(str(UUID(path.get("job_id", ""))))
    except ValueError:
        job = None
    stage = job.stage(path.get("stage", "")) if job else None
    if job and stage and stage.submission and stage.provider == path.get("provider"):
        ours = stage.submission.webhook_token.encode()
        if hmac.compare_digest(ours, path.get("token", "").encode(errors="surrogatepass")):
            return job, stage
    # One answer for all of it: which part was wrong is nobody's business.
    raise NotFound("There is no such path")


def receive(job: Job, stage: Stage, call: WebhookCall) -> Result:
    try:
        provider = registry.provider(stage.provider)
        if not isinstance(provider, WebhookSender):
            raise NotFound("There is no such path")
        notice = provider.read_webhook(call, stage.endpoint)
        # Unknown if the answer to our submission was lost, or this call overtook it: the URL's
        # secret says that the call is about our submission, and so we learn its id. Where the
        # provider knows it by our own id, it is never unknown.
        handle = stage.handle or notice.handle
        expected = stage.task_id if provider.after_unanswered == "resubmit" else handle.request_id
        if notice.handle.request_id != expected:
            raise WebhookNotProven("The webhook is about another submission")
        if notice.outcome is None and not _has_news(job, stage, handle):
            workflow.wake(stage)  # nothing to learn; the first delivery may have died before this
            return "duplicate"
        outcome = notice.outcome or provider.poll(handle)
    except WebhookRejected as error:
        raise WebhookNotProven("The webhook is not proven", details=str(error)) from None
    except (ProviderUnavailable, ProviderNotConfigured) as error:
        health.silent(stage.provider, error)
        raise TemporarilyUnavailable("The webhook could not be checked; deliver it again") from None
    if isinstance(outcome, Running):
        return "ignored"
    try:
        job = job_store.record_outcome(
            job.job_id, stage.name, outcome, handle=handle, task_id=stage.task_id
        )
    except job_store.JobMoved as moved:
        return _come_late(moved.job, stage, outcome, handle)
    except job_store.JobFinished:
        return _come_late(job_store.get(job.job_id) or job, stage, outcome, handle)
    health.finished(stage.provider, outcome)
    _wake(job, stage)
    return "accepted"


def _has_news(job: Job, stage: Stage, handle: Handle) -> bool:
    """Whether asking can tell anything: of a stage that goes on, or that was given up and may
    have become something the owner pays for."""
    if stage.outcome is None and not job.is_terminal:
        return True
    return given_up(job, stage) and not orphans.is_known(job, handle.request_id)


def _come_late(job: Job, called: Stage, outcome: Finished, handle: Handle) -> Result:
    """The stage has an outcome already, or the job has ended."""
    stage = job.stage(called.name) or called
    _wake(job, stage)
    if type(_recorded(stage, called)) is type(outcome):
        return "duplicate"
    if isinstance(outcome, Succeeded):
        # Made, and paid for, after we had given it up.
        if orphans.is_known(job, handle.request_id):
            return "duplicate"
        orphans.record(job, stage, handle.request_id)
    return "late"


def _recorded(stage: Stage, called: Stage) -> Finished | None:
    """What is on record of the submission called about; another may have taken its place."""
    if stage.task_id == called.task_id:
        return stage.outcome
    return next(
        (one.outcome for one in stage.earlier if one.task_id == called.task_id), stage.outcome
    )


def _wake(job: Job, called: Stage) -> None:
    stage = job.stage(called.name)
    if stage and not job.is_terminal:
        workflow.wake(stage)
