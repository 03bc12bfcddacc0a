"""New jobs and their stages, before they are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from clipmint import clock
from clipmint.catalog import durations, model_store
from clipmint.catalog.model import Model, Settings, utf16_units
from clipmint.catalog.route import Kind, Route, kind_of
from clipmint.catalog.templates import Unfit
from clipmint.catalog.tolerance import DEFAULT
from clipmint.catalog.visible import is_visible
from clipmint.errors import InvalidRequest, ModelUnavailable
from clipmint.jobs.job import ImageOrder, Job, JobStatus, Stage
from clipmint.orders import offers, wording
from clipmint.orders.idempotency_keys import Order
from clipmint.projects.project import Project, Scene
from clipmint.stages import OURSELVES, VIDEO


def check_prompt(model: Model, prompt: str, field: str = "prompt") -> None:
    """Raise `InvalidRequest` for a prompt that is too long for the model, or has no visible
    character: a scene of an earlier version may have such a prompt."""
    if not is_visible(prompt):
        raise InvalidRequest(
            "The prompt has no visible character", details=f"{field}: needs a visible character"
        )
    if utf16_units(prompt) > model.max_prompt_units:
        raise InvalidRequest(
            "The prompt is too long",
            details=f"{field}: at most {model.max_prompt_units} characters for {model.model_id}",
        )


def new_stage(
    name: str,
    model: Model,
    credits_: int,
    image_order: ImageOrder | None = None,
    *,
    kind: Kind = "text",
    fallback: bool = True,
    settings: Settings | None = None,
    of: Settings | None = None,
) -> Stage:
    """A stage of a new job, with the model's routes on offer, or only the first of them.

    The stage keeps what its routes need for this ``kind`` of order, so that a change of the catalog
    does not change it. ``of`` are the settings that it is made with, if they are not ``settings``:
    its routes keep only what these need, and how often it is polled follows from how long such
    generations take, if only one route can make it.

    Raises `ModelUnavailable`.
    """
    made_with = of or settings
    routes = _routes_for(kind, offers.open_routes(model))[: None if fallback else 1]
    if made_with is not None:
        routes = [route.for_settings(made_with.stated()) for route in routes]
    if not routes:
        raise ModelUnavailable(f"{model.model_id} is not available at the moment")
    estimate = model_store.estimate(model, routes[0].provider, made_with or Settings())
    return Stage(
        name=name,
        routes=tuple(routes),
        provider=routes[0].provider,
        endpoint=routes[0].endpoint,
        credits=credits_,
        poll_seconds=durations.intervals(
            model.poll_seconds, estimate if len(routes) == 1 else None
        ),
        deadline_seconds=model.deadline_seconds,
        image_order=image_order,
        settings=settings,
        tolerance=None if model.tolerance == DEFAULT else model.tolerance,
        expected_seconds=round(estimate.seconds) if estimate else None,
    )


SOURCE_SECONDS = 3_600
"""How long a job waits for the file of its source, from the source's deadline or from now on."""


def stage_from(source: Job, credits_: int, now: datetime) -> tuple[Stage, int]:
    """The stage of a job that is answered with the file of ``source``, and its deadline. No
    provider executes it."""
    stage = Stage(
        name=VIDEO,
        routes=(),
        provider=OURSELVES,
        endpoint=OURSELVES,
        credits=credits_,
        poll_seconds=(SOURCE_SECONDS,),
        deadline_seconds=SOURCE_SECONDS,
    )
    begins = clock.epoch(now) if source.is_terminal else max(source.deadline, clock.epoch(now))
    return stage, begins + SOURCE_SECONDS


def _routes_for(kind: Kind, routes: Sequence[Route]) -> list[Route]:
    """The routes that take such orders. An entry with others is from before entries were checked,
    or was written to the table."""
    fitting = []
    for route in routes:
        with suppress(Unfit):
            fitting.append(route.only(kind))
    return fitting


def deadline_of(stage: Stage, now: datetime) -> int:
    """The deadline of a stage that starts now, in epoch seconds."""
    return clock.epoch(now + timedelta(seconds=stage.deadline_seconds))


def scene_job(
    order: Order,
    project: Project,
    scene: Scene,
    model: Model,
    *,
    prompt: str,
    stages_before: Sequence[Stage] = (),
    image_url: str | None,
    last_image_url: str | None = None,
) -> Job:
    """A job of a scene. Its last stage makes the scene's video with ``model`` and ``prompt``.

    Raises `InvalidRequest` and its subclasses.
    """
    check_prompt(model, prompt, "visual_prompt")
    settings = model.resolve(None, wording.video_settings(model, scene, project.resolution))
    kind: Kind = "image" if stages_before else kind_of(image_url, last_image_url)
    stages = (
        *stages_before,
        new_stage(VIDEO, model, model.credits(settings), kind=kind, of=settings),
    )
    now = clock.now()
    return Job(
        job_id=order.job_id,
        user_id=order.user_id,
        status=JobStatus.PENDING,
        model_id=model.model_id,
        model_name=model.name,
        prompt=prompt,
        settings=settings,
        fingerprint=order.fingerprint,
        stages=stages,
        deadline=deadline_of(stages[0], now),
        created_at=now,
        updated_at=now,
        project_id=project.project_id,
        scene_id=scene.scene_id,
        image_url=image_url,
        last_image_url=last_image_url,
    )
