"""Runs programs of the AWS CLI, each in a copy of this process, which has loaded the CLI.

Starting Python and loading the CLI takes a second of CPU for each command; a copy (a fork) takes a
tenth of that. It gets the arguments, variables, folder and standard streams of its client,
`aws_cli_client.py`, and then executes the program as Python would. So commands share nothing but
the CLI's own modules and files, as they were before the first command.

The only argument is the number of a listening socket. When the standard input ends, because the
process at its other end has ended, this process removes the folder of the socket, and ends
together with its copies.

Run with the Python of `.envs/awscli`.
"""

import atexit
import contextlib
import functools
import gc
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import sys

import awscli.clidriver  # makes its own botocore importable
import botocore.session

SERVICES = ("cloudformation", "dynamodb", "lambda", "logs", "secretsmanager", "stepfunctions")
"""Those that the documents use most. A program reads the others itself."""


def load() -> None:
    """Import the CLI's modules, and read its files about services, which it never changes."""
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    session = awscli.clidriver.create_clidriver().session
    session.get_data("cli")
    for service in SERVICES:
        session.create_client(service, "us-east-1")
        session.get_paginator_model(service)
    # Later collections, and so the copies, skip what is loaded now.
    gc.freeze()


def program_of(listener: socket.socket) -> list[str]:
    """Make a copy of this process for each call. Returns in the copies: their program and its
    arguments."""
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            shutil.rmtree(os.path.dirname(listener.getsockname()), ignore_errors=True)
            os.killpg(0, signal.SIGKILL)
        connection, _ = listener.accept()
        if os.fork() == 0:
            return copy_for(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def copy_for(connection: socket.socket) -> list[str]:
    """Make the copy that executes the client's program, and report its exit status.

    Returns in this copy. A signal ends the client with the status that a shell would give.
    """
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rwb") as file:
        program: list[str]
        program, variables, folder = marshal.load(file)  # noqa: S302  (from our own client)
        if child := os.fork():
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            marshal.dump(status if status >= 0 else 128 - status, file)
            file.flush()
            os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The CLI sets this variable when it is imported.
    variables["AWS_DATA_PATH"] = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    return program


def execute(program: list[str]) -> None:
    """Execute a program as Python would, and leave out that Python frees all objects at the end.

    This would change, and so copy, the memory that the copies share, and take as long as a command.
    """
    status = 1

    def end() -> None:
        # If a stream cannot be flushed, Python ends as always.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    # Python calls it after the program's own functions of this kind.
    atexit.register(end)
    sys.argv = program
    try:
        runpy.run_path(program[0], run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            status = ended.code or 0
        raise
    status = 0


if __name__ == "__main__":
    load()
    execute(program_of(socket.socket(fileno=int(sys.argv[1]))))
