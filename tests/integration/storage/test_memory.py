"""Copying takes the same memory for every size of file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import allocation
from tests.support.origin import Exchange, Origin, Reply

MIB = 1024 * 1024
SMALL = 30 * MIB
LARGE = 120 * MIB
"""More than twice what may be held at a time, so that a copy that held all of it would show."""
ROOT = Path(__file__).parents[3]


def synthetic(size: int) -> Reply:
    """A file of ``size`` bytes that is never held anywhere as a whole."""
    head = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom".ljust(MIB, b"\x5a")
    piece = os.urandom(MIB)

    def reply(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(size)})
        exchange.wfile.write(head)
        for _ in range(size // MIB - 1):
            exchange.wfile.write(piece)

    return reply


@pytest.mark.usefixtures("aws")
def test_a_large_file_takes_no_more_memory_than_the_window_of_parts(
    origin: Origin, bucket: str
) -> None:
    # Lambda's Python allocates memory by its defaults.
    defaults = {name: text for name, text in os.environ.items() if name not in allocation()}
    environment = defaults | {"PYTHONPATH": str(ROOT / "shared")}
    over_idle = {}
    for size in (SMALL, LARGE):
        origin.replies["/a"] = synthetic(size)
        done = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("memory_probe.py")),
                origin.url("/a"),
                origin.host,
                bucket,
                "videos/large.mp4",
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        report = json.loads(done.stdout)
        assert report["size_bytes"] == size
        over_idle[size] = report["over_idle_mib"]
    # Four parts of 8 MiB, and what a few connections take. The budget for any size is 64 MB.
    assert over_idle[LARGE] < 48, over_idle
    assert over_idle[LARGE] < over_idle[SMALL] + 16, over_idle
