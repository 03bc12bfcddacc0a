"""The checks of the demo.

A `Checks` collects every failed check, so that one run reports all of them. The functions that
check a journal or a file use none of Clipmint's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    def about(self, name: str) -> Callable[[str, object, object], None]:
        """`equal` for a part of something with a name."""
        return lambda what, found, expected: self.equal(f"{name}: {what}", found, expected)


@dataclass(frozen=True)
class Clip:
    """What a decoder found in an MP4. ``seconds`` is the duration that the file declares; ``ends``
    are the first and the last frame."""

    codec: str
    sound: str | None
    size: tuple[int, int]
    seconds: float
    frames: int
    frames_per_second: float
    ends: tuple[Image.Image, Image.Image]

    @property
    def looks(self) -> tuple[str, str]:
        """Its duration and its size as text."""
        return f"{self.seconds:.2f} s", "{}x{}".format(*self.size)


def decode(path: Path) -> Clip:
    """Decode every frame of a file. Raises ``av.FFmpegError`` if a frame cannot be decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        sound = next((each.codec_context.name for each in container.streams.audio), None)
        decoded = container.decode(stream)
        first = last = next(decoded)
        frames = 1
        for frames, last in enumerate(decoded, start=2):  # noqa: B007
            pass
        seconds = float((stream.duration or 0) * (stream.time_base or 0))
        ends = (first.to_image(), last.to_image())  # type: ignore[no-untyped-call]
        size, rate = (context.width, context.height), float(stream.average_rate or 0)
        return Clip(context.name, sound, size, seconds, frames, rate, ends)


def check_clip(checks: Checks, name: str, clip: Clip, size: tuple[int, int], seconds: int) -> None:
    """Check that the video has the ordered size and duration, and that all frames decode."""
    checks.equal(f"{name}: codec", clip.codec, "h264")
    checks.equal(f"{name}: frame size", clip.size, size)
    in_time = abs(clip.seconds - seconds) <= DURATION_TOLERANCE_SECONDS
    checks.that(in_time, f"{name}: lasts {clip.seconds:.2f} s, not {seconds} s")
    frames = clip.seconds * clip.frames_per_second
    complete = abs(clip.frames - frames) <= 1
    checks.that(complete, f"{name}: {clip.frames} frames decode, not {frames:.0f}")


def check_thumbnail(checks: Checks, name: str, path: Path, size: tuple[int, int]) -> None:
    """Check that the thumbnail is a complete JPEG with the video's proportions."""
    with Image.open(path) as image:
        image.load()
        checks.equal(f"{name}: format", image.format, "JPEG")
        checks.equal(f"{name}: longer side", max(image.size), min(max(size), THUMBNAIL_SIDE))
        skew = abs(image.width * size[1] - image.height * size[0]) / (size[0] * size[1])
        checks.that(skew < 0.01, f"{name}: {image.size} is not in the proportions of {size}")


def most_similar(image: Image.Image, others: Mapping[str, Image.Image]) -> str:
    """The name of the image with the most similar colours in a grid of 9 by 16 fields."""

    def difference(name: str) -> float:
        small = [each.convert("RGB").resize((9, 16)) for each in (image, others[name])]
        return sum(ImageStat.Stat(ImageChops.difference(*small)).mean)

    return min(others, key=difference)


_ONE_CREDIT: Mapping[str, tuple[int, int]] = {
    "grant": (1, 0),
    "hold": (-1, 1),
    "capture": (0, -1),
    "release": (1, -1),
    "expire": (-1, 0),
    "clawback": (-1, 0),
    "adjust": (1, 0),
}
"""How one credit of an entry changes the available and the held credits."""


def faults_of_journal(entries: Sequence[Mapping[str, Any]], available: int, held: int) -> list[str]:
    """The contradictions in a journal (oldest line first) of an account with these balances now.

    The balances of every line must follow from the line before. The last line must match the
    account. Every hold (one per stage of a job) must be captured or released once, completely.
    """
    faults: list[str] = []
    balance = reserved = debt = 0
    holds: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for number, entry in enumerate(entries, start=1):
        if entry["sequence"] != number:
            faults.append(f"line {number} has the number {entry['sequence']}")
        kind, credits_ = entry["kind"], entry["credits"]
        to_balance, to_reserved = _ONE_CREDIT[kind]
        balance += to_balance * credits_ + entry.get("debt_after", 0) - debt
        debt = entry.get("debt_after", 0)
        reserved += to_reserved * credits_
        if (entry["balance_after"], entry["held_after"]) != (balance, reserved):
            faults.append(f"line {number} does not follow from the lines before it")
        if job_id := entry["job_id"]:
            holds.setdefault((job_id, entry.get("stage", "")), []).append((kind, credits_))
    if (balance, reserved) != (available, held):
        faults.append(f"the journal ends with {balance} and {reserved}, not as the account is")
    for (job_id, stage), lines in holds.items():
        price = lines[0][1]
        if lines not in ([("hold", price), (end, price)] for end in ("capture", "release")):
            faults.append(f"{stage} of job {job_id} went through {lines}")
    return faults
