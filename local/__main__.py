"""`python -m local up` runs a stack until a signal; `token` and `smoke` are for a running stack.

`up` prints exactly one line on standard output, when everything is ready: a JSON object with every
URL, table, bucket and ARN (`local.running.RunningStack`). Everything else goes to standard
error. SIGINT or SIGTERM stops it cleanly. `smoke` runs `operations.smoke` against the stack, as
`make smoke` does against a deployment.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence

from local.deploy import ROOT
from local.issuer import AUDIENCE
from local.providers import PROVIDERS, keys_in_environment
from local.running import CREDENTIALS, running_stack
from local.stack import STACK_NAME, Stack


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
    smoke = commands.add_parser("smoke", help="one video through a running stack")
    smoke.add_argument("--stack", help="which stack (default: the one started last)")
    smoke.add_argument("--model", help="order this model instead of the cheapest one")
    smoke.add_argument("--dry-run", action="store_true", help="stop before the order")
    smoke.add_argument("--keep", action="store_true", help="leave the video in the bucket")
    options = parser.parse_args(arguments)
    if options.command == "smoke":
        return run_smoke(options)
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


def run_smoke(options: argparse.Namespace) -> int:
    try:
        stack = running_stack(options.stack)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "operations.smoke", "--stack", STACK_NAME]
    command += ["--api-url", stack.api_url, *(["--dry-run"] if options.dry_run else [])]
    command += ["--keep"] if options.keep else []
    command += ["--model", options.model] if options.model else []
    # The owner's own AWS configuration must not be used.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | {
        "AWS_ENDPOINT_URL": stack.aws_endpoint,
        "AWS_DEFAULT_REGION": stack.region,
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "CLIPMINT_USER_TOKEN": stack.token(f"smoke-{uuid.uuid4()}"),
        "CLIPMINT_ADMIN_TOKEN": stack.token("smoke-owner", admin=True),
    }
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
