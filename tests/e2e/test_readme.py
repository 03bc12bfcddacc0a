"""The walk with curl in README.md, pasted into a shell."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from local.running import RunningStack
from tests.support.documents import ROOT, blocks, programs, run

WALK = "A walk with curl"


def test_the_walk_runs_as_printed(stack: RunningStack, tmp_path: Path) -> None:
    (walk,) = [block for block in blocks(ROOT / "README.md") if block.heading == WALK]
    video = ROOT / "out" / "video.mp4"
    video.unlink(missing_ok=True)
    path = programs(tmp_path / "bin")
    done = run(walk.text, path, {"CLIPMINT_STACK": stack.name})
    assert done.returncode == 0, done.stdout + done.stderr
    responses = [json.loads(line) for line in _documents(done.stdout)]
    granted, models, estimate, journal = responses
    assert granted["user_id"] == "ada"
    assert "veo-3.1" in {model["model_id"] for model in models["models"]}
    assert estimate["credits"] > 0
    # Other tests run the walk of the same user at the same time, so only one job is looked at.
    ended = next(entry for entry in journal["entries"] if entry["kind"] == "capture")
    of_the_job = [e["kind"] for e in journal["entries"] if e.get("job_id") == ended["job_id"]]
    assert of_the_job == ["capture", "hold"]
    with av.open(str(video)) as container:
        assert container.duration
    video.unlink()


def _documents(printed: str) -> list[str]:
    """The JSON documents that curl printed, each without a line break after it."""
    decoder, found = json.JSONDecoder(), []
    for line in printed.splitlines():
        position = line.find("{")
        while position >= 0:
            _, end = decoder.raw_decode(line, position)
            found.append(line[position:end])
            position = line.find("{", end)
    return found


def test_a_replay_of_its_order_is_marked(stack: RunningStack, tmp_path: Path) -> None:
    (walk,) = [block for block in blocks(ROOT / "README.md") if block.heading == WALK]
    again = (
        'for _ in 1 2; do curl -si $api/v1/videos -H "Authorization: Bearer $token" '
        '-H "Idempotency-Key: $key" -d "$order" | grep -i "^x-idempotent-replay: true"; done'
    )
    done = run(f"{walk.text}\n{again}", programs(tmp_path / "bin"), {"CLIPMINT_STACK": stack.name})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", ["uuidgen", "jq", "aws"])
def test_a_command_that_a_reader_may_not_have_is_not_found(program: str, tmp_path: Path) -> None:
    """The shell of these tests has no more than the prerequisites."""
    done = run(f"{program} --version", programs(tmp_path / "bin"))
    assert done.returncode == 127, done.stdout
