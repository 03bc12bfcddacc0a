"""Orders of one video: their price, and their job."""

from __future__ import annotations

from clipmint import clock
from clipmint.catalog.model import Model, Settings
from clipmint.catalog.route import kind_of
from clipmint.credits import holds, ledger
from clipmint.credits.account import Limits
from clipmint.errors import ImageRequired
from clipmint.jobs.job import Job, JobStatus
from clipmint.media import uploads
from clipmint.media.image_urls import check_image_url
from clipmint.orders import identical_orders, new_jobs, offers, placing
from clipmint.orders.idempotency_keys import Order
from clipmint.orders.identical_orders import Identical
from clipmint.orders.order_requests import GenerationRequest
from clipmint.projects import project_store
from clipmint.projects.project import no_project
from clipmint.settings import ImagesSettings
from clipmint.stages import VIDEO
from clipmint.values import frozen


@frozen
class Quote:
    """The result of checking a request against the catalog: the model, its settings, the price.

    ``image_url`` is the first frame: the request's own, or the image of its project. ``identical``
    is what was found of identical orders; None if none can answer this one.
    """

    model: Model
    settings: Settings
    credits: int
    image_url: str | None
    identical: Identical | None = None

    @property
    def source(self) -> Job | None:
        """The identical job whose file answers the order, if there is one."""
        return self.identical.source if self.identical else None


def quote(user_id: str, request: GenerationRequest) -> Quote:
    """Check a request and compute its price, for the estimate and for the order.

    Raises
    ------
    ModelNotFound, ModelUnavailable, SettingNotAllowed, ImageRequired, ImageNotUploaded,
    ImageInvalid, ProjectNotFound, InvalidRequest
    """
    own_images = ImagesSettings.read().images_base_url
    check_image_url("image_url", request.image_url, own_images)
    check_image_url("last_image_url", request.last_image_url, own_images)
    model = offers.find_orderable(request.model_id)
    new_jobs.check_prompt(model, request.prompt)
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
    images = [url for url in (image_url, request.last_image_url) if url]
    uploads.require_usable(user_id, images)
    # An order for the first provider only is one for what that provider makes.
    look = request.allow_cached and request.fallback
    find = identical_orders.find
    found = find(user_id, model, request.prompt, settings, images) if look else None
    price = model.credits(settings)
    if model.identical and found and found.source:
        price = min(price, model.identical.credits)
    return Quote(model, settings, price, image_url, found)


def start(order: Order, request: GenerationRequest, limits: Limits) -> tuple[Job, bool]:
    """Hold the credits, record the job and start its execution, unless the job exists.

    Returns
    -------
    tuple
        The job, and whether it existed.

    Raises
    ------
    IdempotencyKeyReused
        The job exists, but its order was another one.
    ClipmintError
        The request or the account does not allow the job, or the price is not the expected one.
        Nothing was held.
    """

    def attempt() -> Job:
        quoted = quote(order.user_id, request)
        request.check_price(quoted.credits)
        also_write = _also_write(order, request, quoted)
        try:
            return holds.hold_and_record([_new_job(order, request, quoted)], limits, also_write)[0]
        except holds.AlsoWriteRefused:
            if not also_write.puts:
                raise no_project() from None  # its only condition is that the project exists
            raise

    def open_job() -> Job:
        return placing.retry_on_change(attempt, "The same video is being ordered")

    return placing.place_once(order, open_job)


def _also_write(order: Order, request: GenerationRequest, quoted: Quote) -> holds.AlsoWrite:
    """The project's last job, and that the new job makes this content."""
    updates: tuple[ledger.Update, ...] = ()
    if request.project_id is not None:
        updates = (project_store.update_last_job(order.user_id, request.project_id, order.job_id),)
    makes_it = quoted.identical is not None and quoted.source is None
    puts = quoted.identical.record(order.job_id).puts if quoted.identical and makes_it else ()
    return holds.AlsoWrite(puts, updates)


def _new_job(order: Order, request: GenerationRequest, quoted: Quote) -> Job:
    model, source, now = quoted.model, quoted.source, clock.now()
    kind = kind_of(quoted.image_url, request.last_image_url)
    if source is None:
        stage = new_jobs.new_stage(
            VIDEO, model, quoted.credits, kind=kind, fallback=request.fallback, of=quoted.settings
        )
        deadline = new_jobs.deadline_of(stage, now)
    else:
        stage, deadline = new_jobs.stage_from(source, quoted.credits, now)
    return Job(
        job_id=order.job_id,
        user_id=order.user_id,
        status=JobStatus.PENDING,
        model_id=model.model_id,
        model_name=model.name,
        prompt=request.prompt,
        settings=quoted.settings,
        preset=request.preset,
        project_id=request.project_id,
        image_url=quoted.image_url,
        last_image_url=request.last_image_url,
        fingerprint=order.fingerprint,
        stages=(stage,),
        deadline=deadline,
        created_at=now,
        updated_at=now,
        source_job_id=source.job_id if source else None,
        source_created_at=source.created_at if source else None,
    )
