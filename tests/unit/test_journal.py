"""The journal of a stack, read while its workers write it."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PosixPath
from typing import Any

from local.journal import Journal

both = threading.Barrier(2)


class _ReadTogether(io.BufferedReader):
    """A file whose reader waits until another one has read, too; not for long, if there is none."""

    def read(self, *size: Any) -> bytes:
        found = super().read(*size)
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.1)
        both.reset()
        return found


class _SharedPath(PosixPath):
    def open(self, *_: Any, **__: Any) -> Any:
        return _ReadTogether(io.FileIO(self))


def line(number: int) -> str:
    begin = {"kind": "begin", "function": "SweepFunction", "request_id": str(number)}
    return json.dumps({**begin, "at": 0.0, "cold": False, "event": "x" * number, "pid": 1}) + "\n"


def test_threads_that_read_at_once_find_each_invocation_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(_SharedPath(path))
    with ThreadPoolExecutor(2) as readers:
        for number in range(3):
            with path.open("a") as file:
                file.write(line(number))
            found = [readers.submit(journal.read) for _ in range(2)]
            expected = [str(each) for each in range(number + 1)]
            for each in found:
                assert [run.request_id for run in each.result()] == expected


def begun(number: int, event: str) -> dict[str, Any]:
    return {**json.loads(line(number)), "event": event}


def ended(number: int, result: str) -> dict[str, Any]:
    times = {"milliseconds": 1.0, "cpu_milliseconds": 1.0, "peak_megabytes": 1.0}
    end = {"kind": "end", "function": "SweepFunction", "request_id": str(number), "at": 1.0}
    return {**end, **times, "result": result, "error": None}


def test_invocations_about_a_text_are_found_as_the_journal_grows(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    assert journal.about("fox") == []
    for added, about_a_fox in (
        ([begun(0, "a hen"), begun(1, "a fox")], ["1"]),
        ([begun(2, "a fox")], ["1", "2"]),
        # Known from its result, an earlier one comes first. One that mentions it twice comes once.
        ([ended(0, "a fox"), ended(1, "a fox"), ended(2, "a hen")], ["0", "1", "2"]),
        ([begun(3, "a hen"), ended(3, "a hen")], ["0", "1", "2"]),
    ):
        with path.open("a") as file:
            file.writelines(json.dumps(each) + "\n" for each in added)
        for _ in range(2):
            assert [run.request_id for run in journal.about("fox")] == about_a_fox
    assert [run.request_id for run in journal.about("a hen")] == ["0", "2", "3"]
    assert [run.request_id for run in journal.read()] == ["0", "1", "2", "3"]
