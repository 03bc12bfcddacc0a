"""docs/openapi.json is true, and no request breaks the API.

schemathesis makes requests that follow the document, requests that violate it in one place, and
sequences of them; each response has to be one that the document announces. OPENAPI_EXAMPLES=200 in
the environment makes more of them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.deploy import ROOT
from local.running import RunningStack
from tests.e2e.outside.schemathesis_run import Run, run
from tests.support.audit import Auditor
from tests.support.backstage import Owner, jobs_of, until_execution_ended
from tests.support.doors import png

pytestmark = pytest.mark.slow

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
METHODS = frozenset({"get", "post", "put", "patch", "delete"})
USERS = "^/v1/(?!admin/)"
"""What users call."""
EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "1"))


def flawless(went: Run, *, at_the_right_moment: frozenset[str] = frozenset()) -> None:
    """``at_the_right_moment``: operations that succeed for what other operations have made."""
    print(went)
    assert went.complete
    assert (went.failures, went.errors) == ([], []), went.output
    assert went.tested == went.operations
    # Refused requests alone would prove little. A preflight answers 204, which is no success.
    served = {one for one, status in went.answers if status < 400 and status in documented(one)}
    tried = {operation for operation, _ in went.answers}
    assert tried - served - at_the_right_moment == set(), (
        "nothing that was sent there ever succeeded"
    )


def documented(operation: str) -> set[int]:
    """The statuses that the document has for an operation, such as ``GET /v1/videos``."""
    method, path = operation.split()
    return {int(status) for status in DOCUMENT["paths"][path][method.lower()]["responses"]}


def operations_below(pattern: str) -> int:
    """How many operations the document has at paths that match."""
    paths = {
        path: methods for path, methods in DOCUMENT["paths"].items() if re.match(pattern, path)
    }
    return sum(method in METHODS for methods in paths.values() for method in methods)


class Client:
    """Makes requests one after the other, for what made-up ones reach by chance only."""

    def __init__(self, stack: RunningStack, user: str, *, admin: bool = False) -> None:
        bearer = {"Authorization": f"Bearer {stack.token(user, admin=admin)}"}
        self.answers: Counter[tuple[str, int]] = Counter()
        self._http = httpx.Client(base_url=stack.api_url, headers=bearer, timeout=60)

    def send(self, operation: str, body: Any = None, **ids: str) -> Any:
        """The body of the answer, whose status is counted."""
        method, path = operation.split()
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._http.request(method, path.format(**ids), json=body, headers=key)
        self.answers[operation, answer.status_code] += 1
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._http.close()


def order_scenes(client: Client) -> None:
    """The orders of scenes with prompts and frames, and the deletion of one."""
    prompts = {"image_prompt": "a kettle", "visual_prompt": "it boils"}
    frames = {
        "first_frame": "https://example.com/1.png",
        "last_frame": "https://example.com/2.png",
    }
    made = client.send("POST /v1/projects", {"scenes": [prompts, prompts | frames]})
    ids = {"project_id": made["project_id"], "scene_id": made["scenes"][0]["scene_id"]}
    framed = {"scene_ids": [made["scenes"][1]["scene_id"]]}
    for path in ("/v1/projects/{project_id}/clips/estimate", "/v1/projects/{project_id}/clips"):
        client.send(f"POST {path}", framed, **ids)
    for path in ("/v1/scenes/{scene_id}/video/estimate", "/v1/scenes/{scene_id}/video"):
        client.send(f"POST {path}", **ids)
    added = client.send("POST /v1/projects/{project_id}/scenes", prompts, **ids)
    ids["scene_id"] = added["scene_id"]
    client.send("DELETE /v1/projects/{project_id}/scenes/{scene_id}", **ids)


def order_from_image(client: Client) -> None:
    """An image, and a video from it."""
    file = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    made = client.send("POST /api/images/upload", {"file": file})
    ordered = {"projectId": made["projectId"], "prompt": "it boils"}
    client.send("POST /api/videos/generate", ordered)


def test_the_api_behaves_as_documented(
    stack: RunningStack, owner: Owner, auditor: Auditor, tmp_path: Path
) -> None:
    users = [f"user-{uuid.uuid4().hex}" for _ in range(2)]
    for user in users:
        assert owner.grant(user, 100_000_000).status_code == 200
    went = run(
        stack.api_url,
        {user: stack.token(user) for user in users},
        tmp_path,
        examples=EXAMPLES,
        peers=True,
        only=USERS,
    )
    with closing(Client(stack, users[0])) as client:
        order_scenes(client)
    went.answers.update(client.answers)
    # Possible until its provider has begun: tests/e2e/test_cancelling.py.
    flawless(went, at_the_right_moment=frozenset({"POST /v1/videos/{job_id}/cancel"}))
    assert went.operations == operations_below(USERS)
    jobs = [job for user in users for job in jobs_of(stack, user)]
    assert jobs
    for job in jobs:
        until_execution_ended(stack, job["job_id"])
    auditor.check(*users)


def deliver_again(client: Client) -> None:
    """The second delivery of an event to the same webhook."""
    webhook = "/v1/admin/webhooks/{webhook_id}"
    body = {"url": "https://example.com/"}
    ids = {"webhook_id": client.send("POST /v1/admin/webhooks", body)["webhook_id"]}
    delivery_id = client.send(f"POST {webhook}/test", **ids)["delivery_id"]
    again = f"POST {webhook}/deliveries/{{delivery_id}}/redeliver"
    client.send(again, **ids, delivery_id=delivery_id)
    client.send(f"DELETE {webhook}", **ids)


DOORS = "^/(functions|api|openai)/"
"""The compatible endpoints."""

AT_THE_RIGHT_MOMENT = frozenset(
    {
        # For a scene or a project, which are made elsewhere.
        "POST /api/video/generate",
        "POST /functions/v1/generate-clips",
        "POST /functions/v1/check-clips-status",
        # For a job that has ended, or has not begun.
        "DELETE /api/video/generate/tasks/{job_id}",
        "DELETE /functions/v1/delete-video-job",
        "POST /functions/v1/delete-video-job",
        "DELETE /openai/v1/videos/{job_id}",
        "GET /openai/v1/videos/{job_id}/content",
    }
)


def test_the_compatible_endpoints_behave_as_documented(
    stack: RunningStack, owner: Owner, auditor: Auditor, tmp_path: Path
) -> None:
    users = [f"user-{uuid.uuid4().hex}" for _ in range(2)]
    for user in users:
        assert owner.grant(user, 100_000_000).status_code == 200
    tokens = {user: stack.token(user) for user in users}
    went = run(stack.api_url, tokens, tmp_path, examples=EXAMPLES, peers=True, only=DOORS)
    with closing(Client(stack, users[0])) as client:
        order_from_image(client)
    went.answers.update(client.answers)
    flawless(went, at_the_right_moment=AT_THE_RIGHT_MOMENT)
    assert went.operations == operations_below(DOORS)
    for user in users:
        for job in jobs_of(stack, user):
            until_execution_ended(stack, job["job_id"])
    auditor.check(*users)
