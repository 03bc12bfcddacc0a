"""The first act: videos from text and from an image, and one that fails. Each step is checked."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.demo.app import App, download, retry_after
from local.demo.checks import (
    Checks,
    Clip,
    check_clip,
    check_thumbnail,
    decode,
    faults_of_journal,
)
from local.demo.inspection import Inspector, is_any_real
from local.demo.orders import Order, failing
from local.demo.screen import Screen
from local.stack import Stack

USER = "demo"
CREDITS = 100
ENDED = frozenset({"completed", "failed", "cancelled"})
PATIENCE_SECONDS = 120
"""With the simulator, whose videos take seconds."""
PATIENCE_WITH_REAL_SECONDS = 2_000
"""A little longer than a job may take before it is failed and refunded."""

FAILURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "fal": ("model_error", {"type": "internal_server_error"}),
    "runway": ("failure", {"failure_code": "INTERNAL.BAD_OUTPUT.CODE01"}),
    "runware": ("task_error", {"code": "inferenceError"}),
}
"""The fault that makes each simulator accept a generation and then fail it."""


@dataclass
class Job:
    """One ordered video: its price, its job's id, and the last response about it."""

    order: Order
    estimate: int
    job_id: str = ""
    video: dict[str, Any] = field(default_factory=dict)
    percents: list[int] = field(default_factory=list)
    polls: int = 0
    ask_at: float = 0.0

    @property
    def name(self) -> str:
        return self.order.name

    @property
    def ended(self) -> bool:
        return self.video.get("status") in ENDED


class FirstAct:
    """One run on a started stack."""

    def __init__(self, stack: Stack, screen: Screen, checks: Checks, out: Path) -> None:
        self._screen = screen
        self._checks = checks
        self._out = out
        self._app = App(stack.api_url, stack.bearer(USER))
        self._owner = App(stack.api_url, stack.bearer("shop", admin=True))
        self._stack = stack
        self._real = is_any_real(stack)
        self._inspector = Inspector(stack, screen, checks)
        self._balance = CREDITS

    def run(self, orders: Sequence[Order]) -> None:
        """Run the act. Raises what `App` raises, and TimeoutError if a job does not end."""
        with self._app, self._owner:
            jobs, completed = self._make(orders)
            failed = [] if self._real else [self._fail_one(failing(orders[0]))]
            self._journal([*jobs, *failed])
            for job in completed[:1]:
                self._inspector.show(job.job_id, job.name, job.polls)

    def _make(self, orders: Sequence[Order]) -> tuple[list[Job], list[Job]]:
        """Buy credits, order the videos, follow and download them. Returns all jobs, and those that
        were completed."""
        self._buy_credits()
        jobs = self._price(orders)
        self._start(jobs)
        self._watch(jobs)
        self._account_after(jobs)
        completed = [job for job in jobs if job.video["status"] == "completed"]
        self._download(completed)
        for job in jobs:
            self._inspect(job)
        return jobs, completed

    def _buy_credits(self) -> None:
        self._screen.heading("A user buys credits")
        grant = {"user_id": USER, "amount": CREDITS, "reference": f"purchase-{uuid.uuid4()}"}
        granted = self._owner.post("/v1/admin/grants", grant).json()
        self._checks.equal("the granted amount", granted["available"], CREDITS)
        self._show_account("account before", CREDITS, 0)

    def _price(self, orders: Sequence[Order]) -> list[Job]:
        self._screen.heading("What will it cost?")
        jobs, rows = [], []
        for order in orders:
            estimate = self._app.post("/v1/videos/estimate", order.body).json()
            self._checks.that(estimate["affordable"], f"{order.name}: should be affordable")
            jobs.append(Job(order, estimate["credits"]))
            row = (order.name, order.model_id, order.looks, estimate["credits"], order.prompt)
            rows.append(row)
        self._screen.table(("video", "model", "settings", "credits", "prompt"), rows)
        return jobs

    def _start(self, jobs: Sequence[Job]) -> None:
        these = "Both" if len(jobs) == 2 else "All"
        self._screen.heading(f"{these} are started, each with an Idempotency-Key")
        balance = CREDITS
        for job in jobs:
            key = str(uuid.uuid4())
            balance -= job.estimate
            self._begin(job, key, balance)
            again = self._app.post("/v1/videos", job.order.body, idempotency_key=key)
            self._checks.equal(f"{job.name}: job of a retry", again.json()["job_id"], job.job_id)
            self._checks.that(
                again.headers.get("X-Idempotent-Replay") == "true",
                f"{job.name}: the retry is not marked as a replay",
            )
        self._screen.say("sent twice with the same key, each is still one job and one charge")
        self._show_account("while they run", balance, CREDITS - balance)

    def _begin(self, job: Job, key: str, balance: int) -> None:
        answer = self._app.post("/v1/videos", job.order.body, idempotency_key=key)
        accepted = answer.json()
        job.job_id = accepted["job_id"]
        self._checks.equal(f"{job.name}: answer to the start", answer.status_code, 202)
        self._checks.equal(f"{job.name}: charge", accepted["credits_used"], job.estimate)
        self._checks.equal(f"{job.name}: balance", accepted["credits_remaining"], balance)
        self._checks.equal(
            f"{job.name}: Location", answer.headers.get("Location"), f"/v1/videos/{job.job_id}"
        )

    def _watch(self, jobs: Sequence[Job], until: Sequence[Job] | None = None) -> None:
        """Poll each job when ``Retry-After`` allows it, until all, or ``until``, have ended."""
        began = time.monotonic()
        give_up = began + (PATIENCE_WITH_REAL_SECONDS if self._real else PATIENCE_SECONDS)
        with self._screen.bars([job.name for job in jobs]) as bars:
            while not all(job.ended for job in (jobs if until is None else until)):
                waiting = [job for job in jobs if not job.ended]
                job = min(waiting, key=lambda each: each.ask_at)
                time.sleep(max(0.0, job.ask_at - time.monotonic()))
                answer = self._app.get(f"/v1/videos/{job.job_id}")
                job.video = answer.json()
                job.polls += 1
                job.percents.append(job.video["progress"])
                bars.show(job.name, job.video["progress"], job.video["current_step"])
                now = time.monotonic()
                job.ask_at = now + retry_after(answer)
                if now > give_up:
                    raise TimeoutError(f"{job.name} has not ended: {job.video['current_step']}")
        for job in jobs:
            if job.ended:
                self._checks.equal(f"{job.name}: progress", job.percents, sorted(job.percents))

    def _account_after(self, jobs: Sequence[Job]) -> None:
        spent = 0
        for job in jobs:
            self._checks.equal(f"{job.name}: status", job.video["status"], "completed")
            if job.video["status"] == "completed":
                spent += job.estimate
                used = job.video["credits_used"]
                self._checks.equal(f"{job.name}: credits used", used, job.estimate)
            else:
                self._screen.say(f"{job.name}: {job.video['error_message']}")
                self._checks.equal(f"{job.name}: credits used", job.video["credits_used"], 0)
        self._balance = CREDITS - spent
        self._show_account("account after", self._balance, 0)

    def _show_account(self, moment: str, available: int, held: int) -> None:
        account = self._app.get("/v1/credits").json()
        self._screen.say(f"{moment}: {account['available']} available, {account['held']} held")
        account = {name: account[name] for name in ("available", "held")}
        self._checks.equal(f"{moment}: account", account, {"available": available, "held": held})

    def _download(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        self._screen.heading("Downloaded from the owner's bucket")
        self._out.mkdir(parents=True, exist_ok=True)
        rows = []
        for job in jobs:
            video, thumbnail = (self._out / f"{job.name}{end}" for end in (".mp4", ".jpg"))
            digests = {
                "video.mp4": (video, download(job.video["video_url"], video)),
                "thumbnail.jpg": (thumbnail, download(job.video["thumbnail_url"], thumbnail)),
            }
            self._compare_with_bucket(job, digests)
            clip = decode(video)
            check_clip(self._checks, job.name, clip, job.order.size, job.order.seconds)
            check_thumbnail(self._checks, f"{job.name} thumbnail", thumbnail, job.order.size)
            rows.append(_clip_row(job.name, clip, digests["video.mp4"][1]))
        columns = ("video", "codec", "sound", "length", "size", "bytes", "SHA-256")
        self._screen.table(columns, rows)

    def _compare_with_bucket(self, job: Job, digests: dict[str, tuple[Path, str]]) -> None:
        stored = self._inspector.objects_of(job.job_id)
        self._checks.equal(f"{job.name}: objects", sorted(stored), sorted(digests))
        for name, (path, digest) in digests.items():
            head = stored.get(name, {})
            kind = {"video.mp4": "video/mp4", "thumbnail.jpg": "image/jpeg"}[name]
            about = f"{job.name}: {name}"
            self._checks.equal(f"{about}: type", head.get("ContentType"), kind)
            self._checks.equal(f"{about}: bytes", path.stat().st_size, head.get("ContentLength"))
            checksum = str(head.get("ChecksumSHA256"))
            if "-" not in checksum:  # for a large file, S3 has a checksum of its parts' checksums
                ours = base64.b64encode(bytes.fromhex(digest)).decode()
                self._checks.equal(f"{about}: SHA-256", ours, checksum)

    def _inspect(self, job: Job, provider: str | None = None) -> None:
        self._inspector.check(
            job.job_id,
            job.name,
            provider or job.order.provider,
            completed=job.video["status"] == "completed",
        )

    def _fail_one(self, order: Order) -> Job:
        """A generation the simulated provider accepts and then fails: the user pays nothing."""
        self._screen.heading("One that the provider fails")
        kind, params = FAILURES[order.provider]
        self._stack.simulators[order.provider].arm(kind, **params)
        job = self._estimated(order)
        self._begin(job, str(uuid.uuid4()), self._balance - job.estimate)
        self._show_account("while it runs", self._balance - job.estimate, job.estimate)
        self._watch([job])
        self._checks.equal("failing: status", job.video["status"], "failed")
        self._checks.equal("failing: error", job.video["error_code"], "PROVIDER_ERROR")
        self._checks.equal("failing: credits used", job.video["credits_used"], 0)
        self._checks.equal("failing: video", job.video["video_url"], None)
        self._screen.say(f"the user reads: {job.video['error_message']}")
        self._show_account("refunded", self._balance, 0)
        self._checks.equal("failing: objects", self._inspector.objects_of(job.job_id), {})
        self._inspect(job)
        return job

    def _estimated(self, order: Order) -> Job:
        return Job(order, self._app.post("/v1/videos/estimate", order.body).json()["credits"])

    def _journal(self, jobs: Sequence[Job], after: int = 0) -> list[dict[str, Any]]:
        """Print the entries after the number ``after``. The whole journal must be consistent."""
        self._screen.heading("The user's journal" + (", continued" if after else ""))
        entries = self._app.all_entries()
        names = {job.job_id: job.name for job in jobs}
        in_stages = {job.job_id for job in jobs if len(job.video["stages"]) > 1}
        rows = []
        for entry in entries[after:]:
            about = names.get(entry["job_id"], "credits bought")
            if entry["job_id"] in in_stages:
                about += f": {entry['stage']}"
            figures = (entry["credits"], entry["balance_after"], entry["held_after"])
            rows.append((entry["sequence"], entry["kind"], *figures, about))
        self._screen.table(("line", "entry", "credits", "available", "held", "for"), rows)
        for fault in faults_of_journal(entries, self._balance, 0):
            self._checks.that(False, f"journal: {fault}")
        for job in jobs:
            lines = [line for line in entries if line["job_id"] == job.job_id]
            end = "capture" if job.video["status"] == "completed" else "release"
            stages = job.video["stages"]
            expected = [
                (kind, stage["name"], stage["credits"])
                for kind in ("hold", end)
                for stage in stages
            ]
            found = [(line["kind"], line["stage"], line["credits"]) for line in lines]
            self._checks.equal(f"{job.name}: journal", found, expected)
            price = sum(stage["credits"] for stage in stages)
            self._checks.equal(f"{job.name}: credits of its stages", price, job.estimate)
        return entries


def _clip_row(name: str, clip: Clip, digest: str) -> tuple[object, ...]:
    return (
        name,
        clip.codec,
        clip.sound or "none",
        f"{clip.seconds:.2f} s",
        f"{clip.width}x{clip.height}",
        clip.size_bytes,
        digest[:12] + "…",
    )
