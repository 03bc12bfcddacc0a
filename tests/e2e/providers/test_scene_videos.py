"""A scene becomes an image and then a video: two submissions, two holds, one job."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

import av
import httpx
import pytest
from PIL import Image, ImageStat

from local.running import RunningStack
from tests.support.backstage import (
    Item,
    events_of_executions_lost,
    job_item,
    pass_the_deadline,
    submissions,
    sweep,
    until_execution_ended,
    until_tracked,
)
from tests.support.customer import TERMINAL, Customer
from tests.support.plain_http import PLAIN
from tests.support.progress import until

ONE_STAGE = ["Submit", "Migrate", "NextStage"]
TWO_STAGES = [*ONE_STAGE, *ONE_STAGE, "Settle"]
TO_THE_VIDEO = [*ONE_STAGE, "Submit"]
"""To where a video may be declined."""
POLLED = ["Submit", "Track", "Migrate", "NextStage"]
"""A stage at a provider without webhooks."""
PROGRESS = (5, 15, 35, 40, 70, 75, 95, 100)

BY_WEBHOOK = {"model_id": "scene-unwatched", "image_model_id": "image-unwatched"}
"""Only webhooks change such a job, so its sequence of states is always the same."""
IMAGE, VIDEO = 1, 16
"""The price of its stages, in credits."""
I2V = "fal-ai/veo3.1/image-to-video"
REFERENCE = "https://images.example.com/kettle.png"


@pytest.fixture
def ada(new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for one scene, and for the video of another."""
    return new_customer(IMAGE + 2 * VIDEO)


def new_scene(customer: Customer, **members: Any) -> tuple[str, str]:
    """A project of one scene: both ids."""
    scene = {
        "image_prompt": f"{customer.word} stands on a table",
        "visual_prompt": f"{customer.word} begins to move",
        "duration": 4,
        **members,
    }
    project = customer.create_project(scene)
    return project["project_id"], project["scenes"][0]["scene_id"]


def watch(customer: Customer, job_id: str) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """The job once it has ended, and the progress it showed until then."""
    shown: list[tuple[int, str]] = []

    def ended() -> dict[str, Any] | None:
        seen = customer.video(job_id)
        shown.append((seen["progress"], seen["current_step"]))
        return seen if seen["status"] in TERMINAL else None

    seen = until(customer.stack, job_id, ended, every=0.05)
    assert seen is not None
    return seen, [step for step, _ in groupby(shown)]


def assert_never_down(shown: list[tuple[int, str]]) -> None:
    percents = [percent for percent, _ in shown]
    assert all(before <= after for before, after in pairwise(percents)), shown
    assert set(percents) <= set(PROGRESS)


def read(url: str) -> httpx.Response:
    """What any client gets: no key, no signature."""
    with httpx.Client(trust_env=False, timeout=60, verify=PLAIN) as http:
        return http.get(url)


def image_at(url: str) -> Image.Image:
    answer = read(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as opened:
        assert opened.format == "PNG"
        return opened.convert("RGB")


def first_frame_of(url: str, size: tuple[int, int]) -> Image.Image:
    """A video's first frame, once the whole video has been played."""
    with av.open(io.BytesIO(read(url).content), mode="r") as file:
        frames = [frame.to_image() for frame in file.decode(video=0)]  # type: ignore[no-untyped-call]
        assert file.duration is not None
        assert file.duration / av.time_base == pytest.approx(4, abs=0.15)
    assert len(frames) > 1
    first: Image.Image = frames[0]
    assert first.size == size
    return first


def colours(rendered: Image.Image) -> list[float]:
    """The mean colour of a strip in which the simulators write nothing."""
    width, height = rendered.size
    return ImageStat.Stat(rendered.crop((0, height // 8, width, height // 4))).mean


def way(stack: RunningStack, job_id: str) -> list[str]:
    assert until_execution_ended(stack, job_id) == "SUCCEEDED"
    return stack.transitions(job_id)


def paid(stack: RunningStack, job_id: str) -> tuple[int, int]:
    """How many submissions of images and of videos the providers accepted."""
    return len(submissions(stack, job_id, "image")), len(submissions(stack, job_id, "video"))


def entries(customer: Customer) -> list[tuple[str, str | None, int]]:
    return [(entry["kind"], entry["stage"], entry["credits"]) for entry in customer.entries()][1:]


HELD = [("hold", "image", IMAGE), ("hold", "video", VIDEO)]
BOTH_CAPTURED = [*HELD, ("capture", "image", IMAGE), ("capture", "video", VIDEO)]
ONLY_THE_IMAGE = [*HELD, ("capture", "image", IMAGE), ("release", "video", VIDEO)]


# ── Both stages ──────────────────────────────────────────────────────────────────────────────────


def test_a_scene_becomes_a_public_image_and_then_the_video_that_starts_with_it(
    stack: RunningStack, ada: Customer
) -> None:
    project_id, scene_id = new_scene(ada)
    answer = ada.post_scene(scene_id, **BY_WEBHOOK)
    assert answer.status_code == 202, answer.text
    assert answer.json()["prices"] == {"generate_image": IMAGE, "generate_scene": VIDEO}
    job_id = answer.json()["job_id"]
    seen, shown = watch(ada, job_id)
    assert (seen["status"], seen["credits_used"], shown[-1]) == (
        "completed",
        IMAGE + VIDEO,
        (100, "Completed"),
    )
    assert_never_down(shown)
    assert way(stack, job_id) == TWO_STAGES
    assert entries(ada) == BOTH_CAPTURED
    assert ada.credits() == {"available": VIDEO, "held": 0}

    assert seen["image_url"].startswith(f"{stack.images_url}/generated_images/")
    assert ada.user_id not in seen["image_url"]
    rendered = image_at(seen["image_url"])
    assert rendered.width / rendered.height == pytest.approx(9 / 16, rel=0.04)
    (ordered,) = submissions(stack, job_id, "video")
    assert (ordered["endpoint"], ordered["input"]["image_url"]) == (I2V, seen["image_url"])
    first = first_frame_of(seen["video_url"], (720, 1280))
    # The provider fetched it: no other image has these colours, which follow from its prompt.
    assert colours(first) == pytest.approx(colours(rendered), abs=8)

    scene = ada.scene(project_id, scene_id)
    assert (scene["status"], scene["job_id"], scene["progress"]) == ("completed", job_id, 100)
    assert scene["image_url"] == seen["image_url"]
    assert read(scene["video_url"]).status_code == 200


def test_a_scene_that_names_no_models_is_made_by_runway_from_its_reference_image(
    stack: RunningStack, ada: Customer
) -> None:
    _, scene_id = new_scene(
        ada, product_reference_image_url=REFERENCE, duration=2, image_prompt=f"{ada.word} @product"
    )
    answer = ada.post_scene(scene_id)
    assert answer.json()["prices"] == {"generate_image": 1, "generate_scene": 2}, answer.text
    job_id = answer.json()["job_id"]
    seen, shown = watch(ada, job_id)
    assert (seen["status"], seen["credits_used"]) == ("completed", 3)
    assert_never_down(shown)
    # A provider without webhooks is polled; Track is then entered once per poll.
    assert [state for state, _ in groupby(way(stack, job_id))] == [*POLLED, *POLLED, "Settle"]
    (pictured,) = submissions(stack, job_id, "image")
    assert (pictured["endpoint"], pictured["input"]["ratio"]) == (
        "text_to_image/gen4_image",
        "1080:1920",
    )
    assert [image["uri"] for image in pictured["input"]["referenceImages"]] == [REFERENCE]
    (moved,) = submissions(stack, job_id, "video")
    assert (moved["endpoint"], moved["input"]["ratio"]) == ("image_to_video/gen4_turbo", "720:1280")
    assert seen["image_url"] in str(moved["input"]["promptImage"])
    assert image_at(seen["image_url"]).size == (1080, 1920)


def test_every_step_is_visible_to_a_poll_at_the_right_moment(
    stack: RunningStack, ada: Customer
) -> None:
    stack.simulators["runware"].arm("submit_slow", seconds=0.7, prompt_contains=ada.word)
    stack.simulators["runware"].arm("slow_generation", seconds=0.7, prompt_contains=ada.word)
    stack.simulators["runware"].arm("media_slow", bytes_per_second=20_000, prompt_contains=ada.word)
    stack.fal.arm("slow_generation", seconds=0.7, prompt_contains=ada.word)
    stack.fal.arm("media_slow", bytes_per_second=150_000, prompt_contains=ada.word)
    _, scene_id = new_scene(ada)
    _, shown = watch(ada, ada.render(scene_id, **BY_WEBHOOK))
    assert_never_down(shown)
    steps = dict(shown)
    expected = {
        15: "Fetching scene configuration",
        35: "Generating image",
        40: "Storing image",
        70: "Generating video",
        75: "Storing video",
        100: "Completed",
    }
    assert {percent: steps.get(percent) for percent in expected} == expected


# ── Half of it ───────────────────────────────────────────────────────────────────────────────────


def test_when_a_video_fails_the_image_is_kept_and_the_next_call_starts_from_it(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("runner_error", prompt_contains=ada.word)
    project_id, scene_id = new_scene(ada)
    job_id = ada.render(scene_id, **BY_WEBHOOK)
    seen, shown = watch(ada, job_id)
    assert (seen["status"], seen["error_code"]) == ("failed", "PROVIDER_ERROR")
    assert seen["error_message"].endswith("only the image was charged.")
    assert (seen["credits_used"], seen["video_url"]) == (IMAGE, None)
    assert [(stage["name"], stage["charged"]) for stage in seen["stages"]] == [
        ("image", True),
        ("video", False),
    ]
    assert_never_down(shown)
    assert way(stack, job_id) == [*TO_THE_VIDEO, "Submit", "Settle"]
    assert entries(ada) == ONLY_THE_IMAGE
    scene = ada.scene(project_id, scene_id)
    assert (scene["status"], scene["image_url"]) == ("failed", seen["image_url"])
    image_at(seen["image_url"])

    again = ada.post_scene(scene_id, **BY_WEBHOOK)
    assert again.json()["prices"] == {"generate_scene": VIDEO}
    next_id = again.json()["job_id"]
    ended, _ = watch(ada, next_id)
    assert (ended["status"], ended["image_url"]) == ("completed", seen["image_url"])
    assert way(stack, next_id) == [*ONE_STAGE, "Settle"]
    assert paid(stack, next_id) == (0, 1)
    assert entries(ada)[4:] == [("hold", "video", VIDEO), ("capture", "video", VIDEO)]
    assert ada.scene(project_id, scene_id)["status"] == "completed"


def test_an_image_that_fails_costs_nothing_and_no_video_is_tried(
    stack: RunningStack, ada: Customer
) -> None:
    stack.simulators["runware"].arm("task_error", prompt_contains=ada.word)
    _, scene_id = new_scene(ada)
    job_id = ada.render(scene_id, **BY_WEBHOOK)
    seen, _ = watch(ada, job_id)
    assert (seen["status"], seen["credits_used"], seen["image_url"]) == ("failed", 0, None)
    assert way(stack, job_id) == ["Submit", "Submit", "Settle"]
    assert entries(ada) == [*HELD, ("release", "image", IMAGE), ("release", "video", VIDEO)]
    assert paid(stack, job_id) == (1, 0)


def test_a_scene_cancelled_while_its_image_waits_costs_nothing(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    ada = new_customer(10)
    runway = stack.simulators["runway"]
    runway.arm("throttled", seconds=30, prompt_contains=ada.word)
    project_id, scene_id = new_scene(ada)
    job_id = ada.render(scene_id)
    until_tracked(stack, job_id, "image")
    assert ada.http.delete(f"/v1/projects/{project_id}").json()["code"] == "PROJECT_BUSY"
    assert ada.post_scene(scene_id).json()["code"] == "SCENE_BUSY"
    answer = ada.cancel(job_id)
    assert (answer.status_code, answer.json()["credits_released"]) == (200, 5)
    assert ada.video(job_id)["status"] == "cancelled"
    # Track, if it polls just then, or else the next Submit finds that the job has ended.
    states = [state for state, _ in groupby(way(stack, job_id))]
    assert states in (["Submit", "Track", "Settle"], ["Submit", "Track", "Submit", "Settle"])
    assert [kind for kind, _, _ in entries(ada)] == ["hold", "hold", "release", "release"]
    (pictured,) = submissions(stack, job_id)
    assert (pictured["deleted"], pictured["billed"]) == (True, False)
    assert ada.scene(project_id, scene_id)["status"] == "cancelled"


def test_deleting_the_job_deletes_its_public_image(stack: RunningStack, ada: Customer) -> None:
    project_id, scene_id = new_scene(ada)
    job_id = ada.render(scene_id, **BY_WEBHOOK)
    seen, _ = watch(ada, job_id)
    image_at(seen["image_url"])
    assert ada.http.delete(f"/v1/videos/{job_id}").status_code == 204
    assert read(seen["image_url"]).status_code == 403
    assert files_of(stack, job_id) == []
    scene = ada.scene(project_id, scene_id)
    assert (scene["status"], scene["image_url"], scene["video_url"]) == ("pending", None, None)


def files_of(stack: RunningStack, job_id: str) -> list[str]:
    """Keys of everything that a job has stored in any bucket."""
    pages = stack.boto3("s3").get_paginator("list_objects_v2")
    return [
        found["Key"]
        for bucket in stack.buckets.values()
        for page in pages.paginate(Bucket=bucket)
        for found in page.get("Contents", [])
        if job_id in found["Key"]
    ]


# ── The video is declined ────────────────────────────────────────────────────────────────────────

AT_ONCE = {"model_id": "runware-veo-3.1-lite", "image_model_id": "image-unwatched"}
"""The only provider with a content checker that can refuse a submission."""
LITE = "google:veo@3.1-lite"


def decline(
    stack: RunningStack, customer: Customer, times: int, *, at_once: bool
) -> dict[str, str]:
    """Let a customer's next videos be declined; the models to order."""
    if at_once:
        stack.simulators["runware"].arm(
            "submit_error",
            times=times,
            endpoint=LITE,
            prompt_contains=customer.word,
            code="invalidProviderContent",
        )
        return AT_ONCE
    stack.fal.arm("moderation", times=times, endpoint=I2V, prompt_contains=customer.word)
    return BY_WEBHOOK


def earlier(item: Item) -> dict[str, int]:
    """How many attempts of each stage were put aside."""
    return {name: len(item[name]["earlier"]) for name in ("image", "video")}


@pytest.mark.parametrize("at_once", [True, False], ids=["at submission", "as an outcome"])
def test_a_declined_video_gets_another_image_and_the_user_pays_for_one(
    stack: RunningStack, ada: Customer, at_once: bool
) -> None:
    models = decline(stack, ada, 1, at_once=at_once)
    _, scene_id = new_scene(ada)
    job_id = ada.render(scene_id, **models)
    seen, shown = watch(ada, job_id)
    assert (seen["status"], seen["error_code"]) == ("completed", None)
    assert_never_down(shown)
    # Declined at submission, the video is followed by another image within the same Submit.
    if at_once:
        states = [state for state, _ in groupby(way(stack, job_id))]
        assert states == [*ONE_STAGE, *ONE_STAGE, *POLLED, "Settle"]
    else:
        assert way(stack, job_id) == [*TO_THE_VIDEO, *TWO_STAGES]
    # The provider is paid for both images, and for a video that it made only to refuse it.
    assert paid(stack, job_id) == (2, 1 if at_once else 2)
    item = job_item(stack, job_id)
    assert earlier(item) == {"image": 1, "video": 1}
    assert [kind for kind, _, _ in entries(ada)] == ["hold", "hold", "capture", "capture"]
    assert ada.credits()["available"] == IMAGE + 2 * VIDEO - seen["credits_used"]
    (first,) = item["image"]["earlier"]
    assert first["asset"]["key"] != item["image"]["asset"]["key"]
    # The video starts with the second one.
    assert seen["image_url"] == f"{stack.images_url}/{item['image']['asset']['key']}"
    assert seen["image_url"] in str(submissions(stack, job_id, "video")[-1]["input"])


@pytest.mark.parametrize("at_once", [True, False], ids=["at submission", "as an outcome"])
def test_a_video_declined_twice_is_given_up_with_one_image_charged(
    stack: RunningStack, ada: Customer, at_once: bool
) -> None:
    models = decline(stack, ada, 2, at_once=at_once)
    _, scene_id = new_scene(ada)
    job_id = ada.render(scene_id, **models)
    seen, shown = watch(ada, job_id)
    assert (seen["status"], seen["error_code"]) == ("failed", "CONTENT_POLICY")
    assert seen["error_message"].endswith("only the image was charged.")
    assert_never_down(shown)
    assert way(stack, job_id) == (
        [*ONE_STAGE, *ONE_STAGE, "Submit", "Settle"]
        if at_once
        else [*TO_THE_VIDEO, *TO_THE_VIDEO, "Submit", "Settle"]
    )
    assert paid(stack, job_id) == (2, 0 if at_once else 2)
    assert earlier(job_item(stack, job_id)) == {"image": 1, "video": 1}
    assert seen["credits_used"] == IMAGE
    assert [(kind, stage) for kind, stage, _ in entries(ada)] == [
        ("hold", "image"),
        ("hold", "video"),
        ("capture", "image"),
        ("release", "video"),
    ]
    assert ada.credits() == {"available": 2 * VIDEO, "held": 0}
    image_at(seen["image_url"])


def test_the_first_image_is_kept_if_the_second_cannot_be_made(
    stack: RunningStack, ada: Customer
) -> None:
    models = decline(stack, ada, 1, at_once=False)
    stack.simulators["runware"].arm("task_error", nth=2, prompt_contains=ada.word)
    _, scene_id = new_scene(ada)
    job_id = ada.render(scene_id, **models)
    seen, _ = watch(ada, job_id)
    assert (seen["status"], seen["error_code"]) == ("failed", "PROVIDER_ERROR")
    assert seen["error_message"].endswith("only the image was charged.")
    assert paid(stack, job_id) == (2, 1)
    assert entries(ada) == ONLY_THE_IMAGE
    (first,) = job_item(stack, job_id)["image"]["earlier"]
    assert seen["image_url"] == f"{stack.images_url}/{first['asset']['key']}"
    image_at(seen["image_url"])


# ── Lost and found ───────────────────────────────────────────────────────────────────────────────


def between_the_stages(stack: RunningStack, customer: Customer) -> str:
    """A scene with a stored image and a video that no provider accepts yet."""
    stack.fal.arm("submit_429", times=None, prompt_contains=customer.word)
    _, scene_id = new_scene(customer)
    job_id = customer.render(scene_id, **BY_WEBHOOK)
    until(stack, job_id, lambda: job_item(stack, job_id)["image"].get("asset"))
    return job_id


def abort(stack: RunningStack, job_id: str) -> None:
    stack.boto3("stepfunctions").stop_execution(executionArn=stack.execution_arn(job_id))


def assert_only_the_image_is_charged(
    stack: RunningStack, customer: Customer, job_id: str, code: str
) -> None:
    ended = customer.until_ended(job_id)
    assert (ended["status"], ended["error_code"]) == ("failed", code)
    assert ended["credits_used"] == IMAGE
    assert entries(customer) == ONLY_THE_IMAGE
    assert paid(stack, job_id) == (1, 0)


def test_a_scene_aborted_between_its_stages_is_settled_by_the_event(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = between_the_stages(stack, ada)
    abort(stack, job_id)
    assert_only_the_image_is_charged(stack, ada, job_id, "INTERNAL")


@pytest.mark.alone
def test_a_scene_aborted_between_its_stages_without_an_event_ends_with_the_sweep_after_its_deadline(
    stack: RunningStack, ada: Customer
) -> None:
    job_id = between_the_stages(stack, ada)
    with events_of_executions_lost(stack):
        abort(stack, job_id)
        assert until_execution_ended(stack, job_id) == "ABORTED"
        sweep(stack)
        assert ada.video(job_id)["status"] == "processing"
        pass_the_deadline(stack, job_id)
        sweep(stack)
        assert_only_the_image_is_charged(stack, ada, job_id, "DEADLINE_EXCEEDED")
