"""A user of the app: what a user can do over HTTP, and waits until a job has ended.

Every customer is new and has a unique word that is part of each prompt, so a fault armed for that
word strikes only the jobs of this customer.
"""

from __future__ import annotations

import uuid
from types import TracebackType
from typing import Any, Self

import httpx

from clipmint.orders.idempotency_keys import job_id_for
from local.running import RunningStack
from tests.support.backstage import job_item
from tests.support.plain_http import PLAIN
from tests.support.progress import until

TERMINAL = frozenset({"completed", "failed", "cancelled"})


class Customer:
    """One user with a token the API accepts. All prompts contain ``word``."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self._crashes: set[str] = set()
        self.word = f"word{uuid.uuid4().hex[:12]}"
        self.user_id = f"user-{uuid.uuid4().hex}"
        self.http = httpx.Client(
            base_url=stack.api_url,
            headers=stack.bearer(self.user_id),
            timeout=60,
            trust_env=False,
            verify=PLAIN,
            limits=httpx.Limits(max_connections=60),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def job_id(self, key: str) -> str:
        """The id of the job that an order under this key starts, or has started."""
        return job_id_for(self.user_id, key)

    def crash(self, function: str, operation: str, *, key: str | None = None, **how: Any) -> None:
        """Plan to kill one worker while it works for this user (see `RunningStack.crash`).

        A function that is called over HTTP knows the user. One that the execution or a provider
        calls knows the job: ``key`` is the key under which that is ordered.
        """
        about = self.user_id if key is None else self.job_id(key)
        self._crashes.add(about)
        self.stack.crash(function, operation, about=about, **how)

    def planned_crashes(self) -> int:
        """How many crashes planned for this user have not happened."""
        return sum(map(self.stack.planned_crashes, self._crashes))

    def withdraw(self) -> None:
        """Withdraw the faults and crashes planned for this user that have not happened."""
        for simulator in self.stack.simulators.values():
            simulator.disarm_about(self.word)
        for about in self._crashes:
            self.stack.call_off_crashes(about)

    def body(self, **members: Any) -> dict[str, Any]:
        """A request body: a quick text-to-video job unless ``members`` change it."""
        about = members.pop("about", "a fox")
        return {"model_id": "quick-t2v", "prompt": f"{about} {self.word} in the snow", **members}

    def post(self, key: str | None = None, **members: Any) -> httpx.Response:
        """POST /v1/videos, with a fresh key unless one is given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.http.post("/v1/videos", headers=headers, json=self.body(**members))

    def order(self, key: str | None = None, **members: Any) -> str:
        """A job that was accepted; its id."""
        answer = self.post(key, **members)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def create_project(self, *scenes: dict[str, Any], **members: Any) -> dict[str, Any]:
        """A project of these scenes, as the app sees it."""
        answer = self.http.post("/v1/projects", json={"scenes": list(scenes), **members})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def post_scene(self, scene_id: str, key: str | None = None, **members: Any) -> httpx.Response:
        """POST /v1/scenes/{scene_id}/video, with a fresh key unless one is given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.http.post(f"/v1/scenes/{scene_id}/video", headers=headers, json=members)

    def render(self, scene_id: str, **members: Any) -> str:
        """A scene whose rendering was accepted; the job's id."""
        answer = self.post_scene(scene_id, **members)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def post_clips(self, project_id: str, key: str | None = None, **members: Any) -> httpx.Response:
        """POST /v1/projects/{project_id}/clips, with a fresh key unless one is given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.http.post(f"/v1/projects/{project_id}/clips", headers=headers, json=members)

    def start_clips(self, project_id: str, **members: Any) -> dict[str, str]:
        """The jobs of a call for clips that was accepted, by scene."""
        answer = self.post_clips(project_id, **members)
        assert answer.status_code == 202, answer.text
        return {clip["scene_id"]: clip["job_id"] for clip in answer.json()["clips"]}

    def clips(self, project_id: str) -> dict[str, Any]:
        """How a project's clips are doing."""
        answer = self.http.get(f"/v1/projects/{project_id}/clips")
        assert answer.status_code == 200, answer.text
        seen: dict[str, Any] = answer.json()
        return seen

    def scene(self, project_id: str, scene_id: str) -> dict[str, Any]:
        """A scene as the app sees it."""
        answer = self.http.get(f"/v1/projects/{project_id}/scenes/{scene_id}")
        assert answer.status_code == 200, answer.text
        seen: dict[str, Any] = answer.json()
        return seen

    def video(self, job_id: str) -> dict[str, Any]:
        """The job as the app sees it."""
        answer = self.http.get(f"/v1/videos/{job_id}")
        assert answer.status_code == 200, answer.text
        seen: dict[str, Any] = answer.json()
        return seen

    def until_ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended. Raises TimeoutError if it makes no progress.

        It waits by the job's record: a request of the API for each look would take several times as
        long.
        """
        until(self.stack, job_id, lambda: job_item(self.stack, job_id)["status"] in TERMINAL)
        return self.video(job_id)

    def finish(self, **members: Any) -> dict[str, Any]:
        """A job from its order to its end."""
        return self.until_ended(self.order(**members))

    def cancel(self, job_id: str) -> httpx.Response:
        return self.http.post(f"/v1/videos/{job_id}/cancel")

    def credits(self) -> dict[str, int]:
        """``available`` and ``held``."""
        answer = self.http.get("/v1/credits")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["available"] == sum(lot["credits"] for lot in found["lots"])
        return {name: found[name] for name in ("available", "held")}

    def entries(self) -> list[dict[str, Any]]:
        """The newest hundred entries of the journal, oldest first."""
        answer = self.http.get("/v1/credits/entries", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        return list(reversed(answer.json()["entries"]))

    def kinds(self) -> list[str]:
        """The kinds of the journal's entries, oldest first."""
        return [entry["kind"] for entry in self.entries()]
