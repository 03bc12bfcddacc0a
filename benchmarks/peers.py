"""What a caller, the owner and the video get from Clipmint, LiteLLM and fal-client when fal fails.

    python -m benchmarks.peers [--write] [--quick]

The three systems order the same video from the same simulated fal, one after the other. For each
fault, one caller orders one video. The simulator knows how many generations fal would bill. The
caller's file is whole if it is a video that decodes from the first frame to the last.

A cell has the caller's last status, whether the file is whole, the generations that fal bills for
the order, the caller's credits, and the seconds until the caller had the file or the error.

✗ marks a loss of the owner or the caller: fal bills more than one generation for one order, fal
bills a video that the caller does not get, or the caller reads `completed` and gets no whole video.
It is computed from the cell, for all three systems by the same rule. So it also marks a job of
Clipmint that still tries to fetch a broken file after four minutes; the caller's credits are then
held, not charged, until the file is there or the job fails.

LiteLLM runs as a proxy with its defaults (which retry a failed submission), one model and no
database, so it has no accounts of users; fal-client has none. Clipmint runs with all its functions
in an emulator of AWS, on the same computer; its callers pay credits. LiteLLM and fal-client give a
request to fal up after five seconds, which is set here instead of their longer defaults; Clipmint
waits half a minute for fal's answer, and then for fal's webhook.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av

from benchmarks.__main__ import machine
from benchmarks.peer_systems import (
    PROXY,
    Clipmint,
    FalClient,
    Received,
    System,
    litellm_before_fal,
)
from benchmarks.peers_document import AT_ONCE, Outcome, Speed, document
from local.simulator.client import Simulator
from local.stack import Stack, wait_for

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "comparison.md"
ALONE, QUICK_ALONE = 10, 1
GENERATION_SECONDS = 0.3
FAL = {"generation_seconds": GENERATION_SECONDS, "queue_seconds": 0.05, "concurrency": 40}
LIMITS = {"MaxOpenJobs": "1000", "MaxJobsPerHour": "100000"}
FRAMES = 48
"""Of a whole video: four seconds at twelve frames a second."""


@dataclass(frozen=True)
class Case:
    """What happens to one order. ``faults`` are armed before it, ``afterwards`` once it has ended;
    each is a kind with its parameters.
    """

    name: str
    faults: Sequence[tuple[str, Mapping[str, Any]]] = ()
    times: int = 1
    """How often the caller sends the order."""
    afterwards: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """After these, the caller reads the file once more, and this reading counts."""


FOR_EVER: Mapping[str, Any] = {"times": None}
NO_WEBHOOK: tuple[str, Mapping[str, Any]] = ("webhook_lost", {})
"""So that Clipmint polls too."""
CASES = (
    Case("nothing fails"),
    Case("the caller sends the order twice", times=2),
    Case("fal accepts, then the connection is reset", [("submit_reset_after", {})]),
    Case("fal accepts, its answer is cut off", [("submit_garbled", {})]),
    Case("fal accepts and never answers", [("submit_timeout_after", {})]),
    Case("fal answers 429 once", [("submit_429", {})]),
    Case("fal answers 503 once", [("submit_503", {})]),
    Case("fal declines the prompt", [("moderation", {})]),
    Case("the model fails", [("model_error", {})]),
    Case("three polls get 503", [("poll_error", {"times": 3}), NO_WEBHOOK]),
    Case("three polls are reset", [("poll_reset", {"times": 3}), NO_WEBHOOK]),
    Case("a poll gets 404", [("poll_gone", {}), NO_WEBHOOK]),
    Case("the file's URL has expired", [("media_expired", {})]),
    Case("the file is truncated once", [("media_truncated", {})]),
    Case("the file is always truncated", [("media_truncated", FOR_EVER)]),
    Case("the file is no video", [("media_garbage", FOR_EVER)]),
    Case(
        "fal deletes the file, the caller reads it later", afterwards=[("media_missing", FOR_EVER)]
    ),
)


def is_whole(file: bytes) -> bool:
    """Whether a file decodes to all frames of the video that was ordered."""
    try:
        with av.open(io.BytesIO(file), "r") as container:
            return len(list(container.decode(video=0))) == FRAMES
    except (av.FFmpegError, IndexError):
        return False


def outcome(system: System, fal: Simulator, case: Case) -> Outcome:
    """Order one video from a system while fal fails as the case states."""
    word = uuid.uuid4().hex
    for kind, parameters in case.faults:
        fal.arm(kind, prompt_contains=word, **parameters)
    began = time.monotonic()
    received = system.order(f"A paper boat, {word}", times=case.times)
    seconds = time.monotonic() - began
    file = received.file
    for kind, parameters in case.afterwards:
        fal.arm(kind, prompt_contains=word, **parameters)
        file = received.again()
    ended = _ended(fal, word)
    fal.disarm_about(word)
    return Outcome(
        status=received.status,
        whole=is_whole(file),
        billed=sum(submission["billed"] for submission in ended),
        credits=received.credits,
        seconds=seconds,
    )


def _submissions(fal: Simulator, word: str) -> list[dict[str, Any]]:
    return [each for each in fal.submissions() if word in json.dumps(each["input"])]


def _ended(fal: Simulator, word: str) -> list[dict[str, Any]]:
    """The submissions of an order, once all have ended."""

    def ended() -> bool:
        return all(each["state"] == "COMPLETED" for each in _submissions(fal, word))

    wait_for(ended, 60, every=0.1)
    return _submissions(fal, word)


def speed(system: System, fal: Simulator, alone: int, together: int) -> Speed:
    """Measure orders one at a time, and then some at once. Raises RuntimeError if one fails."""

    def one() -> float:
        word = uuid.uuid4().hex
        began = time.monotonic()
        received = _completed(system.order(f"A paper boat, {word}"))
        seconds = time.monotonic() - began
        if not is_whole(received.file):
            raise RuntimeError(f"{system.name}: not a whole video")
        [submission] = _submissions(fal, word)
        return seconds - float(submission["completed_at"] - submission["accepted_at"])

    one()  # the first order warms the system up
    added = statistics.median(one() for _ in range(alone))
    began = time.monotonic()
    with ThreadPoolExecutor(together) as pool:
        for received in pool.map(system.order, [f"Boat {n}" for n in range(together)]):
            _completed(received)
    return Speed(added, time.monotonic() - began)


def _completed(received: Received) -> Received:
    if received.status != "completed":
        raise RuntimeError(f"an order without a fault ended with {received.status}")
    return received


@contextmanager
def systems() -> Iterator[tuple[Simulator, Sequence[System]]]:
    """The simulated fal and the three systems, warm."""
    with Stack(simulate=("fal",), parameters=LIMITS, settings={"fal": FAL}) as stack:
        fal = stack.simulators["fal"]
        with litellm_before_fal(fal) as proxy:
            yield fal, (Clipmint(stack), proxy, FalClient(fal))


def method() -> str:
    """The docstring of this module without its first line and the command."""
    text = (__doc__ or "").split("\n\n", 2)[2]
    return text.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="Compare with LiteLLM and fal-client.")
    options.add_argument("--write", action="store_true", help="write docs/comparison.md")
    options.add_argument("--quick", action="store_true", help="few repetitions")
    chosen = options.parse_args(arguments)
    about = machine()
    with systems() as (fal, compared):
        alone, together = (QUICK_ALONE, 2) if chosen.quick else (ALONE, AT_ONCE)
        speeds = {}
        for system in compared:
            print(f"{system.name}: speed …", file=sys.stderr, flush=True)
            speeds[system.name] = speed(system, fal, alone, together)
        outcomes = {}
        for case in CASES:
            print(f"{case.name} …", file=sys.stderr, flush=True)
            outcomes[case.name] = [outcome(system, fal, case) for system in compared]
    text = document(speeds, outcomes, versions(), about, method())
    print(text)
    if chosen.write:
        DOCUMENT.write_text(text, encoding="utf-8")
    return 0


def versions() -> dict[str, str]:
    """The versions of what is compared."""
    [found] = PROXY.parent.parent.glob("lib/python*/site-packages/litellm-*.dist-info")
    return {
        "LiteLLM": found.name.removeprefix("litellm-").removesuffix(".dist-info"),
        "fal-client": version("fal-client"),
    }


if __name__ == "__main__":
    sys.exit(main())
