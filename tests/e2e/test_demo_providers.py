"""`make demo` with every provider: side by side, past one that is down, and at what price."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

from local.demo.checks import Checks, faults_of_journal
from local.demo.screen import Screen
from local.demo.second_act import SecondAct
from local.stack import Stack
from tests.support.demo_run import KEYS, PROGRESS_LINE, ROOT, Run, environment, run


@pytest.fixture(autouse=True)
def nothing_left_armed() -> None:
    """The demo runs a stack of its own; the other tests' need not start for it."""


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo with all three providers, one of which is down in the end."""
    done = run(tmp_path_factory.mktemp("all") / "out", "--provider", "all")
    assert done.exit_code == 0, done.text + done.errors
    return done


def test_one_line_says_that_no_key_is_set_and_who_plays(side_by_side: Run) -> None:
    (line,) = [line for line in side_by_side.text.splitlines() if " is set" in line]
    assert all(key in line for key in KEYS.values())
    assert line.endswith("simulators play fal, Runway and Runware.")


def test_the_providers_jobs_stand_side_by_side(side_by_side: Run) -> None:
    rows = [re.split(r" {2,}", row.strip()) for row in side_by_side.section("Side by side")[1:]]
    assert [row[0] for row in rows] == list(KEYS)
    for name, _, codec, length, size, credits_, states, calls, took in rows:
        with av.open(str(side_by_side.out / f"{name}.mp4")) as container:
            stream = container.streams.video[0].codec_context
            assert (codec, size) == (stream.name, f"{stream.width}x{stream.height}")
            assert container.duration is not None
            assert float(length.split()[0]) == pytest.approx(container.duration / 1e6, abs=0.25)
        track = r"Track x\d+" if name == "runway" else "Track"
        assert re.fullmatch(rf"\d+ \(Submit → {track} → Migrate → NextStage → Settle\)", states)
        assert int(calls) >= 15
        assert float(took.split()[0]) > 4
        charged = {line["credits"] for line in side_by_side.journal() if line["job_id"] == name}
        assert charged == {int(credits_)}


def test_the_providers_work_at_the_same_time_and_the_figures_add_up(side_by_side: Run) -> None:
    order = [
        line[1] for line in map(PROGRESS_LINE.fullmatch, side_by_side.text.splitlines()) if line
    ]
    last_start = max(order.index(name) for name in KEYS)
    assert all(last_start < len(order) - 1 - order[::-1].index(name) for name in KEYS)
    journal = side_by_side.journal()
    assert sorted(line["kind"] for line in journal) == ["capture"] * 3 + ["grant"] + ["hold"] * 3
    assert faults_of_journal(journal, *side_by_side.account("account after")) == []


def test_a_provider_that_is_down_costs_neither_the_video_nor_a_second_charge(
    side_by_side: Run,
) -> None:
    told = [line.strip() for line in side_by_side.section("How it went")]
    assert told[0] == "history: Submit → Track → Migrate → NextStage → Settle"
    assert re.fullmatch(r"refused: by fal, BUSY, at \S+", told[1])
    assert told[2:] == [
        "journal: hold 16, capture 16",
        "paid submissions: fal 0, runway 0, runware 1",
    ]
    before, after = side_by_side.account("account after"), side_by_side.account("in the end")
    assert after == (before[0] - 16, 0)
    with av.open(str(side_by_side.out / "failover.mp4")) as container:
        assert container.duration == pytest.approx(4e6, abs=0.25e6)


def test_what_a_real_provider_could_not_fetch_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = dict.fromkeys(KEYS.values(), "not-a-key")
    checks = Checks(pytest.fail)
    with Stack(simulate=(), keys=keys) as stack:
        SecondAct(stack, Screen(), checks, tmp_path).tell_on()
    text = capsys.readouterr().out
    for who in ("fal", "Runway", "Runware"):
        assert f"is left out: the real {who} cannot fetch from this machine." in text
    assert checks.made >= 24  # the pictures' own
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.png" for name in ("dawn", "noon", "dusk", "night")
    }


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
