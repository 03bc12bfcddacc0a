"""Emulators with the same small application: ours, with and without IAM, and unmodified
ministack.
"""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.integration.emulator.small_app import small_app


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
        yield running
