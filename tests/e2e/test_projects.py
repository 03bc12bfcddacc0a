"""Projects and scenes over HTTP: what concurrent calls must not break, and what each role
allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from local.running import RunningStack
from tests.e2e.test_races import at_once, patiently
from tests.support.backstage import Item, scan
from tests.support.customer import Customer


def new_project(customer: Customer, scenes: int = 0, **members: Any) -> str:
    """The path of a project of the customer's with that many scenes."""
    prompts = [{"image_prompt": f"{customer.word} {n}"} for n in range(scenes)]
    answer = customer.http.post("/v1/projects", json={"scenes": prompts, **members})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def add_scene(customer: Customer, path: str, prompt: str) -> httpx.Response:
    body = {"image_prompt": prompt}
    return patiently(lambda: customer.http.post(f"{path}/scenes", json=body))


def items_of(stack: RunningStack, customer: Customer) -> list[Item]:
    return [item for item in scan(stack, "ProjectsTable") if item["user_id"] == customer.user_id]


def test_a_project_lives_from_its_creation_to_its_deletion(
    stack: RunningStack, ada: Customer
) -> None:
    path = new_project(ada, 2, name="Füchse 🦊", resolution="1280:720")
    whole = ada.http.get(path).json()
    assert (whole["name"], whole["resolution"], whole["scene_count"]) == (
        "Füchse 🦊",
        "1280:720",
        2,
    )
    changed = ada.http.patch(path, json={"name": None}).json()
    assert (changed["name"], changed["scenes"]) == (None, whole["scenes"])
    scene = f"{path}/scenes/{whole['scenes'][0]['scene_id']}"
    assert ada.http.patch(scene, json={"duration": 8}).json()["duration"] == 8
    assert ada.http.get(scene).json()["duration"] == 8
    assert ada.http.get(f"{path}/clips").json()["total_clips"] == 0
    listed = ada.http.get("/v1/projects").json()["projects"]
    assert [found["project_id"] for found in listed] == [whole["project_id"]]
    assert ada.http.delete(scene).status_code == 204
    assert [s["scene_id"] for s in ada.http.get(f"{path}/scenes").json()["scenes"]] == [
        whole["scenes"][1]["scene_id"]
    ]
    assert ada.http.delete(path).status_code == 204
    assert ada.http.get(path).json()["code"] == "PROJECT_NOT_FOUND"
    assert items_of(stack, ada) == []


def test_no_user_sees_or_changes_another_users_project(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    ada, eve = new_customer(1), new_customer(1)
    path = new_project(ada, 1)
    before = items_of(stack, ada)
    scene = f"{path}/scenes/{ada.http.get(path).json()['scenes'][0]['scene_id']}"
    for where in (path, scene):
        for method in ("GET", "PATCH", "DELETE"):
            answer = eve.http.request(method, where, json={} if method == "PATCH" else None)
            assert (answer.status_code, answer.json()["code"]) == (404, "PROJECT_NOT_FOUND")
    assert eve.http.get("/v1/projects").json()["projects"] == []
    assert items_of(stack, ada) == before


def test_twenty_scenes_at_once_fill_the_ten_places_left(stack: RunningStack, ada: Customer) -> None:
    path = new_project(ada, 40)
    answers = at_once([partial(add_scene, ada, path, f"at once {n}") for n in range(20)])
    assert Counter(answer.status_code for answer in answers) == {201: 10, 400: 10}
    assert {a.json()["code"] for a in answers if a.status_code == 400} == {"TOO_MANY_SCENES"}
    shown = [scene["scene_id"] for scene in ada.http.get(path).json()["scenes"]]
    added = {answer.json()["scene_id"] for answer in answers if answer.status_code == 201}
    assert len(shown) == 50
    assert set(shown[40:]) == added
    kept = {item["scene_id"] for item in items_of(stack, ada) if "scene_id" in item}
    assert kept == set(shown)


def test_scenes_added_while_their_project_is_deleted_leave_nothing_behind(
    stack: RunningStack, ada: Customer
) -> None:
    path = new_project(ada, 5)
    calls: list[Callable[[], httpx.Response]] = [
        partial(add_scene, ada, path, f"too late {n}") for n in range(12)
    ]
    calls[6:6] = [partial(patiently, partial(ada.http.delete, path))]
    answers = at_once(calls)
    assert answers[6].status_code == 204, answers[6].text
    others = {answer.status_code for answer in answers} - {204}
    assert others <= {201, 404}
    assert items_of(stack, ada) == []


def test_two_deletions_at_once_both_end_and_every_scene_goes_once(
    stack: RunningStack, ada: Customer
) -> None:
    path = new_project(ada, 10)
    scenes = [f"{path}/scenes/{s['scene_id']}" for s in ada.http.get(path).json()["scenes"]]
    twice: list[Callable[[], httpx.Response]] = [
        partial(patiently, partial(ada.http.delete, scene)) for scene in scenes[:4] * 2
    ]
    assert Counter(answer.status_code for answer in at_once(twice)) == {204: 4, 404: 4}
    left = [scene["scene_id"] for scene in ada.http.get(path).json()["scenes"]]
    assert [f"{path}/scenes/{scene_id}" for scene_id in left] == scenes[4:]
    both = at_once([lambda: patiently(partial(ada.http.delete, path))] * 2)
    assert {answer.status_code for answer in both} <= {204, 404}
    assert 204 in {answer.status_code for answer in both}
    assert items_of(stack, ada) == []
