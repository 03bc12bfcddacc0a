"""The programs of `tests.support.aws_cli` do what the AWS CLI does, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.running import wait_for
from tests.support.documents import AWS, ROOT

STARTER = """
import time
from tests.support import aws_cli
with aws_cli.loaded() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""
COMMANDS = {
    # It reads from standard input and from variables, and writes a file with a relative name.
    "configure": "AKIA-AN-ID\na secret\neu-west-1\njson\n",
    # It fails, and prints its arguments to standard error.
    "logs no-such-command": "",
}
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.slow


def outcome(program: Path, folder: Path) -> list[object]:
    """What each of the commands returns and prints, and the files that they write."""
    folder.mkdir()
    variables = {
        "LANG": "C.UTF-8",
        "AWS_CONFIG_FILE": "./config",
        "AWS_SHARED_CREDENTIALS_FILE": "./credentials",
        "AWS_DEFAULT_REGION": "eu-north-1",
    }
    found: list[object] = []
    for words, given in COMMANDS.items():
        done = subprocess.run(
            [program, *words.split()],
            input=given,
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        found += [done.returncode, done.stdout, done.stderr]
    return [*found, *((file.name, file.read_text()) for file in sorted(folder.iterdir()))]


def test_a_program_does_what_the_cli_does_and_ends_with_a_starter_that_is_killed(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        folder = Path(starter.stdout.readline().strip())
        try:
            copied = outcome(folder / "aws", tmp_path / "copied")
        finally:
            starter.kill()
    assert copied == outcome(AWS, tmp_path / "own")
    assert copied[0] == 0
    assert copied[3] != 0
    assert len(copied) == 8
    wait_for(lambda: not folder.exists(), PATIENCE_SECONDS)
