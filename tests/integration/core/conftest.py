"""The account the core writes to, and a clock to move."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import clock, moto_aws

aws_clients = moto_aws.aws_clients
aws = moto_aws.aws_account
hands = clock.hand_moved_clock


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[dict[str, Any]]]:
    """The embedded-metric lines printed so far that count this."""

    def of(name: str) -> list[dict[str, Any]]:
        lines = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        return [counted for line in lines if name in (counted := json.loads(line))]

    return of
