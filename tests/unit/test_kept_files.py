"""Results that the emulator keeps for its next start."""

import os
from pathlib import Path

import pytest

from local.emulator.kept import Kept


def never() -> object:
    raise AssertionError("it was kept")


def test_a_result_is_made_once_and_read_by_the_next_process(tmp_path: Path) -> None:
    made = {"Resources": {"b": [1, 2.5, None, True], "a": "ä"}}
    folder = tmp_path / "not" / "there yet"
    assert Kept(folder).get(["1.0", {"x": 1}], lambda: made) == made
    read = Kept(folder).get(["1.0", {"x": 1}], never)
    assert read == made
    assert list(read["Resources"]) == ["b", "a"]


@pytest.mark.parametrize("other", [["1.1", {"x": 1, "y": 2}], ["1.0", {"y": 2, "x": 1}], []])
def test_other_inputs_have_another_result(tmp_path: Path, other: object) -> None:
    kept = Kept(tmp_path)
    kept.get(["1.0", {"x": 1, "y": 2}], lambda: "first")
    assert kept.get(other, lambda: "second") == "second"


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    with pytest.raises(AssertionError):
        kept.get("key", never)
    assert kept.get("key", lambda: "made") == "made"


def test_a_file_that_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.get("key", lambda: {"made": 1})
    (file,) = tmp_path.iterdir()
    file.write_text("", encoding="utf-8")
    assert kept.get("key", lambda: {"made": 2}) == {"made": 2}
    assert kept.get("key", never) == {"made": 2}


def test_where_nothing_can_be_written_a_result_is_made_each_time(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    kept = Kept(tmp_path / "a file" / "no folder")
    assert [kept.get("key", lambda: "made") for _ in range(2)] == ["made", "made"]


def a_minute_later(folder: Path) -> None:
    """Let all files have been used a minute earlier."""
    for file in folder.iterdir():
        os.utime(file, (0, file.stat().st_mtime - 60))


def test_a_file_that_is_used_is_not_removed(tmp_path: Path) -> None:
    kept = Kept(tmp_path, most=2)
    for number in range(2):
        kept.get(number, f"first {number}".strip)
        a_minute_later(tmp_path)
    kept.get(0, never)
    a_minute_later(tmp_path)
    kept.get(2, lambda: "another")
    assert kept.get(0, never) == "first 0"
    assert kept.get(1, lambda: "again") == "again"


def test_the_files_that_were_used_least_recently_are_removed(tmp_path: Path) -> None:
    kept = Kept(tmp_path, most=3)
    for number in range(5):
        kept.get(number, f"first {number}".strip)
        a_minute_later(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert [kept.get(number, lambda: "again") for number in (2, 3, 4)] == [
        f"first {number}" for number in (2, 3, 4)
    ]
    assert kept.get(0, lambda: "again") == "again"
