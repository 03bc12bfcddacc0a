"""An image and then a video from it: two provider tasks, two holds, one job."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from clipmint.aws import s3
from clipmint.credits import holds
from clipmint.execution import submission
from clipmint.execution.sending import SubmissionRejected
from clipmint.jobs import job_store
from clipmint.jobs.job import ImageOrder, Job, JobStatus, Stage
from clipmint.jobs.outcomes import Failed, FailureCode, Succeeded
from clipmint.media.files import MediaInvalid
from clipmint.providers.base import Accepted, Notice, Rejected, Submitted, Unanswered
from clipmint.providers.circuit import FAILURES_TO_OPEN
from functions.cancel.app import handler as cancel
from functions.migrate import app as migrate_app
from functions.settle.app import handler as settle
from functions.status.app import handler as status
from functions.submit.app import handler as submit
from functions.track.app import handler as track
from functions.webhooks.app import handler as webhooks
from tests.integration.functions.test_migrate_state import paths
from tests.support.clock import Clock
from tests.support.gateway import Caller, Context
from tests.support.jobs import ROUTES, as_stored, assert_adds_up, journal, new_job, open_job
from tests.support.moto_aws import (
    BUCKET,
    IMAGES_BUCKET,
    IMAGES_URL,
    Aws,
    override,
)
from tests.support.mp4 import write_mp4
from tests.support.origin import Exchange, Origin
from tests.support.scripted_provider import HANDLE, ScriptedProvider, ScriptedWebhookSender

DECLINED = Failed(FailureCode.CONTENT_POLICY, "flagged")


def png(colour: str = "teal") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (108, 192), colour).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def origin(
    aws: Aws, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Iterator[Origin]:
    """The provider's CDN: two images, an HTML page, and a video."""

    def reply(kind: str, body: bytes) -> Any:
        def serve(exchange: Exchange) -> None:
            exchange.start(200, {"Content-Type": kind, "Content-Length": str(len(body))})
            exchange.wfile.write(body)

        return serve

    def as_bytes(params: dict[str, Any], **_: Any) -> None:
        params["Body"] = bytes(params["Body"])  # moto cannot read a bytearray; S3 can

    s3().meta.events.register("before-parameter-build.s3.PutObject", as_bytes)
    with Origin() as server:
        server.replies = {
            "/first.png": reply("image/png", png()),
            "/second.png": reply("image/png", png("tomato")),
            "/page.png": reply("image/png", b"<html>not a picture</html>" * 10),
            "/video.mp4": reply("video/mp4", write_mp4(tmp_path / "v.mp4", seconds=0.5)),
        }
        override(monkeypatch, fal={"media_hosts": [server.host]})
        yield server


def scene_job(credits_: tuple[int, int] = (2, 5)) -> Job:
    """A job as Generate opens it for a scene without an image."""
    template = new_job()
    order = ImageOrder(
        "gen4-image", "a red kettle", "1080:1920", ("https://example.com/kettle.png",)
    )
    route = ROUTES["fal"]
    image = Stage(
        "image", (route,), "fal", route.endpoint, credits_[0], (15, 10), 600, image_order=order
    )
    video = replace(template.stages[0], credits=credits_[1])
    return open_job(stages=(image, video), prompt="it boils", deadline_in=600)


def send(job: Job) -> dict[str, Any]:
    return submit({"job_id": job.job_id}, Context())


def come_out(job: Job, stage: str, outcome: Succeeded | Failed) -> None:
    job_store.record_outcome(job.job_id, stage, outcome)


def migrate(job: Job, stage: str) -> dict[str, Any]:
    context = Context(remaining_ms=800_000, aws_request_id=str(uuid.uuid4()))
    return migrate_app.handler({"job_id": job.job_id, "stage": stage}, context)


def make_image(job: Job, origin: Origin, path: str = "/first.png") -> None:
    assert send(job)["stage"] == "image"
    come_out(job, "image", Succeeded(origin.url(path)))
    assert migrate(job, "image") == {"more": True}


def end(job: Job, error: str = "") -> Job:
    settle({"job_id": job.job_id, "error": error}, Context())
    return as_stored(job)


def shown(job: Job) -> dict[str, Any]:
    answer = Caller(status)("GET", f"/v1/videos/{job.job_id}")
    assert answer.status == 200
    video: dict[str, Any] = answer.body
    return video


def kinds(user_id: str = "user-1") -> list[tuple[str, str | None, int]]:
    return [(e.kind, e.stage, e.credits) for e in journal(user_id) if e.kind != "grant"]


def test_both_prices_are_held_together_and_captured_one_by_one(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    assert assert_adds_up("user-1").held == 7
    make_image(job, origin)
    assert send(job)["stage"] == "video"
    come_out(job, "video", Succeeded(origin.url("/video.mp4")))
    assert migrate(job, "video") == {"more": False}
    ended = end(job)
    assert (ended.status, ended.credits_used) == (JobStatus.COMPLETED, 7)
    assert kinds() == [
        ("hold", "image", 2),
        ("hold", "video", 5),
        ("capture", "image", 2),
        ("capture", "video", 5),
    ]
    assert assert_adds_up("user-1").held == 0


def test_the_image_is_ordered_as_the_scene_describes_and_the_video_starts_from_it(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    send(job)
    image_task, video = provider.tasks
    assert (image_task.prompt, image_task.settings) == (
        "a red kettle",
        {"aspect_ratio": "1080:1920"},
    )
    assert image_task.reference_image_urls == ("https://example.com/kettle.png",)
    assert image_task.image_url is None
    assert (video.prompt, video.reference_image_urls) == ("it boils", ())
    assert video.image_url == as_stored(job).image_url
    assert image_task.task_id != video.task_id
    assert (image_task.webhook_url or "").split("/")[-2] == "image"


def test_the_image_is_public_under_a_key_that_reveals_nothing_about_its_user(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    url = str(as_stored(job).image_url)
    key = url.removeprefix(f"{IMAGES_URL}/")
    owner = hashlib.sha256(b"user-1").hexdigest()
    assert key.startswith(f"generated_images/{owner}/{job.job_id}/")
    stored = aws.s3.get_object(Bucket=IMAGES_BUCKET, Key=key)
    assert (stored["ContentType"], stored["Body"].read()) == ("image/png", png())
    assert stored["CacheControl"] == "public, max-age=300"
    asset = as_stored(job).stages[0].asset
    assert asset
    assert (asset.key, asset.width, asset.height) == (key, 108, 192)
    assert asset.sha256 == hashlib.sha256(png()).hexdigest()


def test_each_stage_has_its_models_waits_and_its_own_time(
    aws: Aws, provider: ScriptedProvider, origin: Origin, hands: Clock
) -> None:
    job = scene_job()
    assert send(job) == {"stage": "image", "poll_seconds": [15, 10], "deadline": job.deadline}
    hands.forward(seconds=500)
    come_out(job, "image", Succeeded(origin.url("/first.png")))
    migrate(job, "image")
    waits = send(job)
    assert waits["poll_seconds"] == [90, 30, 30, 60]
    assert waits["deadline"] == int(hands.moment.timestamp()) + 1_800


def test_a_failed_video_costs_only_the_image_and_the_response_shows_it(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    send(job)
    come_out(job, "video", Failed(FailureCode.PROVIDER_ERROR))
    with pytest.raises(SubmissionRejected):
        send(job)  # as the state machine does after a failure: nothing to make again
    ended = end(job, "SubmissionRejected")
    assert (ended.status, ended.credits_used) == (JobStatus.FAILED, 2)
    assert kinds()[2:] == [("capture", "image", 2), ("release", "video", 5)]
    assert assert_adds_up("user-1").available == 5
    answer = shown(job)
    assert answer["image_url"].startswith(IMAGES_URL)
    assert (answer["status"], answer["video_url"]) == ("failed", None)
    assert answer["error_message"].endswith("only the image was charged.")
    assert answer["stages"] == [
        {"name": "image", "credits": 2, "charged": True},
        {"name": "video", "credits": 5, "charged": False},
    ]


def test_a_failed_image_costs_nothing(aws: Aws, provider: ScriptedProvider) -> None:
    job = scene_job()
    send(job)
    come_out(job, "image", DECLINED)
    with pytest.raises(SubmissionRejected):
        send(job)
    ended = end(job, "SubmissionRejected")
    assert (ended.failure, ended.credits_used) == (FailureCode.CONTENT_POLICY, 0)
    assert len(provider.tasks) == 1
    assert assert_adds_up("user-1").available == 7
    assert "only the image" not in shown(job)["error_message"]


def test_a_declined_video_gets_one_other_image(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    first_url = as_stored(job).image_url
    send(job)
    before = shown(job)["progress"]
    come_out(job, "video", DECLINED)
    assert send(job)["stage"] == "image"  # as the state machine does after a failure
    assert shown(job)["progress"] >= before
    come_out(job, "image", Succeeded(origin.url("/second.png")))
    assert migrate(job, "image") == {"more": True}
    assert send(job)["stage"] == "video"
    assert provider.tasks[-1].image_url == as_stored(job).image_url != first_url
    come_out(job, "video", Succeeded(origin.url("/video.mp4")))
    migrate(job, "video")
    ended = end(job)
    # Two images were paid for, one is charged.
    assert (ended.status, ended.credits_used, len(provider.tasks)) == (JobStatus.COMPLETED, 7, 4)
    assert len({task.task_id for task in provider.tasks}) == 4
    assert [len(stage.earlier) for stage in ended.stages] == [1, 1]
    assert assert_adds_up("user-1").available == 0


def test_a_video_declined_twice_is_given_up(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    send(job)
    come_out(job, "video", DECLINED)
    make_image(job, origin, "/second.png")
    send(job)
    come_out(job, "video", DECLINED)
    with pytest.raises(SubmissionRejected):
        send(job)
    ended = end(job, "SubmissionRejected")
    assert (ended.failure, ended.credits_used) == (FailureCode.CONTENT_POLICY, 2)
    assert len(provider.tasks) == 4
    assert paths(origin) == ["/first.png", "/second.png"]


def test_a_video_declined_at_submission_gets_another_image_at_once(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    provider.submissions = [Rejected(DECLINED)]
    assert send(job)["stage"] == "image"
    assert [len(task.reference_image_urls) for task in provider.tasks] == [1, 0, 1]


def test_the_first_image_is_kept_and_charged_if_no_other_can_be_made(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    first_url = as_stored(job).image_url
    send(job)
    come_out(job, "video", DECLINED)
    send(job)
    come_out(job, "image", Failed(FailureCode.PROVIDER_ERROR))
    ended = end(job, "SubmissionRejected")
    assert (ended.image_url, ended.credits_used) == (first_url, 2)
    assert assert_adds_up("user-1").available == 5


def test_a_late_response_about_the_first_image_changes_nothing_of_the_second(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    send(job)
    stale = as_stored(job).stages[0].submission
    assert stale
    come_out(job, "video", DECLINED)
    send(job)
    with pytest.raises(job_store.JobMoved):
        job_store.record_outcome(
            job.job_id, "image", Succeeded(origin.url("/first.png")), task_id=stale.task_id
        )
    assert as_stored(job).stages[0].outcome is None


def test_a_slow_host_of_reference_images_opens_no_circuit(
    aws: Aws, provider: ScriptedProvider
) -> None:
    for _ in range(FAILURES_TO_OPEN):
        provider.submissions = [Unanswered("fetching the reference took too long")]
        send(scene_job())
    send(scene_job())
    assert len(provider.tasks) == FAILURES_TO_OPEN + 1


def test_a_late_attempt_sends_no_video_from_an_image_that_is_made_again(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    late = as_stored(job)
    send(job)
    come_out(job, "video", DECLINED)
    assert send(job)["stage"] == "image"
    sent = len(provider.tasks)
    with pytest.raises(job_store.JobMoved):
        submission.ensure_sent(late, late.stages[1], lambda: True)
    assert len(provider.tasks) == sent


def test_a_declined_video_is_no_orphan_if_its_image_is_made_again_before_the_answer_is_noted(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)

    def overtaken() -> Submitted:
        # The webhook resumes the execution, which goes on while Submit still runs.
        job_store.record_outcome(job.job_id, "video", DECLINED, handle=HANDLE)
        assert send(job)["stage"] == "image"
        return Accepted(HANDLE)

    provider.submissions = [overtaken]
    with pytest.raises(job_store.JobMoved):
        send(job)
    assert (provider.cancelled, as_stored(job).orphans) == ([], ())


def test_an_html_page_instead_of_an_image_never_becomes_public(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    send(job)
    come_out(job, "image", Succeeded(origin.url("/page.png")))
    with pytest.raises(MediaInvalid):
        migrate(job, "image")
    assert aws.s3.list_objects_v2(Bucket=IMAGES_BUCKET).get("Contents", []) == []
    ended = end(job, "MediaInvalid")
    assert (ended.failure, ended.credits_used) == (FailureCode.MEDIA_INVALID, 0)


def test_a_job_cancelled_between_its_stages_costs_the_image(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    answer = Caller(cancel)("POST", f"/v1/videos/{job.job_id}/cancel")
    assert (answer.status, answer.body["credits_released"]) == (200, 5)
    assert (as_stored(job).status, as_stored(job).credits_used) == (JobStatus.CANCELLED, 2)


def test_deleting_a_job_deletes_its_images(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    send(job)
    come_out(job, "video", Succeeded(origin.url("/video.mp4")))
    migrate(job, "video")
    end(job)
    answer = Caller(cancel)("DELETE", f"/v1/videos/{job.job_id}")
    assert answer.status == 204
    for bucket in (BUCKET, IMAGES_BUCKET):
        assert aws.s3.list_objects_v2(Bucket=bucket).get("Contents", []) == []


def test_a_sleeping_track_is_woken_for_the_stage_it_waits_for(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    send(job)
    come_out(job, "image", Succeeded(origin.url("/first.png")))
    event = {"job_id": job.job_id, "stage": "image", "turn": 0, "task_token": "sleeper"}
    aws.executions.sleeping.add("sleeper")
    assert track(event, Context()) == {"woken": True}
    [(token, callback)] = aws.executions.responses
    assert (token, json.loads(callback["output"])) == ("sleeper", {"stage": "image"})


def test_a_job_with_two_stages_is_settled_in_one_transaction(
    aws: Aws, provider: ScriptedProvider, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    before = len(journal("user-1"))
    holds.settle(job.job_id, lambda _: None)
    assert len(journal("user-1")) == before
    end(job, "DeadlineExceeded")
    last = journal("user-1")[-2:]
    assert [entry.sequence for entry in last] == [before + 1, before + 2]
    assert end(job, "DeadlineExceeded").revision == as_stored(job).revision


def test_the_webhook_token_of_one_stage_is_rejected_at_the_url_of_the_other(
    aws: Aws, provider: ScriptedWebhookSender, origin: Origin
) -> None:
    job = scene_job()
    make_image(job, origin)
    assert send(job)["stage"] == "video"
    before = as_stored(job)
    image, video = (stage.submission for stage in before.stages)
    assert image
    assert video
    provider.notices = [Notice(HANDLE, Succeeded(origin.url("/video.mp4")))]
    call = Caller(webhooks, user=None)
    path = f"/webhooks/fal/{job.job_id}/video"
    assert call("POST", f"{path}/{image.webhook_token}", body={}).status == 404
    assert as_stored(job) == before
    assert call("POST", f"{path}/{video.webhook_token}", body={}).status == 200
