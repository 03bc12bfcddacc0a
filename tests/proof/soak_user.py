"""A user of the soak: orders, cancels, deletes, retries, lists, and sends wrong requests.

Every action gets one of the expected statuses. A 500 is allowed only where a worker was killed
(then the gateway answers, not we), and the user sends the same request again.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.customer import Customer

if TYPE_CHECKING:
    from tests.proof.soak import Soak

MODELS = {
    "veo-3.1": "fal",
    "gen4-turbo": "runway",
    "runware-veo-3.1": "runware",
    "gen4-image": "runway",
    "veo-3.1-transition": "fal",
}
"""Models that are ordered, directly or by scenes, and the provider that makes them first."""

FRAMES = ("https://example.com/first.png", "https://example.com/last.png")

FAULTS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "fal": (
        ("webhook_lost", {}),
        ("webhook_late", {"seconds": 3.0}),
        ("webhook_duplicate", {"copies": 3}),
        ("webhook_replayed", {}),
        ("webhook_forged", {"how": "bad_signature", "then_genuine": True}),
        ("webhook_forged", {"how": "foreign_key", "then_genuine": True}),
        ("webhook_early", {}),
        ("submit_429", {}),
        ("submit_503", {}),
        ("submit_reset_before", {}),
        ("submit_reset_after", {}),
        ("submit_garbled", {}),
        ("moderation", {}),
        ("runner_error", {}),
        ("stuck", {}),
        ("poll_error", {}),
        ("media_truncated", {}),
        ("media_reset", {}),
        ("media_expired", {}),
        ("media_error", {"status": 503}),
    ),
    "runway": (
        ("submit_429", {}),
        ("submit_503", {}),
        ("submit_reset_after", {}),
        ("submit_garbled", {}),
        ("moderation", {}),
        ("failure", {}),
        ("stuck", {}),
        ("poll_error", {}),
        ("media_truncated", {}),
        ("media_expired", {}),
    ),
    "runware": (
        ("submit_429", {}),
        ("submit_503", {}),
        ("submit_reset_after", {}),
        ("submit_504_after", {}),
        ("webhook_lost", {}),
        ("webhook_late", {"seconds": 3.0}),
        ("webhook_duplicate", {}),
        ("moderation", {}),
        ("task_error", {}),
        ("media_reset", {}),
        ("media_error", {"status": 503}),
    ),
}

FAULTY = 0.45
"""The share of jobs that a fault strikes."""

OPEN_AT_ONCE = 8
"""The most open jobs of all users together: two cores cannot serve more."""

SPENT = {202, 402, 404, 409, 429}
"""Responses to an order: accepted, not enough credits, gone, busy, too many."""

ATTEMPTS = 12
KEYS_BUSY_SECONDS = 2.0
"""A killed worker leaves its key busy until its own timeout; the soak does not wait for that."""


@dataclass(frozen=True)
class Order:
    """What was ordered with a key, and the job that it started."""

    path: str
    key: str
    body: dict[str, Any]
    job_ids: tuple[str, ...]


class User:
    """Follows a plan drawn from a seed."""

    def __init__(self, soak: Soak, seed: str) -> None:
        self.soak = soak
        self.random = random.Random(seed)
        self.customer = Customer(soak.stack)
        self.orders: list[Order] = []
        self.deleted: set[str] = set()
        self.projects: list[str] = []
        self._unsure: list[Order] = []
        self._grant()

    def live(self, until: float) -> None:
        """Do one thing after the other."""
        doings = {
            self._order: 8,
            self._render: 3,
            self._replay: 3,
            self._cancel: 3,
            self._delete: 2,
            self._look: 6,
            self._get_it_wrong: 3,
            self._grant: 1,
        }
        while time.monotonic() < until:
            [doing] = self.random.choices([*doings], [*doings.values()])
            doing()
            time.sleep(self.random.uniform(0.1, 1.0))

    def ask_again(self) -> None:
        """Repeat what was never answered."""
        for order in self._unsure:
            self._send("POST", order.path, SPENT, order.key, order.body)

    def finish(self) -> None:
        """Delete again what may be half deleted, and stop."""
        for job_id in self.deleted:
            self._send("DELETE", f"/v1/videos/{job_id}", {204, 404, 409})
        self.customer.http.close()

    # ── Spending ─────────────────────────────────────────────────────────────────────────────────

    def _order(self) -> None:
        model = self.random.choice(["veo-3.1", "gen4-turbo", "runware-veo-3.1"])
        prompt = self._prompt(MODELS[model])
        body: dict[str, Any] = {"model_id": model, "prompt": prompt}
        if model == "gen4-turbo":
            body["image_url"] = FRAMES[0]
        self._spend("/v1/videos", body)

    def _render(self) -> None:
        """A scene in two stages, or the clips of a small project."""
        if not self.projects or self.random.random() < 0.5:
            scene = {"first_frame": FRAMES[0], "last_frame": FRAMES[1]}
            scenes = [
                {
                    **scene,
                    "image_prompt": self._prompt("runway"),
                    "visual_prompt": self._prompt(self.random.choice(("runway", "runware"))),
                }
                for _ in range(self.random.randrange(1, 3))
            ]
            made = self._send("POST", "/v1/projects", {201}, body={"name": "A", "scenes": scenes})
            if made is None:
                return
            self.projects.append(made.json()["project_id"])
        project = self.random.choice(self.projects)
        if self.random.random() < 0.5:
            force = self.random.random() < 0.3
            self._spend(f"/v1/projects/{project}/clips", {"force": force})
            return
        read = self._send("GET", f"/v1/projects/{project}/scenes", {200, 404})
        if read is not None and read.status_code == 200 and read.json()["scenes"]:
            scene_id = self.random.choice(read.json()["scenes"])["scene_id"]
            self._spend(f"/v1/scenes/{scene_id}/video", {})

    def _spend(self, path: str, body: dict[str, Any]) -> None:
        key = f"key-{self.random.getrandbits(64):x}"
        if len(self.soak.open_jobs()) >= OPEN_AT_ONCE:
            self.soak.count("waited for others")
            return
        answer = self._send("POST", path, SPENT, key, body)
        order = Order(path, key, body, _jobs_of(answer))
        if answer is None or _is_busy(answer):
            self._unsure.append(order)
        elif answer.status_code == 202:
            self.orders.append(order)

    def _replay(self) -> None:
        """An old key: the same request returns the same jobs, another request is refused."""
        if not self.orders:
            return
        order = self.random.choice(self.orders)
        if self.random.random() < 0.3 and order.path == "/v1/videos":
            other = order.body | {"prompt": "something else"}
            self._send("POST", order.path, {422}, order.key, other)
            self.soak.count("keys reused for something else")
            return
        answer = self._send("POST", order.path, {202}, order.key, order.body)
        self.soak.count("replays")
        if answer is not None and _jobs_of(answer) != order.job_ids:
            self.soak.wrong(f"{order.key}: {order.job_ids} first, then {answer.text}")

    def _grant(self) -> None:
        reference = f"receipt-{uuid.uuid4().hex}"
        for _ in range(2):
            for _attempt in range(ATTEMPTS):
                answer = self.soak.owner.grant(self.customer.user_id, 150, reference)
                if answer.status_code < 500:
                    break
                time.sleep(0.5)
            if answer.status_code not in {200, 503}:
                self.soak.wrong(f"a grant was answered {answer.status_code}: {answer.text}")

    # ── Everything else ──────────────────────────────────────────────────────────────────────────

    def _some_job(self) -> str | None:
        jobs = [job_id for order in self.orders[-8:] for job_id in order.job_ids]
        return self.random.choice(jobs) if jobs else None

    def _cancel(self) -> None:
        if job_id := self._some_job():
            answer = self._send("POST", f"/v1/videos/{job_id}/cancel", {200, 404, 409, 503})
            if answer is not None and answer.status_code == 200:
                seen = self._send("GET", f"/v1/videos/{job_id}", {200, 404})
                if seen is not None and seen.json().get("status", "cancelled") != "cancelled":
                    self.soak.wrong(f"job {job_id} was cancelled, and is {seen.json()['status']}")

    def _delete(self) -> None:
        if self.projects and self.random.random() < 0.15:
            self._send("DELETE", f"/v1/projects/{self.projects[0]}", {204, 404, 409})
        elif job_id := self._some_job():
            self.deleted.add(job_id)
            answer = self._send("DELETE", f"/v1/videos/{job_id}", {204, 404, 409})
            if answer is not None and answer.status_code == 409:
                self.deleted.discard(job_id)

    def _look(self) -> None:
        if job_id := self._some_job():
            self._send("GET", f"/v1/videos/{job_id}", {200, 404})
        ways: Iterable[str] = ("/v1/videos?limit=5", "/v1/credits", "/v1/credits/entries")
        self._send("GET", self.random.choice([*ways]), {200})
        if self.projects:
            project = self.random.choice(self.projects)
            self._send("GET", f"/v1/projects/{project}/clips", {200, 404})

    def _get_it_wrong(self) -> None:
        body = {"model_id": "veo-3.1", "prompt": "a fox"}
        key = uuid.uuid4().hex
        orders_of_another = self.random.choice(self.soak.users).orders[-1:]
        wrongs: list[tuple[str, str, set[int], str | None, Any]] = [
            ("POST", "/v1/videos", {400}, None, body),
            ("POST", "/v1/videos", {400}, key, {"prompt": 3}),
            ("POST", "/v1/videos", {404}, key, body | {"model_id": "none"}),
            ("POST", "/v1/videos", {400}, key, body | {"settings": {"duration": 99}}),
            ("GET", "/v1/videos?cursor=nonsense", {400}, None, None),
            ("GET", f"/v1/videos/{uuid.uuid4()}", {404}, None, None),
        ]
        if (
            orders_of_another
            and orders_of_another[0] not in self.orders
            and orders_of_another[0].job_ids
        ):
            theirs = f"/v1/videos/{orders_of_another[0].job_ids[0]}"
            wrongs.append(("GET", theirs, {404}, None, None))
            wrongs.append(("POST", f"{theirs}/cancel", {404}, None, None))
            wrongs.append(("DELETE", theirs, {404}, None, None))
        method, path, expected, sent_key, sent = self.random.choice(wrongs)
        self._send(method, path, expected, sent_key, sent)
        self.soak.count("bad requests")

    # ── Talking ──────────────────────────────────────────────────────────────────────────────────

    def _prompt(self, provider: str) -> str:
        """A unique prompt for each job; a fault may be armed for it."""
        marker = f"mark{uuid.uuid4().hex[:12]}"
        if self.random.random() < FAULTY:
            kind, params = self.random.choice(FAULTS[provider])
            self.soak.stack.simulators[provider].arm(kind, prompt_contains=marker, **params)
            self.soak.count("faults armed")
        return f"a fox {marker} in the snow"

    def _send(
        self,
        method: str,
        path: str,
        expected: set[int],
        key: str | None = None,
        body: object = None,
    ) -> httpx.Response | None:
        """The response, once there is one; None if there never was one."""
        headers = {"Idempotency-Key": key} if key else {}
        for _ in range(ATTEMPTS):
            try:
                answer = self.customer.http.request(method, path, headers=headers, json=body)
            except httpx.TransportError as error:
                self.soak.wrong(f"{method} {path}: {error!r}")
                return None
            self.soak.count(f"HTTP {answer.status_code}")
            if answer.status_code in {500, 502, 504}:
                if "code" in answer.json():
                    self.soak.wrong(f"{method} {path} was answered {answer.text}")
            elif not _is_busy(answer) and answer.status_code != 503:
                if answer.status_code not in expected:
                    self.soak.wrong(f"{method} {path}: {answer.status_code} {answer.text}")
                return answer
            time.sleep(self.random.uniform(0.2, KEYS_BUSY_SECONDS))
        return answer if answer.status_code in expected else None


def _is_busy(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json()["code"] == "REQUEST_IN_PROGRESS"


def _jobs_of(answer: httpx.Response | None) -> tuple[str, ...]:
    if answer is None or answer.status_code != 202:
        return ()
    body = answer.json()
    clips = body.get("clips")
    return tuple(clip["job_id"] for clip in clips) if clips is not None else (body["job_id"],)
