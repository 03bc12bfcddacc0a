"""`make demo` as a newcomer and as a CI job meet it: a process, what it prints, what it leaves."""

from __future__ import annotations

import hashlib
import itertools
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
from typing import Any

import av
import pytest
from PIL import Image

from local.demo.checks import faults_of_journal
from tests.support.demo_run import PATIENCE_SECONDS, PROGRESS_LINE, ROOT, Run, environment, run

FIRST_ACT: Mapping[str, tuple[int, tuple[int, int]]] = {
    "text-to-video": (4, (1280, 720)),
    "image-to-video": (6, (720, 1280)),
}
SECOND_ACT: Mapping[str, tuple[int, tuple[int, int]]] = {
    "from-project": (4, (720, 1280)),
    "scene": (2, (960, 960)),
    "morning": (4, (720, 1280)),
    "evening": (6, (720, 1280)),
    "afternoon-again": (4, (720, 1280)),
}
VIDEOS = {**FIRST_ACT, **SECOND_ACT}
PICTURES = {
    **dict.fromkeys(("dawn", "noon", "dusk", "night"), (720, 1280)),
    "scene": (1024, 1024),
}


@pytest.fixture(autouse=True)
def nothing_left_armed() -> None:
    """The demo runs a stack of its own; the other tests' need not start for it."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo in a pipe, in an environment that asks for colours all the same."""
    done = run(tmp_path_factory.mktemp("demo") / "out", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert done.exit_code == 0, done.text + done.errors
    return done


def test_it_checks_a_lot_and_finds_nothing_wrong(demo: Run) -> None:
    passed = re.search(r"Done in [\d.]+ s; (\d+) checks passed", demo.text)
    assert passed is not None
    assert int(passed[1]) > 300
    assert "WRONG" not in demo.text
    assert demo.errors == ""


@pytest.mark.parametrize("name", VIDEOS)
def test_it_leaves_videos_that_play_as_asked(demo: Run, name: str) -> None:
    seconds, size = VIDEOS[name]
    with av.open(str(demo.out / f"{name}.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.codec_context.width, stream.codec_context.height) == size
        last = max(frame.time for frame in container.decode(stream) if frame.time is not None)
    assert last == pytest.approx(seconds, abs=0.25)


@pytest.mark.parametrize("name", VIDEOS)
def test_it_leaves_thumbnails_that_show_something(demo: Run, name: str) -> None:
    _, (width, height) = VIDEOS[name]
    with Image.open(demo.out / f"{name}.jpg") as picture:
        assert picture.format == "JPEG"
        assert picture.size == (
            width * 640 // max(width, height),
            height * 640 // max(width, height),
        )
        dark, light = picture.convert("L").getextrema()
    assert light - dark > 100  # type: ignore[operator]


def test_it_leaves_nothing_else(demo: Run) -> None:
    expected = {f"{name}{end}" for name in VIDEOS for end in (".mp4", ".jpg")}
    expected |= {f"{name}.png" for name in PICTURES}
    assert {path.name for path in demo.out.iterdir()} == expected


@pytest.mark.parametrize("name", PICTURES)
def test_it_leaves_the_pictures_as_anybody_reads_them(demo: Run, name: str) -> None:
    with Image.open(demo.out / f"{name}.png") as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", PICTURES[name])


@pytest.mark.parametrize("act", [1, 2])
def test_the_table_of_videos_says_what_is_on_the_disk(demo: Run, act: int) -> None:
    played, videos = (demo, FIRST_ACT) if act == 1 else (demo.second_act, SECOND_ACT)
    rows = played.section("Downloaded from the owner's bucket")[1:]
    assert [row.split()[0] for row in rows] == list(videos)
    for row in rows:
        name = row.split()[0]
        seconds, (width, height) = VIDEOS[name]
        body = (demo.out / f"{name}.mp4").read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:12]
        for figure in (f"{len(body):,}", f"{seconds:.2f} s", f"{width}x{height}", digest):
            assert f" {figure}" in row


def test_the_figures_add_up(demo: Run) -> None:
    journal = demo.journal()
    kinds = [line["kind"] for line in journal]
    assert sorted(kinds) == ["capture", "capture", "grant", "hold", "hold", "hold", "release"]
    assert faults_of_journal(journal, *demo.account("refunded")) == []

    priced = {
        row.split()[0]: int(re.split(r" {2,}", row.strip())[3])
        for row in demo.section("What will it cost?")[1:]
    }
    captured = {line["job_id"]: line["credits"] for line in journal if line["kind"] == "capture"}
    assert captured == priced

    before, after = demo.account("account before"), demo.account("account after")
    spent = sum(captured.values())
    assert demo.account("while they run") == (before[0] - spent, spent)
    assert after == (before[0] - spent, 0)
    assert demo.account("refunded") == after


def test_the_figures_of_the_second_act_go_on_from_the_first(demo: Run) -> None:
    continued = demo.journal("The user's journal, continued")
    assert faults_of_journal(demo.journal() + continued, *demo.account("after all")) == []
    by_job = {
        name: [line["kind"] for line in continued if line["job_id"] == name]
        for name in {line["job_id"] for line in continued}
    }
    paid = ["hold", "capture"]
    assert by_job == {
        **dict.fromkeys(("from-project", "morning", "evening", "afternoon-again"), paid),
        "afternoon": ["hold", "release"],
        "scene: image": paid,
        "scene: video": paid,
    }
    available, held = demo.account("while all run")
    assert demo.account("refunded") == (available + held, 0)


def test_the_summary_of_the_clips_is_shown_before_while_and_after(demo: Run) -> None:
    names = ("total_clips", "completed", "pending", "failed", "all_complete")
    said = "clips ([a-z ]+): " + ", ".join(rf"{name} (\w+)" for name in names)
    assert re.findall(said, demo.text) == [
        ("before", "0", "0", "0", "0", "false"),
        ("while they run", "3", "0", "3", "0", "false"),
        ("after", "3", "2", "0", "1", "false"),
        ("again", "3", "2", "1", "0", "false"),
        ("in the end", "3", "3", "0", "0", "true"),
    ]


def test_everything_of_the_second_act_moves_at_once(demo: Run) -> None:
    played = ["from-project", "scene", "morning", "afternoon", "evening"]
    lines = demo.section("All at once: a video, a scene in two stages, three clips")
    seen = [(line[1], line[3]) for line in map(PROGRESS_LINE.fullmatch, lines) if line]
    assert [name for name, _ in seen[:5]] == played
    last = dict(seen)
    last.pop("scene")  # which may be on its way when the others have ended
    played.remove("scene")
    assert last == dict.fromkeys(played, "Completed") | {"afternoon": "Failed"}


def test_a_scene_shows_its_two_stages(demo: Run) -> None:
    seen = demo.second_act.progress("scene")
    assert [percent for percent, _ in seen] == sorted(percent for percent, _ in seen)
    assert {"Generating image", "Generating video", "Completed"} <= {step for _, step in seen}
    told = [line.strip() for line in demo.section("How the scene went")]
    assert re.fullmatch(r"picture: Submit → Track x\d+ → Migrate → NextStage", told[0])
    assert re.fullmatch(r"video:   Submit → Track x\d+ → Migrate → NextStage → Settle", told[1])
    assert told[2] == "journal: hold image 1, hold video 2, capture image 1, capture video 2"


@pytest.mark.parametrize("name", FIRST_ACT)
def test_progress_is_a_plain_line_per_change(demo: Run, name: str) -> None:
    seen = demo.progress(name)
    assert seen[-1] == (100, "Completed")
    assert [percent for percent, _ in seen] == sorted(percent for percent, _ in seen)
    assert all(one != other for one, other in itertools.pairwise(seen))


def test_both_videos_are_made_at_the_same_time(demo: Run) -> None:
    order = [line[1] for line in map(PROGRESS_LINE.fullmatch, demo.text.splitlines()) if line]
    assert order.index("image-to-video") < len(order) - 1 - order[::-1].index("text-to-video")


def test_a_pipe_gets_no_control_codes_and_no_trailing_blanks(demo: Run) -> None:
    assert not set(demo.text) & {"\x1b", "\r", "\b"}
    assert not [line for line in demo.text.splitlines() if line != line.rstrip()]


def test_the_states_and_aws_calls_of_a_job_are_shown(demo: Run) -> None:
    lines = demo.section("Behind the scenes of text-to-video")
    way = "5 state transitions: Submit → Track → Migrate → NextStage → Settle"
    assert lines[0].strip() == way
    calls = {line.split()[0]: line for line in lines[2:]}
    assert calls["generate"].count(",") <= 4  # five calls at most
    assert "TransactWriteItems Jobs+Ledger" in calls["settle"]
    assert "PutObject Videos" in calls["migrate"]
    assert "SendTaskSuccess" in calls["webhooks"]


def test_no_secret_is_printed(demo: Run) -> None:
    for secret in ("eyJ", "Bearer", "simulated-key", "X-Amz-"):
        assert secret not in demo.text


def test_one_line_says_that_no_key_is_set_and_who_plays(demo: Run) -> None:
    (line,) = [line for line in demo.text.splitlines() if " is set" in line]
    assert line.strip() == "No FAL_KEY is set: a simulator plays fal."


def test_a_prompt_that_is_declined_costs_nothing_and_fails_the_demo(tmp_path: Path) -> None:
    # An old console besides, whose encoding knows neither arrows nor an ellipsis.
    declined = run(
        tmp_path / "out", "--prompt", "Something… #moderated", PYTHONIOENCODING="latin-1"
    )
    assert declined.exit_code == 1
    assert "WRONG: text-to-video: status is 'failed'" in declined.text
    assert "declined by the content policy" in declined.text
    assert declined.account("account after") == declined.account("account before")
    assert faults_of_journal(declined.journal(), *declined.account("refunded")) == []
    assert not (tmp_path / "out").exists()
    assert "The second act is left out, because the first went wrong" in declined.text


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


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (0, {"credits": 31}),
        (1, {"sequence": 3}),
        (1, {"balance_after": 29}),
        (2, {"held_after": 1}),
        (2, {"kind": "release"}),
        (2, {"job_id": "other"}),
    ],
)
def test_a_journal_that_does_not_add_up_is_noticed(line: int, change: dict[str, Any]) -> None:
    names = ("sequence", "kind", "credits", "balance_after", "held_after", "job_id")
    journal = [
        dict(zip(names, values, strict=True))
        for values in [
            (1, "grant", 30, 30, 0, None),
            (2, "hold", 10, 20, 10, "job"),
            (3, "capture", 10, 20, 0, "job"),
        ]
    ]
    assert faults_of_journal(journal, 20, 0) == []
    assert faults_of_journal(journal, 21, 0) != []
    journal[line] |= change
    assert faults_of_journal(journal, 20, 0) != []


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
