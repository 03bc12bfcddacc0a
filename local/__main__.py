"""`python -m local up` runs a stack until a signal; `python -m local token` makes a token for it.

`up` prints exactly one line on standard output, when everything is ready: a JSON object with every
URL, table, bucket and ARN (`local.running.RunningStack`). Everything else goes to standard
error. SIGINT or SIGTERM stops it cleanly.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence

from local.issuer import AUDIENCE
from local.providers import PROVIDERS, keys_in_environment
from local.running import running_stack
from local.stack import Stack


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a stack and stay until SIGINT or SIGTERM")
    up.add_argument("--auth", action="store_true", help="enforce the functions' IAM roles")
    up.add_argument("--worker-cap", type=int, default=24, help="most Lambda workers at a time")
    up.add_argument("--name", help="name of the stack (default: a random one)")
    token = commands.add_parser("token", help="print a JWT a running stack accepts")
    token.add_argument("--user", required=True)
    token.add_argument("--admin", action="store_true", help="with the scope clipmint/admin")
    token.add_argument("--expires-in", type=int, default=3600, metavar="SECONDS")
    token.add_argument("--audience", default=AUDIENCE)
    token.add_argument("--stack", help="which stack (default: the one started last)")
    options = parser.parse_args(arguments)
    if options.command == "up":
        return stay_up(options)
    return print_token(options)


def stay_up(options: argparse.Namespace) -> int:
    stop = threading.Event()
    # A signal interrupts the start, or afterwards ends the wait.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    keys = keys_in_environment()
    started = time.monotonic()
    stack = Stack(
        simulate=PROVIDERS,
        keys=keys,
        enforce_iam=options.auth,
        worker_cap=options.worker_cap,
        name=options.name,
    )
    try:
        with stack:
            print(json.dumps(stack.description), flush=True)
            seconds = time.monotonic() - started
            print(f"ready in {seconds:.1f} s; Ctrl-C stops it", file=sys.stderr)
            stop.wait()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return 0


def _interrupt(number: int, frame: object) -> None:
    del frame
    # A second Ctrl-C must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(f"signal {number}")


def print_token(options: argparse.Namespace) -> int:
    try:
        stack = running_stack(options.stack)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        stack.token(
            options.user,
            admin=options.admin,
            audience=options.audience,
            expires_in=options.expires_in,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
