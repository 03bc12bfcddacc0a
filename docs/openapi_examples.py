"""Examples of the API's responses: one per response model, and one per error code.

The models of `clipmint.api` validate the first, the error classes make the second; so an
example cannot have a member that a response has not.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel

from clipmint import errors
from clipmint.api import (
    catalog_responses,
    credit_responses,
    order_responses,
    owner_responses,
    project_responses,
    usage_responses,
    video_responses,
    webhook_responses,
)
from clipmint.catalog.model_changes import Version
from clipmint.jobs.job import Asset, JobStatus, Stage
from clipmint.lots import CreditKind
from clipmint.stages import StepName
from clipmint.usage.reports import Grouping
from docs import openapi_operator
from docs.openapi_shared import (
    BUCKET,
    CLIP_JOB,
    ENDED_AT,
    FRAMES,
    HOLD,
    IMAGE,
    JOB,
    MODEL,
    ORDERED_AT,
    PACK,
    PROJECT,
    SCENE,
    SETTINGS,
    WEBHOOK,
    delivery,
    ended_job,
    project,
)

EXPIRES_AT = "2026-03-31T09:30:00.000Z"
FORM = "https://images-bucket.s3.eu-central-1.amazonaws.com"

_PURCHASE = credit_responses.PurchaseAnswer(
    purchase_id="b2d6a1de-4f1e-5d8c-a7a0-3b4c5d6e7f88",
    store="stripe",
    event_id="evt_1Nx",
    payment_id="pi_1Nx",
    product_id="credits-500",
    user_id=None,
    expires_at=None,
    reason="UNKNOWN_USER",
    status="waiting",
    received_at=ORDERED_AT,
)
_ENTRY = catalog_responses.CatalogEntry.of(MODEL)
_STAGE = Stage(
    name="video",
    routes=tuple(MODEL.routes),
    provider="fal",
    endpoint="",
    credits=16,
    poll_seconds=(180,),
    deadline_seconds=1_800,
    expected_seconds=74,
    asset=Asset("videos-bucket", f"{JOB}/video.mp4", "video/mp4", 1, "", 1280, 720, 4.0),
)
_VIDEO = video_responses.Video.of(
    ended_job(JobStatus.COMPLETED, _STAGE, deadline=0),
    video_url=f"{BUCKET}/{JOB}/video.mp4?X-Amz-Expires=3600",
    thumbnail_url=f"{BUCKET}/{JOB}/thumbnail.jpg?X-Amz-Expires=3600",
    video_expires_at=None,
)
_SCENE = project_responses.SceneAnswer(
    scene_id=SCENE,
    project_id=PROJECT,
    image_prompt="A lighthouse at dawn",
    visual_prompt="The light turns on",
    product_reference_image_url=None,
    duration=4,
    first_frame=FRAMES[0],
    last_frame=FRAMES[1],
    model_id=None,
    status=JobStatus.PENDING,
    job_id=None,
    progress=0,
    current_step=None,
    image_url=None,
    video_url=None,
    thumbnail_url=None,
    error_message=None,
    error_code=None,
    created_at=ORDERED_AT,
    updated_at=ORDERED_AT,
)
_SUMMARY = project(IMAGE)
_WEBHOOK = webhook_responses.Webhook(
    webhook_id=WEBHOOK,
    url="https://example.com/clipmint",
    types=["video.completed", "video.failed"],
    description="The shop",
    enabled=True,
    disabled_reason=None,
    failing_since=None,
    created_at=ORDERED_AT,
    updated_at=ORDERED_AT,
)
_DELIVERY = delivery("video.completed")
_FIGURES = usage_responses.UsageFigures(
    jobs=20,
    completed=17,
    failed=2,
    cancelled=1,
    success_rate=0.8947,
    p50_seconds=61.3,
    p95_seconds=145.1,
    credits_captured=272,
    credits_released=48,
    provider_cost_usd=6.8,
    provider_cost_unknown=0,
    provider_cost=[usage_responses.ProviderCost(provider="fal", unit="USD", amount=6.8)],
    margin_usd=20.4,
    orphans=1,
)
_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

_RESPONSES: list[BaseModel] = [
    _WEBHOOK,
    _DELIVERY,
    webhook_responses.CreatedWebhook(**_WEBHOOK.model_dump(), secret=_SECRET),
    webhook_responses.NewSecret(secret=_SECRET, previous_valid_until=EXPIRES_AT),
    webhook_responses.WebhookList(webhooks=[_WEBHOOK]),
    webhook_responses.DeliveryPage(deliveries=[_DELIVERY], cursor=None),
    usage_responses.Usage(
        first=date(2026, 3, 1),
        last=date(2026, 3, 7),
        group_by=Grouping.MODEL,
        groups=[usage_responses.UsageGroup(**_FIGURES.model_dump(), key=MODEL.model_id)],
        groups_left_out=0,
        totals=_FIGURES,
    ),
    order_responses.Accepted(job_id=JOB, status="pending", credits_used=16, credits_remaining=84),
    order_responses.SceneAccepted(
        job_id=JOB,
        status="pending",
        credits_used=17,
        credits_remaining=83,
        project_id=PROJECT,
        scene_id=SCENE,
        prices={"generate_image": 1, "generate_scene": 16},
    ),
    order_responses.ClipsAccepted(
        project_id=PROJECT,
        clips=[
            order_responses.StartedClip(
                scene_id=SCENE, job_id=CLIP_JOB, status="pending", credits_used=16
            )
        ],
        credits_used=16,
        credits_remaining=84,
        remaining=0,
    ),
    order_responses.Estimate(credits=16, available=100, affordable=True),
    order_responses.SceneEstimate(
        credits=17,
        available=100,
        affordable=True,
        prices={"generate_image": 1, "generate_scene": 16},
    ),
    order_responses.ClipsEstimate(
        credits=16,
        available=100,
        affordable=True,
        clips=[order_responses.ClipEstimate(scene_id=SCENE, credits=16)],
        remaining=0,
    ),
    _VIDEO,
    video_responses.VideoPage(videos=[_VIDEO], cursor=None),
    MODEL,
    _ENTRY,
    catalog_responses.Catalog(
        models=[_ENTRY],
        defaults=catalog_responses.CatalogDefaults(
            scene_image_model="gen4-image",
            scene_video_model="gen4-turbo",
            clip_model="runware-veo-3.1",
        ),
    ),
    credit_responses.Credits(
        available=84,
        held=16,
        debt=0,
        lots=[
            credit_responses.CreditLot(kind=CreditKind.PROMO, credits=4, expires_at=EXPIRES_AT),
            credit_responses.CreditLot(kind=CreditKind.PURCHASED, credits=80, expires_at=None),
        ],
    ),
    credit_responses.Journal(
        entries=[
            HOLD,
            credit_responses.JournalEntry(
                sequence=1,
                kind="grant",
                credits=100,
                balance_after=100,
                held_after=0,
                job_id=None,
                stage=None,
                reference="purchase-1",
                created_at=ORDERED_AT,
                debt_after=0,
                credit_kind=None,
                expires_at=None,
                reason=None,
            ),
        ],
        cursor=None,
    ),
    order_responses.Cancelled(job_id=JOB, status=JobStatus.CANCELLED, credits_released=16),
    credit_responses.Granted(
        user_id="ada",
        amount=100,
        reference="purchase-1",
        job_id=None,
        available=100,
        replayed=False,
    ),
    owner_responses.OwnedModel.of_versions(
        [
            Version(MODEL, 2, "back-office", ENDED_AT),
            Version(MODEL.model_copy(update={"available": False}), 1, None, None),
        ]
    ),
    owner_responses.CheckedModel(
        problems=["routes: runware: text: body: audio changes the price, but not the request"],
        orders=[
            owner_responses.CheckedOrder(
                name="preset draft",
                kind="text",
                settings=SETTINGS,
                credits=16,
                requests=[
                    owner_responses.CheckedRequest(
                        provider="fal",
                        endpoint="fal-ai/veo3.1",
                        body={"prompt": "…", "duration": "4s", "resolution": "720p"},
                        problem=None,
                    )
                ],
            )
        ],
    ),
    credit_responses.ClawedBack(
        user_id="ada",
        amount=100,
        reference="refund-1",
        kind=CreditKind.PURCHASED,
        available=0,
        debt=16,
        replayed=False,
    ),
    credit_responses.PackList(
        packs=[
            credit_responses.OfferedPack(
                product_id="credits-500",
                name="500 credits",
                credits=500,
                kind=CreditKind.PURCHASED,
                expires_after_days=None,
                store_ids={"revenuecat": ["com.example.app.credits_500"]},
            )
        ]
    ),
    PACK,
    _PURCHASE,
    credit_responses.PurchaseList(purchases=[_PURCHASE], cursor=None),
    credit_responses.Adjusted(
        user_id="ada",
        amount=16,
        reference="ticket-1",
        reason="A video was unusable",
        available=16,
        debt=0,
        replayed=False,
    ),
    _SCENE,
    project_responses.SceneList(scenes=[_SCENE]),
    project_responses.ProjectPage(projects=[_SUMMARY], cursor=None),
    project_responses.ProjectAnswer(**_SUMMARY.model_dump(), scenes=[_SCENE]),
    project_responses.ImageAnswer(
        project_id=PROJECT,
        image_url=IMAGE,
        expires_at=EXPIRES_AT,
        upload=project_responses.UploadForm(
            url=FORM,
            fields={"key": f"uploads/ada/{PROJECT}/image.png", "Content-Type": "image/png"},
            expires_at="2026-03-01T09:45:00.000Z",
        ),
    ),
    project_responses.ClipsSummary(
        total_clips=1,
        completed=0,
        pending=1,
        failed=0,
        all_complete=False,
        clips=[
            project_responses.Clip(
                scene_id=SCENE,
                job_id=CLIP_JOB,
                status=JobStatus.PROCESSING,
                progress=70,
                current_step=StepName.GENERATING_VIDEO,
                video_url=None,
                thumbnail_url=None,
                error_message=None,
                error_code=None,
            )
        ],
    ),
]
BY_MODEL: dict[str, Any] = {
    type(response).__name__: response.model_dump(mode="json", by_alias=True)
    for response in [*_RESPONSES, *openapi_operator.RESPONSES]
}
"""By the name of the response model."""

_ERRORS: list[errors.ClipmintError] = [
    errors.ClipmintError("Something went wrong"),
    errors.InvalidRequest("The request is not valid", details="prompt: Field required"),
    errors.IdempotencyKeyRequired("The Idempotency-Key header is required"),
    errors.IdempotencyKeyInvalid("The Idempotency-Key header is not valid"),
    errors.ImageRequired(
        "veo-3.1-i2v needs image_url", details="image_url: required by this model"
    ),
    errors.ImageNotUploaded("An image is not uploaded yet", details=IMAGE),
    errors.ImageInvalid("An uploaded image cannot be used", details=f"{IMAGE}: not an image"),
    errors.SettingNotAllowed(
        "veo-3.1 does not allow these settings",
        details="duration: 5 is not allowed; allowed: 4, 6, 8",
    ),
    errors.ModelUnavailable("veo-3.1 is not available at the moment"),
    errors.PromptRequired(f"Scene {SCENE} has no visual_prompt"),
    errors.FramesRequired(f"Scene {SCENE} has no last_frame"),
    errors.TooManyScenes("A project cannot have that many scenes", details="scenes: at most 50"),
    errors.TooManyEndpoints("There are too many webhooks", details="at most 20"),
    errors.EndpointNotFound("There is no such webhook"),
    errors.DeliveryNotFound("There is no such delivery"),
    errors.EndpointDisabled("The webhook is disabled", details="enabled: false"),
    errors.SecretsStillSign(
        "Two former secrets of the webhook still sign", details="each for a day"
    ),
    errors.ResolutionNotAllowed("This resolution is not available"),
    errors.TaskHasEnded("This task has ended", details="status: completed"),
    errors.InsufficientCredits(
        "Insufficient credits",
        details="16 credits are needed, 3 are available",
        extras={"current_credits": 3, "held_credits": 0, "required_credits": 16},
    ),
    errors.UserMismatch("user_id does not match the token"),
    errors.ScopeRequired("This route requires the scope clipmint/admin"),
    errors.NotFound("There is no such path"),
    errors.ModelNotFound(
        "There is no model 'veo-0'", details="model_id: GET /v1/models lists all models"
    ),
    errors.JobNotFound("There is no such video"),
    errors.ProjectNotFound("There is no such project"),
    errors.SceneNotFound("There is no such scene"),
    errors.VideoNotReady("There is no video file of this job", details="status: processing"),
    errors.RequestInProgress("A request with this Idempotency-Key is being answered right now"),
    errors.price_changed(16, 18),
    errors.CancelTooLate(
        "It is too late to cancel this video",
        details="The provider has begun, or the job has ended",
    ),
    errors.NothingToFetch(
        "There is no file to fetch", details="The job has ended, or its provider has not finished"
    ),
    errors.JobRunning("A running video cannot be deleted", details="Cancel it first"),
    errors.ReferenceReused("This reference was used for something else"),
    errors.PackNotFound("There is no pack 'credits-500'"),
    errors.PurchaseNotFound("There is no such purchase"),
    errors.PurchaseNotWaiting("This purchase was dismissed"),
    errors.TooManyLots(
        "The user has too many credits with different ends",
        details="At most 32; grant purchased credits, or credits that end with others",
    ),
    errors.SceneBusy("This scene is being rendered", details=f"scene {SCENE} is rendered by {JOB}"),
    errors.ProjectBusy(
        "A project cannot be deleted while it is being rendered",
        details="Wait for its running jobs to end, or cancel them first",
    ),
    errors.IdempotencyKeyReused("This Idempotency-Key was used for another request"),
    errors.LimitReached("Too many generations", details="At most 5 at a time"),
    errors.TemporarilyUnavailable(
        "The account cannot be read at the moment", details="Send the same request again"
    ),
]
_GATEWAY: dict[str, str] = {
    "401": "Unauthorized",
    "403": "Forbidden",
    "413": "Request Entity Too Large",
    "429": "Too Many Requests",
    "500": "Internal Server Error",
    "503": "Service Unavailable",
}
BY_CODE: dict[str, errors.ClipmintError] = {error.code: error for error in _ERRORS}
"""Errors by their code."""
ERRORS: dict[str, dict[str, Any]] = {
    **{code: {**error.body(), "timestamp": ORDERED_AT} for code, error in BY_CODE.items()},
    **{f"GATEWAY_{status}": {"message": message} for status, message in _GATEWAY.items()},
}
"""Bodies by the code of the error; the gateway's own by GATEWAY_ and the status."""
