"""A project's clips: held together or not at all, each made and failing alone, and never twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import pytest

from local.running import RunningStack
from tests.e2e.test_races import at_once, patiently
from tests.support.backstage import (
    Item,
    events_of_executions_lost,
    jobs_of,
    pass_the_deadline,
    plain,
    submissions,
    sweep,
    until_execution_ended,
    until_tracked,
)
from tests.support.customer import Customer
from tests.support.progress import activity, until_idle

FRAMES = {
    "first_frame": "https://images.example.com/first.png",
    "last_frame": "https://images.example.com/last.png",
}
MODEL = "clip-unwatched"
CLIP = 16
"""The price of one clip of four seconds."""
CREDITS = 6 * CLIP
KEY = "all of them"
COUNTS = ("total_clips", "completed", "pending", "failed")


@pytest.fixture
def ada(new_customer: Callable[[int], Customer]) -> Customer:
    """A customer with credits for six clips."""
    return new_customer(CREDITS)


def new_project(customer: Customer, scenes: int = 2) -> tuple[str, list[str]]:
    """A project of framed scenes, each with a word of its own: its id and theirs."""
    made = customer.create_project(
        *(
            {"visual_prompt": prompt(customer, number), "duration": 4, "model_id": MODEL} | FRAMES
            for number in range(scenes)
        )
    )
    return made["project_id"], [scene["scene_id"] for scene in made["scenes"]]


def prompt(customer: Customer, number: int) -> str:
    """What the scene of that number shows."""
    return f"{customer.word} turns, scene {number}."


def fail_the_second(stack: RunningStack, customer: Customer) -> None:
    stack.fal.arm("runner_error", prompt_contains=prompt(customer, 1))


def until_all_ended(customer: Customer, project_id: str) -> list[dict[str, Any]]:
    """The summaries seen until no clip was pending any more, the latest last."""
    seen: list[dict[str, Any]] = []

    def ended() -> bool:
        seen.append(customer.clips(project_id))
        return not seen[-1]["pending"]

    def progress() -> list[object]:
        jobs = jobs_of(customer.stack, customer.user_id)
        return [activity(customer.stack, job["job_id"]) for job in jobs]

    until_idle(ended, progress, what=f"in {project_id}")
    return seen


def counts(summary: dict[str, Any]) -> tuple[int, ...]:
    return tuple(summary[name] for name in COUNTS)


def batches_of(stack: RunningStack, customer: Customer) -> list[Item]:
    """The calls for clips that were recorded."""
    answer = stack.boto3("dynamodb").query(
        TableName=stack.tables["ProjectsTable"],
        KeyConditionExpression="user_id = :user AND begins_with(sk, :batch)",
        ExpressionAttributeValues={
            ":user": {"S": customer.user_id},
            ":batch": {"S": "BATCH#"},
        },
        ConsistentRead=True,
    )
    return [plain(item) for item in answer["Items"]]


def assert_each_scene_once(
    stack: RunningStack, customer: Customer, project_id: str, scene_ids: list[str]
) -> None:
    """All of them are made, by one job and one submission each."""
    clips = len(scene_ids)
    assert counts(until_all_ended(customer, project_id)[-1]) == (clips, clips, 0, 0)
    jobs = jobs_of(stack, customer.user_id)
    assert Counter(job["scene_id"] for job in jobs) == dict.fromkeys(scene_ids, 1)
    for job in jobs:
        assert until_execution_ended(stack, job["job_id"]) == "SUCCEEDED"
        assert len(submissions(stack, job["job_id"])) == 1
    assert Counter(customer.kinds()) == {"grant": 1, "hold": clips, "capture": clips}
    assert customer.credits() == {"available": CREDITS - clips * CLIP, "held": 0}


# ── Each alone ───────────────────────────────────────────────────────────────────────────────────


def test_of_three_clips_one_fails_alone_and_only_that_one_is_made_again(
    stack: RunningStack, ada: Customer
) -> None:
    fail_the_second(stack, ada)
    stack.fal.arm("slow_generation", seconds=6, prompt_contains=prompt(ada, 2))
    project_id, scene_ids = new_project(ada, 3)
    assert counts(ada.clips(project_id)) == (0, 0, 0, 0)
    answer = ada.post_clips(project_id)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["credits_used"], answer.json()["credits_remaining"]) == (
        3 * CLIP,
        3 * CLIP,
    )
    first = {clip["scene_id"]: clip["job_id"] for clip in answer.json()["clips"]}
    assert list(first) == scene_ids

    seen = until_all_ended(ada, project_id)
    assert {sum(counts(one)[1:]) for one in seen} == {3}
    assert {1, 2} & {one["pending"] for one in seen}, "they end one by one"
    for name in ("completed", "failed"):
        assert all(before[name] <= after[name] for before, after in pairwise(seen))
    for before, after in pairwise(seen):
        for earlier, later in zip(before["clips"], after["clips"], strict=True):
            assert earlier["progress"] <= later["progress"]
    assert not any(one["all_complete"] for one in seen)
    assert counts(seen[-1]) == (3, 2, 0, 1)
    assert [clip["status"] for clip in seen[-1]["clips"]] == ["completed", "failed", "completed"]
    assert seen[-1]["clips"][1]["error_code"] == "PROVIDER_ERROR"
    for clip in (seen[-1]["clips"][0], seen[-1]["clips"][2]):
        assert httpx.get(clip["video_url"], trust_env=False).content[4:8] == b"ftyp"
    assert Counter(ada.kinds()) == {"grant": 1, "hold": 3, "capture": 2, "release": 1}

    again = ada.start_clips(project_id)
    assert list(again) == [scene_ids[1]]
    last = until_all_ended(ada, project_id)[-1]
    assert (counts(last), last["all_complete"]) == ((3, 3, 0, 0), True)
    assert ada.start_clips(project_id) == {}
    assert ada.credits() == {"available": 3 * CLIP, "held": 0}

    forced = ada.start_clips(project_id, force=True, scene_ids=[scene_ids[0]])
    assert list(forced) == [scene_ids[0]]
    meanwhile = ada.scene(project_id, scene_ids[0])
    assert (meanwhile["job_id"], meanwhile["video_url"] is None) == (forced[scene_ids[0]], False)
    assert counts(until_all_ended(ada, project_id)[-1]) == (3, 3, 0, 0)
    assert ada.credits() == {"available": 2 * CLIP, "held": 0}
    assert len(jobs_of(stack, ada.user_id)) == 5


def test_what_is_not_affordable_starts_nothing_at_all(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    ada = new_customer(3 * CLIP - 1)
    project_id, _ = new_project(ada, 3)
    answer = ada.post_clips(project_id)
    assert (answer.status_code, answer.json()["required_credits"]) == (402, 3 * CLIP)
    assert (jobs_of(stack, ada.user_id), batches_of(stack, ada)) == ([], [])
    assert ada.kinds() == ["grant"]
    assert counts(ada.clips(project_id)) == (0, 0, 0, 0)


def test_a_project_is_not_deleted_while_its_clips_are_made(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("slow_generation", seconds=1, prompt_contains=prompt(ada, 1))
    project_id, _ = new_project(ada)
    started = ada.start_clips(project_id)
    path = f"/v1/projects/{project_id}"
    refused = ada.http.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "PROJECT_BUSY")
    assert counts(until_all_ended(ada, project_id)[-1]) == (2, 2, 0, 0)
    assert ada.http.delete(path).status_code == 204
    assert ada.http.get(f"{path}/clips").status_code == 404
    # What was charged stays.
    for job_id in started.values():
        assert ada.video(job_id)["status"] == "completed"


# ── At the same time ─────────────────────────────────────────────────────────────────────────────


def test_ten_calls_with_one_key_are_one_batch(stack: RunningStack, ada: Customer) -> None:
    project_id, scene_ids = new_project(ada)
    answers = at_once([partial(patiently, partial(ada.post_clips, project_id, KEY))] * 10)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    fresh = [answer for answer in answers if "X-Idempotent-Replay" not in answer.headers]
    assert len(fresh) == 1
    assert len(batches_of(stack, ada)) == 1
    assert_each_scene_once(stack, ada, project_id, scene_ids)


def test_two_calls_with_two_keys_start_each_scene_once(stack: RunningStack, ada: Customer) -> None:
    project_id, scene_ids = new_project(ada)
    answers = at_once(
        [partial(patiently, partial(ada.post_clips, project_id, key)) for key in ("one", "two")]
    )
    assert [answer.status_code for answer in answers] == [202, 202]
    assert sorted(len(answer.json()["clips"]) for answer in answers) == [0, 2]
    assert len(batches_of(stack, ada)) == 1
    assert_each_scene_once(stack, ada, project_id, scene_ids)


def test_a_scene_in_two_calls_of_different_kinds_is_rendered_once(
    stack: RunningStack, ada: Customer
) -> None:
    project_id, scene_ids = new_project(ada, 1)
    body = {"model_id": "scene-unwatched", "image_model_id": "image-unwatched"}
    image_prompt = {"image_prompt": f"{ada.word} stands"}
    changed = ada.http.patch(f"/v1/projects/{project_id}/scenes/{scene_ids[0]}", json=image_prompt)
    assert changed.status_code == 200
    clips, scene = at_once(
        [
            partial(ada.post_clips, project_id),
            partial(ada.post_scene, scene_ids[0], None, **body),
        ]
    )
    accepted = [answer for answer in (clips, scene) if answer.status_code == 202]
    started = len(clips.json()["clips"]) + (scene.status_code == 202)
    assert (started, len(jobs_of(stack, ada.user_id))) == (1, 1), [
        answer.text for answer in accepted
    ]
    assert scene.status_code == 202 or scene.json()["code"] == "SCENE_BUSY"
    assert counts(until_all_ended(ada, project_id)[-1]) == (1, 1, 0, 0)


# ── Aborted ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.alone
def test_of_two_aborted_clips_both_are_found_by_the_event_or_by_the_sweep(
    stack: RunningStack, ada: Customer
) -> None:
    stack.fal.arm("stuck", times=None, prompt_contains=ada.word)
    project_id, _ = new_project(ada)
    heard, unheard = ada.start_clips(project_id).values()
    states = stack.boto3("stepfunctions")
    for job_id in (heard, unheard):
        until_tracked(stack, job_id)
    states.stop_execution(executionArn=stack.execution_arn(heard))
    assert ada.until_ended(heard)["status"] == "failed"
    with events_of_executions_lost(stack):
        states.stop_execution(executionArn=stack.execution_arn(unheard))
        assert until_execution_ended(stack, unheard) == "ABORTED"
        sweep(stack)
        assert ada.video(unheard)["status"] == "processing"
        pass_the_deadline(stack, unheard)
        sweep(stack)
        assert ada.until_ended(unheard)["error_code"] == "DEADLINE_EXCEEDED"
    assert counts(ada.clips(project_id)) == (2, 0, 0, 2)
    assert ada.credits() == {"available": CREDITS, "held": 0}
