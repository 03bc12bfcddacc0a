"""The clients in docs/doors.md, and the official openai package, make videos on the whole stack."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from benchmarks.peer_systems import litellm_proxy
from clipmint.doors import table
from local.clients import OPENAI, clients
from local.running import RunningStack
from tests.support.catalog import PRICE
from tests.support.customer import Customer
from tests.support.doors import png
from tests.support.generators import CLIENTS, node
from tests.support.plain_http import PLAIN

DRIVER = Path(__file__).parent / "drivers" / "openai_calls.py"
FRAMES = {"first_frame": "https://example.com/a.png", "last_frame": "https://example.com/b.png"}


def variables(stack: RunningStack, customer: Customer) -> dict[str, str]:
    return {
        "API": stack.api_url,
        "TOKEN": stack.token(customer.user_id),
        "USER_ID": customer.user_id,
        "MODEL": "quick-t2v",
        "PROMPT": str(customer.body()["prompt"]),
        "KEY": uuid.uuid4().hex,
    }


def playable(url_or_file: str, folder: Path) -> bool:
    """Whether a video can be opened, at a URL or in a file."""
    file = Path(url_or_file)
    if url_or_file.startswith("http"):
        file = folder / "downloaded.mp4"
        with httpx.Client(trust_env=False, verify=PLAIN) as http:
            file.write_bytes(http.get(url_or_file).raise_for_status().content)
    with av.open(str(file)) as container:
        return len(container.streams.video) == 1


def test_every_protocol_has_a_client() -> None:
    assert clients().keys() == {door.name for door in table.DOORS}


def test_the_client_of_an_app_makes_a_video(
    stack: RunningStack, ada: Customer, tmp_path: Path
) -> None:
    output = clients()["generate-video"].run(tmp_path, variables(stack, ada))
    assert playable(output.strip(), tmp_path)
    assert ada.kinds() == ["grant", "hold", "capture"]


def test_the_client_of_tasks_makes_a_scenes_video(
    stack: RunningStack, new_customer: Callable[[int], Customer], tmp_path: Path
) -> None:
    ada = new_customer(100)
    prompts = {"image_prompt": ada.word, "visual_prompt": ada.word, "duration": 4}
    made = ada.create_project(prompts, resolution="1280:720")
    given = variables(stack, ada) | {"SCENE_ID": made["scenes"][0]["scene_id"]}
    output = clients()["scene-tasks"].run(tmp_path, given)
    assert playable(output.strip(), tmp_path)
    assert ada.kinds().count("capture") == 2


def test_the_client_of_clips_makes_all_of_a_project(
    stack: RunningStack, new_customer: Callable[[int], Customer], tmp_path: Path
) -> None:
    ada = new_customer(1_000)
    scenes = [{"visual_prompt": ada.word, "duration": 4, **FRAMES}] * 2
    made = ada.create_project(*scenes, resolution="1280:720")
    given = variables(stack, ada) | {"PROJECT_ID": made["project_id"]}
    urls = clients()["project-clips"].run(tmp_path, given).split()
    assert len(urls) == 2
    assert all(playable(url, tmp_path) for url in urls)


def test_the_client_of_images_makes_a_video(
    stack: RunningStack, new_customer: Callable[[int], Customer], tmp_path: Path
) -> None:
    ada = new_customer(100)
    image = tmp_path / "frame.png"
    image.write_bytes(png(512))
    given = variables(stack, ada) | {"IMAGE": str(image)}
    output = clients()["image-videos"].run(tmp_path, given)
    assert playable(output.strip(), tmp_path)


def test_the_client_of_openai_makes_a_video(
    stack: RunningStack, ada: Customer, tmp_path: Path
) -> None:
    file = tmp_path / "video.mp4"
    output = clients()["openai"].run(tmp_path, variables(stack, ada) | {"FILE": str(file)})
    assert output.split()[1] == "completed"
    assert playable(str(file), tmp_path)
    assert ada.kinds() == ["grant", "hold", "capture"]


def openai_calls(stack: RunningStack, customer: Customer, *calls: Any) -> list[dict[str, Any]]:
    """What the official package returns for each call, or which error it raises."""
    return calls_to(f"{stack.api_url}/openai/v1", stack.token(customer.user_id), *calls)


def calls_to(base_url: str, api_key: str, *calls: Any) -> list[dict[str, Any]]:
    given = {"base_url": base_url, "api_key": api_key}
    done = subprocess.run(
        [OPENAI, DRIVER],
        input=json.dumps(given | {"calls": calls}),
        env={"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_the_official_package_does_what_it_does_elsewhere(
    stack: RunningStack, new_customer: Callable[[int], Customer], tmp_path: Path
) -> None:
    ada = new_customer(10 * PRICE)
    image, file = tmp_path / "frame.png", tmp_path / "thumbnail.jpg"
    image.write_bytes(png(512))
    fox = {"model": "quick-t2v", "prompt": ada.body()["prompt"]}
    kettle = {"model": "quick-i2v", "prompt": f"a kettle, {ada.word}", "seconds": "4"}
    made, drawn, pages, thumbnail, gone, left = openai_calls(
        stack,
        ada,
        ["create_and_poll", fox],
        ["create_and_poll", kettle, {"input_reference": str(image)}],
        ["list_all", {"limit": 1}],
        ["download", "first", {"variant": "thumbnail"}, str(file)],
        ["delete", "first"],
        ["list_all", {"order": "asc"}],
    )
    assert [video["status"] for video in (made, drawn)] == ["completed", "completed"]
    assert (made["progress"], made["seconds"], made["size"]) == (100, "4", "1280x720")
    assert pages["ids"] == [drawn["id"], made["id"]]
    assert thumbnail["bytes"] == file.stat().st_size > 0
    assert file.read_bytes().startswith(b"\xff\xd8")
    assert gone == {"id": made["id"], "object": "video.deleted", "deleted": True}
    assert left["ids"] == [drawn["id"]]
    assert ada.kinds() == ["grant", "hold", "capture", "hold", "capture"]


@pytest.mark.slow
def test_a_litellm_proxy_in_front_makes_a_video(
    stack: RunningStack, ada: Customer, tmp_path: Path
) -> None:
    """The official package calls the proxy, whose provider ``openai`` calls Clipmint."""
    file = tmp_path / "video.mp4"
    ours = {
        "model": "openai/quick-t2v",
        "api_base": f"{stack.api_url}/openai/v1",
        "api_key": stack.token(ada.user_id),
    }
    with litellm_proxy("any-name", ours) as (url, key):
        made, downloaded = calls_to(
            f"{url}/v1",
            key,
            ["create_and_poll", {"model": "any-name", "prompt": ada.body()["prompt"]}],
            ["download", "first", {}, str(file)],
        )
        [refused] = calls_to(
            f"{url}/v1",
            key,
            ["create", {"model": "any-name", "prompt": ada.word, "size": "1024x1792"}],
        )
    assert (made["status"], made["progress"]) == ("completed", 100)
    assert downloaded["bytes"] == file.stat().st_size
    assert playable(str(file), tmp_path)
    assert refused["status"] == 400
    assert ada.kinds() == ["grant", "hold", "capture"]


@pytest.mark.slow
def test_the_official_package_for_node_makes_a_video(
    stack: RunningStack, ada: Customer, tmp_path: Path
) -> None:
    file = tmp_path / "video.mp4"
    given = {
        "base_url": f"{stack.api_url}/openai/v1",
        "api_key": stack.token(ada.user_id),
        "model": "quick-t2v",
        "prompt": ada.body()["prompt"],
        "file": str(file),
    }
    # Beside the packages, where Node looks for them.
    seen = json.loads(node(str(CLIENTS / "openai.ts"), json.dumps(given), cwd=tmp_path))
    assert seen == {
        "id": seen["id"],
        "status": "completed",
        "ids": [seen["id"]],
        "deleted": {"id": seen["id"], "object": "video.deleted", "deleted": True},
        "refusal": [404, "model_not_found", "model"],
    }
    assert playable(str(file), tmp_path)
    assert ada.kinds() == ["grant", "hold", "capture"]


def test_the_official_package_raises_its_own_errors(
    stack: RunningStack, new_customer: Callable[[int], Customer]
) -> None:
    poor = new_customer(0)
    fox = {"model": "quick-t2v", "prompt": poor.word}
    results = openai_calls(
        stack,
        poor,
        ["create", fox],
        ["create", fox | {"model": "no-such"}],
        ["create", fox | {"size": "1024x1792"}],
        ["retrieve", str(uuid.uuid4())],
        ["remix", str(uuid.uuid4()), {"prompt": "again"}],
    )
    assert [(error["error"], error["status"], error["code"]) for error in results] == [
        ("APIStatusError", 402, "insufficient_credits"),
        ("NotFoundError", 404, "model_not_found"),
        ("BadRequestError", 400, "setting_not_allowed"),
        ("NotFoundError", 404, "job_not_found"),
        ("NotFoundError", 404, "not_found"),
    ]
    assert [error["param"] for error in results[1:3]] == ["model", "size"]


@pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems", "StartExecution"])
def test_a_request_that_the_official_package_repeats_is_charged_once(
    stack: RunningStack, ada: Customer, operation: str
) -> None:
    """The function crashes after its first write, the order, or the start: the package retries."""
    ada.crash("DoorsFunction", operation)
    [made] = openai_calls(
        stack, ada, ["create_and_poll", {"model": "quick-t2v", "prompt": ada.body()["prompt"]}]
    )
    assert made["status"] == "completed"
    assert ada.kinds() == ["grant", "hold", "capture"]
