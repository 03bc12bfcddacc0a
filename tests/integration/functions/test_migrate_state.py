"""Migrate: the file's URL has expired, the function crashed, or two attempts overlap."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from clipmint.aws import s3
from clipmint.catalog.model import Settings
from clipmint.catalog.tolerance import Tolerance
from clipmint.credits import holds
from clipmint.execution import migration
from clipmint.jobs import job_store
from clipmint.jobs.job import Asset, Job, JobStatus
from clipmint.jobs.job_store import JobFinished
from clipmint.jobs.outcomes import Failed, FailureCode, Running, Succeeded
from clipmint.jobs.verdict import Verdict, verdict
from clipmint.media.files import HostNotListed, MediaInvalid, SourceExpired
from clipmint.providers.base import Notice, ProviderUnavailable
from functions.migrate import app
from functions.settle.app import handler as settle
from functions.webhooks.app import handler as webhooks
from tests.support.gateway import Caller, Context
from tests.support.jobs import LISTED, TASK_ID, assert_adds_up, begin_sending, new_job, open_job
from tests.support.moto_aws import (
    BUCKET,
    Aws,
    override,
)
from tests.support.mp4 import write_mp4
from tests.support.origin import Exchange, Origin, until_closed
from tests.support.scripted_provider import HANDLE, ScriptedProvider, ScriptedWebhookSender


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_mp4(tmp_path_factory.mktemp("mp4") / "video.mp4", seconds=0.5)


@pytest.fixture
def origin(
    aws: Aws, provider: ScriptedProvider, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Origin]:
    """The provider's CDN: a good file, one that is gone, and one that is none."""

    def reply(status: int, body: bytes) -> Any:
        def serve(exchange: Exchange) -> None:
            exchange.start(status, {"Content-Type": "video/mp4", "Content-Length": str(len(body))})
            exchange.wfile.write(body)

        return serve

    def as_bytes(params: dict[str, Any], **_: Any) -> None:
        params["Body"] = bytes(params["Body"])  # moto cannot read a bytearray; S3 can

    s3().meta.events.register("before-parameter-build.s3.PutObject", as_bytes)
    with Origin() as server:
        server.replies = {
            "/good.mp4": reply(200, video),
            "/gone.mp4": reply(404, b""),
            "/page.mp4": reply(200, b"<html>not a video</html>" * 10),
            # Truncated without a sign: no length was declared.
            "/half.mp4": until_closed(video[: len(video) // 2]),
        }
        override(monkeypatch, fal={"media_hosts": [server.host]})
        yield server


def finished(origin: Origin, path: str) -> Job:
    job = begin_sending(open_job())
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    return job_store.record_outcome(job.job_id, "video", Succeeded(origin.url(path)))


def migrate(job: Job) -> dict[str, Any]:
    """One attempt; every invocation has an id of its own."""
    event = {"job_id": job.job_id, "stage": "video"}
    context = Context(remaining_ms=800_000, aws_request_id=str(uuid.uuid4()))
    return app.handler(event, context)


def asset_of(job: Job) -> Asset | None:
    found = job_store.get(job.job_id)
    assert found
    return found.stages[0].asset


def assert_completed_with_its_files(aws: Aws, job: Job, video: bytes) -> None:
    """The job is charged, its files are in the bucket, and nothing else is."""
    assert settle({"job_id": job.job_id, "error": ""}, Context()) == {"status": "completed"}
    assert (assert_adds_up("user-1").held, assert_adds_up("user-1").available) == (0, 0)
    asset = asset_of(job)
    assert asset
    stored = aws.s3.get_object(Bucket=BUCKET, Key=asset.key)["Body"].read()
    assert stored == video
    assert asset.sha256 == hashlib.sha256(stored).hexdigest()
    assert keys(aws) == sorted([asset.key, str(asset.thumbnail_key)])


def overlapping(
    monkeypatch: pytest.MonkeyPatch, step: str, meanwhile: Callable[[], object]
) -> None:
    """Let something happen within the next attempt, right before it takes this step."""
    real = getattr(migration, step)

    def later(*args: Any) -> Any:
        monkeypatch.setattr(migration, step, real)
        meanwhile()
        return real(*args)

    monkeypatch.setattr(migration, step, later)


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
    found = job_store.get(job.job_id)
    assert found
    assert not found.is_terminal
    assert keys(aws) == []


def test_a_crash_before_the_record_costs_a_second_copy_and_no_more(
    aws: Aws, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(origin, "/good.mp4")

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job_store, "record_asset", kill)
        with pytest.raises(KeyboardInterrupt):
            migrate(job)
    left = keys(aws)
    assert len(left) == 2
    assert migrate(job) == {"more": False}
    assert paths(origin) == ["/good.mp4"] * 2
    # What the killed attempt left stays until the job is deleted. It is harmless.
    asset = asset_of(job)
    assert asset
    assert set(keys(aws)) == {*left, asset.key, asset.thumbnail_key}
    assert asset.key not in left


@pytest.mark.parametrize("step", ["_from_provider", "_video_asset"])
def test_an_attempt_that_damages_its_copy_takes_nothing_from_the_one_that_was_quicker(
    aws: Aws, origin: Origin, video: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = finished(origin, "/good.mp4")
    good, half = origin.replies["/good.mp4"], origin.replies["/half.mp4"]

    def the_other_attempt() -> None:
        origin.replies["/good.mp4"] = good
        assert migrate(job) == {"more": False}
        origin.replies["/good.mp4"] = half

    origin.replies["/good.mp4"] = half
    overlapping(monkeypatch, step, the_other_attempt)
    with pytest.raises(MediaInvalid):
        migrate(job)
    # The state machine retries the damaged attempt.
    assert migrate(job) == {"more": False}
    assert_completed_with_its_files(aws, job, video)


@pytest.mark.parametrize("step", ["_from_provider", "_video_asset"])
def test_of_two_good_attempts_the_second_removes_its_own_copy_and_goes_on(
    aws: Aws, origin: Origin, video: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = finished(origin, "/good.mp4")
    overlapping(monkeypatch, step, lambda: migrate(job))
    assert migrate(job) == {"more": False}
    assert paths(origin) == ["/good.mp4"] * 2
    assert_completed_with_its_files(aws, job, video)


def test_a_record_whose_answer_was_lost_and_that_is_written_again_keeps_its_files(
    aws: Aws, origin: Origin, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(origin, "/good.mp4")
    record = job_store.record_asset

    def written_twice(*args: Any, **members: Any) -> Job:
        # The write reached DynamoDB; its response was lost, and the client repeats it.
        record(*args, **members)
        return record(*args, **members)

    monkeypatch.setattr(job_store, "record_asset", written_twice)
    assert migrate(job) == {"more": False}
    assert_completed_with_its_files(aws, job, video)


def test_a_record_that_is_written_again_after_the_job_has_completed_keeps_its_files(
    aws: Aws, origin: Origin, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished(origin, "/good.mp4")
    record = job_store.record_asset

    def settled_between(*args: Any, **members: Any) -> Job:
        record(*args, **members)
        holds.settle(job.job_id, lambda found: verdict(found, "ABORTED"))
        return record(*args, **members)

    monkeypatch.setattr(job_store, "record_asset", settled_between)
    with pytest.raises(JobFinished):
        migrate(job)
    assert_completed_with_its_files(aws, job, video)


@pytest.mark.parametrize("step", ["_from_provider", "_video_asset"])
def test_a_job_that_ends_while_its_file_is_copied_leaves_no_file(
    aws: Aws, origin: Origin, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = finished(origin, "/good.mp4")
    overlapping(
        monkeypatch, step, lambda: holds.settle(job.job_id, lambda job: verdict(job, "ABORTED"))
    )
    with pytest.raises(JobFinished):
        migrate(job)
    assert paths(origin) == ["/good.mp4"]
    assert keys(aws) == []
    assert asset_of(job) is None
    assert assert_adds_up("user-1").available == 32


def test_what_is_no_video_is_neither_kept_nor_recorded(aws: Aws, origin: Origin) -> None:
    job = finished(origin, "/page.mp4")
    with pytest.raises(MediaInvalid):
        migrate(job)
    assert keys(aws) == []
    found = job_store.get(job.job_id)
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
    holds.settle(ended.job_id, lambda _: Verdict(JobStatus.FAILED, FailureCode.MEDIA_UNAVAILABLE))
    for job in (ended, open_job()):
        with pytest.raises(JobFinished):
            migrate(job)
    assert origin.seen == []
    assert keys(aws) == []


def test_a_file_on_a_host_that_is_not_listed_alarms_the_owner_and_stays_wanted(
    aws: Aws, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    job = begin_sending(open_job())
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    new_host = Succeeded("https://files.fal.example/a.mp4?token=secret")
    job_store.record_outcome(job.job_id, "video", new_host)
    for _ in range(2):
        with pytest.raises(HostNotListed):
            migrate(job)
    assert capsys.readouterr().out.count('"MediaHostNotListed":[1.0]') == 2
    [record, _] = [each for each in caplog.records if each.message == "media host not listed"]
    assert record.__dict__["provider"] == "fal"
    assert record.__dict__["detail"].startswith("host 'files.fal.example' is not")
    assert "secret" not in record.__dict__["detail"]
    assert asset_of(job) is None
    assert assert_adds_up("user-1").held == 32


# ── Not as ordered ───────────────────────────────────────────────────────────────────────────────


def alarms(capsys: pytest.CaptureFixture[str]) -> int:
    return capsys.readouterr().out.count('"NotAsOrdered":[')


def ordered(origin: Origin, seconds: int, otherwise: Literal["keep", "fail"]) -> Job:
    """A finished job of a model with this tolerance. Its file lasts half a second."""
    stage = replace(new_job().stages[0], tolerance=Tolerance(otherwise=otherwise))
    job = open_job(settings=Settings(duration=seconds), stages=(stage,))
    begin_sending(job)
    job_store.mark_sent(job.job_id, "video", TASK_ID, HANDLE)
    success = Succeeded(origin.url("/good.mp4"), LISTED)
    return job_store.record_outcome(job.job_id, "video", success)


@pytest.mark.parametrize("otherwise", ["keep", "fail"])
@pytest.mark.usefixtures("provider")
def test_a_video_within_the_tolerance_is_kept_without_an_alarm(
    aws: Aws,
    origin: Origin,
    video: bytes,
    capsys: pytest.CaptureFixture[str],
    otherwise: Literal["keep", "fail"],
) -> None:
    job = ordered(origin, 1, otherwise)
    assert migrate(job) == {"more": False}
    asset = asset_of(job)
    assert asset
    assert (asset.differences, alarms(capsys)) == (None, 0)
    assert_completed_with_its_files(aws, job, video)


@pytest.mark.usefixtures("provider")
def test_a_video_that_is_not_as_ordered_is_kept_and_charged_with_an_alarm(
    aws: Aws, origin: Origin, video: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ordered(origin, 8, "keep")
    assert migrate(job) == {"more": False}
    assert alarms(capsys) == 1
    assert migrate(job) == {"more": False}  # after a crash of the execution
    assert alarms(capsys) == 0
    asset = asset_of(job)
    assert asset
    assert asset.differences == ("8 s ordered, 0.5 s delivered",)
    assert_completed_with_its_files(aws, job, video)


@pytest.mark.usefixtures("provider")
def test_a_video_that_is_not_as_ordered_fails_its_job_if_the_model_requires_it(
    aws: Aws, origin: Origin, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ordered(origin, 8, "fail")
    with pytest.raises(JobFinished):
        migrate(job)
    with pytest.raises(JobFinished):
        migrate(job)  # after a crash of the execution
    assert alarms(capsys) == 1
    assert keys(aws) == []
    assert settle({"job_id": job.job_id, "error": "JobFinished"}, Context()) == {"status": "failed"}
    found = job_store.get(job.job_id)
    assert found
    assert found.failure is FailureCode.NOT_AS_ORDERED
    # The provider bills it all the same, and the user pays nothing.
    detail = "8 s ordered, 0.5 s delivered"
    assert found.stages[0].outcome == Failed(FailureCode.NOT_AS_ORDERED, detail, cost=LISTED)
    assert (assert_adds_up("user-1").held, assert_adds_up("user-1").available) == (0, 32)


@pytest.mark.usefixtures("provider")
def test_two_attempts_at_a_video_that_is_not_as_ordered_agree(
    aws: Aws, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ordered(origin, 8, "fail")

    def the_other_attempt() -> None:
        with pytest.raises(JobFinished):
            migrate(job)

    overlapping(monkeypatch, "_video_asset", the_other_attempt)
    assert migrate(job) == {"more": True}  # Submit finds the failure, and Settle ends the job
    assert (asset_of(job), keys(aws)) == (None, [])


@pytest.mark.usefixtures("provider")
def test_a_webhook_that_repeats_a_rejected_success_is_a_duplicate(
    origin: Origin, providers: dict[str, ScriptedProvider]
) -> None:
    job = ordered(origin, 8, "fail")
    with pytest.raises(JobFinished):
        migrate(job)
    sender = providers["fal"]
    assert isinstance(sender, ScriptedWebhookSender)
    sender.notices = [Notice(HANDLE, Succeeded(origin.url("/good.mp4")))]
    path = f"/webhooks/fal/{job.job_id}/video/the-token"
    assert Caller(webhooks, user=None)("POST", path, body={}).body == {"result": "duplicate"}
    found = job_store.get(job.job_id)
    assert found
    assert found.orphans == ()
