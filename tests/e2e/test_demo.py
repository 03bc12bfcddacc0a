"""`make demo` as a new user and as a CI job see it: a process, its output, its result.

The demo makes hundreds of checks of its own and exits with 1 if one fails. These tests cover what
it cannot check itself.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.support.catalog import VEO_DRAFT
from tests.support.demo_run import KEYS, PATIENCE_SECONDS, ROOT, Run, environment, run

VIDEOS: Mapping[str, tuple[int, tuple[int, int]]] = {
    "text-to-video": (4, (1280, 720)),
    "image-to-video": (6, (720, 1280)),
    "from-project": (4, (720, 1280)),
    "scene": (2, (960, 960)),
    "morning": (4, (720, 1280)),
    "evening": (6, (720, 1280)),
    "afternoon-again": (4, (720, 1280)),
}
"""Seconds and size of what it makes."""
IMAGES = {
    **dict.fromkeys(("dawn", "noon", "dusk", "night"), (720, 1280)),
    "scene": (1024, 1024),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo in a pipe, in an environment that asks for colours all the same."""
    done = run(tmp_path_factory.mktemp("demo") / "out", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert done.exit_code == 0, done.text + done.errors
    return done


@pytest.mark.slow
def test_it_checks_a_lot_and_finds_nothing_wrong(demo: Run) -> None:
    passed = re.search(r"Done in [\d.]+ s; (\d+) checks passed", demo.text)
    assert passed is not None
    assert int(passed[1]) > 300
    assert "WRONG" not in demo.text
    assert demo.errors == ""


@pytest.mark.slow
def test_it_leaves_videos_that_play_thumbnails_and_images_and_nothing_else(demo: Run) -> None:
    expected = {f"{name}{end}" for name in VIDEOS for end in (".mp4", ".jpg")}
    assert {path.name for path in demo.out.iterdir()} == expected | {f"{n}.png" for n in IMAGES}
    for name, (seconds, size) in VIDEOS.items():
        assert_plays(demo.out / f"{name}.mp4", seconds, size)
        with Image.open(demo.out / f"{name}.jpg") as thumbnail:
            assert (thumbnail.format, max(thumbnail.size)) == ("JPEG", 640), name
            dark, light = thumbnail.convert("L").getextrema()
            assert light - dark > 100, f"{name} shows nothing"  # type: ignore[operator]
    for name, size in IMAGES.items():
        with Image.open(demo.out / f"{name}.png") as image:
            image.load()
            assert (image.format, image.size) == ("PNG", size), name


def assert_plays(file: Path, seconds: int, size: tuple[int, int]) -> None:
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.width, context.height) == ("h264", *size), file.name
        last = max(frame.time for frame in container.decode(stream) if frame.time is not None)
    assert last == pytest.approx(seconds, abs=0.25), file.name


@pytest.mark.slow
def test_a_pipe_gets_plain_lines_without_secrets(demo: Run) -> None:
    assert not set(demo.text) & {"\x1b", "\r", "\b"}
    assert not [line for line in demo.text.splitlines() if line != line.rstrip()]
    for secret in ("eyJ", "Bearer", "simulated-key", "X-Amz-"):
        assert secret not in demo.text


@pytest.mark.slow
def test_it_shows_progress_prices_credits_and_what_happened_behind_the_scenes(demo: Run) -> None:
    (line,) = [line for line in demo.text.splitlines() if " is set" in line]
    assert line.strip() == "No FAL_KEY is set: a simulator plays fal."
    for name in ("text-to-video", "image-to-video", "scene"):
        progress = demo.progress(name)
        assert progress[-1] == (100, "Completed"), name
        assert [percent for percent, _ in progress] == sorted(percent for percent, _ in progress)
    assert demo.journal()
    assert demo.journal("The user's journal, continued")
    lines = demo.section("Behind the scenes of text-to-video")
    way = "4 state transitions: Submit → Migrate → NextStage → Settle"
    assert lines[0].strip() == way
    assert "clips in the end: total_clips 3, completed 3" in demo.text
    printed = [line.strip() for line in demo.section("How the scene went")]
    assert printed[2] == "journal: hold image 1, hold video 2, capture image 1, capture video 2"


@pytest.mark.slow
def test_an_event_is_delivered_a_forged_one_rejected_and_one_delivered_again(demo: Run) -> None:
    lines = demo.section("Fourth act: signed events for the owner's systems")
    first, forged, again = (line.strip() for line in lines[:3])
    identity = re.search(r"evt_[0-9a-f]{32}", first)
    assert identity is not None
    assert first == f"delivered: credits.granted {identity[0]}, signature verified"
    assert forged == "rejected: a forged event, with 401"
    assert again == f"delivered again: {identity[0]}, the same id and the same bytes"


@pytest.mark.slow
def test_a_payment_counts_once_a_promotion_ends_and_a_refund_leaves_a_debt(demo: Run) -> None:
    lines = demo.section("Fifth act: a payment, a promotion, and a refund")
    assert [line.strip() for line in lines[:3]] == [
        "a payment, reported twice: 50 credits, once",
        "a promotion of 20 credits: gone after 3 s",
        f"refunded: 50 credits, of which {VEO_DRAFT} were spent: a debt",
    ]


@pytest.mark.slow
def test_each_protocols_own_client_makes_a_video(demo: Run) -> None:
    heading = "Third act: clients of other services, with another host and a token"
    rows = [re.split(r" {2,}", row.strip()) for row in demo.section(heading)[1:-1]]
    assert [row[:2] for row in rows] == [
        ["generate-video", "bash"],
        ["scene-tasks", "python"],
        ["project-clips", "bash"],
        ["image-videos", "bash"],
        ["openai", "python"],
    ]
    assert all(re.fullmatch(r"\d+x\d+", row[2]) for row in rows)


@pytest.mark.slow
def test_with_all_providers_one_that_is_down_costs_neither_the_video_nor_a_second_charge(
    tmp_path: Path,
) -> None:
    done = run(tmp_path / "out", "--provider", "all")
    assert done.exit_code == 0, done.text + done.errors
    rows = [re.split(r" {2,}", row.strip()) for row in done.section("Side by side")[1:]]
    assert [row[0] for row in rows] == list(KEYS)
    printed = [line.strip() for line in done.section("How it went")]
    assert re.fullmatch(r"refused: by fal, BUSY, at \S+", printed[1])
    assert printed[2:] == [
        "journal: hold 16, capture 16",
        "paid submissions: fal 0, runway 0, runware 1",
    ]
    assert {path.stem for path in done.out.glob("*.mp4")} == {*KEYS, "failover"}


@pytest.mark.slow
def test_a_prompt_that_is_declined_costs_nothing_and_fails_the_demo(tmp_path: Path) -> None:
    # An old console as well: its encoding has neither arrows nor an ellipsis.
    declined = run(
        tmp_path / "out", "--prompt", "Something… #moderated", PYTHONIOENCODING="latin-1"
    )
    assert declined.exit_code == 1
    assert "WRONG: text-to-video: status is 'failed'" in declined.text
    assert "declined by the content policy" in declined.text
    assert declined.account("account after") == declined.account("account before")
    assert not (tmp_path / "out").exists()
    assert "What follows is left out, because this act went wrong" in declined.text
    assert "Second act" not in declined.text


@pytest.mark.slow
def test_in_a_terminal_bars_move_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with in_terminal(tmp_path / "out") as (process, terminal):
        seen = read_until(terminal, r"━.*70 %.*Generating video")
        assert "\x1b[" in seen
        [state] = [
            mark.parent
            for mark in (ROOT / ".local").glob("*/pid")
            if mark.read_text(encoding="utf-8") == str(process.pid)
        ]
        started: dict[str, int] = json.loads((state / "stack.json").read_text())["pids"]
        process.send_signal(signal.SIGINT)
        read_until(terminal, "Stopped; nothing is left running")
        assert process.wait(30) == 130
    children = set(started.values()) - {process.pid}
    assert len(children) >= 2
    assert not [pid for pid in children if is_alive(pid)]
    assert not state.exists()


def test_real_providers_name_their_price_before_anything_is_started(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo", "--out", str(tmp_path), "--provider", "all"],
        cwd=ROOT,
        env=environment(PYTHONUNBUFFERED="1", **dict.fromkeys(KEYS.values(), "not-a-key")),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "Ctrl-C stops it" in line:
            process.send_signal(signal.SIGINT)
            break
    seen += process.stdout.read()
    assert process.wait(30) == 130
    process.stdout.close()
    assert "the real fal makes 4 s of Veo 3.1 with sound, 720p (0.40 USD a second)" in seen
    assert "the real Runway makes 2 s of Gen-4.5 (0.12 USD a second), for about 0.24 USD" in seen
    assert "the real Runware makes 4 s of Veo 3.1 Lite with sound, 720p (0.05 USD" in seen
    assert "not-a-key" not in seen
    assert "The stack is ready" not in seen


@contextmanager
def in_terminal(out: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A demo on a pseudo-terminal, and our end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo", "--out", str(out)],
        cwd=ROOT,
        env=environment(TERM="xterm-256color", COLUMNS="100"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        os.close(ours)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def read_until(terminal: int, pattern: str) -> str:
    """What the terminal shows, up to what matches. Fails if that never comes."""
    seen = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not re.search(pattern, seen):
        assert time.monotonic() < deadline, seen
        try:
            seen += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the other end is closed
            pytest.fail(f"{pattern!r} did not come:\n{seen}")
    return seen
