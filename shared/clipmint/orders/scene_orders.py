"""Rendering scenes: a picture and then a video from it, or a clip between two frames.

A scene's jobs are opened as any other job is, under a key, in one transaction with their holds. The
same transaction writes into the project which job now renders the scene, for exactly the revision
of the project the jobs were made from: of two calls at the same time one starts the scene, and the
other looks again and finds it running.

A call for clips opens all of its jobs at once, or none, and leaves a record of itself beside them:
a retry is answered from that record, whatever has become of the project since.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from pynamodb.exceptions import DoesNotExist

from clipmint import aws, clock
from clipmint.catalog.model import Model, Settings
from clipmint.credits import ledger
from clipmint.credits.accounts import Limits
from clipmint.errors import (
    ClipmintError,
    InvalidRequest,
    SceneBusy,
    SceneNotFound,
    try_again,
)
from clipmint.jobs import job_store
from clipmint.jobs.job import ImageOrder, Job, JobStatus, Stage
from clipmint.media import uploads
from clipmint.orders import video_orders, wording
from clipmint.orders.idempotency_keys import job_id_for
from clipmint.orders.order_requests import MAX_CLIPS, ClipsRequest, SceneVideoRequest
from clipmint.orders.order_settings import RenderingSettings
from clipmint.projects import project_store
from clipmint.projects.project import Project, Scene, next_render, state_of
from clipmint.projects.project_items import BatchItem
from clipmint.stages import IMAGE, VIDEO

ATTEMPTS = 5
"""At opening jobs for a project that others change at the same time."""

T = TypeVar("T")


# ── One scene, in two stages ─────────────────────────────────────────────────────────────────────


def start_scene(
    user_id: str, key: str, scene_id: str, request: SceneVideoRequest, limits: Limits
) -> tuple[Job, bool]:
    """Hold the credits for a scene's picture and video and start them; or find that this was done.

    A scene that has a picture keeps it, and neither makes nor pays for another, unless asked to.

    Returns
    -------
    tuple
        The job, and whether it was there already.

    Raises
    ------
    SceneNotFound, SceneBusy, PromptRequired, IdempotencyKeyReused
        And what `generation.start` raises. Nothing was held.
    """
    job_id, fingerprint = job_id_for(user_id, key), request.fingerprint(scene_id)

    def attempt() -> Job:
        project, scene = project_store.find_scene(user_id, scene_id)
        render = project.renders.get(scene_id)
        found = job_store.get_many(render.job_ids) if render else {}
        state = state_of(scene, render, found)
        if state.job and not state.job.is_terminal:
            raise SceneBusy(
                "This scene is being rendered",
                details=f"scene {scene_id} is rendered by {state.job.job_id}",
            )
        image_url = None if request.new_image else state.image_url
        job = replace(
            _scene_job(project, scene, image_url, request), job_id=job_id, fingerprint=fingerprint
        )
        renders = {scene_id: next_render(render, job_id, found)}
        beside = ledger.Beside(updates=(project_store.rendering(project, renders),))
        return ledger.open_job(job, limits, beside)

    return video_orders.open_once(job_id, fingerprint, lambda: _up_to_date(attempt))


def _scene_job(
    project: Project, scene: Scene, image_url: str | None, request: SceneVideoRequest
) -> Job:
    defaults = RenderingSettings.read()
    model = video_orders.orderable(request.model_id or defaults.scene_video_model)
    prompt = wording.required_prompt(scene, "visual_prompt")
    # A picture that this job will make is as good as one that is there.
    model.check_images(image_url or "made first", None)
    stages = []
    if image_url is None:
        image_model_id = request.image_model_id or defaults.scene_image_model
        stages.append(_image_stage(project, scene, image_model_id))
    else:
        uploads.require_usable(scene.user_id, [image_url])
    return _job(project, scene, model, prompt, stages, image_url=image_url)


def _image_stage(project: Project, scene: Scene, model_id: str) -> Stage:
    model = video_orders.orderable(model_id, "image")
    prompt = wording.required_prompt(scene, "image_prompt")
    video_orders.check_prompt(model, prompt, "image_prompt")
    reference = scene.product_reference_image_url
    if reference is not None and not model.max_reference_images:
        raise InvalidRequest(
            f"{model.model_id} does not use reference images",
            details="product_reference_image_url: not used by this model",
        )
    references = (reference,) if reference is not None else ()
    uploads.require_usable(scene.user_id, references)
    settings = model.resolve(
        None, Settings(aspect_ratio=wording.image_aspect_ratio(model, project.resolution))
    )
    order = ImageOrder(model.model_id, prompt, settings.aspect_ratio, references)
    return video_orders.new_stage(IMAGE, model, model.credits(settings), order)


def _job(
    project: Project,
    scene: Scene,
    model: Model,
    prompt: str,
    before: Sequence[Stage] = (),
    *,
    image_url: str | None,
    last_image_url: str | None = None,
) -> Job:
    """A scene's job, whose last stage is its video; not yet named."""
    video_orders.check_prompt(model, prompt, "visual_prompt")
    settings = model.resolve(None, wording.video_settings(model, scene, project.resolution))
    stages = (*before, video_orders.new_stage(VIDEO, model, model.credits(settings)))
    now = clock.now()
    return Job(
        job_id="",
        user_id=scene.user_id,
        status=JobStatus.PENDING,
        model_id=model.model_id,
        model_name=model.name,
        prompt=prompt,
        settings=settings,
        fingerprint="",
        stages=stages,
        deadline=video_orders.deadline_of(stages[0], now),
        created_at=now,
        updated_at=now,
        project_id=project.project_id,
        scene_id=scene.scene_id,
        image_url=image_url,
        last_image_url=last_image_url,
    )


# ── Many scenes, a clip each ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class StartedClip:
    """One clip that a call started, and the credits held for it."""

    scene_id: str
    job_id: str
    credits: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a call for clips started.

    ``remaining`` counts the scenes it would have rendered too, had it not been full.
    """

    project_id: str
    clips: tuple[StartedClip, ...]
    balance_after: int
    remaining: int

    @property
    def credits(self) -> int:
        return sum(clip.credits for clip in self.clips)


def start_clips(
    user_id: str, key: str, project_id: str, request: ClipsRequest, limits: Limits
) -> tuple[Batch, bool]:
    """Hold the credits of every clip that is missing or failed, and start them: all or none.

    Returns
    -------
    tuple
        What was started, and whether that was before, under the same key.

    Raises
    ------
    ProjectNotFound, SceneNotFound, FramesRequired, IdempotencyKeyReused
        And what `generation.start` raises. Nothing was held.
    """
    batch_id = job_id_for(user_id, key)
    fingerprint = request.fingerprint(project_id)
    record = BatchItem(user_id, f"BATCH#{batch_id}", project_id=project_id, fingerprint=fingerprint)

    def attempt() -> tuple[Batch, bool]:
        before = _recorded(record)
        if before is not None:
            return before, True
        return _open_clips(user_id, project_id, request, record, limits), False

    try:
        batch, replayed = _up_to_date(attempt)
        # Nothing to do, or nothing possible: maybe because a twin of this call was accepted since.
        found = None if batch.clips else _recorded(record)
    except (ledger.JobExists, ClipmintError) as refusal:
        found = _recorded(record)
        if found is None:
            # A job without a call for clips: the key has started something else.
            used = isinstance(refusal, ledger.JobExists)
            raise video_orders.key_reused() if used else refusal from None
    if found is not None:
        batch, replayed = found, True
    # Of a replay, those that have ended are left alone.
    video_orders.start_executions([clip.job_id for clip in batch.clips])
    return batch, replayed


def _recorded(record: BatchItem) -> Batch | None:
    """What an earlier call under the same key started. Raises `IdempotencyKeyReused`."""
    try:
        found = BatchItem.get(record.user_id, record.sk, consistent_read=True)
    except DoesNotExist:
        return None
    if found.fingerprint != record.fingerprint:
        raise video_orders.key_reused()
    return Batch(
        project_id=found.project_id,
        clips=tuple(StartedClip(*clip) for clip in found.clips),
        balance_after=int(found.balance_after),
        remaining=int(found.remaining),
    )


def _open_clips(
    user_id: str, project_id: str, request: ClipsRequest, record: BatchItem, limits: Limits
) -> Batch:
    project, scenes = project_store.read(user_id, project_id)
    renders = project.renders
    found = job_store.get_many([job_id for render in renders.values() for job_id in render.job_ids])
    wanted = [
        scene
        for scene in _named(scenes, request.scene_ids)
        if _is_wanted(state_of(scene, renders.get(scene.scene_id), found).job, request)
    ]
    scenes, remaining = wanted[:MAX_CLIPS], len(wanted[MAX_CLIPS:])
    if not scenes:
        return Batch(project_id, (), ledger.account_of(user_id).available, 0)
    new = _clip_jobs(project, scenes, request, record)
    clips = tuple(
        StartedClip(scene.scene_id, job.job_id, job.credits)
        for scene, job in zip(scenes, new, strict=True)
    )
    next_renders = {
        clip.scene_id: next_render(renders.get(clip.scene_id), clip.job_id, found) for clip in clips
    }

    def beside(balance_after: int) -> ledger.Beside:
        record.clips = [[clip.scene_id, clip.job_id, clip.credits] for clip in clips]
        record.remaining = remaining
        record.balance_after = balance_after
        return ledger.Beside(
            puts=((record, BatchItem.sk.does_not_exist()),),
            updates=(project_store.rendering(project, next_renders),),
        )

    opened = ledger.open_jobs(new, limits, beside, clips=True)
    return Batch(project_id, clips, opened[-1].balance_after, remaining)


def _named(scenes: Sequence[Scene], scene_ids: Sequence[str] | None) -> Sequence[Scene]:
    if scene_ids is None:
        return scenes
    unknown = set(scene_ids) - {scene.scene_id for scene in scenes}
    if unknown:
        raise SceneNotFound(
            "There is no such scene in this project",
            details=f"scenes: {', '.join(sorted(unknown))}",
        )
    return [scene for scene in scenes if scene.scene_id in scene_ids]


def _is_wanted(newest: Job | None, request: ClipsRequest) -> bool:
    """Whether a scene is to be rendered: not while it is, and again only if that failed or is
    forced."""
    if newest is None:
        return True
    return newest.is_terminal and (request.force or newest.status is not JobStatus.COMPLETED)


def _clip_jobs(
    project: Project, scenes: Sequence[Scene], request: ClipsRequest, record: BatchItem
) -> list[Job]:
    frames = [url for scene in scenes for url in wording.check_frames(scene)]
    uploads.require_usable(project.user_id, frames)
    batch_id = record.sk.removeprefix("BATCH#")
    usual = request.model_id or RenderingSettings.read().clip_model
    new = []
    for position, scene in enumerate(scenes):
        try:
            job = _clip_job(project, scene, scene.model_id or usual)
        except InvalidRequest as error:
            raise wording.named(scene, error) from None
        # In the order of the scenes, also where jobs are listed by time.
        at = job.created_at + timedelta(milliseconds=position)
        # The first has the id that any other job of this key would have: the key starts one thing.
        job_id = str(uuid.uuid5(uuid.UUID(batch_id), scene.scene_id)) if position else batch_id
        new.append(
            replace(
                job,
                job_id=job_id,
                batch_id=batch_id,
                fingerprint=record.fingerprint,
                created_at=at,
                updated_at=at,
            )
        )
    return new


def _clip_job(project: Project, scene: Scene, model_id: str) -> Job:
    model = video_orders.orderable(model_id)
    first, last = wording.check_frames(scene)
    model.check_images(first, last)
    return _job(
        project, scene, model, wording.clip_prompt(scene), image_url=first, last_image_url=last
    )


def _up_to_date(attempt: Callable[[], T]) -> T:
    """Try again, from what there is now, while others change the project."""
    return aws.retry_on_conflict(
        attempt,
        attempts=ATTEMPTS,
        conflict=lambda error: isinstance(error, ledger.Outdated),
        otherwise=try_again(
            "The project is being changed",
            details="Nothing was charged; send the same request again",
        ),
    )
