"""Concurrent spending on one project, and concurrent grants of the same credits.

A round of a project: calls for clips of overlapping scenes, one of them twice with one key, a
scene's video, videos of no project, and changes and deletions of scenes and the project, for an
account that cannot always pay for all of it. A round of grants: one reference, fifty times, for two
users.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipmint import clock
from clipmint.api import replays
from clipmint.credits import grants
from clipmint.execution.sweeping import DEADLINE_GRACE
from clipmint.projects import project_store
from clipmint.projects.project import Project
from clipmint.projects.project_requests import NewProject, NewScene
from functions.admin.app import handler as admin
from functions.generate import app as generate
from functions.projects.app import handler as project_calls
from functions.sweep.app import handler as sweep
from tests.proof.emulated import Emulated
from tests.proof.turns import Turns
from tests.support.gateway import Answer, Context, answer_of, event
from tests.support.invariants import TERMINAL, Item, unfinished, violations

CONTEXT = Context(remaining_ms=150_000)
SCENES = 4
GRANTS = 50
EXPECTED = frozenset({200, 202, 204, 402, 404, 409, 429, 503})
MOST_ATTEMPTS = 12
"""After a response 503, or 409 because a request with the same key is in progress."""

VIDEO = {"model_id": "veo-3.1", "prompt": "a fox", "settings": {"duration": 4}}

ADMIN = "clipmint/admin"


@dataclass
class Called:
    """One call, and its responses until one of them does not ask for a retry."""

    what: str
    key: str | None
    answers: list[Answer] = field(default_factory=list)

    @property
    def last(self) -> Answer:
        return self.answers[-1]


@dataclass
class Caller:
    """Makes a user's calls, each by a separate actor."""

    turns: Turns
    user: str
    called: list[Called] = field(default_factory=list)

    def begin(
        self, handler: Any, method: str, path: str, body: object = None, key: str | None = None
    ) -> None:
        """Start an actor that repeats its call until the response does not ask for a retry."""
        last = path.rpartition("/")[2]
        called = last if key else "scene" if "/scenes/" in path else "project"
        made = Called(f"{method} {called}", key)
        self.called.append(made)
        headers = {"Idempotency-Key": key} if key else {}

        def act() -> None:
            self.turns.linger(15)
            for _ in range(MOST_ATTEMPTS):
                sent = event(method, path, user=self.user, body=body, headers=headers)
                answer = answer_of(handler(sent, CONTEXT))
                self.turns.note(f"{made.what} is answered {answer.status}")
                made.answers.append(answer)
                twin = answer.status == 409 and answer.body["code"] == "REQUEST_IN_PROGRESS"
                if answer.status != 503 and not twin:
                    return
                self.turns.pause()

        self.turns.begin(made.what, act)


def play_project(account: Emulated, seed: str, likely: float) -> tuple[Counter[str], list[str]]:
    """One round: how the calls were answered, and the violations."""
    turns = account.begin_round(seed)
    replays.powertools.cache_clear()
    chance, user = turns.random, f"user-{uuid.uuid4()}"
    project = _project(user)
    grants.grant(user, chance.choice((40, 80, 400)), f"for {user}")
    caller = Caller(turns, user)
    keys = [str(uuid.uuid4()) for _ in range(6)]
    account.conflicts = likely
    clips = f"/v1/projects/{project.project_id}/clips"
    some = project.scene_ids[: chance.randrange(1, SCENES)]
    for key, body in ((keys[0], {}), (keys[0], {}), (keys[1], {"scene_ids": list(some)})):
        caller.begin(generate.handler, "POST", clips, body, key)
    scene = chance.choice(project.scene_ids)
    caller.begin(generate.handler, "POST", f"/v1/scenes/{scene}/video", {}, keys[2])
    for key in keys[3:]:  # about no project: they compete only for the account
        caller.begin(generate.handler, "POST", "/v1/videos", VIDEO, key)
    path = f"/v1/projects/{project.project_id}"
    changed = {"name": "Another name"}
    for likelihood, method, where, content in (
        (0.6, "PATCH", path, changed),
        (0.4, "PATCH", f"{path}/scenes/{scene}", {"visual_prompt": "it boils over"}),
        (0.4, "DELETE", f"{path}/scenes/{chance.choice(project.scene_ids)}", None),
        (0.4, "DELETE", path, None),
    ):
        if chance.random() < likelihood:
            caller.begin(project_calls, method, where, content)
    turns.run()
    account.conflicts, account.turns = 0.0, None
    found = _wrong_with(account, caller, project)
    found += _ending(account, user)
    return Counter(f"{called.what} {called.last.status}" for called in caller.called), found


def _project(user: str) -> Project:
    new = NewScene(
        image_prompt="a red kettle",
        visual_prompt="it boils",
        first_frame="https://example.com/1.png",
        last_frame="https://example.com/2.png",
    )
    return project_store.create(user, NewProject(name="A name", scenes=[new] * SCENES))[0]


def _wrong_with(account: Emulated, caller: Caller, project: Project) -> list[str]:
    now = account.snapshot(caller.user, None)
    found = violations(now)
    for called in caller.called:
        found += [
            f"{called.what} was answered {answer.status}: {answer.body}"
            for answer in called.answers
            if answer.status not in EXPECTED
        ]
    rendering = Counter(
        job["scene_id"] for job in now.jobs if "scene_id" in job and job["status"] not in TERMINAL
    )
    found += [f"{n} jobs render scene {scene}" for scene, n in rendering.items() if n > 1]
    named: dict[str, str | None] = {}
    for called in caller.called:
        if called.key and called.last.status == 202:
            for job_id in _job_ids(called.last.body):
                if named.setdefault(job_id, called.key) != called.key:
                    found.append(f"job {job_id} was named to two calls")
    # A user who received no job has nothing held for one.
    found += [
        f"job {job['job_id']} was named to nobody" for job in now.jobs if job["job_id"] not in named
    ]
    found += [f"job {job_id} was named, and is not there" for job_id in _missing(named, now.jobs)]
    found += _twins(caller)
    return found + _gone(account, caller, project, now.jobs)


def _missing(named: Mapping[str, Any], jobs: Any) -> set[str]:
    return set(named) - {job["job_id"] for job in jobs}


def _job_ids(body: Any) -> list[str]:
    clips = body.get("clips")
    return [clip["job_id"] for clip in clips] if clips is not None else [body["job_id"]]


def _twins(caller: Caller) -> list[str]:
    """Calls with one key got the same final response, if they got a final response."""
    answered: dict[str, set[str]] = {}
    for called in caller.called:
        if called.key and called.last.status == 202:
            answered.setdefault(called.key, set()).add(" ".join(_job_ids(called.last.body)))
    return [f"one key, two answers: {content}" for content in answered.values() if len(content) > 1]


def _gone(account: Emulated, caller: Caller, project: Project, jobs: Any) -> list[str]:
    """A deleted project is gone, and nothing is made for it."""
    deleted = any(
        answer.status == 204
        for called in caller.called
        if called.what == "DELETE project"
        for answer in called.answers
    )
    items: Sequence[Item] = account.items("ProjectsTable", caller.user)
    there = any(item["sk"] == f"PROJECT#{project.project_id}" for item in items)
    if there or not deleted:
        return []
    return [
        f"job {job['job_id']} is made for a project that is gone"
        for job in jobs
        if "project_id" in job and job["status"] not in TERMINAL
    ]


def _ending(account: Emulated, user: str) -> list[str]:
    """After every deadline and one sweep, everything has ended and adds up."""
    latest = max((int(job["deadline"]) for job in account.jobs(user)), default=0)
    late = max(0, latest - clock.epoch(clock.now()))
    account.hands.forward(seconds=late + DEADLINE_GRACE.total_seconds() + 1)
    sweep({"source": "aws.events"}, CONTEXT)
    now = account.snapshot(user, None)
    return [*violations(now), *unfinished(now)]


def play_grants(account: Emulated, seed: str, likely: float) -> tuple[Counter[str], list[str]]:
    """One reference, many times at once, for two users: granted once, to one of them."""
    turns = account.begin_round(seed)
    account.conflicts = likely
    reference, outcomes = f"receipt-{uuid.uuid4()}", Counter[str]()
    users = [f"user-{uuid.uuid4()}" for _ in range(2)]
    answers: list[tuple[str, Answer]] = []

    def grant(user: str) -> Callable[[], None]:
        body = {"user_id": user, "amount": 7, "reference": reference}

        def act() -> None:
            for _ in range(MOST_ATTEMPTS):
                call = event("POST", "/v1/admin/grants", user="owner", scope=ADMIN, body=body)
                answer = answer_of(admin(call, CONTEXT))
                outcomes[f"{answer.status}"] += 1
                if answer.status != 503:
                    answers.append((user, answer))
                    return

        return act

    for number in range(GRANTS):
        turns.begin(f"grant {number}", grant(users[number % 2]))
    turns.run()
    account.conflicts, account.turns = 0.0, None
    snapshots = [account.snapshot(user, None) for user in users]
    found = [what for now in snapshots for what in violations(now)]
    given = [now.user_id for now in snapshots for _ in now.entries]
    if len(given) > 1 or (answers and len(given) != 1):
        found.append(f"given {len(given)} times")
    first = [
        answer for _, answer in answers if answer.status == 200 and not answer.body["replayed"]
    ]
    if len(first) > 1:
        found.append(f"{len(first)} were told that theirs was the first")
    for user, answer in answers:
        outcomes["replayed"] += answer.status == 200 and answer.body["replayed"]
        if answer.status != (200 if [user] == given else 409 if given else 0):
            found.append(f"{user} was answered {answer.status}, and it was given to {given}")
    return outcomes, found
