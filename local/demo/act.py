"""What every act has: a user, and what must be true of the user's jobs, files and account."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx

from local.demo.app import App, public, retry_after
from local.demo.checks import Checks, Clip, check_clip, check_thumbnail, decode, faults_of_journal
from local.demo.inspection import Inspector
from local.demo.orders import Order
from local.demo.screen import Screen
from local.stack import Stack

PATIENCE_SECONDS = {"simulated": 120, "real": 2_000}
"""Videos of a simulator take seconds; a job of a real provider is failed and refunded before this
time is over."""
FAILURES: Mapping[str, Mapping[str, Any]] = {
    "fal": {"kind": "model_error", "type": "internal_server_error"},
    "runway": {"kind": "failure", "failure_code": "INTERNAL.BAD_OUTPUT.CODE01"},
    "runware": {"kind": "task_error", "code": "inferenceError"},
}
"""The fault that makes each simulator accept a generation and then fail it."""
FILES = {
    "video.mp4": ("video_url", ".mp4", "video/mp4"),
    "thumbnail.jpg": ("thumbnail_url", ".jpg", "image/jpeg"),
}
"""A completed job's objects: the member with the URL, the ending of the copy, the content type."""


@dataclass
class Job:
    """One ordered video: its price, its job's id, and the last response about it."""

    order: Order
    price: int
    job_id: str = ""
    video: dict[str, Any] = field(default_factory=dict)
    percents: list[int] = field(default_factory=list)
    """The progress at each poll."""
    ask_at: float = 0.0

    @property
    def name(self) -> str:
        return self.order.name

    @property
    def ended(self) -> bool:
        return self.video.get("status") in {"completed", "failed", "cancelled"}

    @property
    def completed(self) -> bool:
        return self.video.get("status") == "completed"


class Act:
    """One act on a started stack. ``available`` and ``held`` are the credits that its user must
    have."""

    user = "demo"

    def __init__(
        self, stack: Stack, screen: Screen, checks: Checks, out: Path, orders: Sequence[Order]
    ) -> None:
        self.stack, self.screen, self.out, self.orders = stack, screen, out, orders
        self.heading, self.say, self.table = screen.heading, screen.say, screen.table
        self.checks, self.equal, self.about = checks, checks.equal, checks.about
        self.app, self.owner = App(stack, self.user), App(stack, "shop", admin=True)
        self.backstage = Inspector(stack)
        self.available = self.held = 0
        # Webhooks of a real provider cannot reach this machine, so none of them gets a webhook URL.
        self.any_real = any(each.control_url is None for each in stack.providers.values())

    def run(self) -> None:
        """Raises what `App` raises, and TimeoutError if a job does not end."""
        with self.app, self.owner:
            self.play()

    def play(self) -> None:
        raise NotImplementedError

    # ── A job ────────────────────────────────────────────────────────────────────────────────────

    def price(self, order: Order) -> Job:
        estimate = self.app.post("/v1/videos/estimate", json=order.body).json()
        self.checks.that(estimate["affordable"], f"{order.name}: should be affordable")
        return Job(order, estimate["credits"])

    def start(self, job: Job, key: Mapping[str, str]) -> None:
        self.accept(job, self.app.post("/v1/videos", json=job.order.body, headers=key))

    def accept(self, job: Job, answer: httpx.Response) -> None:
        """Check the response to an order, whose price is held from now on."""
        accepted, check = answer.json(), self.about(job.name)
        job.job_id = accepted["job_id"]
        self.hold(job)
        check("answer to the start", answer.status_code, 202)
        check("charge", accepted["credits_used"], job.price)
        check("balance", accepted["credits_remaining"], self.available)
        check("Location", answer.headers.get("Location"), f"/v1/videos/{job.job_id}")

    def hold(self, job: Job) -> None:
        self.available -= job.price
        self.held += job.price

    def watch(self, jobs: Sequence[Job], until: Sequence[Job] = ()) -> None:
        """Poll each job when ``Retry-After`` allows it, until all, or ``until``, have ended."""
        give_up = time.monotonic() + PATIENCE_SECONDS["real" if self.any_real else "simulated"]
        with self.screen.bars([job.name for job in jobs]) as show:
            while not all(job.ended for job in until or jobs):
                job = min((job for job in jobs if not job.ended), key=lambda each: each.ask_at)
                time.sleep(max(0.0, job.ask_at - time.monotonic()))
                answer = self.app.get(f"/v1/videos/{job.job_id}")
                job.video = answer.json()
                percent, step = job.video["progress"], job.video["current_step"]
                job.percents.append(percent)
                show(job.name, percent, step)
                job.ask_at = time.monotonic() + retry_after(answer)
                if time.monotonic() > give_up:
                    raise TimeoutError(f"{job.name} has not ended: {step}")
        for job in jobs:
            if job.ended:
                self.equal(f"{job.name}: progress", job.percents, sorted(job.percents))

    def end(self, job: Job, status: str = "completed") -> None:
        """Check an ended job. Its price was paid if it was completed, else returned."""
        self.held -= job.price
        if not job.completed:
            self.available += job.price
            self.say(f"{job.name}: {job.video['error_message']}")
        check = self.about(job.name)
        check("status", job.video["status"], status)
        check("credits used", job.video["credits_used"], job.price if job.completed else 0)
        check("error", job.video["error_code"], {"failed": "PROVIDER_ERROR"}.get(status))

    # ── The user's files and account ─────────────────────────────────────────────────────────────

    def download(self, jobs: Sequence[Job]) -> dict[str, Clip]:
        """Download and check the files of the completed jobs. Returns the videos by name."""
        jobs = [job for job in jobs if job.completed]
        if not jobs:
            return {}
        self.heading("Downloaded from the owner's bucket")
        self.out.mkdir(parents=True, exist_ok=True)
        clips, rows = {}, []
        for job in jobs:
            video, thumbnail = self._save(job)
            clip = clips[job.name] = decode(video)
            check_clip(self.checks, job.name, clip, job.order.size, job.order.seconds)
            check_thumbnail(self.checks, f"{job.name} thumbnail", thumbnail, job.order.size)
            digest, size = hashlib.sha256(video.read_bytes()).hexdigest(), video.stat().st_size
            about = (job.name, clip.codec, clip.sound or "none", *clip.looks)
            rows.append((*about, size, f"{digest[:12]}…"))
        self.table(("video", "codec", "sound", "length", "size", "bytes", "SHA-256"), rows)
        return clips

    def _save(self, job: Job) -> list[Path]:
        """Download the files of a job, and compare them with the objects in the bucket."""
        stored = self.backstage.objects(job.job_id)
        self.equal(f"{job.name}: objects", sorted(stored), sorted(FILES))
        paths = []
        for name, (member, ending, content_type) in FILES.items():
            content = public().get(job.video[member]).raise_for_status().content
            paths.append(self.out / f"{job.name}{ending}")
            paths[-1].write_bytes(content)
            head, check = stored.get(name, {}), self.about(f"{job.name}: {name}")
            check("type", head.get("ContentType"), content_type)
            check("bytes", len(content), head.get("ContentLength"))
            checksum = str(head.get("ChecksumSHA256"))
            if "-" not in checksum:  # for a large file, S3 has a checksum of its parts' checksums
                ours = base64.b64encode(hashlib.sha256(content).digest()).decode()
                check("SHA-256", ours, checksum)
        return paths

    def account(self, moment: str) -> None:
        account = self.app.credits()
        found = (account["available"], account["held"])
        self.say("{}: {} available, {} held".format(moment, *found))
        self.equal(f"{moment}: account", found, (self.available, self.held))

    def journal(self, jobs: Sequence[Job], after: int = 0) -> list[dict[str, Any]]:
        """Print the entries after the number ``after``. The whole journal must be consistent."""
        self.heading("The user's journal" + (", continued" if after else ""))
        entries = self.app.journal()
        by_id = {job.job_id: job for job in jobs}
        rows = []
        for entry in entries[after:]:
            job = by_id.get(entry["job_id"])
            about = job.name if job else "credits bought"
            if job and len(job.video["stages"]) > 1:
                about += f": {entry['stage']}"
            members = ("sequence", "kind", "credits", "balance_after", "held_after")
            rows.append((*(entry[member] for member in members), about))
        self.table(("line", "entry", "credits", "available", "held", "for"), rows)
        self.add_up(entries)
        for job in jobs:
            prices = [(stage["name"], stage["credits"]) for stage in job.video["stages"]]
            kinds = ("hold", "capture" if job.completed else "release")
            expected = [(kind, *price) for kind in kinds for price in prices]
            ours = [entry for entry in entries if entry["job_id"] == job.job_id]
            found = [(entry["kind"], entry["stage"], entry["credits"]) for entry in ours]
            check = self.about(job.name)
            check("journal", found, expected)
            check("credits of its stages", sum(price for _, price in prices), job.price)
        return entries

    def add_up(self, entries: Sequence[Mapping[str, Any]]) -> None:
        for fault in faults_of_journal(entries, self.available, self.held):
            self.checks.that(False, f"journal: {fault}")

    # ── What the API does not show ───────────────────────────────────────────────────────────────

    def inspect(self, job: Job, provider: str | None = None) -> None:
        """Check a job's execution, and its submissions: one per stage, to this provider, which is
        paid only if there is a video."""
        provider, check = provider or job.order.model.provider, self.about(job.name)
        states = self.backstage.states(job.job_id)
        polled = self.any_real or provider == "runway"
        submit = ["Submit"]
        if polled:
            # Without webhooks Track is entered once per poll. The number of polls is not checked.
            submit, states = ["Submit", "Track"], [state for state, _ in groupby(states)]
        # A failed stage returns to Submit, which retries only a failure that another image can
        # avoid, and passes every other failure to Settle.
        stages = len(self.backstage.stages(job.job_id))
        made = [*submit, "Migrate", "NextStage"] * stages
        path = [*(made if job.completed else [*submit, "Submit"]), "Settle"]
        status = self.backstage.execution(job.job_id)["status"]
        check("execution", status, "SUCCEEDED")
        check("state transitions", states, path)
        submissions = self.backstage.submissions(job.job_id)
        payees = [provider] * stages if provider in self.stack.simulators else []
        check("submissions to the providers", [payee for payee, _ in submissions], payees)
        for _, submission in submissions:
            check("paid to the provider", submission["billed"], job.completed)
            # On a busy computer a webhook may time out. It has no status then, and is retried.
            taken = [sent["status"] for sent in submission["deliveries"] if sent["status"]]
            check("webhook answers", taken, [] if polled else [200])
        for simulator in self.stack.simulators.values():
            leaked = simulator.media()["authorization_seen"]
            self.checks.that(not leaked, f"{job.name}: the provider's key was sent to its CDN")
