"""Forks execution environments from a process that has imported their packages already.

Started as `python -s -P -S forkserver.py` by `local.emulator.forking`, with a Unix socket. Its
descriptor is in CLIPMINT_SOCKET. The environment variables it is started with are those of the
first function it serves. A cold start is then a fork and the import of `app.py`, a few tens of
milliseconds of processor time instead of several hundred.

The emulator first sends one line of JSON, `{"layers": [directory, ...]}`. The server imports what
the layers' own packages import, and answers `{"read": [name, ...]}`: the environment variables that
were read by these imports. A worker may be forked from this server only if its function has the
same values for these variables; otherwise a module would contain a value of another function.

After that the emulator sends frames (`FRAME`): `FORK` with the four descriptors of a worker
(requests, answers, lifeline, log), or `SIGNAL` with a process id and a signal. The server answers
lines of JSON: `{"started": pid}`, and `{"ended": pid, "status": returncode}` when it has collected
a worker. Signals go through here because only a parent knows that a process id still belongs to its
child. When the socket is closed, the emulator has ended, and the server ends. Its workers see the
same on their lifelines.

No thread runs here, and a worker inherits no descriptor but its own.
"""

import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import traceback
from types import ModuleType
from typing import Any, ClassVar

SOCKET = "CLIPMINT_SOCKET"
FRAME = struct.Struct("!cII")
"""Command, process id, signal."""
FORK, SIGNAL = b"F", b"S"
PIPES = 4
# Modules of a layer's packages that handlers import but the layer's own modules do not.
ALSO_IMPORTED = (
    "aws_lambda_powertools.event_handler.middlewares.openapi_validation",
    "aws_lambda_powertools.utilities.idempotency",
)
# Create a client of each of these once, to fill botocore's caches of its data files. No environment
# variable changes these caches.
WARMED_SERVICES = ("dynamodb", "s3", "secretsmanager", "stepfunctions")


class _Recording(os._Environ[str]):  # noqa: SLF001 - the class of `os.environ`
    """`os.environ` while packages are imported: records the names that are read."""

    names: ClassVar[set[str]] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return str(super().__getitem__(name))


def preload(path: list[str], own: list[str]) -> set[str]:
    """Extend the search path and import every module in `own`, with all that they import.

    Returns the names of the environment variables that were read. A module that cannot be imported
    here (it needs another layer) is imported by the workers.
    """
    environment: Any = os.environ
    usual = type(environment)
    # Other modules hold a reference to `os.environ`, so the object has to stay the same.
    environment.__class__ = _Recording
    try:
        sys.path[:0] = path
        found = pkgutil.walk_packages(own, onerror=lambda _name: None)
        for name in (*(module.name for module in found), *ALSO_IMPORTED):
            _import(name)
    finally:
        environment.__class__ = usual
    if "botocore" in sys.modules:
        warm_botocore()
    return _Recording.names


def _import(name: str) -> None:
    # A module that fails here fails again in the worker that imports it, which reports the error.
    with contextlib.suppress(Exception):
        importlib.import_module(name)


def warm_botocore() -> None:
    """Cache botocore's data files, which every session would otherwise read again."""
    sessions: Any = importlib.import_module("botocore.session")
    sessions.create_loader = functools.cache(sessions.create_loader)
    session = sessions.Session()
    session.set_credentials("warm", "warm")
    for service in WARMED_SERVICES:
        session.create_client(service, region_name="us-east-1", endpoint_url="http://127.0.0.1:9")


def load_bootstrap() -> ModuleType:
    """`bootstrap.py` beside this file, loaded by path so that no handler can import it."""
    where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")
    spec = importlib.util.spec_from_file_location("_clipmint_bootstrap", where)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load {where}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Server:
    """Serves one emulator until its socket ends."""

    def __init__(self, connection: socket.socket, bootstrap: ModuleType) -> None:
        self._connection = connection
        self._bootstrap = bootstrap
        self._workers: set[int] = set()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)

    def serve(self) -> None:
        # SIGCHLD of an ended worker interrupts `select`. The handler itself does nothing.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_out)
        while True:
            waiting: list[Any] = [self._connection, self._wake_in]
            ready, _, _ = select.select(waiting, [], [])
            if self._wake_in in ready:
                os.read(self._wake_in, 4096)
                self._collect()
            if self._connection in ready and not self._execute_frame():
                return

    def _execute_frame(self) -> bool:
        """Execute one frame. Returns False if the emulator has ended."""
        frame, descriptors, _, _ = socket.recv_fds(
            self._connection, FRAME.size, PIPES, socket.MSG_WAITALL
        )
        if len(frame) < FRAME.size:
            return False
        command, pid, number = FRAME.unpack(frame)
        if command == FORK:
            self._fork(descriptors)
        elif pid in self._workers:
            os.kill(pid, number)
        return True

    def _fork(self, descriptors: list[int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os._exit(self._worker(*descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        self._workers.add(pid)
        self._send({"started": pid})

    def _worker(self, requests: int, answers: int, lifeline: int, log: int) -> int:
        """Run as a worker until its pipe of requests is closed. Returns its exit status."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._connection.close()
            os.close(self._wake_in)
            os.close(self._wake_out)
            for output in (1, 2):
                os.dup2(log, output)
            os.close(log)
            self._bootstrap.main(requests, answers, lifeline)
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return (end.code or 0) & 0xFF
            print(end.code, file=sys.stderr)
            return 1
        except BaseException:  # noqa: BLE001 - as the interpreter ends for any exception
            traceback.print_exc()
            return 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
        return 0

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._workers.discard(pid)
            self._send({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the next read finds that the emulator has ended
            self._connection.sendall((json.dumps(message) + "\n").encode())


def main() -> None:
    with socket.socket(fileno=int(os.environ.pop(SOCKET))) as connection:
        connection.set_inheritable(False)
        # Unbuffered, so that no frame after the line is read ahead.
        with connection.makefile("rb", buffering=0) as lines:
            wanted = json.loads(lines.readline())
        bootstrap = load_bootstrap()
        layers = wanted["layers"]
        # While packages are imported, hardly anything becomes garbage.
        gc.disable()
        own = [bootstrap.own_modules(layer) for layer in layers]
        read = preload(bootstrap.layer_path(layers), own) if layers else set()
        # Freeze these objects: the garbage collector of a worker must not copy their pages.
        gc.freeze()
        gc.enable()
        server = Server(connection, bootstrap)
        connection.sendall((json.dumps({"read": sorted(read)}) + "\n").encode())
        server.serve()


if __name__ == "__main__":
    main()
