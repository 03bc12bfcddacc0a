"""The checks of the demo.

A `Checks` collects every failed check, so that one run reports all of them. The functions that
check a journal or a file use none of Clipmint's own code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageChops, ImageStat

DURATION_TOLERANCE_SECONDS = 0.25
THUMBNAIL_SIDE = 640


class Checks:
    """Counts the checks and keeps the failed ones. ``report`` is called with each failed one."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self.made = 0
        self.wrong: list[str] = []

    def that(self, holds: bool, claim: str) -> None:
        self.made += 1
        if not holds:
            self.wrong.append(claim)
            self._report(claim)

    def equal(self, what: str, found: object, expected: object) -> None:
        self.that(found == expected, f"{what} is {found!r}, not {expected!r}")


@dataclass(frozen=True)
class Clip:
    """What a decoder found in an MP4. ``seconds`` is the duration that the file declares."""

    codec: str
    width: int
    height: int
    seconds: float
    frames: int
    frames_per_second: float
    sound: str | None
    size_bytes: int


def decode(path: Path) -> Clip:
    """Decode every frame of a file. Raises ``av.FFmpegError`` if a frame cannot be decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        sound = next((each.codec_context.name for each in container.streams.audio), None)
        frames = sum(1 for _ in container.decode(stream))
        ticks, tick = stream.duration or 0, stream.time_base or 0
        return Clip(
            codec=stream.codec_context.name,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            seconds=float(ticks * tick),
            frames=frames,
            frames_per_second=float(stream.average_rate or 0),
            sound=sound,
            size_bytes=path.stat().st_size,
        )


def check_clip(checks: Checks, name: str, clip: Clip, size: tuple[int, int], seconds: int) -> None:
    """Check that the video has the ordered size and duration, and that all frames decode."""
    checks.equal(f"{name}: codec", clip.codec, "h264")
    checks.equal(f"{name}: frame size", (clip.width, clip.height), size)
    checks.that(
        abs(clip.seconds - seconds) <= DURATION_TOLERANCE_SECONDS,
        f"{name}: lasts {clip.seconds:.2f} s, not {seconds} s",
    )
    checks.that(
        abs(clip.frames - clip.seconds * clip.frames_per_second) <= 1,
        f"{name}: {clip.frames} frames decode, not {clip.seconds * clip.frames_per_second:.0f}",
    )


def check_thumbnail(checks: Checks, name: str, path: Path, size: tuple[int, int]) -> None:
    """Check that the thumbnail is a complete JPEG with the video's proportions."""
    with Image.open(path) as image:
        image.load()
        checks.equal(f"{name}: format", image.format, "JPEG")
        checks.equal(f"{name}: longer side", max(image.size), min(max(size), THUMBNAIL_SIDE))
        skew = abs(image.width * size[1] - image.height * size[0]) / (size[0] * size[1])
        checks.that(skew < 0.01, f"{name}: {image.size} is not in the proportions of {size}")


def ends(path: Path) -> tuple[Image.Image, Image.Image]:
    """The first and the last frame of a video, in RGB."""
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[0])
        first = last = next(frames)
        for last in frames:  # noqa: B007
            pass
        images: tuple[Image.Image, Image.Image] = (
            first.to_image(),  # type: ignore[no-untyped-call]
            last.to_image(),  # type: ignore[no-untyped-call]
        )
        return images


def unlikeness(one: Image.Image, other: Image.Image) -> float:
    """How different two images are, from 0 (equal) to 255: the mean difference of colours in a
    grid of 9 by 16 fields."""
    small = [each.convert("RGB").resize((9, 16)) for each in (one, other)]
    bands = ImageStat.Stat(ImageChops.difference(*small)).mean
    return sum(bands) / len(bands)


# How one credit of an entry changes the available and the held credits.
_EFFECTS: Mapping[str, tuple[int, int]] = {
    "grant": (1, 0),
    "hold": (-1, 1),
    "capture": (0, -1),
    "release": (1, -1),
    "expire": (-1, 0),
    "clawback": (-1, 0),
    "adjust": (1, 0),
}


def faults_of_journal(entries: Iterable[Mapping[str, Any]], available: int, held: int) -> list[str]:
    """The contradictions in a journal (oldest line first) of an account with these balances now.

    The balances of every line must follow from the line before. The last line must match the
    account. Every hold (one per stage of a job) must be captured or released once, completely.
    """
    faults: list[str] = []
    balance = reserved = debt = 0
    holds: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for number, entry in enumerate(entries, start=1):
        if entry["sequence"] != number:
            faults.append(f"line {number} has the number {entry['sequence']}")
        to_balance, to_reserved = _EFFECTS[entry["kind"]]
        balance += to_balance * entry["credits"] + entry.get("debt_after", 0) - debt
        debt = entry.get("debt_after", 0)
        reserved += to_reserved * entry["credits"]
        if (entry["balance_after"], entry["held_after"]) != (balance, reserved):
            faults.append(f"line {number} does not follow from the lines before it")
        if entry["job_id"] is not None:
            stage = entry.get("stage") or "video"
            holds[entry["job_id"], stage].append((entry["kind"], entry["credits"]))
    if (balance, reserved) != (available, held):
        faults.append(f"the journal ends with {balance} and {reserved}, not as the account is")
    for (job_id, stage), lines in holds.items():
        kinds = [kind for kind, _ in lines]
        if kinds not in (["hold", "capture"], ["hold", "release"]):
            faults.append(f"{stage} of job {job_id} went through {kinds}")
        elif lines[0][1] != lines[1][1]:
            faults.append(f"{stage} of job {job_id} held {lines[0][1]} and ended {lines[1][1]}")
    return faults
