"""Submissions: send a stage to a provider, at most once.

The job says how far an earlier attempt came, and each step is recorded before the next begins:

==============  ===========================================================================
found           meaning, and what is done
==============  ===========================================================================
nothing         never sent: record ``sending``, call the first provider
``refused``     certainly not accepted: the same again
``sending``     an attempt died around the call, maybe after it was accepted: note the doubt
                (``unknown``), and never send again blindly
``unknown``     do what this provider allows: wait for its webhook, or ask and send again
``sent``        done
==============  ===========================================================================

A model may have several routes. The next one is tried only when the one before certainly did not
accept, and for a reason that lies with the provider; all of it happens inside the same hold.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from clipmint import clock
from clipmint.catalog.model import Route
from clipmint.execution import orphans
from clipmint.jobs import job_store
from clipmint.jobs.job import (
    Handle,
    Job,
    PictureOrder,
    Refusal,
    Stage,
    Submission,
    SubmissionState,
    given_up,
)
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.providers import circuit, health, registry
from clipmint.providers.base import (
    Accepted,
    Busy,
    Provider,
    ProviderUnavailable,
    Rejected,
    Submitted,
    Task,
    Unanswered,
)
from clipmint.providers.registry import ProviderNotConfigured
from clipmint.settings import ProviderSettings
from clipmint.telemetry import (
    PROVIDER_NOT_CONFIGURED,
    SUBMISSION_ACCEPTED,
    SUBMISSION_REFUSED,
    SUBMISSION_UNANSWERED,
    count,
    logger,
)

GENERATION_SECONDS = 300
"""More than a generation takes once it has begun. One that begins later than this before the
deadline would finish, and cost, for a job that has been given up."""

LEAST_SECONDS = 30
"""With less left to the job's deadline nothing is sent: it would be paid for and never fetched."""

REQUEST_AT_FAULT = frozenset(
    {FailureCode.CONTENT_POLICY, FailureCode.INVALID_INPUT, FailureCode.INPUT_UNREADABLE}
)
"""Refusals that another provider would, or should, answer alike. All others try the next route."""


class ProviderBusy(Exception):
    """Certainly not accepted by anyone; the state machine asks again, with backoff."""


class SubmissionRejected(Exception):
    """Certainly not accepted, and never will be; recorded on the job."""


class SubmissionInDoubt(Exception):
    """Perhaps accepted, by a provider that may be asked again; the state machine does."""


class DeadlineExceeded(Exception):
    """The job's time is up before anything was sent."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to send a stage: where, under which id of ours, with which secret in its webhook."""

    route: Route
    task_id: str
    webhook_token: str
    resent: bool = False


def ensure_sent(job: Job, stage: Stage, has_time: Callable[[], bool]) -> None:
    """Send a stage, or find that this was done before.

    Parameters
    ----------
    has_time
        Whether the function's own time is enough for one more call to a provider.

    Raises
    ------
    ProviderBusy, SubmissionInDoubt
        Ask again later.
    SubmissionRejected, DeadlineExceeded, ProviderNotConfigured
        It will not be sent.
    JobFinished, JobMoved
        The job has ended, or somebody else is at it: look again.
    """
    if isinstance(stage.outcome, Failed):
        raise SubmissionRejected(stage.outcome.code.value)
    submission = stage.submission
    if submission is None or submission.state is SubmissionState.REFUSED:
        _send_by_some_route(job, stage, has_time)
    elif submission.state is not SubmissionState.SENT:
        _resolve_doubt(job, stage, submission)


def _resolve_doubt(job: Job, stage: Stage, submission: Submission) -> None:
    """Go on from an attempt whose answer was lost."""
    found_sending = submission.state is SubmissionState.SENDING
    try:
        provider = registry.provider(stage.provider)
    except ProviderNotConfigured:
        if not found_sending:
            return  # Track waits for its webhook, or for its key
        raise SubmissionInDoubt(stage.provider) from None
    route = Route(provider=stage.provider, endpoint=stage.endpoint)
    again = Attempt(route, submission.task_id, submission.webhook_token, resent=True)
    if found_sending:
        logger.warning("the answer to a submission was lost")
    if provider.after_unanswered == "resubmit":
        _ask_and_send_again(provider, job, stage, again)
    elif found_sending:
        _note_doubt(provider, job, stage, again)


def _send_by_some_route(job: Job, stage: Stage, has_time: Callable[[], bool]) -> None:
    failure: Failed | None = None
    task_id = ""
    busy = False
    for route in stage.routes:
        if not has_time():
            raise ProviderBusy(job.job_id)  # a call cut short would leave a doubt
        try:
            provider = registry.provider(route.provider)
        except ProviderNotConfigured:
            count(PROVIDER_NOT_CONFIGURED, provider=route.provider)
            continue
        attempt = _attempt(provider, stage, route)
        answer = _send(provider, job, stage, attempt)
        if isinstance(answer, Accepted):
            return _accepted(provider, job, stage, attempt, answer)
        if isinstance(answer, Unanswered):
            return _unanswered(provider, job, stage, attempt)
        if isinstance(answer, Rejected):
            failure, task_id = answer.failure, attempt.task_id
            _end_if_the_request_is_at_fault(job, stage, attempt, failure)
            _note_refusal(job, stage, attempt, failure.code.value)
        else:
            busy = True
            if isinstance(answer, Busy):
                _note_refusal(job, stage, attempt, "BUSY")
    if busy:
        raise ProviderBusy(job.job_id)
    if failure is None:
        raise ProviderNotConfigured(", ".join(route.provider for route in stage.routes))
    # Unless an overlapping attempt sends it at this very moment: then that one counts.
    job_store.record_outcome(job.job_id, stage.name, failure, task_id=task_id)
    raise SubmissionRejected(failure.code.value)


def _attempt(provider: Provider, stage: Stage, route: Route) -> Attempt:
    before = stage.submission
    if before and stage.provider == route.provider and provider.after_unanswered == "resubmit":
        # A provider that knows tasks by our ids is asked under the same one again: should its no
        # have been a proxy's, it will recognise the task.
        return Attempt(route, before.task_id, before.webhook_token)
    return Attempt(route, str(uuid.uuid4()), secrets.token_urlsafe(32))


def _send(provider: Provider, job: Job, stage: Stage, attempt: Attempt) -> Submitted | circuit.Open:
    task = _task(job, stage, attempt)

    def call() -> Submitted:
        job_store.mark_sending(
            job.job_id,
            stage.name,
            attempt.route,
            task_id=attempt.task_id,
            webhook_token=attempt.webhook_token,
        )
        # A crash from here until the answer is recorded leaves ``sending``.
        return provider.submit(task)

    fetched = task.image_url or task.reference_image_urls
    answer = circuit.guarded(provider.name, call, blames_silence=not fetched)
    _log(provider, answer)
    return answer


def _ask_and_send_again(provider: Provider, job: Job, stage: Stage, attempt: Attempt) -> None:
    """Find out about a task that a provider may have, where it knows tasks by our ids.

    It is asked first, because it may have finished and forgotten; then it is sent the same task
    again. Only a yes, or a no that also goes for the attempt before, settles the doubt.
    """
    handle = Handle(attempt.task_id)
    try:
        outcome = provider.poll(handle)
    except ProviderUnavailable:
        outcome = Running()
    if not isinstance(outcome, Running):
        job_store.record_outcome(
            job.job_id, stage.name, outcome, handle=handle, task_id=attempt.task_id
        )
        health.finished(provider.name, outcome)
        return
    try:
        task = _task(job, stage, attempt)
    except DeadlineExceeded:
        # Too late to send, not too late to ask: Track does, until the deadline.
        job_store.mark_sent(job.job_id, stage.name, attempt.task_id, handle)
        return
    # Right before it is sent: the webhook may have told while we asked, and a provider that has
    # forgotten the task would make it, and charge for it, again.
    if not _note_doubt(provider, job, stage, attempt):
        return
    answer = provider.submit(task)
    _log(provider, answer)
    if isinstance(answer, Accepted):
        _accepted(provider, job, stage, attempt, answer)
    elif isinstance(answer, Rejected):
        _reject(job, stage, attempt, answer.failure)
    else:
        registry.forget_keys()  # a refused key is among the reasons
        raise SubmissionInDoubt(provider.name)


def _reject(job: Job, stage: Stage, attempt: Attempt, failure: Failed) -> None:
    job_store.record_outcome(job.job_id, stage.name, failure, task_id=attempt.task_id)
    raise SubmissionRejected(failure.code.value)


def _end_if_the_request_is_at_fault(
    job: Job, stage: Stage, attempt: Attempt, failure: Failed
) -> None:
    if failure.code in REQUEST_AT_FAULT:
        _reject(job, stage, attempt, failure)


def _note_refusal(job: Job, stage: Stage, attempt: Attempt, reason: str) -> None:
    provider = attempt.route.provider
    count(SUBMISSION_REFUSED, provider=provider, reason=reason)
    refusal = Refusal(provider, reason, clock.now())
    job_store.mark_refused(job.job_id, stage.name, attempt.task_id, refusal)


def _accepted(
    provider: Provider, job: Job, stage: Stage, attempt: Attempt, answer: Accepted
) -> None:
    count(SUBMISSION_ACCEPTED, provider=provider.name)
    try:
        noted = job_store.mark_sent(job.job_id, stage.name, attempt.task_id, answer.handle)
        sent = noted.stage(stage.name)
        if sent and given_up(noted, sent):
            # An overlapping attempt took this one for dead, of which nothing can be asked.
            _disown(provider, noted, stage, attempt, answer.handle)
    except (JobFinished, JobMoved):
        now = job_store.get(job.job_id) or job
        # Unless its webhook was so early that the job has all it wanted, nobody waits for it.
        if not _came_to_something(now.stage(stage.name), attempt):
            _disown(provider, now, stage, attempt, answer.handle)
        raise


def _came_to_something(stage: Stage | None, attempt: Attempt) -> bool:
    return bool(
        stage
        and stage.submission
        and stage.submission.task_id == attempt.task_id
        and isinstance(stage.outcome, Succeeded)
    )


def _disown(provider: Provider, job: Job, stage: Stage, attempt: Attempt, handle: Handle) -> None:
    """Take back what was accepted for nobody, or tell the owner who pays for it."""
    try:
        if provider.cancel(handle):
            return
    except ProviderUnavailable as error:
        health.silent(provider.name, error)
    sent = replace(stage, provider=attempt.route.provider, endpoint=attempt.route.endpoint)
    orphans.record(job, sent, handle.request_id)


def _unanswered(provider: Provider, job: Job, stage: Stage, attempt: Attempt) -> None:
    """The provider may have it: never send it blindly again."""
    if _note_doubt(provider, job, stage, attempt) and provider.after_unanswered == "resubmit":
        raise SubmissionInDoubt(provider.name)  # to be asked and sent again, after a pause


def _note_doubt(provider: Provider, job: Job, stage: Stage, attempt: Attempt) -> bool:
    """Record the doubt; False if there is none any more, because the webhook has told.

    From here on a late no to the attempt in doubt moves nothing.
    """
    count(SUBMISSION_UNANSWERED, provider=provider.name)
    if provider.after_unanswered == "fail":
        # It can neither be asked whether it has it, nor will it call.
        _reject(job, stage, attempt, Failed(FailureCode.SUBMIT_UNKNOWN))
    try:
        job_store.mark_unknown(job.job_id, stage.name, attempt.task_id)
    except JobMoved as moved:
        # The webhook may have told already. Anything else (an attempt we took for dead was refused
        # after all) is for the next attempt to look at.
        now = moved.job.stage(stage.name)
        if not (now and now.submission and now.submission.state is SubmissionState.SENT):
            raise
        return False
    return True


def _task(job: Job, stage: Stage, attempt: Attempt) -> Task:
    seconds_left = job.deadline - clock.epoch(clock.now())
    if seconds_left < LEAST_SECONDS:
        raise DeadlineExceeded(job.job_id)
    base, route = ProviderSettings.read().webhook_base_url, attempt.route
    path = f"/webhooks/{route.provider}/{job.job_id}/{stage.name}/{attempt.webhook_token}"
    asked = _asked_of_a_picture(stage.picture) if stage.picture else _asked_of_a_video(job)
    return Task(
        task_id=attempt.task_id,
        endpoint=route.endpoint,
        webhook_url=base + path if base else None,
        start_within_seconds=max(seconds_left - GENERATION_SECONDS, seconds_left // 2),
        resent=attempt.resent,
        **asked,
    )


def _asked_of_a_picture(order: PictureOrder) -> dict[str, Any]:
    return {
        "prompt": order.prompt,
        "aspect_ratio": order.aspect_ratio,
        "reference_image_urls": order.reference_image_urls,
    }


def _asked_of_a_video(job: Job) -> dict[str, Any]:
    return {
        "prompt": job.prompt,
        "image_url": job.image_url,
        "last_image_url": job.last_image_url,
        "resolution": job.settings.resolution,
        "aspect_ratio": job.settings.aspect_ratio,
        "duration_seconds": job.settings.duration,
    }


def _log(provider: Provider, answer: Submitted | circuit.Open) -> None:
    if not isinstance(answer, circuit.Open):
        health.answered(provider.name, answer)
    if isinstance(answer, Accepted):
        return
    detail = getattr(answer, "detail", "")
    if isinstance(answer, Rejected):
        detail = f"{answer.failure.code.value}: {answer.failure.detail}"
    logger.warning(
        "submission not accepted",
        extra={"provider": provider.name, "answer": type(answer).__name__, "detail": detail},
    )
