"""Submit: send a job's next stage to its provider, at most once.

The job says how far an earlier attempt came, and each step is recorded before the next begins:

==============  ===========================================================================
found           meaning, and what is done
==============  ===========================================================================
nothing         never sent: record ``sending``, call the provider
``refused``     certainly not accepted: the same again
``sending``     an attempt died around the call, maybe after it was accepted: never send again
                blindly, do what this provider allows
``unknown``     as above, and already decided to wait
``sent``        done
==============  ===========================================================================
"""

from __future__ import annotations

import secrets
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from clipmint import jobs
from clipmint.domain import clock
from clipmint.domain.jobs import Job, Stage, SubmissionState
from clipmint.domain.outcomes import Failed, FailureCode
from clipmint.jobs import JobFinished, JobMoved
from clipmint.providers import registry
from clipmint.providers.base import Accepted, Busy, Provider, Rejected, Task
from clipmint.settings import ProviderSettings
from clipmint.telemetry import count, logger

GENERATION_SECONDS = 300
"""More than a generation takes once it has begun. One that begins later than this before the
deadline would finish, and cost, for a job that has been given up."""


LEAST_SECONDS = 30
"""With less left to the job's deadline nothing is sent: it would be paid for and never fetched."""


class ProviderBusy(Exception):
    """Certainly not accepted; the state machine asks again, with backoff."""


class SubmissionRejected(Exception):
    """Certainly not accepted, and never will be; recorded on the job."""


class DeadlineExceeded(Exception):
    """The job's time is up before anything was sent."""


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    job = jobs.get(event["job_id"])
    stage = job.current_stage if job else None
    if job is None or job.is_terminal or stage is None:
        raise JobFinished(f"job {event['job_id']} has nothing to submit")
    logger.append_keys(job_id=job.job_id, stage=stage.name)
    _ensure_sent(job, stage)
    return {
        "stage": stage.name,
        "poll_seconds": list(job.poll_seconds),
        "deadline": job.deadline,
    }


def _ensure_sent(job: Job, stage: Stage) -> None:
    if isinstance(stage.outcome, Failed):
        raise SubmissionRejected(stage.outcome.code.value)
    provider = registry.provider(stage.provider)
    state = stage.submission.state if stage.submission else None
    if state is SubmissionState.SENDING:
        logger.warning("the answer to a submission was lost")
        _unanswered(provider, job, stage)
    elif state in {None, SubmissionState.REFUSED}:
        _send(provider, job, stage)


def _send(provider: Provider, job: Job, stage: Stage) -> None:
    seconds_left = job.deadline - clock.epoch(clock.now())
    if seconds_left < LEAST_SECONDS:
        raise DeadlineExceeded(job.job_id)
    token = secrets.token_urlsafe(32)
    jobs.mark_sending(job, stage.name, token)
    # A crash from here until the answer is recorded leaves ``sending``.
    answer = provider.submit(_task(job, stage, token, seconds_left))
    if isinstance(answer, Accepted):
        count("SubmissionAccepted", provider=stage.provider)
        try:
            jobs.mark_sent(job.job_id, stage.name, answer.handle)
        except JobFinished:
            # The owner pays for something nobody waits for any more: say so loudly.
            count("PaidOrphan", provider=stage.provider)
            logger.error("job ended while its submission was accepted")
            raise
        return
    if isinstance(answer, Busy):
        logger.warning("provider busy", extra={"detail": answer.detail})
        jobs.mark_refused(job.job_id, stage.name)
        raise ProviderBusy(stage.provider)
    if isinstance(answer, Rejected):
        failure = answer.failure
        logger.warning("rejected", extra={"code": failure.code.value, "detail": failure.detail})
        if failure.code is FailureCode.OWNER_ACCOUNT:
            registry.forget_keys()  # a mended key shall be found without a cold start
        jobs.record_outcome(job.job_id, stage.name, failure)
        raise SubmissionRejected(failure.code.value)
    logger.warning("submission unanswered", extra={"detail": answer.detail})
    _unanswered(provider, job, stage)


def _unanswered(provider: Provider, job: Job, stage: Stage) -> None:
    """The provider may have it. Its webhook, which carries the job in its URL, will tell."""
    count("SubmissionUnanswered", provider=stage.provider)
    if provider.after_unanswered != "wait":
        raise NotImplementedError(provider.after_unanswered)
    try:
        jobs.mark_unknown(job.job_id, stage.name)
    except JobMoved as moved:
        # The webhook may have told already. Anything else (an attempt we took for dead was refused
        # after all) is for the next attempt to look at.
        now = moved.job.stage(stage.name)
        if not (now and now.submission and now.submission.state is SubmissionState.SENT):
            raise


def _task(job: Job, stage: Stage, token: str, seconds_left: int) -> Task:
    base = ProviderSettings.read().webhook_base_url
    path = f"/webhooks/{stage.provider}/{job.job_id}/{stage.name}/{token}"
    return Task(
        task_id=job.job_id,
        endpoint=stage.endpoint,
        prompt=job.prompt,
        image_url=job.image_url,
        last_image_url=job.last_image_url,
        resolution=job.settings.resolution,
        aspect_ratio=job.settings.aspect_ratio,
        duration_seconds=job.settings.duration,
        webhook_url=base + path if base else None,
        start_within_seconds=max(seconds_left - GENERATION_SECONDS, seconds_left // 2),
    )
