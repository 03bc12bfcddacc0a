"""What left the installation as events, compared with what was committed.

The expected events are computed from the records as they are, without our code. An event without a
committed change, a change without its event, one change with two ids, and a completed video whose
file is not stored are violations.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.proof.network import Call
from tests.support.invariants import STAGES, TERMINAL, tries_of

Item = Mapping[str, Any]
Key = tuple[str, ...]
"""The type of an event and what it is about."""


@dataclass
class Outgoing:
    """Everything that was put on the event bus, and what was wrong at that moment."""

    put_on_bus: list[dict[str, Any]] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def put(
        self,
        entries: Iterable[Mapping[str, Any]],
        files: Mapping[tuple[str, str], str],
        sources: Mapping[str, str],
    ) -> None:
        """What PutEvents was called with. ``files`` are the files that are stored by then, and
        ``sources`` are, by job, the jobs that made them."""
        for entry in entries:
            detail = json.loads(entry["Detail"])
            self.put_on_bus.append(detail)
            job_id = detail["data"].get("job_id", "")
            made_by = sources.get(job_id, job_id)
            stored = any(f"/{made_by}/" in key and key.endswith(".mp4") for _, key in files)
            if detail["type"] == "video.completed" and not stored:
                self.found.append(f"job {job_id} was reported completed without its video")
            if entry["DetailType"] != detail["type"] or entry["Source"] != "clipmint":
                self.found.append(f"the entry of {detail['id']} differs from its detail")

    def violations(
        self,
        jobs: Iterable[Item],
        ledger: Sequence[Item],
        accounts: Iterable[Item],
        low_credits: int,
    ) -> Iterator[str]:
        """What is wrong when nothing happens any more; ``accounts`` are all versions of all."""
        yield from self.found
        jobs = list(jobs)
        expected = {*events_of_jobs(jobs), *events_of_credits(ledger, accounts, low_credits)}
        ids = defaultdict[Key, set[str]](set)
        bodies = defaultdict[str, set[str]](set)
        for detail in self.put_on_bus:
            ids[key_of(detail)].add(detail["id"])
            bodies[detail["id"]].add(json.dumps(detail, sort_keys=True))
        for key in sorted(expected - ids.keys()):
            yield f"there was no event {' '.join(key)}"
        for key in sorted(ids.keys() - expected):
            yield f"the event {' '.join(key)} is about nothing that was committed"
        for key, found in ids.items():
            # A job's image can be made twice.
            if len(found) > (2 if key[0] == "scene.image_ready" else 1):
                yield f"the event {' '.join(key)} has {len(found)} ids"
        for event_id, versions in bodies.items():
            if len(versions) > 1:
                yield f"{event_id} has {len(versions)} bodies"


@dataclass
class Receiver:
    """The owner's endpoint: verifies what it receives, as its official package does."""

    received: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What it accepted, by the event's id."""

    calls: int = 0
    forged: int = 0
    _secret: str | None = None
    _types: tuple[str, ...] = ()
    _statuses: list[int] = field(default_factory=list)

    def subscribe(self, secret: str, types: tuple[str, ...], statuses: tuple[int, ...]) -> None:
        self._secret, self._types, self._statuses = secret, types, [*statuses]

    def answer(self, call: Call) -> httpx.Response:
        """Verify a call and answer it."""
        self.calls += 1
        assert self._secret is not None
        try:
            payload = Webhook(self._secret).verify(call.body, dict(call.headers))
        except WebhookVerificationError:
            self.forged += 1
            return httpx.Response(401)
        status = self._statuses.pop(0) if self._statuses else 204
        if status < 300:
            self.received.setdefault(call.headers["webhook-id"], []).append(payload)
        return httpx.Response(status)

    def violations(self, outgoing: Outgoing) -> Iterator[str]:
        """What is wrong when nothing happens any more."""
        if self._secret is None:
            return
        if self.forged:
            yield f"{self.forged} calls of the endpoint had no valid signature"
        wanted = {
            detail["id"]: {name: detail[name] for name in detail if name != "id"}
            for detail in outgoing.put_on_bus
            if not self._types or detail["type"] in self._types
        }
        for event_id in sorted(wanted.keys() - self.received.keys()):
            yield f"the endpoint did not get {wanted[event_id]['type']} {event_id}"
        for event_id, payloads in self.received.items():
            if any(payload != wanted.get(event_id) for payload in payloads):
                yield f"the endpoint got another {event_id} than was put on the bus"


def not_found_by_id(jobs: Iterable[Item], entries: Iterable[Item]) -> Iterator[str]:
    """Jobs that have ended and that the owner does not find by an id of a provider, a project or a
    scene; and entries under an id that no such job has."""
    group = "ID#"
    found = {
        (item["group"].removeprefix(group), item["sk"].partition("#")[2])
        for item in entries
        if item["group"].startswith(group)
    }
    expected = set()
    ours = set()
    for job in jobs:
        stages = [job[name] for name in STAGES if name in job]
        tries = [one for stage in stages for one in (*stage.get("earlier", ()), stage)]
        sent = [one.get("submission", one) for one in tries]
        ours |= {(one["task_id"], job["job_id"]) for one in sent if "task_id" in one}
        if job["status"] in TERMINAL:
            ids = [job.get("project_id"), job.get("scene_id")]
            ids += [one.get("request_id") for one in (*sent, *job.get("orphans", ()))]
            expected |= {(one, job["job_id"]) for one in ids if one}
    for any_id, job_id in sorted(expected - found):
        yield f"the job {job_id} is not found by its id {any_id}"
    for any_id, job_id in sorted(found - expected - ours):
        yield f"the job {job_id} is found by {any_id}, which it does not have"


def key_of(detail: Mapping[str, Any]) -> Key:
    """What an event is about, by its payload."""
    kind, data = detail["type"], detail["data"]
    about = {
        "clips.finished": ("batch_id",),
        "credits.granted": ("user_id", "reference"),
        "credits.low": ("user_id", "sequence"),
        "orphan.recorded": ("job_id", "request_id"),
    }.get(kind, ("job_id",))
    return (kind, *(str(data[name]) for name in about))


def events_of_jobs(jobs: Iterable[Item]) -> Iterator[Key]:
    """The events that jobs must have had, by their items."""
    batches = defaultdict[str, list[Item]](list)
    for job in jobs:
        if job["status"] in TERMINAL:
            yield f"video.{job['status']}", job["job_id"]
        for orphan in job.get("orphans", []):
            yield "orphan.recorded", job["job_id"], orphan["request_id"]
        if job.get("scene_id") and any(one["asset"] for one in _images(job)):
            yield "scene.image_ready", job["job_id"]
        if job.get("batch_id"):
            batches[job["batch_id"]].append(job)
    for batch_id, clips in batches.items():
        if all(job["status"] in TERMINAL for job in clips):
            yield "clips.finished", batch_id


def _images(job: Item) -> list[Item]:
    image = job.get(STAGES[0])
    return [{"asset": one.get("asset")} for one in tries_of(image)] if image else []


def events_of_credits(
    ledger: Sequence[Item], accounts: Iterable[Item], low_credits: int
) -> Iterator[Key]:
    """The events that accounts must have had, by their journals.

    Parameters
    ----------
    accounts
        Every version of every account, each written by one transaction. A transaction may write
        several entries; only the balance after the last one was ever there.
    """
    seen = {(account["user_id"], int(account["last_sequence"])) for account in accounts}
    by_user = defaultdict[str, list[Item]](list)
    for entry in ledger:
        if not entry["sk"].startswith("ENTRY#"):
            continue
        if entry["kind"] == "grant":
            yield "credits.granted", entry["user_id"], entry["reference"]
        if (entry["user_id"], int(entry["sequence"])) in seen:
            by_user[entry["user_id"]].append(entry)
    for user_id, journal in by_user.items():
        yield from _lows(user_id, journal, low_credits)


def _lows(user_id: str, journal: list[Item], low_credits: int) -> Iterator[Key]:
    """The transactions that left too few credits, by the last entry of each."""
    before = 0
    for entry in sorted(journal, key=lambda entry: int(entry["sequence"])):
        after = int(entry["balance_after"])
        if after < low_credits <= before:
            yield "credits.low", user_id, str(entry["sequence"])
        before = after
