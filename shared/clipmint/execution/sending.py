"""One attempt to send a stage to a provider: begin, call, record.

`Sending` records ``sending`` before the call and what the answer proves after it. How a retry goes
on from what an attempt recorded is in `clipmint.execution.submission_plan`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from clipmint import clock
from clipmint.catalog.route import Route
from clipmint.execution import withdrawal
from clipmint.jobs import job_store
from clipmint.jobs.job import Handle, ImageOrder, Job, Refusal, Stage, SubmissionState
from clipmint.jobs.job_store import JobFinished, JobMoved
from clipmint.jobs.outcomes import Failed
from clipmint.jobs.verdict import given_up
from clipmint.providers import circuit, health
from clipmint.providers.base import Accepted, Provider, Rejected, Submitted, Task
from clipmint.settings import ProviderSettings
from clipmint.telemetry import (
    SUBMISSION_ACCEPTED,
    SUBMISSION_REFUSED,
    SUBMISSION_UNANSWERED,
    count,
    logger,
)
from clipmint.values import frozen

GENERATION_SECONDS = 300
"""More than a generation takes once it has begun. One that begins later than this before the
deadline would finish, and cost, for a job that has been given up."""

LEAST_SECONDS = 30
"""With less left to the job's deadline nothing is sent: it would be paid for and never fetched."""


class ProviderBusy(Exception):
    """No provider has the task. The state machine retries, with backoff."""


class SubmissionRejected(Exception):
    """No provider has the task, and none will take it. The outcome is recorded on the job."""


class SubmissionInDoubt(Exception):
    """A provider that can be asked again may have the task. The state machine retries."""


class ImageExpired(Exception):
    """An uploaded image of the job was deleted before the job used it. Nothing was sent."""


class DeadlineExceeded(Exception):
    """The deadline is too close, and nothing was sent."""


@frozen
class Attempt:
    """One way to send a stage: the route, our task id, and the secret in the webhook's URL.

    ``resent``: an earlier attempt with the same task id may have been accepted.
    """

    route: Route
    task_id: str
    webhook_token: str
    resent: bool = False


@frozen
class Sending:
    """An attempt to send a job's stage to a provider.

    ``task_token``: of the execution, if it waits for the outcome from now on.
    """

    provider: Provider
    job: Job
    stage: Stage
    attempt: Attempt
    task_token: str | None = None

    def send(self) -> Submitted | circuit.Open:
        """Record ``sending``, then call the provider. Neither is done while its circuit is open.

        Raises
        ------
        DeadlineExceeded, JobFinished, JobMoved
            Nothing was sent.
        """
        task = self.task()
        answer = circuit.guarded(
            self.provider.name,
            functools.partial(self._begin_and_call, task),
            timeout_counts=not (task.image_url or task.reference_image_urls),
        )
        self._log(answer)
        return answer

    def resend(self, task: Task) -> Submitted:
        """Call the provider again for a task that it may have."""
        answer = self.provider.submit(task)
        self._log(answer)
        return answer

    def _begin_and_call(self, task: Task) -> Submitted:
        self.begin()
        # A crash from here until the answer is recorded leaves ``sending``.
        return self.provider.submit(task)

    def begin(self) -> None:
        """Record that the provider is about to be called, and the task token that its webhook will
        need. Raises `JobFinished`, `JobMoved`."""
        job_store.mark_sending(
            self.job.job_id,
            self.stage.name,
            self.attempt.route,
            task_id=self.attempt.task_id,
            webhook_token=self.attempt.webhook_token,
            task_token=self.task_token,
        )

    def accepted(self, handle: Handle) -> None:
        """Record that the provider has the task. If the job no longer waits for it, cancel it.

        Raises
        ------
        JobFinished, JobMoved
            The job has ended, or the stage has another submission.
        """
        count(SUBMISSION_ACCEPTED, provider=self.provider.name)
        try:
            job = job_store.mark_sent(
                self.job.job_id, self.stage.name, self.attempt.task_id, handle
            )
        except (JobFinished, JobMoved):
            job = job_store.get(self.job.job_id) or self.job
            # A webhook may have arrived before the answer. Then the execution goes on meanwhile.
            if not self._was_reported(job):
                self._cancel_unused(job, handle)
            raise
        stage = job.stage(self.stage.name)
        if stage and given_up(job, stage):
            # An overlapping attempt found ``sending`` and gave this one up.
            self._cancel_unused(job, handle)

    def refused(self, reason: str) -> None:
        """Record that the provider certainly does not have the task. Raises as `accepted` does.

        ``reason``: a failure's code, or ``BUSY``.
        """
        provider = self.attempt.route.provider
        count(SUBMISSION_REFUSED, provider=provider, reason=reason)
        refusal = Refusal(provider, reason, clock.now())
        job_store.mark_refused(self.job.job_id, self.stage.name, self.attempt.task_id, refusal)

    def failed(self, failure: Failed) -> SubmissionRejected:
        """Record the stage's failure. Returns the error to raise; raises as `accepted` does."""
        job_store.record_outcome(
            self.job.job_id, self.stage.name, failure, task_id=self.attempt.task_id
        )
        return SubmissionRejected(failure.code.value)

    def unanswered(self) -> bool:
        """Record that the provider may have the task. After this, a late refusal by an overlapping
        attempt is ignored.

        Returns
        -------
        bool
            False if a webhook has confirmed the task in the meantime.

        Raises
        ------
        JobFinished, JobMoved
            The job has ended, or an overlapping attempt was refused: the next attempt decides.
        """
        count(SUBMISSION_UNANSWERED, provider=self.provider.name)
        try:
            job_store.mark_unknown(self.job.job_id, self.stage.name, self.attempt.task_id)
        except JobMoved as moved:
            stage = moved.job.stage(self.stage.name)
            if stage is None or stage.submission_state is not SubmissionState.SENT:
                raise
            return False
        return True

    def task(self) -> Task:
        """The stage as the provider is asked for it. Raises `DeadlineExceeded`."""
        seconds_left = self.job.deadline - clock.epoch(clock.now())
        if seconds_left < LEAST_SECONDS:
            raise DeadlineExceeded(self.job.job_id)
        order = self.stage.image_order
        return Task(
            task_id=self.attempt.task_id,
            route=self.attempt.route,
            webhook_url=self._webhook_url(),
            start_within_seconds=max(seconds_left - GENERATION_SECONDS, seconds_left // 2),
            resent=self.attempt.resent,
            **(_image_inputs(order, self.job, self.stage) if order else _video_inputs(self.job)),
        )

    def _webhook_url(self) -> str | None:
        base = ProviderSettings.read().webhook_base_url
        path = (self.attempt.route.provider, self.job.job_id, self.stage.name)
        return f"{base}/webhooks/{'/'.join(path)}/{self.attempt.webhook_token}" if base else None

    def _was_reported(self, job: Job) -> bool:
        """Whether the provider has reported how this task ended, so that it is not unused."""
        stage, task_id = job.stage(self.stage.name), self.attempt.task_id
        if stage is None:
            return False
        if stage.task_id == task_id:
            reported = stage.outcome is not None and stage.handle is not None
            return reported and not given_up(job, stage)
        return any(one.task_id == task_id and one.request_id for one in stage.earlier)

    def _cancel_unused(self, job: Job, handle: Handle) -> None:
        route = self.attempt.route
        stage = replace(self.stage, provider=route.provider, endpoint=route.endpoint)
        withdrawal.cancel_unused(self.provider, job, stage, handle)

    def _log(self, answer: Submitted | circuit.Open) -> None:
        if not isinstance(answer, circuit.Open):
            health.submission_answered(self.provider.name, answer)
        if isinstance(answer, Accepted):
            return
        detail = getattr(answer, "detail", "")
        if isinstance(answer, Rejected):
            detail = f"{answer.failure.code.value}: {answer.failure.detail}"
        logger.warning(
            "submission not accepted",
            extra={
                "provider": self.provider.name,
                "answer": type(answer).__name__,
                "detail": detail,
            },
        )


def _image_inputs(order: ImageOrder, job: Job, stage: Stage) -> dict[str, Any]:
    return {
        "prompt": order.prompt,
        "settings": job.settings_of(stage),
        "reference_image_urls": order.reference_image_urls,
    }


def _video_inputs(job: Job) -> dict[str, Any]:
    return {
        "prompt": job.prompt,
        "image_url": job.image_url,
        "last_image_url": job.last_image_url,
        "settings": job.settings.stated(),
    }
