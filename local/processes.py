"""Child processes that end with their parent, however it ends, and say when they are ready.

A child's standard input is a pipe whose other end the parent holds: when the parent is gone, even
by SIGKILL, the pipe ends and a child that watches it follows. No process group, no platform's own
death signal, so it works wherever Python does.
"""

import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_PATIENCE_SECONDS = 5.0


class ChildFailedError(RuntimeError):
    """A child ended, or stayed silent, before it was ready."""


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
                env=dict(environment),
                cwd=cwd,
                # Ctrl-C reaches a terminal's whole process group; ending children is ours to order.
                start_new_session=True,
                pass_fds=pass_fds,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to the child's standard input."""
        if self._process.stdin is None:
            raise ChildFailedError("the child has no standard input")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_until_ready(self, seconds: float) -> str:
        """The first line the child prints, which says that it is ready (and perhaps where).

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
        """SIGTERM, then SIGKILL for one that will not hear it. Returns when it is gone."""
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
        """SIGKILL: no farewell."""
        self._process.kill()
        self.stop()
