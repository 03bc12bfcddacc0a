"""Keeps the results of slow functions as files, for later runs of the emulator."""

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_FILES = 20


class Kept:
    """Results in JSON, one file each. A folder keeps the `most` that were used last; processes may
    share it.
    """

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
        with contextlib.suppress(OSError, ValueError):  # ValueError: the machine stopped meanwhile
            found = json.loads(file.read_text(encoding="utf-8"))
            self._is_used(file)
            return found
        made = make()
        # Where nothing can be written, each run makes it again.
        with contextlib.suppress(OSError):
            self._write(file, json.dumps(made))
        return made

    def _is_used(self, file: Path) -> None:
        """The files that were used last are kept. Does nothing if the file cannot be changed."""
        with contextlib.suppress(OSError):
            os.utime(file)

    def _write(self, file: Path, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Renamed, because other processes look for it by its name.
        draft = file.with_suffix(f".{uuid.uuid4().hex}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.rename(file)
        finally:
            draft.unlink(missing_ok=True)
        oldest_first = sorted(self._folder.glob("*.json"), key=_used)
        for old in oldest_first[: -self._most]:
            old.unlink(missing_ok=True)


def _used(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # another process has just removed it
        return 0
