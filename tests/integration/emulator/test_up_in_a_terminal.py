"""`make up` in a terminal: a table, then one line per request and per transition of a job."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from local.deploy import ROOT
from local.running import running_stack, wait_for
from tests.support.processes import is_alive

PATIENCE_SECONDS = 180
NAME = "in-a-terminal"


class Terminal:
    """A process that has a terminal as its output."""

    def __init__(self, process: subprocess.Popen[bytes], leader: int) -> None:
        self.process = process
        self.text = ""
        self._leader = leader

    def until(self, pattern: str) -> str:
        """The text so far, as soon as it matches."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.text}"
            if select.select([self._leader], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self._leader, 65_536).decode().replace("\r\n", "\n")
                except OSError:  # the process has ended
                    assert re.search(pattern, self.text), self.text
        return self.text


@contextmanager
def up(*arguments: str) -> Iterator[Terminal]:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "up", "--name", NAME, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    try:
        yield Terminal(process, leader)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        os.close(leader)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_people_see_a_table_and_then_each_request_and_job() -> None:
    port = free_port()
    with up("--port", str(port)) as terminal:
        table = terminal.until(r"Ready in [\d.]+ s")
        assert f"http://127.0.0.1:{port}" in table
        assert "{" not in table, "JSON is for programs"
        assert max(map(len, table.splitlines())) < 130
        stack = running_stack(NAME)
        assert stack.api_url == f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=stack.api_url, timeout=120) as http:
            http.get("/v1/credits")
            grant = {"user_id": "ada", "amount": 100, "reference": "terminal"}
            http.post("/v1/admin/grants", json=grant, headers=stack.bearer("shop", admin=True))
            order = {"model_id": "veo-3.1", "prompt": "A lake", "preset": "draft"}
            started = http.post(
                "/v1/videos", json=order, headers=stack.bearer("ada") | {"Idempotency-Key": "k" * 8}
            )
        assert started.status_code == 202, started.text
        job = f"job {started.json()['job_id'][:8]}  veo-3.1: "
        # The response of the webhook can come after the end of the job.
        terminal.until("POST /webhooks/fal/…  200  ")
        text = terminal.until(f"{job}completed, 16 credits")
        lines = [line[len("00:00:00  ") :] for line in text.splitlines()]
        assert [line for line in lines if line.startswith("GET /v1/credits  401  ")]
        assert [line for line in lines if line.startswith("POST /v1/videos  202  ")]
        # The secret part of a webhook's path is not shown.
        assert [line for line in lines if line.startswith("POST /webhooks/fal/…  200  ")]
        seen = [line.removeprefix(job) for line in lines if line.startswith(job)]
        assert len(seen) == len(set(seen)) >= 2
        assert "fal makes the video" in seen or "the video is being stored" in seen
        left = [*stack.description["pids"].values(), *stack.workers()]
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(PATIENCE_SECONDS) == 0
        wait_for(lambda: not any(is_alive(pid) for pid in left), PATIENCE_SECONDS)
        assert not stack.state_dir.exists()
        stack.close()


def test_a_port_that_is_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up("--port", str(port)) as terminal:
            assert terminal.process.wait(PATIENCE_SECONDS) == 1
            assert "Traceback" not in terminal.until(rf"port {port} cannot be used: Address")
