"""What the examples of the API's document have in common: times, ids, a job and its hold."""

from __future__ import annotations

from clipmint import clock
from clipmint.api.credit_responses import JournalEntry
from clipmint.api.project_responses import ProjectSummary
from clipmint.api.webhook_responses import DeliveryAttempt, WebhookDelivery
from clipmint.catalog.defaults import DEFAULT_CATALOG
from clipmint.catalog.entry import Settings
from clipmint.jobs.job import Job, JobStatus, Stage
from clipmint.purchases.pack import Pack

ORDERED_AT = "2026-03-01T09:30:00.000Z"
ENDED_AT = "2026-03-01T09:31:10.000Z"
JOB = "5f2c7c8e-93a4-5b8e-8f0d-2a1f0c6d9e11"
PROJECT = "7e0b9d1a-3c55-4f2e-a6b1-9d8c7f6e5a33"
WEBHOOK = "b7e1f0c2-4d3a-4c5b-9e8f-7a6b5c4d3e55"
CLIP_JOB = "0d9a3f5e-7c0b-5d52-9b8e-6f6a1e0c4b22"
SCENE = "c1a2b3d4-e5f6-4a7b-8c9d-0e1f2a3b4c44"
IMAGES = "https://d111111abcdef8.cloudfront.net"
IMAGE = f"{IMAGES}/uploads/ada/{PROJECT}/image.png"
FRAMES = (f"{IMAGES}/uploads/ada/{PROJECT}/dawn.png", f"{IMAGES}/uploads/ada/{PROJECT}/noon.png")
BUCKET = "https://videos-bucket.s3.eu-central-1.amazonaws.com"
EVENT = "evt_7c6e19f0ceca5b74837b691bfde4c416"

MODEL = DEFAULT_CATALOG[0]
SETTINGS = Settings(resolution="720p", aspect_ratio="16:9", duration=4)
PACK = Pack(
    credits=500,
    name="500 credits",
    store_ids={"revenuecat": ["com.example.app.credits_500"]},
)
HOLD = JournalEntry(
    sequence=2,
    kind="hold",
    credits=16,
    balance_after=84,
    held_after=16,
    job_id=JOB,
    stage="video",
    reference=None,
    created_at=ORDERED_AT,
    debt_after=0,
    credit_kind=None,
    expires_at=None,
    reason=None,
)


def ended_job(status: JobStatus, stage: Stage, deadline: int) -> Job:
    """The job of the examples, which has ended. ``deadline`` is in epoch seconds."""
    return Job(
        job_id=JOB,
        user_id="ada",
        status=status,
        model_id=MODEL.model_id,
        model_name=MODEL.name,
        prompt="A glowing cityscape at night",
        settings=SETTINGS,
        fingerprint="",
        stages=(stage,),
        deadline=deadline,
        created_at=clock.from_iso(ORDERED_AT),
        updated_at=clock.from_iso(ENDED_AT),
        completed_at=clock.from_iso(ENDED_AT),
    )


def delivery(type_: str) -> WebhookDelivery:
    """The delivery of an event of this type."""
    return WebhookDelivery(
        delivery_id=f"{ENDED_AT}_{EVENT}",
        event_id=EVENT,
        type=type_,
        status="delivered",
        attempts=[DeliveryAttempt(at=ENDED_AT, status=204, milliseconds=48, reason="delivered")],
        created_at=ENDED_AT,
    )


def project(image_url: str | None) -> ProjectSummary:
    """The project of the examples."""
    return ProjectSummary(
        project_id=PROJECT,
        name="Lighthouse",
        resolution="1280:720",
        image_url=image_url,
        scene_count=1,
        expires_at=None,
        created_at=ORDERED_AT,
        updated_at=ORDERED_AT,
    )
