"""How jobs end, and forms with files, for tests of the compatible endpoints."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from clipmint.credits import holds
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.outcomes import FailureCode
from clipmint.jobs.verdict import Verdict, verdict
from tests.support.moto_aws import BUCKET, IMAGES_BUCKET


def asset_at(bucket: str, key: str) -> Asset:
    return Asset(bucket, key, "video/mp4", 1, "00" * 32, 1280, 720, 4.0, "thumbnail.jpg")


def complete(job_id: str) -> None:
    """The job as the state machine leaves it."""
    for stage in job_of(job_id).stages:
        bucket = BUCKET if stage.name == "video" else IMAGES_BUCKET
        asset = Asset(
            bucket, f"{stage.name}.bin", "video/mp4", 1, "00" * 32, 1280, 720, 4.0, "thumb.jpg"
        )
        job_store.record_asset(job_id, stage.name, asset)
    holds.settle(job_id, lambda job: verdict(job, None))


def job_of(job_id: str) -> Job:
    job = job_store.get(job_id)
    assert job is not None
    return job


def fail(job_id: str) -> None:
    holds.settle(job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.NO_OUTPUT))


def cancel(job_id: str) -> None:
    holds.settle(job_id, lambda _: Verdict(JobStatus.CANCELLED, FailureCode.CANCELLED))


def png(size: int = 64) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), "teal").save(file, "PNG")
    return file.getvalue()


def form(*parts: tuple[str, str | None, bytes]) -> dict[str, Any]:
    """Body and headers of a form of name, content type of a file, and content."""
    body = b""
    for name, content_type, content in parts:
        body += f'--edge\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if content_type:
            body += f'; filename="a.png"\r\nContent-Type: {content_type}'.encode()
        body += b"\r\n\r\n" + content + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    return {"body": body + b"--edge--\r\n", "headers": headers}
