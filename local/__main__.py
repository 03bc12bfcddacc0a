"""`python -m local up` runs a stack until a signal; all other commands are for a running stack.

In a terminal, `up` prints a table when everything is ready, and then one line per request and per
transition of a job (`local.activity`). Elsewhere, or with `--json`, it prints exactly one line on
standard output: a JSON object with every URL, table, bucket and ARN (`local.running.RunningStack`).
Errors and the time of the start go to standard error. SIGINT or SIGTERM stops it cleanly.

`url`, `token`, `env` and `logs` print the API's URL, a token, variables for the AWS CLI, and log
lines. `stores` connects test stores to the stack, and `sign` signs what such a store reports (it
needs no stack). `smoke` runs `operations.smoke` against the stack, as `make smoke` does against a
deployment.
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
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from local import stores
from local.deploy import ROOT
from local.issuer import AUDIENCE, TOKENS
from local.providers import PROVIDERS, keys_in_environment
from local.running import (
    CREDENTIALS,
    STACK_NAME,
    STACK_VARIABLE,
    RunningStack,
    running_stack,
)

HOUR = 3600


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a stack and stay until SIGINT or SIGTERM")
    up.add_argument("--auth", action="store_true", help="enforce the functions' IAM roles")
    up.add_argument("--worker-cap", type=int, default=24, help="most Lambda workers at a time")
    up.add_argument("--name", help="name of the stack (default: a random one)")
    up.add_argument("--port", type=int, default=0, help="port of the API (default: a free one)")
    up.add_argument("--json", action="store_true", help="print one line of JSON, no table")
    # The commands for a running stack, and what each does.
    running: dict[str, Callable[[RunningStack, argparse.Namespace], int]] = {
        "url": print_url,
        "token": print_token,
        "env": print_environment,
        "logs": print_logs,
        "smoke": run_smoke,
        "stores": connect_stores,
    }
    url = commands.add_parser("url", help="print a URL of a running stack")
    url.add_argument("of", nargs="?", default="api", choices=["api", "console", "images", "token"])
    token = commands.add_parser("token", help="print a JWT a running stack accepts")
    token.add_argument("--user", required=True)
    token.add_argument("--admin", action="store_true", help="with the scope clipmint/admin")
    lifetime = token.add_mutually_exclusive_group()
    lifetime.add_argument("--hours", type=float, help="how long it is valid (default: 1)")
    lifetime.add_argument("--expires-in", type=int, default=HOUR, metavar="SECONDS")
    token.add_argument("--audience", default=AUDIENCE)
    env = commands.add_parser("env", help="print shell commands that set up the AWS CLI")
    logs = commands.add_parser("logs", help="print the log lines of functions")
    logs.add_argument("functions", nargs="*", help="such as submit (default: all)")
    smoke = commands.add_parser("smoke", help="one video through a running stack")
    smoke.add_argument("--model", help="order this model instead of the cheapest one")
    smoke.add_argument("--dry-run", action="store_true", help="stop before the order")
    smoke.add_argument("--keep", action="store_true", help="leave the video in the bucket")
    connect = commands.add_parser("stores", help="connect test stores to a running stack")
    sign = commands.add_parser("sign", help="sign a store's event, read from standard input")
    sign.add_argument("store", choices=[*stores.SIGN])
    for command in (url, token, env, logs, smoke, connect):
        which = f"which stack (default: ${STACK_VARIABLE}, or the one started last)"
        command.add_argument("--stack", help=which)
    options = parser.parse_args(arguments)
    if options.command == "up":
        return stay_up(options)
    if options.command == "sign":
        print(stores.SIGN[options.store](sys.stdin.read()))
        return 0
    try:
        stack = running_stack(options.stack)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    return running[options.command](stack, options)


def stay_up(options: argparse.Namespace) -> int:
    # All other commands are for a running stack, and end sooner without these.
    from local.activity import Activity  # noqa: PLC0415
    from local.stack import Stack  # noqa: PLC0415

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
        port=options.port,
        name=options.name,
    )
    for_people = sys.stdout.isatty() and not options.json
    if for_people:
        print("Clipmint is starting …", flush=True)
    try:
        with stack:
            seconds = time.monotonic() - started
            if for_people:
                # Inside: a request that comes as soon as the table is printed is shown, too.
                with Activity(stack, lambda line: print(line, flush=True)):
                    print(table(stack, seconds), flush=True)
                    stop.wait()
            print(json.dumps(stack.description), flush=True)
            print(f"ready in {seconds:.1f} s; Ctrl-C stops it", file=sys.stderr)
            stop.wait()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except OSError as error:
        if not options.port:
            raise
        print(f"port {options.port} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def table(stack: RunningStack, seconds: float) -> str:
    """What people need to know of a stack that has just started."""
    providers: Mapping[str, Mapping[str, object]] = stack.description["providers"]
    kinds = [
        f"{name} ({'simulated' if 'simulator' in providers[name] else 'real: it charges you'})"
        for name in providers
    ]
    rows = {
        "API": stack.api_url,
        "console": f"{stack.console_url} (sign in with any name)",
        "images": stack.images_url,
        "AWS": f"{stack.aws_endpoint} (emulated)",
        "providers": ", ".join(kinds),
        "a user's token": "make -s token NAME=ada [HOURS=12]",
        "your own token": "make -s token NAME=shop ADMIN=1",
        "logs": "make -s logs [OF=submit]; of the emulator and the simulators: "
        + os.path.relpath(stack.state_dir / "*.log"),
        "next": 'in another terminal: curl -s $(make -s url)/v1/models -H "Authorization: '
        'Bearer $(make -s token NAME=ada)"',
    }
    width = max(map(len, rows))
    lines = [f"  {name:<{width}}  {value}" for name, value in rows.items()]
    ready = f"Ready in {seconds:.1f} s; Ctrl-C stops it. Each request and job is shown below."
    return "\n".join(["", *lines, "", ready, ""])


def _interrupt(number: int, frame: object) -> None:
    del frame
    # A second Ctrl-C must not interrupt the clean-up.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(f"signal {number}")


def print_url(stack: RunningStack, options: argparse.Namespace) -> int:
    urls = {
        "api": stack.api_url,
        "console": stack.console_url,
        "images": stack.images_url,
        "token": stack.issuer + TOKENS,
    }
    print(urls[options.of])
    return 0


def print_token(stack: RunningStack, options: argparse.Namespace) -> int:
    seconds = options.expires_in if options.hours is None else round(options.hours * HOUR)
    print(
        stack.token(
            options.user, admin=options.admin, audience=options.audience, expires_in=seconds
        )
    )
    until = datetime.now().astimezone() + timedelta(seconds=seconds)
    longer = "; HOURS=12 makes it valid for longer" if options.hours is None else ""
    print(f"valid for {seconds / HOUR:g} h, until {until:%H:%M}{longer}", file=sys.stderr)
    return 0


def print_environment(stack: RunningStack, options: argparse.Namespace) -> int:
    """Variables for the AWS CLI and for the commands of docs/runbook.md."""
    del options
    for name, value in aws_environment(stack).items():
        print(f"export {name}={value}")
    # For SQS, version 1 of the CLI ignores AWS_ENDPOINT_URL.
    print('aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }')
    print(f"STACK={STACK_NAME}")
    return 0


def aws_environment(stack: RunningStack) -> dict[str, str]:
    """The variables that make the AWS CLI and boto3 use a stack."""
    return {
        "AWS_ENDPOINT_URL": stack.aws_endpoint,
        "AWS_DEFAULT_REGION": stack.region,
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
    }


def print_logs(stack: RunningStack, options: argparse.Namespace) -> int:
    known = {logical.removesuffix("Function").lower(): logical for logical in stack.functions}
    unknown = set(options.functions) - known.keys()
    if unknown:
        print(f"no such function; there are {', '.join(sorted(known))}", file=sys.stderr)
        return 1
    for name in options.functions or sorted(known):
        for line in stack.logs(known[name]):
            print(line)
    return 0


def connect_stores(stack: RunningStack, options: argparse.Namespace) -> int:
    del options
    stores.connect(stack)
    return 0


def run_smoke(stack: RunningStack, options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "operations.smoke", "--stack", STACK_NAME]
    command += ["--api-url", stack.api_url, *(["--dry-run"] if options.dry_run else [])]
    command += ["--keep"] if options.keep else []
    command += ["--model", options.model] if options.model else []
    # The owner's own AWS configuration must not be used.
    environment = (
        {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        | aws_environment(stack)
        | {
            "CLIPMINT_USER_TOKEN": stack.token(f"smoke-{uuid.uuid4()}"),
            "CLIPMINT_ADMIN_TOKEN": stack.token("smoke-owner", admin=True),
        }
    )
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
