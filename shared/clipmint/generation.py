"""Starting a generation: one key of one user is one job and one hold.

The order is what makes it safe. First one transaction holds the credits and records the job; then
the job's execution is started, under the job's name. A crash before the transaction leaves nothing;
a crash after it leaves a job that the retry finds, by its id, and starts again harmlessly. If no
retry comes, the sweep starts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import catalog, execution, jobs, ledger
from clipmint.domain import clock
from clipmint.domain.accounts import Limits
from clipmint.domain.catalog import Model, Settings, utf16_units
from clipmint.domain.errors import (
    ClipmintError,
    IdempotencyKeyReused,
    InvalidRequest,
    ModelUnavailable,
)
from clipmint.domain.jobs import Job, JobStatus, Stage
from clipmint.domain.requests import GenerationRequest, check_image_url
from clipmint.settings import ImagesSettings
from clipmint.telemetry import logger


@dataclass(frozen=True, slots=True)
class Quote:
    """A request judged against the catalog: which model, with which settings, for how much."""

    model: Model
    settings: Settings
    credits: int


def quote(request: GenerationRequest) -> Quote:
    """Judge a request. The estimate and the real call both rest on this.

    Raises
    ------
    ModelNotFound, ModelUnavailable, SettingNotAllowed, ImageRequired, InvalidRequest
    """
    own_images = ImagesSettings.read().images_base_url
    check_image_url("image_url", request.image_url, own_images)
    check_image_url("last_image_url", request.last_image_url, own_images)
    model = catalog.find(request.model_id)
    if not catalog.is_offered(model):
        raise ModelUnavailable(f"{model.model_id} is not available at the moment")
    if utf16_units(request.prompt) > model.max_prompt_units:
        raise InvalidRequest(
            "The prompt is too long",
            details=f"prompt: at most {model.max_prompt_units} characters for {model.model_id}",
        )
    settings = model.resolve(request.preset, request.settings)
    model.check_images(request.image_url, request.last_image_url)
    return Quote(model, settings, model.credits(settings))


def start(
    user_id: str, job_id: str, request: GenerationRequest, limits: Limits
) -> tuple[Job, bool]:
    """Hold the credits, record the job, start its execution; or find that this was done before.

    Returns
    -------
    tuple
        The job, and whether it was there already.

    Raises
    ------
    IdempotencyKeyReused
        The job is there, but was asked for differently.
    ClipmintError
        Whatever is wrong with the request or the account; nothing was held.
    """
    try:
        job, replayed = ledger.open_job(_new_job(user_id, job_id, request), limits), False
    except ledger.JobExists as found:
        job, replayed = found.job, True
    except ClipmintError:
        # Before saying no, look: an earlier attempt may have said yes and crashed. Its own hold
        # may be why the credits are short now, and the catalog may have changed since.
        existing = jobs.get(job_id)
        if existing is None:
            raise
        job, replayed = existing, True
    if replayed and job.fingerprint != request.fingerprint():
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for another request",
            details="Send a fresh key for a new generation",
        )
    if not job.is_terminal:
        _start_execution(job_id)
    return job, replayed


def _start_execution(job_id: str) -> None:
    try:
        execution.start(job_id)
    except (ClientError, BotoCoreError):
        # The job is recorded and its credits are held: it is accepted, and the sweep starts it
        # within minutes. A refusal now would be a lie.
        logger.exception("execution not started; the sweep will", extra={"job_id": job_id})


def _new_job(user_id: str, job_id: str, request: GenerationRequest) -> Job:
    quoted = quote(request)
    model, now = quoted.model, clock.now()
    routes = catalog.open_routes(model)[: None if request.fallback else 1]
    if not routes:
        raise ModelUnavailable(f"{model.model_id} is not available at the moment")
    return Job(
        job_id=job_id,
        user_id=user_id,
        status=JobStatus.PENDING,
        model_id=model.model_id,
        model_name=model.name,
        prompt=request.prompt,
        settings=quoted.settings,
        preset=request.preset,
        image_url=request.image_url,
        last_image_url=request.last_image_url,
        fingerprint=request.fingerprint(),
        stages=(
            Stage(
                name="video",
                routes=tuple(routes),
                provider=routes[0].provider,
                endpoint=routes[0].endpoint,
                credits=quoted.credits,
            ),
        ),
        deadline=clock.epoch(now + timedelta(seconds=model.deadline_seconds)),
        poll_seconds=tuple(model.poll_seconds),
        created_at=now,
        updated_at=now,
    )
