"""The comparison judges all systems by one rule, and docs/comparison.md has each of its cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import CASES, DOCUMENT, FRAMES, is_whole, method
from benchmarks.peers_document import Outcome, Speed, document
from tests.support.mp4 import write_mp4


def outcome(status: str, *, whole: bool, billed: int) -> Outcome:
    return Outcome(status=status, whole=whole, billed=billed, credits="", seconds=1.0)


@pytest.mark.parametrize(
    ("status", "whole", "billed", "harm"),
    [
        ("completed", True, 1, []),
        ("failed", False, 0, []),
        ("completed", True, 2, ["billed twice"]),
        ("failed", False, 1, ["billed, no video"]),
        ("completed", False, 1, ["completed, no whole video"]),
        ("completed", False, 0, ["completed, no whole video"]),
        ("completed", False, 2, ["billed twice", "completed, no whole video"]),
        ("still processing", False, 1, ["billed, no video"]),
    ],
)
def test_a_loss_is_marked(status: str, whole: bool, billed: int, harm: list[str]) -> None:
    seen = outcome(status, whole=whole, billed=billed)
    assert seen.harm == harm
    assert seen.cell().startswith("✗ ") == bool(harm)


def test_only_a_video_with_all_frames_is_whole(tmp_path: Path) -> None:
    video = write_mp4(tmp_path / "whole.mp4", seconds=4, fps=FRAMES // 4)
    short = write_mp4(tmp_path / "short.mp4", seconds=3, fps=FRAMES // 4)
    assert is_whole(video)
    assert not is_whole(short)
    assert not is_whole(video[: len(video) // 2])
    assert not is_whole(b"no video")
    assert not is_whole(b"")


def test_the_document_counts_the_marks_and_orders_by_speed() -> None:
    speeds = {"one": Speed(0.5, 1.0), "two": Speed(0.1, 2.0)}
    good = outcome("completed", whole=True, billed=1)
    bad = outcome("completed", whole=True, billed=2)
    text = document(speeds, {"a": [good, bad], "b": [good, good]}, {"two": "1.0"}, {}, "How.")
    assert "| results with ✗ | 0 of 2 | 1 of 2 |" in text
    assert "from the least to the most: two, one." in text


def test_the_committed_document_has_the_method_and_each_case() -> None:
    text = DOCUMENT.read_text()
    assert method() in text
    assert [case.name for case in CASES if f"\n| {case.name} | " not in text] == []
