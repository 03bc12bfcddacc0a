"""Progress of a job in percent, and the name of the step that users see."""

from __future__ import annotations

from clipmint.jobs.job import Job, JobStatus, Stage, SubmissionState
from clipmint.jobs.outcomes import Succeeded
from clipmint.stages import Step, StepName


def progress(job: Job) -> tuple[int, StepName]:
    """Progress in percent, and the name of the step. Derived only from recorded facts, so it never
    goes backwards. A job without an image stage skips the image steps.
    """
    if job.status is JobStatus.COMPLETED:
        return 100, StepName.COMPLETED
    step = _step(job)
    # A stage that runs again keeps the progress that it had reached.
    reached = (stage.kind.making.percent for stage in job.stages if stage.earlier)
    percent = max(step.percent, *reached, 0)
    if job.status is JobStatus.FAILED:
        return percent, StepName.FAILED
    if job.status is JobStatus.CANCELLED:
        return percent, StepName.CANCELLED
    return percent, step.name


def _step(job: Job) -> Step:
    stage = job.current_stage
    if stage is None:
        return Step(95, StepName.FINALIZING)
    if isinstance(stage.outcome, Succeeded):
        return stage.kind.storing
    unsent = _unsent_step(job, stage) if stage.kind.by_provider else None
    return unsent or stage.kind.making


def _unsent_step(job: Job, stage: Stage) -> Step | None:
    """The step until a provider has the task of this stage; None from then on."""
    if stage is not job.stages[0]:
        # Until a later stage is sent, the progress stays at the last step of the one before.
        before = job.stages[job.stages.index(stage) - 1]
        return None if stage.submission else before.kind.storing
    if stage.submission is None:
        return Step(5, StepName.INITIALIZING)
    if stage.submission.state in {SubmissionState.SENDING, SubmissionState.REFUSED}:
        return Step(15, StepName.FETCHING_SCENE if job.scene_id else StepName.SUBMITTING)
    return None
