"""The AWS CLI for tests that run many of its commands: one process loads it for all of them."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.processes import allocation
from tests.support.documents import AWS, ROOT

SUPPORT = ROOT / "tests" / "support"
PYTHON = str(AWS.with_name("python"))
PROGRAMS = (AWS, SUPPORT / "checked_aws.py")


@contextmanager
def loaded() -> Iterator[Path]:
    """A folder with the programs `aws` and `checked_aws`, which sends nothing.

    Each call of them is executed by a copy of a process that has loaded the CLI
    (`aws_cli_server.py`). That process ends afterwards, and also if this process is killed.
    """
    folder = Path(tempfile.mkdtemp(prefix="clipmint-aws-"))
    address = folder / "socket"
    for program in PROGRAMS:
        client = [PYTHON, "-I", "-S", SUPPORT / "aws_cli_client.py", address, program]
        script = folder / program.stem
        script.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, client))} "$@"\n')
        script.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(128)
        server = subprocess.Popen(
            [PYTHON, "-s", "-P", SUPPORT / "aws_cli_server.py", str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            # Loading must not ask a cloud's metadata service for credentials; a command may.
            env={
                "HOME": str(folder),
                "LANG": "C.UTF-8",
                "AWS_EC2_METADATA_DISABLED": "true",
                **allocation(),
            },
            start_new_session=True,
        )
    try:
        yield folder
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)  # if it could not load the CLI
