"""The demo itself, act by act; every act checks what it shows."""

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
from local.demo.inspection import Behind, is_any_real
from local.demo.orders import Shot, doomed
from local.demo.screen import Screen
from local.stack import Stack

USER = "demo"
CREDITS = 100
ENDED = frozenset({"completed", "failed", "cancelled"})
PATIENCE_SECONDS = 120
"""With the simulator, whose videos take seconds."""
PATIENCE_WITH_REAL_SECONDS = 2_000
"""A little longer than a job of ours may take before it is failed and refunded."""

FAILURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "fal": ("model_error", {"type": "internal_server_error"}),
    "runway": ("failure", {"failure_code": "INTERNAL.BAD_OUTPUT.CODE01"}),
    "runware": ("task_error", {"code": "inferenceError"}),
}
"""How each simulator is told to accept a generation and then fail it."""


@dataclass
class Take:
    """One shot being made: its price, its job, and what the API last said of it."""

    shot: Shot
    estimate: int
    job_id: str = ""
    video: dict[str, Any] = field(default_factory=dict)
    percents: list[int] = field(default_factory=list)
    polls: int = 0
    ask_at: float = 0.0

    @property
    def name(self) -> str:
        return self.shot.name

    @property
    def ended(self) -> bool:
        return self.video.get("status") in ENDED


class Story:
    """One run on a started stack. ``began`` is the monotonic time the demo began."""

    def __init__(self, stack: Stack, screen: Screen, checks: Checks, out: Path) -> None:
        self._screen = screen
        self._checks = checks
        self._out = out
        self._app = App(stack.api_url, stack.bearer(USER))
        self._owner = App(stack.api_url, stack.bearer("shop", admin=True))
        self._stack = stack
        self._real = is_any_real(stack)
        self._behind = Behind(stack, screen, checks)
        self._balance = CREDITS

    def tell(self, shots: Sequence[Shot]) -> None:
        """All of it. Raises what `App` raises, and TimeoutError if a job does not end."""
        with self._app, self._owner:
            self._buy_credits()
            takes = self._price(shots)
            self._start(takes)
            self._watch(takes)
            self._account_after(takes)
            completed = [take for take in takes if take.video["status"] == "completed"]
            self._download(completed)
            for take in takes:
                self._check_behind(take)
            failed = [] if self._real else [self._fail_one(doomed(shots[0]))]
            self._journal([*takes, *failed])
            for take in completed[:1]:
                self._behind.show(take.job_id, take.name, take.polls)

    def _buy_credits(self) -> None:
        self._screen.heading("A user buys credits")
        grant = {"user_id": USER, "amount": CREDITS, "reference": f"purchase-{uuid.uuid4()}"}
        granted = self._owner.post("/v1/admin/grants", grant).json()
        self._checks.equal("the granted amount", granted["available"], CREDITS)
        self._show_account("account before", CREDITS, 0)

    def _price(self, shots: Sequence[Shot]) -> list[Take]:
        self._screen.heading("What will it cost?")
        takes, rows = [], []
        for shot in shots:
            estimate = self._app.post("/v1/videos/estimate", shot.body).json()
            self._checks.that(estimate["affordable"], f"{shot.name}: should be affordable")
            takes.append(Take(shot, estimate["credits"]))
            row = (shot.name, shot.model_id, shot.looks, estimate["credits"], shot.prompt)
            rows.append(row)
        self._screen.table(("video", "model", "settings", "credits", "prompt"), rows)
        return takes

    def _start(self, takes: Sequence[Take]) -> None:
        these = "Both" if len(takes) == 2 else "All"
        self._screen.heading(f"{these} are started, each with an Idempotency-Key")
        balance = CREDITS
        for take in takes:
            key = str(uuid.uuid4())
            balance -= take.estimate
            self._begin(take, key, balance)
            again = self._app.post("/v1/videos", take.shot.body, idempotency_key=key)
            self._checks.equal(f"{take.name}: job of a retry", again.json()["job_id"], take.job_id)
            self._checks.that(
                again.headers.get("X-Idempotent-Replay") == "true",
                f"{take.name}: the retry is not marked as a replay",
            )
        self._screen.say("sent twice with the same key, each is still one job and one charge")
        self._show_account("while they run", balance, CREDITS - balance)

    def _begin(self, take: Take, key: str, balance: int) -> None:
        answer = self._app.post("/v1/videos", take.shot.body, idempotency_key=key)
        accepted = answer.json()
        take.job_id = accepted["job_id"]
        self._checks.equal(f"{take.name}: answer to the start", answer.status_code, 202)
        self._checks.equal(f"{take.name}: charge", accepted["credits_used"], take.estimate)
        self._checks.equal(f"{take.name}: balance", accepted["credits_remaining"], balance)
        self._checks.equal(
            f"{take.name}: Location", answer.headers.get("Location"), f"/v1/videos/{take.job_id}"
        )

    def _watch(self, takes: Sequence[Take], until: Sequence[Take] | None = None) -> None:
        """Poll each job when the API wants to be asked, until all, or ``until``, have ended."""
        began = time.monotonic()
        give_up = began + (PATIENCE_WITH_REAL_SECONDS if self._real else PATIENCE_SECONDS)
        with self._screen.bars([take.name for take in takes]) as bars:
            while not all(take.ended for take in (takes if until is None else until)):
                waiting = [take for take in takes if not take.ended]
                take = min(waiting, key=lambda each: each.ask_at)
                time.sleep(max(0.0, take.ask_at - time.monotonic()))
                answer = self._app.get(f"/v1/videos/{take.job_id}")
                take.video = answer.json()
                take.polls += 1
                take.percents.append(take.video["progress"])
                bars.show(take.name, take.video["progress"], take.video["current_step"])
                now = time.monotonic()
                take.ask_at = now + retry_after(answer)
                if now > give_up:
                    raise TimeoutError(f"{take.name} has not ended: {take.video['current_step']}")
        for take in takes:
            if take.ended:
                self._checks.equal(f"{take.name}: progress", take.percents, sorted(take.percents))

    def _account_after(self, takes: Sequence[Take]) -> None:
        spent = 0
        for take in takes:
            self._checks.equal(f"{take.name}: status", take.video["status"], "completed")
            if take.video["status"] == "completed":
                spent += take.estimate
                used = take.video["credits_used"]
                self._checks.equal(f"{take.name}: credits used", used, take.estimate)
            else:
                self._screen.say(f"{take.name}: {take.video['error_message']}")
                self._checks.equal(f"{take.name}: credits used", take.video["credits_used"], 0)
        self._balance = CREDITS - spent
        self._show_account("account after", self._balance, 0)

    def _show_account(self, moment: str, available: int, held: int) -> None:
        account = self._app.get("/v1/credits").json()
        self._screen.say(f"{moment}: {account['available']} available, {account['held']} held")
        self._checks.equal(f"{moment}: account", account, {"available": available, "held": held})

    def _download(self, takes: Sequence[Take]) -> None:
        if not takes:
            return
        self._screen.heading("Downloaded from the owner's bucket")
        self._out.mkdir(parents=True, exist_ok=True)
        rows = []
        for take in takes:
            video, thumbnail = (self._out / f"{take.name}{end}" for end in (".mp4", ".jpg"))
            digests = {
                "video.mp4": (video, download(take.video["video_url"], video)),
                "thumbnail.jpg": (thumbnail, download(take.video["thumbnail_url"], thumbnail)),
            }
            self._compare_with_bucket(take, digests)
            clip = decode(video)
            check_clip(self._checks, take.name, clip, take.shot.size, take.shot.seconds)
            check_thumbnail(self._checks, f"{take.name} thumbnail", thumbnail, take.shot.size)
            rows.append(_clip_row(take.name, clip, digests["video.mp4"][1]))
        columns = ("video", "codec", "sound", "length", "size", "bytes", "SHA-256")
        self._screen.table(columns, rows)

    def _compare_with_bucket(self, take: Take, digests: dict[str, tuple[Path, str]]) -> None:
        stored = self._behind.objects_of(take.job_id)
        self._checks.equal(f"{take.name}: objects", sorted(stored), sorted(digests))
        for name, (path, digest) in digests.items():
            head = stored.get(name, {})
            kind = {"video.mp4": "video/mp4", "thumbnail.jpg": "image/jpeg"}[name]
            about = f"{take.name}: {name}"
            self._checks.equal(f"{about}: type", head.get("ContentType"), kind)
            self._checks.equal(f"{about}: bytes", path.stat().st_size, head.get("ContentLength"))
            checksum = str(head.get("ChecksumSHA256"))
            if "-" not in checksum:  # of a large file, S3 keeps a checksum of its parts' checksums
                ours = base64.b64encode(bytes.fromhex(digest)).decode()
                self._checks.equal(f"{about}: SHA-256", ours, checksum)

    def _check_behind(self, take: Take, provider: str | None = None) -> None:
        self._behind.check(
            take.job_id,
            take.name,
            provider or take.shot.provider,
            completed=take.video["status"] == "completed",
        )

    def _fail_one(self, shot: Shot) -> Take:
        """A generation the simulated provider accepts and then fails: the user pays nothing."""
        self._screen.heading("One that the provider fails")
        kind, params = FAILURES[shot.provider]
        self._stack.simulators[shot.provider].arm(kind, **params)
        take = self._estimated(shot)
        self._begin(take, str(uuid.uuid4()), self._balance - take.estimate)
        self._show_account("while it runs", self._balance - take.estimate, take.estimate)
        self._watch([take])
        self._checks.equal("failing: status", take.video["status"], "failed")
        self._checks.equal("failing: error", take.video["error_code"], "PROVIDER_ERROR")
        self._checks.equal("failing: credits used", take.video["credits_used"], 0)
        self._checks.equal("failing: video", take.video["video_url"], None)
        self._screen.say(f"the user reads: {take.video['error_message']}")
        self._show_account("refunded", self._balance, 0)
        self._checks.equal("failing: objects", self._behind.objects_of(take.job_id), {})
        self._check_behind(take)
        return take

    def _estimated(self, shot: Shot) -> Take:
        return Take(shot, self._app.post("/v1/videos/estimate", shot.body).json()["credits"])

    def _journal(self, takes: Sequence[Take], after: int = 0) -> list[dict[str, Any]]:
        """Show the lines after the number ``after``; the whole journal must add up."""
        self._screen.heading("The user's journal" + (", continued" if after else ""))
        entries = self._app.all_entries()
        names = {take.job_id: take.name for take in takes}
        in_stages = {take.job_id for take in takes if len(take.video["stages"]) > 1}
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
        for take in takes:
            lines = [line for line in entries if line["job_id"] == take.job_id]
            end = "capture" if take.video["status"] == "completed" else "release"
            stages = take.video["stages"]
            expected = [
                (kind, stage["name"], stage["credits"])
                for kind in ("hold", end)
                for stage in stages
            ]
            found = [(line["kind"], line["stage"], line["credits"]) for line in lines]
            self._checks.equal(f"{take.name}: journal", found, expected)
            price = sum(stage["credits"] for stage in stages)
            self._checks.equal(f"{take.name}: credits of its stages", price, take.estimate)
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
