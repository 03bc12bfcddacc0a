"""Orders of clips: for each scene of a project, a video between its two frames.

One call opens all of its jobs or none. The same transaction records what the call has started
(`project_items.BatchItem`), so a retry gets the same response even if the project has changed
since. It also records in the project which jobs render its scenes, on the condition that the
project still has the revision that was read.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from pynamodb.exceptions import DoesNotExist

from clipmint import unreadable
from clipmint.credits import holds, ledger
from clipmint.credits.account import Limits
from clipmint.errors import ClipmintError, InvalidRequest, SceneNotFound
from clipmint.jobs import job_store
from clipmint.jobs.job import Job, JobStatus
from clipmint.media import uploads
from clipmint.orders import new_jobs, offers, placing, wording
from clipmint.orders.idempotency_keys import Order
from clipmint.orders.order_requests import MAX_CLIPS, ClipsRequest
from clipmint.orders.order_settings import DefaultModels
from clipmint.projects import project_store
from clipmint.projects.project import Project, Scene, next_scene_jobs, state_of
from clipmint.projects.project_items import BatchItem, batch_sk
from clipmint.values import frozen


@frozen
class HeldClip:
    """One clip that a call started, and the credits held for it."""

    scene_id: str
    job_id: str
    credits: int


@frozen
class ClipBatch:
    """What one call started. ``remaining`` is the number of scenes left for another call."""

    project_id: str
    clips: tuple[HeldClip, ...]
    balance_after: int
    remaining: int

    @property
    def credits(self) -> int:
        return sum(clip.credits for clip in self.clips)


def start(
    order: Order, project_id: str, request: ClipsRequest, limits: Limits
) -> tuple[ClipBatch, bool]:
    """Hold the credits of every clip that is missing or failed, and start them: all or none.

    Returns
    -------
    tuple
        What was started, and whether an earlier call with the same key started it.

    Raises
    ------
    ProjectNotFound, SceneNotFound, FramesRequired, IdempotencyKeyReused
        And the errors of `clipmint.orders.video_orders.start`. Nothing was held.
    """

    def attempt() -> tuple[ClipBatch, bool]:
        before = _recorded(order)
        if before is not None:
            return before, True
        return _open_clips(order, project_id, request, limits), False

    try:
        batch, replayed = placing.retry_on_change(attempt)
        # Without clips: maybe a parallel call with the same key has started them meanwhile.
        found = None if batch.clips else _recorded(order)
    except (holds.JobExists, ClipmintError) as refusal:
        found = _recorded(order)
        if found is None:
            # The job exists without a batch: the key was used for another kind of order.
            key_used = isinstance(refusal, holds.JobExists)
            raise placing.key_reused() if key_used else refusal from None
    if found is not None:
        batch, replayed = found, True
    # In a replay, some jobs may have ended. Their executions exist and are not started again.
    placing.start_executions([clip.job_id for clip in batch.clips])
    return batch, replayed


def _recorded(order: Order) -> ClipBatch | None:
    """What an earlier call with the same key started. Raises `IdempotencyKeyReused`, and
    `TemporarilyUnavailable` if the record cannot be read."""
    return unreadable.required(lambda: _read_record(order), "batch", batch_sk(order.job_id))


def _read_record(order: Order) -> ClipBatch | None:
    try:
        found = BatchItem.get(order.user_id, batch_sk(order.job_id), consistent_read=True)
    except DoesNotExist:
        return None
    if found.fingerprint != order.fingerprint:
        raise placing.key_reused()
    return ClipBatch(
        project_id=found.project_id,
        clips=tuple(HeldClip(*clip[:3]) for clip in found.clips),
        balance_after=int(found.balance_after),
        remaining=int(found.remaining),
    )


def _record(order: Order, batch: ClipBatch) -> BatchItem:
    return BatchItem(
        order.user_id,
        batch_sk(order.job_id),
        project_id=batch.project_id,
        fingerprint=order.fingerprint,
        clips=[[clip.scene_id, clip.job_id, clip.credits] for clip in batch.clips],
        balance_after=batch.balance_after,
        remaining=batch.remaining,
    )


def quote(user_id: str, project_id: str, request: ClipsRequest) -> tuple[list[Job], int]:
    """The jobs that an order would start now, for their prices, and how many scenes are left for
    another call. Nothing is held or recorded. Raises what `start` raises for a request that it
    refuses."""
    prepared = _prepare(Order(user_id, key="", fingerprint=""), project_id, request)
    return prepared.jobs, prepared.remaining


@frozen
class _Prepared:
    """The jobs of a call, what it leaves, and the project and jobs that it has read."""

    project: Project
    jobs: list[Job]
    remaining: int
    found: Mapping[str, Job]


def _prepare(order: Order, project_id: str, request: ClipsRequest) -> _Prepared:
    project, scenes = project_store.read(order.user_id, project_id)
    before = project.scene_jobs
    found = job_store.get_many(job_id for jobs in before.values() for job_id in jobs.job_ids)
    wanted = [
        scene
        for scene in _requested(scenes, request.scene_ids)
        if _is_wanted(state_of(scene, before.get(scene.scene_id), found).job, request)
    ]
    scenes, remaining = wanted[:MAX_CLIPS], len(wanted[MAX_CLIPS:])
    return _Prepared(project, _new_jobs(order, project, scenes, request), remaining, found)


def _open_clips(order: Order, project_id: str, request: ClipsRequest, limits: Limits) -> ClipBatch:
    prepared = _prepare(order, project_id, request)
    project, jobs, remaining = prepared.project, prepared.jobs, prepared.remaining
    request.check_price(sum(job.credits for job in jobs))
    if not jobs:
        available = ledger.balance_of(order.user_id).available
        return ClipBatch(project_id, (), available, remaining=0)
    clips = tuple(HeldClip(job.scene_id or "", job.job_id, job.credits) for job in jobs)
    before = project.scene_jobs
    update = project_store.update_scene_jobs(
        project,
        {
            clip.scene_id: next_scene_jobs(before.get(clip.scene_id), clip.job_id, prepared.found)
            for clip in clips
        },
    )

    def also_write(balance_after: int) -> holds.AlsoWrite:
        record = _record(order, ClipBatch(project_id, clips, balance_after, remaining))
        return holds.AlsoWrite(puts=((record, BatchItem.sk.does_not_exist()),), updates=(update,))

    opened = holds.hold_and_record(jobs, limits, also_write, clips=True)
    return ClipBatch(project_id, clips, opened[-1].balance_after, remaining)


def _requested(scenes: Sequence[Scene], scene_ids: Sequence[str] | None) -> Sequence[Scene]:
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
    """Whether the call makes a clip of a scene with this newest job.

    Not while the job runs, and after it has completed only if the request forces it.
    """
    if newest is None:
        return True
    return newest.is_terminal and (request.force or newest.status is not JobStatus.COMPLETED)


def _new_jobs(
    order: Order, project: Project, scenes: Sequence[Scene], request: ClipsRequest
) -> list[Job]:
    frames = [url for scene in scenes for url in wording.check_frames(scene)]
    uploads.require_usable(project.user_id, frames)
    default_model = request.model_id or DefaultModels.read().clip_model
    jobs = []
    for position, scene in enumerate(scenes):
        try:
            job = _new_job(order, project, scene, scene.model_id or default_model)
        except InvalidRequest as error:
            raise wording.named(scene, error) from None
        # Lists are sorted by time: this keeps the clips in the order of the scenes.
        created_at = job.created_at + timedelta(milliseconds=position)
        jobs.append(
            replace(
                job,
                job_id=_job_id(order, scene, position),
                batch_id=order.job_id,
                created_at=created_at,
                updated_at=created_at,
            )
        )
    return jobs


def _job_id(order: Order, scene: Scene, position: int) -> str:
    # The first clip has the id of any other job with this key, so that the transaction fails if
    # the key was used for another kind of order.
    return str(uuid.uuid5(uuid.UUID(order.job_id), scene.scene_id)) if position else order.job_id


def _new_job(order: Order, project: Project, scene: Scene, model_id: str) -> Job:
    model = offers.find_orderable(model_id)
    first, last = wording.check_frames(scene)
    model.check_images(first, last)
    prompt = wording.clip_prompt(scene)
    return new_jobs.scene_job(
        order, project, scene, model, prompt=prompt, image_url=first, last_image_url=last
    )
