"""The fork servers: one process per set of layers, from which workers are forked.

`ForkServers.start` returns a worker's process, which has the methods of `subprocess.Popen`. The
other end is `local/runtime/forkserver.py`; its docstring describes the protocol. Portable: it uses
no process file descriptor and no parent-death signal.
"""

import json
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.processes import allocation
from local.runtime.forkserver import FORK, FRAME, SIGNAL, SOCKET

PROGRAM = Path(__file__).parents[1] / "runtime" / "forkserver.py"


class ForkServerLostError(RuntimeError):
    """A fork server ended, and no worker could be forked."""


class Process:
    """A worker's process. Same meaning as the methods of `subprocess.Popen` with these names."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, or minus the signal. Raises `subprocess.TimeoutExpired`."""
        self._ended.wait(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"worker {self.pid}", timeout or 0.0)
        return self.returncode

    def terminate(self) -> None:
        self._server.signal(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        self._server.signal(self.pid, signal.SIGKILL)

    def end(self, status: int) -> None:
        """Record the exit status. The server calls this."""
        self.returncode = status
        self._ended.set()


class ForkServer:
    """One running server. `variables` are those of the function that it is started for."""

    def __init__(self, python: str, layers: Sequence[str], variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._lock = threading.Lock()
        self._starting: deque[Future[Process]] = deque()
        self._processes: dict[int, Process] = {}
        ours, theirs = socket.socketpair()
        self._connection = ours
        with theirs:
            self._program = subprocess.Popen(
                # Like -I, but it reads how to allocate memory.
                [python, "-s", "-P", "-S", str(PROGRAM)],
                env={
                    **allocation(),
                    # The worker gets them all later; here Python itself would follow these.
                    **{k: v for k, v in variables.items() if not k.startswith("PYTHON")},
                    SOCKET: str(theirs.fileno()),
                    # Without this macOS kills a forked process that uses some of its frameworks.
                    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
                },
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._lines = ours.makefile("r", encoding="utf-8")
        self._send(json.dumps({"layers": list(layers)}).encode() + b"\n")
        about = self._lines.readline()
        if not about:
            raise ForkServerLostError("a fork server did not become ready; see the emulator's log")
        self._read: list[str] = json.loads(about)["read"]
        self.lost = False
        threading.Thread(target=self._listen, daemon=True).start()

    def suits(self, variables: Mapping[str, str]) -> bool:
        """Whether its modules contain no values of another function's environment."""
        return not self.lost and all(
            self._variables.get(name) == variables.get(name) for name in self._read
        )

    def start(self, descriptors: Sequence[int]) -> Process:
        """Fork a worker with these descriptors. Raises `ForkServerLostError`."""
        future: Future[Process] = Future()
        with self._lock:
            # The responses come in the order of the requests.
            self._starting.append(future)
            try:
                socket.send_fds(self._connection, [FRAME.pack(FORK, 0, 0)], list(descriptors))
            except OSError as error:
                self._starting.remove(future)
                self.lost = True
                raise ForkServerLostError("the fork server has ended") from error
        return future.result()

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a worker, if it has not ended."""
        with self._lock, suppress(OSError):
            self._send(FRAME.pack(SIGNAL, pid, number))

    def _send(self, content: bytes) -> None:
        self._connection.sendall(content)

    def _listen(self) -> None:
        """Handle the server's messages until it ends."""
        with self._lines, suppress(ConnectionResetError):
            for line in self._lines:
                message: dict[str, Any] = json.loads(line)
                if "started" in message:
                    process = Process(self, message["started"])
                    self._processes[process.pid] = process
                    self._starting.popleft().set_result(process)
                else:
                    self._processes.pop(message["ended"]).end(message["status"])
        self._program.wait()
        with self._lock:
            self.lost = True
            self._connection.close()
            for future in self._starting:
                future.set_exception(ForkServerLostError("the fork server has ended"))
            self._starting.clear()
        # Its workers have lost their parent and still run, but count as ended: they are replaced,
        # and they end when their lifelines are closed.
        for process in self._processes.values():
            process.end(-signal.SIGKILL)


class ForkServers:
    """The servers of one emulator, started when first needed."""

    def __init__(self, python: str, *, preload: bool) -> None:
        self._python = python
        self._preload = preload
        self._lock = threading.Lock()
        self._servers: dict[tuple[str, ...], list[ForkServer]] = {}

    def start(
        self, layers: Sequence[str], variables: Mapping[str, str], descriptors: Sequence[int]
    ) -> Process:
        """Fork a worker for a function with these layers and variables."""
        imported = layers if self._preload else ()
        try:
            return self._server(imported, variables).start(descriptors)
        except ForkServerLostError:  # the next worker gets a new server
            return self._server(imported, variables).start(descriptors)

    def _server(self, layers: Sequence[str], variables: Mapping[str, str]) -> ForkServer:
        with self._lock:
            servers = self._servers.setdefault(tuple(layers), [])
            servers[:] = [server for server in servers if not server.lost]
            for server in servers:
                if server.suits(variables):
                    return server
            servers.append(ForkServer(self._python, layers, variables))
            return servers[-1]
