"""Starting a generation: one key of one user is one job and one hold.

The order is what makes it safe. First one transaction holds the credits and records the job; then
the job's execution is started, under the job's name. A crash before the transaction leaves nothing;
a crash after it leaves a job that the retry finds, by its id, and starts again harmlessly. If no
retry comes, the sweep starts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from clipmint import clock
from clipmint.catalog import model_store
from clipmint.catalog.model import Model, Settings, utf16_units
from clipmint.credits import ledger
from clipmint.credits.accounts import Limits
from clipmint.errors import (
    ClipmintError,
    IdempotencyKeyReused,
    ImageRequired,
    InvalidRequest,
    ModelUnavailable,
)
from clipmint.execution import workflow
from clipmint.jobs import job_store
from clipmint.jobs.job import ImageOrder, Job, JobStatus, Stage
from clipmint.media import uploads
from clipmint.media.image_urls import check_image_url
from clipmint.orders import offers
from clipmint.orders.order_requests import GenerationRequest
from clipmint.projects import project_store
from clipmint.settings import ImagesSettings
from clipmint.stages import VIDEO
from clipmint.telemetry import logger

STARTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Quote:
    """A request judged against the catalog: which model, with which settings, for how much.

    ``image_url`` is the first frame: the request's, or that of its project.
    """

    model: Model
    settings: Settings
    credits: int
    image_url: str | None


def quote(user_id: str, request: GenerationRequest) -> Quote:
    """Judge a request. The estimate and the real call both rest on this.

    Raises
    ------
    ModelNotFound, ModelUnavailable, SettingNotAllowed, ImageRequired, ImageNotUploaded,
    ImageInvalid, ProjectNotFound, InvalidRequest
    """
    own_images = ImagesSettings.read().images_base_url
    check_image_url("image_url", request.image_url, own_images)
    check_image_url("last_image_url", request.last_image_url, own_images)
    model = orderable(request.model_id)
    check_prompt(model, request.prompt)
    settings = model.resolve(request.preset, request.settings)
    image_url = request.image_url
    if request.project_id is not None:
        project = project_store.get(user_id, request.project_id)
        if image_url is None and model.image != "none":
            image_url = project.image_url
            if image_url is None and model.image == "required":
                raise ImageRequired(
                    f"{model.model_id} needs an image, and this project has none",
                    details="image_url: required by this model; upload one to the project",
                )
    model.check_images(image_url, request.last_image_url)
    uploads.require_usable(user_id, [url for url in (image_url, request.last_image_url) if url])
    return Quote(model, settings, model.credits(settings), image_url)


def orderable(model_id: str, produces: Literal["video", "image"] = "video") -> Model:
    """A model that can be ordered now. Raises `ModelNotFound`, `ModelUnavailable`."""
    model = model_store.find(model_id)
    if not offers.is_orderable(model, produces):
        raise ModelUnavailable(f"{model.model_id} is not available at the moment")
    return model


def check_prompt(model: Model, prompt: str, field: str = "prompt") -> None:
    """Raise `InvalidRequest` for a prompt longer than the model takes."""
    if utf16_units(prompt) > model.max_prompt_units:
        raise InvalidRequest(
            "The prompt is too long",
            details=f"{field}: at most {model.max_prompt_units} characters for {model.model_id}",
        )


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

    def attempt() -> Job:
        beside = ledger.NOTHING
        if request.project_id is not None:
            beside = ledger.Beside(
                updates=(project_store.in_use(user_id, request.project_id, job_id),)
            )
        try:
            return ledger.open_job(_new_job(user_id, job_id, request), limits, beside)
        except ledger.Outdated:
            # The one condition is that the project is there.
            raise project_store.not_found() from None

    return open_once(job_id, request.fingerprint(), attempt)


def open_once(job_id: str, fingerprint: str, attempt: Callable[[], Job]) -> tuple[Job, bool]:
    """Open a job unless it is there, and see to its execution. Returns and raises as `start`."""
    try:
        job, replayed = attempt(), False
    except ledger.JobExists as found:
        job, replayed = found.job, True
    except ClipmintError:
        # Before saying no, look: an earlier attempt may have said yes and crashed. Its own hold
        # may be why the credits are short now, and the catalog may have changed since.
        existing = job_store.get(job_id)
        if existing is None:
            raise
        job, replayed = existing, True
    if replayed and job.fingerprint != fingerprint:
        raise key_reused()
    if not job.is_terminal:
        start_executions([job_id])
    return job, replayed


def key_reused() -> IdempotencyKeyReused:
    """What is said to whoever uses a key for something else."""
    return IdempotencyKeyReused(
        "This Idempotency-Key was used for another request",
        details="Send a fresh key for a new generation",
    )


def start_executions(job_ids: Sequence[str]) -> None:
    """Start the executions of recorded jobs; those that were started before are left alone."""
    if not job_ids:
        return
    _start_execution(job_ids[0])  # and with it the client, which the threads share
    if job_ids[1:]:
        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            list(pool.map(_start_execution, job_ids[1:]))


def _start_execution(job_id: str) -> None:
    try:
        workflow.start(job_id)
    except (ClientError, BotoCoreError):
        # The job is recorded and its credits are held: it is accepted, and the sweep starts it
        # within minutes. A refusal now would be a lie.
        logger.exception("execution not started; the sweep will", extra={"job_id": job_id})


def new_stage(
    name: str,
    model: Model,
    credits_: int,
    image_order: ImageOrder | None = None,
    *,
    fallback: bool = True,
) -> Stage:
    """A stage of a new job, made by whoever is on offer. Raises `ModelUnavailable`."""
    routes = offers.open_routes(model)[: None if fallback else 1]
    if not routes:
        raise ModelUnavailable(f"{model.model_id} is not available at the moment")
    return Stage(
        name=name,
        routes=tuple(routes),
        provider=routes[0].provider,
        endpoint=routes[0].endpoint,
        credits=credits_,
        poll_seconds=tuple(model.poll_seconds),
        deadline_seconds=model.deadline_seconds,
        image_order=image_order,
    )


def deadline_of(stage: Stage, now: datetime) -> int:
    """By when a stage that may begin now must have come out, in epoch seconds."""
    return clock.epoch(now + timedelta(seconds=stage.deadline_seconds))


def _new_job(user_id: str, job_id: str, request: GenerationRequest) -> Job:
    quoted, now = quote(user_id, request), clock.now()
    model = quoted.model
    stage = new_stage(VIDEO, model, quoted.credits, fallback=request.fallback)
    return Job(
        job_id=job_id,
        user_id=user_id,
        status=JobStatus.PENDING,
        model_id=model.model_id,
        model_name=model.name,
        prompt=request.prompt,
        settings=quoted.settings,
        preset=request.preset,
        project_id=request.project_id,
        image_url=quoted.image_url,
        last_image_url=request.last_image_url,
        fingerprint=request.fingerprint(),
        stages=(stage,),
        deadline=deadline_of(stage, now),
        created_at=now,
        updated_at=now,
    )
