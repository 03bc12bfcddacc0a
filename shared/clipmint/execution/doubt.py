"""What to do when the answer to a submission was lost: the provider may have the task.

It is never sent again blindly. What is done instead is a row of the table in
`clipmint.execution.submission_plan`.
"""

from __future__ import annotations

from clipmint.execution.sending import (
    DeadlineExceeded,
    Sending,
    SubmissionInDoubt,
)
from clipmint.execution.submission_plan import Step, next_step
from clipmint.jobs import job_store, provider_costs
from clipmint.jobs.job import Handle, SubmissionState
from clipmint.jobs.outcomes import Failed, FailureCode, Outcome, Running
from clipmint.providers import health, registry
from clipmint.providers.asking import NoAnswer, asking
from clipmint.providers.base import Accepted, Rejected
from clipmint.telemetry import SUBMISSION_UNANSWERED, count, logger


def unanswered(sending: Sending) -> None:
    """Record that the call was not answered. ``sending`` is on record.

    Raises
    ------
    SubmissionInDoubt
        The provider can be asked again, after a pause.
    SubmissionRejected
        The stage was given up.
    JobFinished, JobMoved
    """
    match next_step(SubmissionState.SENDING, sending.provider.after_unanswered):
        case Step.GIVE_UP:
            _give_up(sending)
        case Step.MARK_UNKNOWN:
            sending.unanswered()
        case Step.ASK_AND_RESEND:
            if sending.unanswered():
                raise SubmissionInDoubt(sending.provider.name)


def resume(sending: Sending, step: Step) -> None:
    """Go on from an attempt that crashed around the call, or was not answered.

    Raises
    ------
    SubmissionInDoubt
        The provider may still have the task; it can be asked again, after a pause.
    SubmissionRejected
        The stage has failed.
    JobFinished, JobMoved
    """
    if sending.stage.submission_state is SubmissionState.SENDING:
        logger.warning("the answer to a submission was lost")
    match step:
        case Step.GIVE_UP:
            _give_up(sending)
        case Step.MARK_UNKNOWN:
            sending.unanswered()
        case Step.ASK_AND_RESEND:
            _ask_and_resend(sending)


def _give_up(sending: Sending) -> None:
    count(SUBMISSION_UNANSWERED, provider=sending.provider.name)
    raise sending.failed(Failed(FailureCode.SUBMIT_UNKNOWN))


def _ask_and_resend(sending: Sending) -> None:
    """Poll first, because the provider may have finished the task and forgotten it. Then send the
    same task again. Only an acceptance, or a rejection that also holds for the earlier attempt,
    ends the doubt."""
    job, stage, attempt = sending.job, sending.stage, sending.attempt
    handle = Handle(attempt.task_id)
    outcome = _poll(sending, handle)
    if not isinstance(outcome, Running):
        outcome = provider_costs.with_list_price(outcome, job, stage)
        job_store.record_outcome(
            job.job_id, stage.name, outcome, handle=handle, task_id=attempt.task_id
        )
        health.outcome_recorded(sending.provider.name, outcome)
        return
    try:
        task = sending.task()
    except DeadlineExceeded:
        # Too late to send, but not too late to ask: Track polls until the deadline.
        job_store.mark_sent(job.job_id, stage.name, attempt.task_id, handle)
        return
    # Checked right before the task is sent. A webhook may have arrived while we polled, and a
    # provider that has forgotten the finished task would make it again and charge for it.
    if not sending.unanswered():
        return
    answer = sending.resend(task)
    if isinstance(answer, Accepted):
        sending.accepted(answer.handle)
    elif isinstance(answer, Rejected):
        raise sending.failed(answer.failure)
    else:
        registry.forget_keys()  # a refused key may be the reason
        raise SubmissionInDoubt(sending.provider.name)


def _poll(sending: Sending, handle: Handle) -> Outcome:
    try:
        with asking(sending.provider.name):
            return sending.provider.poll(handle)
    except NoAnswer:
        return Running()
