"""Emulators with the same small application: ours, with and without IAM, and unmodified
ministack.
"""

import json
from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.integration.emulator.small_app import role, small_app


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with small_app() as running:
        yield running


@pytest.fixture(scope="session")
def stock() -> Iterator[Stack]:
    """ministack without any of our corrections."""
    with small_app(stock=True) as running:
        yield running


@pytest.fixture(scope="session")
def guarded() -> Iterator[Stack]:
    """Ours, where a function may do what its role allows and nothing else."""
    with small_app(enforce_iam=True) as running:
        # The machines of tests have the deployed machine's role. They may invoke a function without
        # its alias, and another one only through its alias.
        invoked = [running.functions["Act"], running.functions["Published"]]
        allow = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": invoked}
        running.boto3("iam").put_role_policy(
            RoleName=role(running).rpartition("/")[2],
            PolicyName="tests",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
        yield running
