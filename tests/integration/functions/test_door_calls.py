"""A request in another protocol makes at most one AWS call more than the same request to our API.

Both are made by a process that has served a request before, as most are.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import botocore.client
import pytest

from clipmint.credits import grants
from clipmint.projects import project_store
from clipmint.projects.project_requests import NewProject, NewScene
from functions.doors.app import handler as doors
from functions.generate.app import handler as generate
from functions.projects.app import handler as projects
from functions.status.app import handler as status
from tests.support.doors import complete, png
from tests.support.gateway import Answer, Caller, Context
from tests.support.moto_aws import Aws
from tests.support.scripted_provider import ScriptedProvider

USER = "user-1"
FRAMES = {"first_frame": "https://example.com/1.png", "last_frame": "https://example.com/2.png"}
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _everything_on_offer(providers: dict[str, ScriptedProvider]) -> None:
    """The owner has a key of every provider."""


@pytest.fixture
def made(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The AWS calls since the list was cleared last."""
    grants.grant(USER, 10_000, "purchase-1")
    for name in ("MAX_OPEN_JOBS", "MAX_OPEN_CLIPS"):
        monkeypatch.setenv(name, "100")
    calls: list[str] = []
    original = getattr(botocore.client.BaseClient, "_make_api_call")  # noqa: B009

    def counted(client: Any, operation: str, parameters: Any) -> Any:
        calls.append(operation)
        return original(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", counted)
    return calls


def called(made: list[str], ask: Callable[[], Answer]) -> list[str]:
    """The calls of the second of two requests."""
    assert ask().status < 300
    made.clear()
    assert ask().status < 300
    return [*made]


def caller(handler: Any) -> Caller:
    return Caller(handler, context=Context(remaining_ms=20_000))


def key() -> dict[str, str]:
    return {"Idempotency-Key": f"key-{next(NUMBERS)}"}


def compare(name: str, ours: list[str], theirs: list[str]) -> None:
    line = f"{name}: ours {len(ours)}: {' '.join(ours)} · theirs {len(theirs)}: {' '.join(theirs)}"
    if report := os.environ.get("DOOR_CALLS"):
        with open(report, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    assert len(theirs) <= len(ours) + 1, line


def test_ordering_a_video(made: list[str]) -> None:
    ours, theirs = caller(generate), caller(doors)
    plain = called(
        made,
        lambda: ours(
            "POST", "/v1/videos", body={"model_id": "veo-3.1", "prompt": "x"}, headers=key()
        ),
    )
    app = {"model_id": "veo-3.1", "prompt": "x"}
    path = "/functions/v1/generate-video"
    compare(
        "generate-video", plain, called(made, lambda: theirs("POST", path, body=app, headers=key()))
    )

    def create() -> Answer:
        body = {"model": "veo-3.1", "prompt": f"fox {next(NUMBERS)}", "seconds": "4"}
        return theirs("POST", "/openai/v1/videos", body=body)

    compare("openai", plain, called(made, create))


def test_ordering_a_video_from_an_image(made: list[str]) -> None:
    ours, theirs = caller(generate), caller(doors)
    project = project_store.create_with_image(USER, png())

    def plain() -> Answer:
        body = {"model_id": "gen4-turbo", "prompt": "x", "project_id": project.project_id}
        return ours("POST", "/v1/videos", body=body, headers=key())

    def generation() -> Answer:
        body = {"projectId": project.project_id, "prompt": f"kettle {next(NUMBERS)}"}
        return theirs("POST", "/api/videos/generate", body=body)

    compare("image-videos", called(made, plain), called(made, generation))


def scenes(*members: dict[str, Any]) -> Any:
    new = [NewScene(visual_prompt="x", duration=4, **member) for member in members]
    return project_store.create(USER, NewProject(scenes=new, resolution="1280:720"))[0]


def test_ordering_a_scene(made: list[str]) -> None:
    ids = iter([scenes({"image_prompt": "y"}).scene_ids[0] for _ in range(4)])
    ours, theirs = caller(generate), caller(doors)
    plain = called(
        made, lambda: ours("POST", f"/v1/scenes/{next(ids)}/video", body={}, headers=key())
    )
    path = "/api/video/generate"
    task = called(made, lambda: theirs("POST", path, body={"scene_id": next(ids)}))
    compare("scene-tasks", plain, task)


def test_ordering_clips(made: list[str]) -> None:
    ids = iter([scenes(FRAMES, FRAMES).project_id for _ in range(4)])
    ours, theirs = caller(generate), caller(doors)
    plain = called(
        made, lambda: ours("POST", f"/v1/projects/{next(ids)}/clips", body={}, headers=key())
    )
    path = "/functions/v1/generate-clips"
    clips = called(made, lambda: theirs("POST", path, body={"project_id": next(ids)}))
    compare("project-clips", plain, clips)


def test_reading_a_status(made: list[str]) -> None:
    answer = caller(generate)(
        "POST", "/v1/videos", body={"model_id": "veo-3.1", "prompt": "x"}, headers=key()
    )
    job_id = answer.body["job_id"]
    theirs = caller(doors)
    for done in (False, True):
        if done:
            complete(job_id)
        plain = called(made, lambda: caller(status)("GET", f"/v1/videos/{job_id}"))
        for name, ask in {
            "generate-video": lambda: theirs(
                "GET", "/functions/v1/get-video-status", query={"job_id": job_id}
            ),
            "scene-tasks": lambda: theirs("GET", f"/api/video/generate/tasks/{job_id}"),
            "image-videos": lambda: theirs("GET", f"/api/videos/status/{job_id}"),
            "openai": lambda: theirs("GET", f"/openai/v1/videos/{job_id}"),
        }.items():
            compare(f"status of {name}", plain, called(made, ask))


def test_reading_the_status_of_clips(made: list[str]) -> None:
    project_id = scenes(FRAMES, FRAMES).project_id
    caller(generate)("POST", f"/v1/projects/{project_id}/clips", body={}, headers=key())
    plain = called(made, lambda: caller(projects)("GET", f"/v1/projects/{project_id}/clips"))
    path, body = "/functions/v1/check-clips-status", {"project_id": project_id}
    theirs = caller(doors)
    compare("status of clips", plain, called(made, lambda: theirs("POST", path, body=body)))
