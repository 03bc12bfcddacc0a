"""Which of the running stacks `make token` finds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import running
from local.deploy import ROOT
from local.running import DESCRIPTION, running_stack


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(running, "STATE", tmp_path)
    return tmp_path


def start(state: Path, name: str, at: int, pid: int) -> None:
    folder = state / name
    folder.mkdir()
    (folder / "pid").write_text(str(pid))
    described = folder / DESCRIPTION
    described.write_text(json.dumps(DESCRIBED | {"stack": name, "state_dir": str(folder)}))
    os.utime(described, (at, at))


DESCRIBED = {
    "api_url": "http://127.0.0.1:1",
    "images_url": "http://127.0.0.1:1",
    "console_url": "http://127.0.0.1:1/",
    "aws_endpoint": "http://127.0.0.1:1",
    "region": "us-east-1",
    "issuer": "http://127.0.0.1:1",
    "tables": {},
    "buckets": {},
    "functions": {},
    "log_groups": {},
    "state_machine_arn": "arn:aws:states:us-east-1:000000000000:stateMachine:x",
}


def test_without_a_name_the_stack_started_last_is_found(state: Path) -> None:
    start(state, "b-first", 1_000, os.getpid())
    start(state, "a-last", 2_000, os.getpid())
    assert running_stack().description["stack"] == "a-last"
    assert running_stack("b-first").description["stack"] == "b-first"


def test_after_the_stack_started_last_has_ended_an_earlier_one_is_found(state: Path) -> None:
    start(state, "first", 1_000, os.getpid())
    start(state, "last", 2_000, process_that_ended())
    assert running_stack().description["stack"] == "first"
    assert not (state / "last").exists()


def test_without_a_running_stack_the_error_names_the_command_that_starts_one(state: Path) -> None:
    start(state, "killed", 1_000, process_that_ended())
    with pytest.raises(LookupError, match="make up"):
        running_stack()


def process_that_ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_command_for_a_running_stack_imports_no_client_before_it_needs_one() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", "import sys, local.__main__; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {"boto3", "httpx", "local.stack"} & set(printed.split()) == set()
