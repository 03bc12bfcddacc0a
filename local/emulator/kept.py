"""Keeps the results of slow functions as files, for later runs of the emulator."""

import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_FILES = 20


class Kept:
    """Results in JSON, one file each. A folder keeps the newest `most`; processes may share it."""

    def __init__(self, folder: Path, most: int = MOST_FILES) -> None:
        self._folder = folder
        self._most = most

    def get(self, inputs: Any, make: Callable[[], Any]) -> Any:
        """What `make()` returned for these inputs before; without a file, what it returns now.

        `inputs` is everything that the result depends on. Both are JSON. Exceptions are not kept.
        """
        # Not with sorted keys: the order of the result may depend on that of the inputs.
        digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
        file = self._folder / f"{digest}.json"
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (
            FileNotFoundError,
            ValueError,
        ):  # ValueError: the disk was full, or the machine ended
            made = make()
            self._write(file, json.dumps(made))
            return made

    def _write(self, file: Path, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Renamed, because other processes look for it by its name.
        draft = file.with_suffix(f".{uuid.uuid4().hex}")
        draft.write_text(text, encoding="utf-8")
        draft.rename(file)
        oldest_first = sorted(self._folder.glob("*.json"), key=_written)
        for old in oldest_first[: -self._most]:
            old.unlink(missing_ok=True)


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # another process has just removed it
        return 0
