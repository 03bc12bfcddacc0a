"""Runs a program in a copy of the process of `aws_cli_server.py`: SOCKET PROGRAM ARGUMENT ...

It passes on its variables, its folder and its standard streams, and exits as the program does. It
is started for each command, so it imports little.
"""

import marshal
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    socket.send_fds(connection, [b"."], [0, 1, 2])
    with connection.makefile("rwb") as file:
        marshal.dump((sys.argv[2:], dict(os.environ), os.getcwd()), file)
        file.flush()
        status = marshal.load(file)  # noqa: S302  (from our own process)
sys.exit(status)
