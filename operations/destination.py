"""`python -m operations.destination --env prod`: where `make deploy` deploys to.

Prints the account, the region and the stack. The exit code is 1 if one of them is not certain.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from operations.installation import NotConfigured, read_installation, session_of


def destination(environment: str) -> str:
    """Account, region and stack in one line. Raises `NotConfigured`, or botocore's errors."""
    installation = read_installation(environment)
    session = session_of(installation)
    caller = session.client("sts").get_caller_identity()
    return (
        f"account {caller['Account']} ({caller['Arn']}), region {session.region_name},"
        f" stack {installation.stack_name}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operations.destination", description=__doc__)
    parser.add_argument("--env", required=True)
    try:
        print(f"Deploying to {destination(parser.parse_args(arguments).env)}", flush=True)
    except (NotConfigured, BotoCoreError, ClientError) as error:
        print(f"Not deployed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
