"""Submissions: send a job's next stage to a provider, at most once.

An attempt has these phases. Each is recorded before the next one begins, and a crash between two of
them is the recovery point of the next attempt (`clipmint.execution.submission_plan`):

1. The uploaded images of the job are kept (`clipmint.projects.used_images`).
2. Per route: ``sending``, with a new task id and the task token of the execution.
3. The call of the provider. What it did before a crash is unknown.
4. By its answer: ``sent`` and the provider's id · ``refused``, then the next route · ``unknown``.

A model may have several routes. The next route is tried only if the one before certainly does not
have the task, and for a reason that lies with its provider. All of it happens inside the same hold.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable

from clipmint.catalog.route import Route
from clipmint.execution import doubt, identical, waiting
from clipmint.execution.sending import (
    Attempt,
    ImageExpired,
    ProviderBusy,
    Sending,
    SubmissionInDoubt,
    SubmissionRejected,
)
from clipmint.execution.submission_plan import IN_DOUBT, Step, next_step
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, Stage
from clipmint.jobs.job_store import JobFinished
from clipmint.jobs.outcomes import Failed, FailureCode
from clipmint.projects import used_images
from clipmint.providers import circuit, registry
from clipmint.providers.base import Accepted, Busy, Provider, Rejected, Unanswered
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.stages import IMAGE
from clipmint.telemetry import IMAGE_MADE_AGAIN, PROVIDER_NOT_CONFIGURED, count, logger

REQUEST_AT_FAULT = frozenset(
    {FailureCode.CONTENT_POLICY, FailureCode.INVALID_INPUT, FailureCode.INPUT_UNREADABLE}
)
"""Rejections that another provider would, or should, repeat. All others try the next route."""


def send_next_stage(
    job_id: str, has_time: Callable[[], bool], task_token: str | None = None
) -> tuple[Job, Stage, bool]:
    """Send the stage that a job has come to, or find that this was done before.

    A video that is declined for its content may pass with another image: then both stages are made
    again, once. This is so whether the provider declined it just now or in an earlier attempt.

    Parameters
    ----------
    has_time
        Whether the function's own time is enough for one more call to a provider.
    task_token
        Of the execution, if it waits for the outcome.

    Returns
    -------
    tuple
        The job and the stage, as they were before the stage was sent, and whether the task token
        was recorded together with the submission.

    Raises
    ------
    As `ensure_sent` does; for a job with a source, as `identical.take` does.
    """
    job, stage = _next_stage(job_id)
    if job.source_job_id is not None:
        identical.take(job, stage, job.source_job_id)
        return job, stage, False
    try:
        stored = ensure_sent(job, stage, has_time, task_token)
    except SubmissionRejected:
        if stage.name == IMAGE:
            raise
        job, stage = _next_stage(job_id)
        # Raises again if no other image may be made.
        stored = ensure_sent(job, stage, has_time, task_token)
    return job, stage, stored


def _next_stage(job_id: str) -> tuple[Job, Stage]:
    job = job_store.get(job_id)
    if job is None or job.is_terminal:
        raise JobFinished(f"job {job_id} has nothing to submit")
    if job.may_make_image_again:
        count(IMAGE_MADE_AGAIN)
        job = job_store.make_image_again(job)
    stage = job.current_stage
    if stage is None:
        raise JobFinished(f"job {job_id} has nothing to submit")
    logger.append_keys(job_id=job.job_id, stage=stage.name)
    return job, stage


def ensure_sent(
    job: Job, stage: Stage, has_time: Callable[[], bool], task_token: str | None = None
) -> bool:
    """Send a stage, or find that this was done before.

    Parameters
    ----------
    has_time, task_token
        As for `send_next_stage`. The token is recorded only if the execution will wait in Submit.

    Returns
    -------
    bool
        Whether the task token was recorded together with the submission.

    Raises
    ------
    ProviderBusy, SubmissionInDoubt
        Retry later.
    SubmissionRejected, DeadlineExceeded, ProviderNotConfigured, ImageExpired
        It will not be sent.
    JobFinished, JobMoved
        The job has ended, or another attempt has changed it: read it again.
    """
    if isinstance(stage.outcome, Failed):
        raise SubmissionRejected(stage.outcome.code.value)
    state = stage.submission_state
    provider = _configured(stage.provider) if state in IN_DOUBT else None
    match next_step(state, provider.after_unanswered if provider else None):
        case Step.SEND:
            token = None if waiting.must_poll_soon(job, stage) else task_token
            _send_by_some_route(job, stage, has_time, token)
            return token is not None
        case Step.WAIT:
            pass
        case Step.TRY_LATER:
            raise SubmissionInDoubt(stage.provider)
        case step if provider and stage.submission:
            before = stage.submission
            attempt = Attempt(stage.route, before.task_id, before.webhook_token, resent=True)
            doubt.resume(Sending(provider, job, stage, attempt), step)
    return False


Refused = Rejected | Busy | circuit.Open
"""Answers after which the provider certainly does not have the task."""


def _send_by_some_route(
    job: Job, stage: Stage, has_time: Callable[[], bool], task_token: str | None
) -> None:
    """Per route: begin, call, record. The first provider that may have the task ends the loop."""
    order = stage.image_order
    images = order.reference_image_urls if order else (job.image_url, job.last_image_url)
    if not used_images.keep(job.user_id, filter(None, images), except_project=job.project_id):
        raise ImageExpired(job.job_id)
    refused: list[tuple[Sending, Refused]] = []
    for route in stage.routes:
        if not has_time():
            raise ProviderBusy(job.job_id)  # a call that is cut off would leave a doubt
        provider = _configured(route.provider)
        if provider is None:
            count(PROVIDER_NOT_CONFIGURED, provider=route.provider)
            continue
        attempt = _attempt(provider, stage, route)
        sending = Sending(provider, job, stage, attempt, task_token)
        answer = sending.send()
        if isinstance(answer, Accepted):
            return sending.accepted(answer.handle)
        if isinstance(answer, Unanswered):
            return doubt.unanswered(sending)
        _record(sending, answer)
        refused.append((sending, answer))
    raise _refused_by_all(job, stage, refused)


def _record(sending: Sending, answer: Refused) -> None:
    match answer:
        case Rejected(failure) if failure.code in REQUEST_AT_FAULT:
            raise sending.failed(failure)
        case Rejected(failure):
            sending.refused(failure.code.value)
        case Busy():
            sending.refused("BUSY")
        case circuit.Open():
            pass  # it was not called


def _refused_by_all(job: Job, stage: Stage, refused: list[tuple[Sending, Refused]]) -> Exception:
    """How a submission ends that no route took. The last rejection becomes the outcome, unless a
    provider was only busy."""
    rejected = [
        (sending, answer.failure) for sending, answer in refused if isinstance(answer, Rejected)
    ]
    if len(rejected) < len(refused):
        return ProviderBusy(job.job_id)
    if not rejected:
        return ProviderNotConfigured(", ".join(route.provider for route in stage.routes))
    # If an overlapping attempt sends the stage at this moment, the failure is not recorded.
    sending, failure = rejected[-1]
    return sending.failed(failure)


def _attempt(provider: Provider, stage: Stage, route: Route) -> Attempt:
    before = stage.submission
    if before and stage.provider == route.provider and provider.after_unanswered == "resubmit":
        # The refusal may have been a proxy's, and the provider may have the task. It knows tasks by
        # our ids, so under the same id it is not made twice.
        return Attempt(route, before.task_id, before.webhook_token)
    return Attempt(route, str(uuid.uuid4()), secrets.token_urlsafe(32))


def _configured(name: str) -> Provider | None:
    try:
        return registry.provider(name)
    except ProviderNotConfigured:
        return None
