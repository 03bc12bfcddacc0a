"""No credential is in any log line, at the most verbose level and on every route.

When all tests have ended, the auditor looks for keys, task tokens, webhook tokens and prompts. This
test looks for what only the caller sees: their own token, and the URLs and forms they are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import httpx

from local.running import RunningStack
from tests.support.audit import Auditor
from tests.support.customer import Customer
from tests.support.progress import until


def signature(url: str) -> str:
    (found,) = parse_qs(urlsplit(url).query)["X-Amz-Signature"]
    return found


def test_no_secret_of_a_caller_is_in_a_log(
    stack: RunningStack, auditor: Auditor, new_customer: Callable[[int], Customer]
) -> None:
    ada = new_customer(1_000)
    seen: list[httpx.Response] = []
    ada.http.event_hooks["response"].append(seen.append)
    secrets = {ada.http.headers["Authorization"].removeprefix("Bearer "): "a token"}

    given = ada.http.post("/v1/images", json={"content_type": "image/png"}).json()
    for name, value in given["upload"]["fields"].items():
        if name.lower() in {"policy", "x-amz-signature", "x-amz-credential"}:
            secrets[value] = f"an upload's {name}"

    frames = {"first_frame": "https://example.com/a.png", "last_frame": "https://example.com/b.png"}
    scene = {"visual_prompt": f"a wolf {ada.word}", "image_prompt": f"a bear {ada.word}"}
    project = ada.http.post(
        "/v1/projects", json={"resolution": "1280:720", "scenes": [scene, {**scene, **frames}]}
    ).json()
    alone, framed = (made["scene_id"] for made in project["scenes"])
    started = ada.http.post(
        f"/v1/scenes/{alone}/video", headers={"Idempotency-Key": "a scene"}, json={}
    )
    assert started.status_code == 202, started.text
    clips = ada.start_clips(project["project_id"], scene_ids=[framed])
    ended = ada.until_ended(started.json()["job_id"])
    (clip,) = clips.values()
    until(stack, clip, lambda: ada.clips(project["project_id"])["pending"] == 0)
    done = ada.finish()
    ada.http.get(f"/v1/projects/{project['project_id']}")
    ada.http.get("/v1/videos")
    assert {ended["status"], done["status"]} == {"completed"}
    assert ada.clips(project["project_id"])["all_complete"]

    signed = 0
    for answer in seen:
        answer.read()
        for word in answer.text.split('"'):
            if "X-Amz-Signature" in word:
                secrets[signature(json.loads(f'"{word}"'))] = "a presigned URL"
                signed += 1
    assert signed >= 6
    assert len(secrets) >= 5
    auditor.check_logs(secrets)
    # The functions log at the most verbose level, so the check above proves something.
    functions = ("GenerateFunction", "ProjectsFunction", "StatusFunction", "WebhooksFunction")
    levels = {
        name: stack.boto3("lambda").get_function_configuration(FunctionName=stack.functions[name])
        for name in functions
    }
    for name, configuration in levels.items():
        assert configuration["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
        assert stack.logs(name), name
