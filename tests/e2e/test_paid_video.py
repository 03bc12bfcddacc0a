"""The way of a paid video, from the request to the owner's bucket, when nothing goes wrong."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable

import av
import httpx
import pytest
from PIL import Image

from local.running import RunningStack
from tests.support.backstage import assert_counted, job_item, submissions
from tests.support.catalog import PRICE, VEO_DRAFT
from tests.support.customer import TERMINAL, Customer
from tests.support.progress import until

FRAME = "https://images.example.com/first.png"
LAST_FRAME = "https://images.example.com/last.png"
HAPPY_PATH = ["Submit", "Migrate", "NextStage", "Settle"]


@pytest.mark.parametrize(("aspect_ratio", "size"), [("16:9", (1280, 720)), ("9:16", (720, 1280))])
def test_a_paid_video_reaches_the_bucket_as_asked_for(
    stack: RunningStack,
    new_customer: Callable[[int], Customer],
    aspect_ratio: str,
    size: tuple[int, int],
) -> None:
    customer = new_customer(100)
    job_id = customer.order(
        model_id="veo-3.1", preset="draft", settings={"aspect_ratio": aspect_ratio}
    )
    ended = customer.until_ended(job_id)

    assert (ended["status"], ended["progress"]) == ("completed", 100)
    assert ended["credits_used"] == VEO_DRAFT
    assert customer.credits() == {"available": 100 - VEO_DRAFT, "held": 0}
    assert customer.kinds() == ["grant", "hold", "capture"]

    video = httpx.get(ended["video_url"], trust_env=False)
    assert video.headers["Content-Type"] == "video/mp4"
    assert int(video.headers["Content-Length"]) == len(video.content)
    # A player seeks: it asks for a part of the file.
    part = httpx.get(ended["video_url"], headers={"Range": "bytes=4-11"}, trust_env=False)
    assert (part.status_code, part.content) == (206, video.content[4:12])
    assert part.headers["Content-Range"] == f"bytes 4-11/{len(video.content)}"
    with av.open(io.BytesIO(video.content), mode="r") as file:
        stream = file.streams.video[0]
        assert stream.codec_context.codec.canonical_name == "h264"
        assert (stream.codec_context.width, stream.codec_context.height) == size
        assert file.duration is not None
        assert file.duration / av.time_base == pytest.approx(4, abs=0.1)
        assert sum(1 for _ in file.decode(video=0)) == stream.frames

    thumbnail = httpx.get(ended["thumbnail_url"], trust_env=False)
    assert thumbnail.headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(thumbnail.content)) as image:
        image.load()
        assert image.format == "JPEG"
        assert max(image.size) == 640
        assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.02)


def test_the_object_carries_its_type_length_and_checksum(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = ada.order()
    ada.until_ended(job_id)
    asset = job_item(stack, job_id)["video"]["asset"]
    s3 = stack.boto3("s3")
    found = s3.get_object(Bucket=asset["bucket"], Key=asset["key"], ChecksumMode="ENABLED")
    digest = hashlib.sha256(found["Body"].read())

    assert asset["bucket"] == stack.buckets["VideosBucket"]
    assert found["ContentType"] == "video/mp4"
    assert found["ContentLength"] == asset["size_bytes"]
    assert asset["sha256"] == digest.hexdigest()
    assert found["ChecksumSHA256"] == base64.b64encode(digest.digest()).decode()


def test_a_webhook_finishes_a_job_in_four_transitions_and_without_a_poll(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = ada.order(model_id="patient-t2v")
    assert ada.until_ended(job_id)["status"] == "completed"
    until(stack, job_id, lambda: len(stack.transitions(job_id)) >= len(HAPPY_PATH))

    assert stack.transitions(job_id) == HAPPY_PATH
    (paid,) = submissions(stack, job_id)
    assert paid["calls"] == {}, "nobody asked, the webhook told"
    assert_counted(stack, "WebhooksFunction", "WebhookAccepted", about=job_id)


def test_a_warm_generate_makes_five_aws_calls_and_a_status_read_one(
    stack: RunningStack, ada: Customer
) -> None:
    wanted = ["PutItem", "GetItem", "TransactWriteItems", "StartExecution", "UpdateItem"]
    # Beside other tests, a call may be the first one of another worker, or the one in a minute that
    # reads the catalog again.
    for _ in range(10):
        job_id = ada.order()
        ada.until_ended(job_id)
        (generate,) = stack.invocations(function="GenerateFunction", about=job_id)
        if not generate.cold and len(generate.calls) == len(wanted):
            break
    assert not generate.cold
    assert [call.operation for call in generate.calls] == wanted
    reads = stack.invocations(function="StatusFunction", about=job_id)
    assert reads
    for read in reads:
        assert [call.operation for call in read.calls] == ["GetItem"]


def test_progress_never_goes_backwards_and_includes_when_to_poll_again(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("slow_generation", seconds=0.7, prompt_contains=ada.word)
    job_id = ada.order()
    seen: list[tuple[int, str, str]] = []
    while not seen or seen[-1][2] not in TERMINAL:
        answer = ada.http.get(f"/v1/videos/{job_id}")
        answered = answer.json()
        seen.append((answered["progress"], answered["current_step"], answered["status"]))
        assert ("Retry-After" in answer.headers) == (answered["status"] not in TERMINAL)
        if answered["status"] != "completed":
            assert answered["video_url"] is None
            assert answered["thumbnail_url"] is None

    percents = [percent for percent, _, _ in seen]
    assert percents == sorted(percents)
    assert seen[0][2] in {"pending", "processing"}
    assert (70, "Generating video", "processing") in seen
    assert seen[-1] == (100, "Completed", "completed")


def test_an_image_becomes_a_video(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(100)
    job_id = customer.order(model_id="veo-3.1-i2v", preset="draft", image_url=FRAME)
    ended = customer.until_ended(job_id)
    assert (ended["status"], ended["image_url"]) == ("completed", FRAME)
    (paid,) = submissions(stack, job_id)
    assert paid["endpoint"] == "fal-ai/veo3.1/image-to-video"
    assert paid["input"]["image_url"] == FRAME


def test_two_frames_become_a_transition(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    customer = new_customer(100)
    job_id = customer.order(
        model_id="veo-3.1-transition", preset="draft", image_url=FRAME, last_image_url=LAST_FRAME
    )
    assert customer.until_ended(job_id)["status"] == "completed"
    (paid,) = submissions(stack, job_id)
    assert paid["endpoint"] == "fal-ai/veo3.1/first-last-frame-to-video"
    assert paid["input"]["first_frame_url"] == FRAME
    assert paid["input"]["last_frame_url"] == LAST_FRAME


def test_the_estimate_is_what_the_job_costs(ada: Customer) -> None:
    estimate = ada.http.post("/v1/videos/estimate", json=ada.body()).json()
    answer = ada.post()
    assert estimate == {"credits": PRICE, "available": 10 * PRICE, "affordable": True}
    assert answer.json()["credits_used"] == estimate["credits"]
    assert answer.json()["credits_remaining"] == 9 * PRICE
    assert ada.credits() == {"available": 9 * PRICE, "held": PRICE}
    assert ada.until_ended(answer.json()["job_id"])["status"] == "completed"


def test_a_list_holds_the_newest_first_and_continues_where_it_stopped(ada: Customer) -> None:
    ordered = [ada.order() for _ in range(3)]
    for job_id in ordered:
        ada.until_ended(job_id)
    first = ada.http.get("/v1/videos", params={"limit": 2}).json()
    rest = ada.http.get("/v1/videos", params={"limit": 2, "cursor": first["cursor"]}).json()
    listed = [video["job_id"] for page in (first, rest) for video in page["videos"]]
    assert listed == ordered[::-1]
    assert rest["cursor"] is None


def test_a_presigned_url_opens_nothing_else(ada: Customer) -> None:
    ended = ada.finish()
    altered = ended["video_url"].replace("video.mp4", "thumbnail.jpg")
    assert httpx.get(altered, trust_env=False).status_code == 403
    bare = ended["video_url"].partition("?")[0]
    assert httpx.get(bare, trust_env=False).status_code == 403
