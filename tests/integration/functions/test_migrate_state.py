"""Migrate, where the file's URL has died or the function did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clipmint import jobs, ledger
from clipmint.domain.jobs import Job, JobStatus, Verdict
from clipmint.domain.media import MediaInvalid, SourceExpired
from clipmint.domain.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.jobs import JobFinished
from clipmint.providers.base import ProviderUnavailable
from functions.migrate import app
from tests.integration.gateway import Context
from tests.integration.moto_aws import BUCKET, Aws, open_job
from tests.integration.scripted_provider import HANDLE, ScriptedProvider
from tests.integration.storage.origin import Exchange, Origin
from tests.unit.mp4 import write_mp4


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_mp4(tmp_path_factory.mktemp("mp4") / "video.mp4", seconds=0.5)


@pytest.fixture
def origin(aws: Aws, provider: ScriptedProvider, video: bytes) -> Iterator[Origin]:
    """The provider's CDN: a good file, one that is gone, and one that is none."""

    def reply(status: int, body: bytes) -> Any:
        def serve(exchange: Exchange) -> None:
            exchange.start(status, {"Content-Type": "video/mp4", "Content-Length": str(len(body))})
            exchange.wfile.write(body)

        return serve

    def as_bytes(params: dict[str, Any], **_: Any) -> None:
        params["Body"] = bytes(params["Body"])  # moto cannot read a bytearray; S3 can

    app._s3().meta.events.register("before-parameter-build.s3.PutObject", as_bytes)
    with Origin() as server:
        server.replies = {
            "/good.mp4": reply(200, video),
            "/gone.mp4": reply(404, b""),
            "/page.mp4": reply(200, b"<html>not a video</html>" * 10),
        }
        provider.media_hosts = (server.host,)
        yield server


def finished(origin: Origin, path: str) -> Job:
    job = jobs.mark_sending(open_job(), "video", "token")
    jobs.mark_sent(job.job_id, "video", HANDLE)
    return jobs.record_outcome(job.job_id, "video", Succeeded(origin.url(path)))


def migrate(job: Job) -> dict[str, Any]:
    event = {"job_id": job.job_id, "stage": "video"}
    return app.handler(event, Context(remaining_ms=800_000))


def keys(aws: Aws) -> list[str]:
    return [item["Key"] for item in aws.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def paths(origin: Origin) -> list[str]:
    return [path for path, _ in origin.seen]


def test_an_expired_url_is_replaced_by_a_fresh_one(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = finished(origin, "/gone.mp4")
    provider.polls = [Succeeded(origin.url("/good.mp4"))]
    assert migrate(job) == {"more": False}
    assert paths(origin) == ["/gone.mp4", "/good.mp4"]
    assert provider.polled == [HANDLE]
    assert len(keys(aws)) == 2


@pytest.mark.parametrize(
    "answer", [Running(), Failed(FailureCode.PROVIDER_ERROR), ProviderUnavailable("502")]
)
def test_without_a_fresh_url_the_copy_is_tried_again_later(
    aws: Aws, provider: ScriptedProvider, origin: Origin, answer: Any
) -> None:
    job = finished(origin, "/gone.mp4")
    provider.polls = [answer]
    with pytest.raises(SourceExpired):
        migrate(job)
    found = jobs.get(job.job_id)
    assert found
    assert not found.is_terminal
    assert keys(aws) == []


def test_a_crash_before_the_record_costs_a_second_copy_and_no_more(
    aws: Aws, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(origin, "/good.mp4")

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "record_asset", kill)
        with pytest.raises(KeyboardInterrupt):
            migrate(job)
    left = keys(aws)
    assert migrate(job) == {"more": False}
    assert keys(aws) == left
    assert paths(origin) == ["/good.mp4"] * 2


def test_what_is_no_video_is_neither_kept_nor_recorded(aws: Aws, origin: Origin) -> None:
    job = finished(origin, "/page.mp4")
    with pytest.raises(MediaInvalid):
        migrate(job)
    assert keys(aws) == []
    found = jobs.get(job.job_id)
    assert found
    assert found.stages[0].asset is None


def test_the_owners_key_is_not_shown_to_the_cdn(origin: Origin) -> None:
    migrate(finished(origin, "/good.mp4"))
    [(_, headers)] = origin.seen
    assert "authorization" not in {name.lower() for name in headers}


def test_there_is_nothing_to_copy_for_a_job_that_has_ended_or_has_no_file(
    aws: Aws, origin: Origin
) -> None:
    ended = finished(origin, "/good.mp4")
    ledger.settle(ended.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.MEDIA_UNAVAILABLE))
    for job in (ended, open_job()):
        with pytest.raises(JobFinished):
            migrate(job)
    assert origin.seen == []
    assert keys(aws) == []
