"""Two local stacks for all tests, whichever process runs them: one that tests share, and one that a
test marked `alone` has to itself.

The process that began the run owns the stacks: the controller of pytest-xdist, or pytest itself. It
starts a stack when the first test asks for it, and when all tests have ended it audits all users
and stops it. Processes that run tests attach to it by name. They meet in a folder per stack: a test
process leaves the file `wanted`, the owner answers with `name`, or with `failed` and the reason.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.running import RunningStack
    from local.stack import Stack

# What takes long to import is imported when a stack is needed: most runs of a few tests need none.

SHARED, ALONE = "shared", "alone"
"""The stacks' folders."""

FAL = {
    "frames_per_second": 2,
    "queue_seconds": 0.05,
    "generation_seconds": 0.1,
    # No job waits for the job of another test.
    "concurrency": 40,
    "time_factor": 0.05,
}
RUNWAY = {
    "frames_per_second": 2,
    "pending_seconds": 0.05,
    "generation_seconds": 0.1,
    "concurrency": 40,
}
RUNWARE = {"frames_per_second": 2, "generation_seconds": 0.1, "time_factor": 0.2}
UNLIMITED = dict.fromkeys(
    ("MaxOpenJobs", "MaxJobsPerHour", "MaxOpenClips", "MaxUploadsPerHour"), "100000"
)
ALL_LINES = {"LogLevel": "DEBUG"}
"""The auditor searches everything that can be logged for secrets."""


class SharedStacks:
    """The owner's side of both stacks."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="clipmint-tests-"))
        self._stacks = [SharedStack(self.folder / name) for name in (SHARED, ALONE)]

    def audit(self) -> str | None:
        """What is wrong with the users' records or with the logs; None if nothing is."""
        return "\n".join(filter(None, (stack.audit() for stack in self._stacks))) or None

    def stop(self) -> None:
        """Stop the stacks that were started. Does nothing the second time."""
        for stack in self._stacks:
            stack.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class SharedStack:
    """A stack, started on demand by a thread that watches ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._stack: Stack | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"stack-{folder.name}")
        self._thread.start()

    def _watch(self) -> None:
        while not self._ending.wait(0.1):
            if (self.folder / "wanted").exists():
                self._start()
                return

    def _start(self) -> None:
        from local.stack import Stack

        stack = Stack(
            enforce_iam=True,
            simulate=("fal", "runway", "runware"),
            parameters=UNLIMITED | ALL_LINES,
            settings={"fal": FAL, "runway": RUNWAY, "runware": RUNWARE},
            # A worker counts a provider's failures in a row, as tests that are alone expect.
            idle_seconds=3600,
        )
        try:
            stack.start()
            self._stack = stack
            _put_models(stack)
        except Exception:  # noqa: BLE001 - the test that asked for the stack raises it
            _publish(self.folder / "failed", traceback.format_exc())
            return
        _publish(self.folder / "name", stack.name)

    def audit(self) -> str | None:
        self._end()
        if self._stack is None or not (self.folder / "name").exists():
            return None
        from tests.support.audit import Auditor

        auditor = Auditor(self._stack)
        try:
            auditor.check_all()
            auditor.check_all_logs()
        except AssertionError:
            return traceback.format_exc()
        return None

    def stop(self) -> None:
        self._end()
        if self._stack is not None:
            self._stack.stop()
            self._stack = None

    def _end(self) -> None:
        self._ending.set()
        self._thread.join()


def attach(folder: Path) -> RunningStack:
    """A test process's side: the stack that the owner of ``folder`` starts, or has started.

    Raises RuntimeError if it does not start. The owner always answers, or is gone and takes its
    test processes along, so there is nothing to time out.
    """
    (folder / "wanted").touch()
    while not (folder / "name").exists():
        if (folder / "failed").exists():
            raise RuntimeError((folder / "failed").read_text(encoding="utf-8"))
        time.sleep(0.1)
    from local.running import running_stack

    return running_stack((folder / "name").read_text(encoding="utf-8"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other tests that are marked `alone` out, in all processes of the run."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _publish(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)


def _put_models(stack: RunningStack) -> None:
    from clipmint.catalog.defaults import DEFAULT_CATALOG
    from tests.support.backstage import Owner
    from tests.support.catalog import MODELS, variants

    owner = Owner(stack)
    try:
        for model in [*MODELS, *variants(DEFAULT_CATALOG)]:
            owner.put_model(**model)
    finally:
        owner.close()
