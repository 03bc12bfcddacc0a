"""Orders of one scene: an image, unless the scene has one, and a video that starts from it.

The transaction that opens the job also records in the project that this job renders the scene, on
the condition that the project still has the revision that was read. If two calls run in parallel,
one starts the scene; the other reads the project again and finds the scene busy.
"""

from __future__ import annotations

from clipmint.catalog.model import Settings
from clipmint.credits import holds
from clipmint.credits.account import Limits
from clipmint.errors import InvalidRequest, SceneBusy
from clipmint.jobs import job_store
from clipmint.jobs.job import ImageOrder, Job, Stage
from clipmint.media import uploads
from clipmint.orders import new_jobs, offers, placing, wording
from clipmint.orders.idempotency_keys import Order
from clipmint.orders.order_requests import SceneVideoRequest
from clipmint.orders.order_settings import DefaultModels
from clipmint.projects import project_store, scene_store
from clipmint.projects.project import Project, Scene, next_scene_jobs, state_of
from clipmint.stages import IMAGE


def start(
    order: Order, scene_id: str, request: SceneVideoRequest, limits: Limits
) -> tuple[Job, bool]:
    """Hold the credits of a scene's image and video and start them, unless the job exists.

    A scene that has an image keeps it and does not pay for another one, unless the request
    demands a new image.

    Returns
    -------
    tuple
        The job, and whether it existed.

    Raises
    ------
    SceneNotFound, SceneBusy, PromptRequired, IdempotencyKeyReused
        And the errors of `clipmint.orders.video_orders.start`. Nothing was held.
    """

    def open_job() -> Job:
        job, update = _prepare(order, scene_id, request)
        return holds.hold_and_record([job], limits, holds.AlsoWrite(updates=(update,)))[0]

    return placing.place_once(order, lambda: placing.retry_on_change(open_job))


def quote(user_id: str, scene_id: str, request: SceneVideoRequest) -> Job:
    """The job that an order would start now, for its prices. Nothing is held or recorded.

    Raises what `start` raises for a request that it refuses.
    """
    return _prepare(Order(user_id, key="", fingerprint=""), scene_id, request)[0]


def _prepare(
    order: Order, scene_id: str, request: SceneVideoRequest
) -> tuple[Job, project_store.Update]:
    """A new job of a scene, and the update of its project that belongs into its transaction."""
    project, scene = scene_store.find(order.user_id, scene_id)
    before = project.scene_jobs.get(scene_id)
    found = job_store.get_many(before.job_ids) if before else {}
    state = state_of(scene, before, found)
    if state.job and not state.job.is_terminal:
        raise SceneBusy(
            "This scene is being rendered",
            details=f"scene {scene_id} is rendered by {state.job.job_id}",
        )
    image_url = None if request.new_image else state.image_url
    job = _new_job(order, project, scene, image_url, request)
    request.check_price(job.credits)
    scene_jobs = {scene_id: next_scene_jobs(before, job.job_id, found)}
    return job, project_store.update_scene_jobs(project, scene_jobs)


def _new_job(
    order: Order, project: Project, scene: Scene, image_url: str | None, request: SceneVideoRequest
) -> Job:
    defaults = DefaultModels.read()
    model = offers.find_orderable(request.model_id or defaults.scene_video_model)
    prompt = wording.required_prompt(scene, "visual_prompt")
    # An image that this job will make is as good as one that exists.
    model.check_images(image_url or "made by the first stage", None)
    stages = []
    if image_url is None:
        image_model_id = request.image_model_id or defaults.scene_image_model
        stages.append(_image_stage(project, scene, image_model_id))
    else:
        uploads.require_usable(scene.user_id, [image_url])
    return new_jobs.scene_job(
        order, project, scene, model, prompt=prompt, stages_before=stages, image_url=image_url
    )


def _image_stage(project: Project, scene: Scene, model_id: str) -> Stage:
    model = offers.find_orderable(model_id, "image")
    prompt = wording.required_prompt(scene, "image_prompt")
    new_jobs.check_prompt(model, prompt, "image_prompt")
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
    image = ImageOrder(model.model_id, prompt, settings.aspect_ratio, references)
    others = settings.stated().keys() - {"aspect_ratio"}
    return new_jobs.new_stage(
        IMAGE, model, model.credits(settings), image, settings=settings if others else None
    )
