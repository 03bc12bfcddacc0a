"""`aws` without AWS: checks a command's arguments as the AWS CLI does, and sends nothing.

Run with the Python of `.envs/awscli`. An unknown option, a missing one or a wrong type fails as in
the CLI. Otherwise the command prints a word in place of its output.
"""

import os
import sys
from typing import Any

from awscli.clidriver import create_clidriver

PLACEHOLDER = "placeholder-as-long-as-an-id-0123456"


def end(**_: Any) -> None:
    """The arguments were checked, and the request is signed: do not send it."""
    print(PLACEHOLDER, flush=True)
    os._exit(0)


if __name__ == "__main__":
    os.environ.pop("AWS_PROFILE", None)  # the reader's own, which the tests do not have
    driver = create_clidriver()
    driver.session.register("before-send", end)
    sys.exit(driver.main())
