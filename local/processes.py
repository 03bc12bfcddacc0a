"""Child processes that end when their parent ends for any reason, and report when they are ready.

A child's standard input is a pipe from the parent. When the parent ends, even by SIGKILL, the pipe
is closed, and a child that watches it ends too. This uses no process group and no parent-death
signal, so it works on every platform.
"""

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_PATIENCE_SECONDS = 5.0
_ALLOCATION = ("PYTHONMALLOC", "GLIBC_TUNABLES")


def allocation() -> dict[str, str]:
    """The variables by which Python allocates memory as this process does (see the Makefile)."""
    return {name: os.environ[name] for name in _ALLOCATION if name in os.environ}


class ChildFailedError(RuntimeError):
    """A child ended, or printed nothing in time, before it was ready."""


class Child:
    """A running child process. Its standard error goes to `log`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        cwd: Path,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**allocation(), **environment},
                cwd=cwd,
                # Ctrl-C reaches the terminal's whole process group, but only we end the children.
                start_new_session=True,
                pass_fds=pass_fds,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_line(self, line: str) -> None:
        """Write a line to the child's standard input."""
        if self._process.stdin is None:
            raise ChildFailedError("the child has no standard input")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_until_ready(self, seconds: float) -> str:
        """The first line that the child prints when it is ready (it may contain its address).

        Raises `ChildFailedError`, with the end of the child's log, if it ends or takes too long.
        """
        output = self._process.stdout
        if output is not None and select.select([output], [], [], seconds)[0]:
            line = output.readline()
            if line:
                return line.strip()
        self.stop()
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise ChildFailedError(f"{self._process.args!r} did not become ready:\n{tail}")

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL if the child does not end. Returns when it has ended."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()
        self.stop()
