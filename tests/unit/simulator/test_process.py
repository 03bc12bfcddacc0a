"""A simulator as a process: it reports its address, listens on loopback, and always ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from local.deploy import ROOT
from local.simulator.client import start

ORPHANING = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "local.fal"])
time.sleep(60)
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def port_of(url: str) -> int:
    return httpx.URL(url).port or 0


@pytest.mark.parametrize(
    ("module", "more"),
    [("local.fal", {"jwks_url"}), ("local.runway", set()), ("local.runware", set())],
)
def test_it_prints_one_line_of_json_once_it_listens(module: str, more: set[str]) -> None:
    with start(module, {"key": "an:other"}) as simulator:
        assert set(simulator.about) == {"url", "control_url", "media_url", "key"} | more
        assert simulator.key == "an:other"
        assert simulator.url.startswith("http://127.0.0.1:")
        assert listens(port_of(simulator.about["control_url"]))
    assert not listens(port_of(simulator.about["control_url"]))


def test_two_run_side_by_side() -> None:
    with start("local.fal") as one, start("local.fal") as two:
        assert one.url != two.url


def test_a_setting_it_does_not_know_stops_it_at_once() -> None:
    with pytest.raises(RuntimeError), start("local.fal", {"colour": "blue"}):
        pass


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_it_stops_when_its_parent_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANING], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        port = port_of(json.loads(parent.stdout.readline())["url"])
        assert listens(port)
        parent.send_signal(signal.SIGKILL)
        until = time.monotonic() + 5
        while listens(port):
            assert time.monotonic() < until, "it is still there"
            time.sleep(0.05)


def test_it_stops_at_once_even_with_requests_it_must_never_answer() -> None:
    with start("local.fal") as simulator:
        simulator.arm("submit_timeout_after")
        request = (
            f"POST /fal-ai/veo3.1 HTTP/1.1\r\nHost: x\r\nAuthorization: Key {simulator.key}\r\n"
        )
        caller = socket.create_connection(("127.0.0.1", port_of(simulator.url)))
        caller.sendall(f'{request}Content-Length: 14\r\n\r\n{{"prompt": ""}}'.encode())
        until = time.monotonic() + 5
        while not simulator.submissions():
            assert time.monotonic() < until, "not accepted"
        begun = time.monotonic()
    caller.close()
    assert time.monotonic() - begun < 5


def test_it_does_not_load_the_command_line_of_httpx() -> None:
    program = "import sys, local, httpx; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "httpx" in loaded
    assert not {"rich", "click", "pygments"} & set(loaded)
